"""Promise 11: one damage to any file of a store of twenty events.

A start gives exactly what was written, or a refusal that names the place and changes nothing;
what was refused, `fsck --repair` mends or says that it cannot.
"""

import asyncio
from pathlib import Path
from random import Random
from typing import NamedTuple

import msgspec
import pytest

from daemon.offline.journal_scan import Gap
from protocol.events import CommittedEvent, Event
from protocol.snapshots import StateSnapshot
from tests.support.damage_check import Case, Result
from tests.support.damages import Damage, some
from tests.support.effort import portion, rounds, tally
from tests.support.small_store import DATA, EVENTS, LIFECYCLE, make_small

SEED = 20261126
FLIPS_REPAIRED_EVERY = 63  # A repair takes five times as long as a start; all bits of a byte occur.
BITS_AT_ONCE = 256


def case(*, drained: bool, archived: int = 12) -> Case:
    """Return a small store; `archived` of its twelve batches are archived."""
    disk, contents = asyncio.run(make_small(drained=drained, archived=archived))
    return Case(disk, contents, EVENTS if archived == 12 else 16)


CASES = {
    "drained": case(drained=True),
    "killed": case(drained=False),
    "killed before the archive was written": case(drained=False, archived=9),
}
CASES_AND_FILES = [
    pytest.param(name, path, id=f"{name}-{path.relative_to(DATA)}"[:80])
    for name, one in CASES.items()
    for path, content in one.disk.files().items()
    if content
]


async def see(one: Case, path: Path, damage: Damage, *, repair: bool) -> str:
    """Check one damage; return what came of it."""
    try:
        result = await one.check(path, damage)
        if repair:
            mended = await one.repair(path, damage)
            return f"{result}, {'mended' if mended else 'lost'}"
    except AssertionError as error:
        error.add_note(f"{damage.kind}, place {damage.place}, of {path}")
        raise
    return result


@pytest.mark.parametrize(("name", "path"), CASES_AND_FILES)
def test_a_few_damages_of_every_file_are_mended_or_refused(name: str, path: Path) -> None:
    one = CASES[name]
    random = Random(f"{SEED}-{name}-{path}")  # noqa: S311 (repeatable, not secret)

    async def run() -> None:
        for damage in some(one.disk.files()[path], random, flips=1, others=1):
            await see(one, path, damage, repair=True)

    asyncio.run(run())


class Stretch(NamedTuple):
    """Some bits of a file of the drained store, beside one another."""

    path: Path
    bits: range

    def __str__(self) -> str:
        return f"{self.path} {self.bits.start}"


def count_of(stretch: Stretch) -> int:
    return len(stretch.bits)


@pytest.mark.long
def test_every_flipped_bit_of_every_file_is_mended_or_refused() -> None:
    one = CASES["drained"]
    stretches = [
        Stretch(path, range(8 * len(content))[start : start + BITS_AT_ONCE])
        for path, content in one.disk.files().items()
        for start in range(0, 8 * len(content), BITS_AT_ONCE)
    ]

    async def run(stretch: Stretch) -> None:
        content = one.disk.files()[stretch.path]
        for bit in stretch.bits:
            damaged = bytearray(content)
            damaged[bit // 8] ^= 1 << bit % 8
            damage = Damage("a flipped bit", bit, bytes(damaged))
            repair = bit % FLIPS_REPAIRED_EVERY == 0
            came_of_it = await see(one, stretch.path, damage, repair=repair)
            assert not came_of_it.endswith("lost") or stretch.path.name == "store.json"

    for stretch in portion(stretches, 5, "flipped bits of a store", count_of):
        asyncio.run(run(stretch))


@pytest.mark.long
def test_many_damages_of_other_kinds_are_mended_or_refused() -> None:
    async def run(random: Random) -> None:
        for one in CASES.values():
            for path, content in one.disk.files().items():
                for damage in some(content, random, flips=0, others=1):
                    await see(one, path, damage, repair=True)
                    tally("damages of other kinds")

    for random in rounds(2):
        asyncio.run(run(random))


def test_a_store_that_nothing_happened_to_is_right() -> None:
    for one in CASES.values():
        path = DATA / "checkpoint.json"
        same = Damage("nothing", 0, one.disk.files()[path])

        with pytest.raises(AssertionError, match="nobody was told"):
            asyncio.run(one.check(path, same))  # Right, and so nothing was said.
        assert asyncio.run(one.repair(path, same))


def test_all_results_occur() -> None:
    one = CASES["killed before the archive was written"]
    last = max(path for path in one.disk.files() if path.suffix == ".jsonl" and "0" in path.name)
    content = one.disk.files()[last]

    results = [
        asyncio.run(one.check(last, Damage(kind, 0, changed)))
        for kind, changed in (
            ("a truncation", content[:-1]),
            ("a flipped bit", content[:-9] + b"~" + content[-8:]),
        )
    ]

    assert results == [Result.CUT, Result.REFUSED]


# The negative controls: with a check taken out, the checker finds damages that come through.


def flips_of(one: Case, path: Path, places: range) -> None:
    """Check bits of a file."""
    for place in places:
        damaged = bytearray(one.disk.files()[path])
        damaged[place // 8] ^= 1 << place % 8
        asyncio.run(one.check(path, Damage("a flipped bit", place, bytes(damaged))))


def test_an_event_that_is_believed_unchecked_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def believed(cls: type[CommittedEvent], line: bytes) -> CommittedEvent:
        event = msgspec.json.decode(line, type=Event)
        return cls(event.seq, line, event, event.payload, event.hash)

    one = CASES["drained"]
    log = next(path for path in one.disk.files() if path.name == "events.log")
    place = 8 * one.disk.files()[log].index(b"author-7")
    flips_of(one, log, range(place, place + 1))
    monkeypatch.setattr(CommittedEvent, "read", classmethod(believed))

    with pytest.raises(AssertionError):
        flips_of(one, log, range(place, place + 1))


def test_a_kept_lifecycle_that_is_believed_unsealed_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = CASES["drained"]
    (path,) = (path for path in one.disk.files() if path.parent.name == "lifecycles")
    place = 8 * one.disk.files()[path].index(b"DRAFT")
    flips_of(one, path, range(place, place + 1))
    sealed_size = len(one.disk.files()[path]) - len(one.contents.lifecycles[LIFECYCLE]) + 1
    monkeypatch.setattr("daemon.archive.pins.unseal_bytes", lambda data: data[:-sealed_size] + b"}")

    with pytest.raises(AssertionError):
        flips_of(one, path, range(place, place + 1))


def test_a_snapshot_that_is_believed_unsealed_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def believed(data: bytes) -> StateSnapshot:
        return msgspec.json.decode(data, type=StateSnapshot)

    one = CASES["drained"]
    state = next(path for path in one.disk.files() if path.name == "state.json")
    place = 8 * one.disk.files()[state].index(b"author-7")
    flips_of(one, state, range(place, place + 1))
    monkeypatch.setattr("daemon.archive.reader.decode_snapshot", believed)

    with pytest.raises(AssertionError):
        flips_of(one, state, range(place, place + 1))


def test_a_repair_that_guesses_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """It leaves out what it does not have, and takes its own result for the truth."""
    one = CASES["killed before the archive was written"]
    path = DATA / "journal" / "00000000000000000018.jsonl"
    content = one.disk.files()[path]
    damage = Damage("a doubled block", 0, content[:1000] + b"?" * 50 + content[1050:])
    assert not asyncio.run(one.repair(path, damage))

    def guessed(self: object, gap: Gap, content: bytes) -> bytes:
        del self, gap, content
        return b""

    monkeypatch.setattr("daemon.offline.gaps.JournalRemedies._filling", guessed)

    with pytest.raises(AssertionError):
        assert asyncio.run(one.repair(path, damage))
