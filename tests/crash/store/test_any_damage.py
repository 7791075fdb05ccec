"""Promise 11: one damage to any file of a store of twenty events.

A start gives exactly what was written, or a refusal that names the place and changes nothing;
what was refused, `fsck --repair` mends or says that it cannot.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path
from random import Random
from typing import NamedTuple

import msgspec
import pytest

from daemon.offline.fsck import Check
from daemon.offline.journal_scan import Gap
from protocol.events import CommittedEvent, Event
from protocol.snapshots import StateSnapshot
from tests.support.damage_check import Case, Result, is_read_by_nobody
from tests.support.damages import KINDS, PAGE, SECTOR, Damage, across, every, some
from tests.support.effort import portion, rounds, tally
from tests.support.faulty_disk import FaultyDisk
from tests.support.small_store import (
    DATA,
    EVENTS,
    LIFECYCLE,
    make_redacted,
    make_small,
    read_all_of,
    redact,
)

SEED = 20261126
# Of so many bits and bytes one: a repair takes five times as long as a start. All bits of a byte occur.
REPAIRED_EVERY = 63
EXCHANGES_REPAIRED_EVERY = 16
BITS_AT_ONCE = 256


def case(*, drained: bool, archived: int = 12) -> Case:
    """Return a small store; `archived` of its twelve batches are archived."""
    disk, contents = asyncio.run(make_small(drained=drained, archived=archived))
    return Case(disk, contents, EVENTS if archived == 12 else 16)


def in_a_redaction(killed_at: str) -> Case:
    """Return a small store that was killed at this call of a redaction."""
    return Case(*asyncio.run(make_redacted(killed_at)), EVENTS + 4)


CASES = {
    "drained": case(drained=True),
    "killed": case(drained=False),
    "killed before the archive was written": case(drained=False, archived=9),
    "killed while a log lost data": in_a_redaction("replace events.log"),
    "killed while the journal lost data": in_a_redaction("replace 00000000000000000018.jsonl"),
}
# What nobody reads is the same to every store: it is damaged in the first that has it, alone.
FIRST_WITH = {
    (path, content, None if is_read_by_nobody(path) else name): name
    for name, one in reversed(CASES.items())
    for path, content in one.disk.files().items()
    if content
}
CASES_AND_FILES = [
    pytest.param(name, path, id=f"{name}-{path.relative_to(DATA)}"[:80])
    for (path, *_), name in FIRST_WITH.items()
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
    """Some bits of a file of one store, beside one another."""

    name: str
    path: Path
    bits: range

    def __str__(self) -> str:
        return f"{self.name}: {self.path} {self.bits.start}"


def count_of(stretch: Stretch) -> int:
    return len(stretch.bits)


def stretches() -> list[Stretch]:
    """Return all bits of the drained store, and those of the others' files that it does not have.

    A few bits of the files that nobody reads are flipped by the short test.
    """
    drained = CASES["drained"].disk.files()
    return [
        Stretch(name, path, range(8 * len(content))[start : start + BITS_AT_ONCE])
        for name, one in CASES.items()
        for path, content in one.disk.files().items()
        if name == "drained" or not (path in drained or is_read_by_nobody(path))
        for start in range(0, 8 * len(content), BITS_AT_ONCE)
    ]


@pytest.mark.long
def test_every_flipped_bit_of_every_file_is_mended_or_refused() -> None:
    async def run(stretch: Stretch) -> None:
        one = CASES[stretch.name]
        content = one.disk.files()[stretch.path]
        for bit in stretch.bits:
            damaged = bytearray(content)
            damaged[bit // 8] ^= 1 << bit % 8
            damage = Damage("a flipped bit", bit, bytes(damaged))
            repair = bit % REPAIRED_EVERY == 0
            came_of_it = await see(one, stretch.path, damage, repair=repair)
            if stretch.name == "drained" and stretch.path.name != "store.json":
                assert not came_of_it.endswith("lost")

    for stretch in portion(stretches(), 5, "flipped bits of a store", count_of):
        asyncio.run(run(stretch))


@pytest.mark.long
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "a flipped bit"])
@pytest.mark.parametrize("name", CASES)
def test_every_damage_of_another_kind_is_mended_or_refused(
    name: str, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    one = CASES[name]

    async def run() -> Counter[str]:
        seen: Counter[str] = Counter()
        for path, content in one.disk.files().items():
            for damage in every(content, kind):
                repair = kind != "a truncation" or damage.place % REPAIRED_EVERY == 0
                came_of_it = await see(one, path, damage, repair=repair)
                if name == "drained" and path.name != "store.json":
                    assert not came_of_it.endswith("lost")
                seen[came_of_it] += 1
        return seen

    seen = asyncio.run(run())

    with capsys.disabled():
        print(f"\n{kind} of every file ({name}): {dict(seen)}")  # noqa: T201
    assert seen


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


# Damage of two files at once: blocks went to the wrong one.


def neighbours(one: Case) -> list[tuple[Path, Path]]:
    """Return the pairs of files between which a disk may mistake blocks: those of one sort."""
    sorts: dict[str, list[Path]] = {}
    for path, content in one.disk.files().items():
        if content and not is_read_by_nobody(path):
            sorts.setdefault(
                path.suffix if path.parent.name == "journal" else path.name, []
            ).append(path)
    return [pair for paths in sorts.values() for pair in permutations(paths, 2)]


def damages_of_two(one: Case, size: int) -> Iterator[tuple[Path, Damage]]:
    """Yield every exchange of blocks of that size between two files of one sort."""
    files = one.disk.files()
    for path, other in neighbours(one):
        yield from ((path, damage) for damage in across(files[path], other, files[other], size))


@pytest.mark.parametrize("size", [SECTOR, PAGE])
@pytest.mark.parametrize("name", CASES)
def test_a_few_blocks_in_the_wrong_file_are_mended_or_refused(name: str, size: int) -> None:
    random = Random(f"{SEED}-{name}-{size}")  # noqa: S311 (repeatable, not secret)
    damages = random.sample([*damages_of_two(CASES[name], size)], 4)

    async def run() -> None:
        for path, damage in damages:
            await see(CASES[name], path, damage, repair=True)

    asyncio.run(run())


@pytest.mark.long
@pytest.mark.parametrize("size", [SECTOR, PAGE])
@pytest.mark.parametrize("name", CASES)
def test_all_blocks_in_the_wrong_file_are_mended_or_refused(
    name: str, size: int, capsys: pytest.CaptureFixture[str]
) -> None:
    async def run() -> Counter[str]:
        seen: Counter[str] = Counter()
        for number, (path, damage) in enumerate(damages_of_two(CASES[name], size)):
            repair = size == PAGE or number % EXCHANGES_REPAIRED_EVERY == 0
            seen[await see(CASES[name], path, damage, repair=repair)] += 1
        return seen

    seen = asyncio.run(run())

    with capsys.disabled():
        print(f"\nblocks of {size} bytes in the wrong file ({name}): {dict(seen)}")  # noqa: T201
    assert seen


# Every file that a store can have is one of those that were damaged.


def kind_of(name: str) -> str:
    """Return a file's name without what tells it from others of its kind."""
    for pattern, kind in (
        (r"\d{20}\.jsonl(\.tmp)?", r"<seq>.jsonl\1"),
        (r"[a-z]+@\d+\.json(\.tmp)?", r"<lifecycle>.json\1"),
    ):
        if match := re.fullmatch(pattern, name):
            return match.expand(kind)
    return name


def names_of(disk: FaultyDisk) -> set[str]:
    """Return the kinds of all files that a process made on `disk`, also those that are gone."""
    made = (call.split(" ", 1) for call in disk.calls)
    verbs = {"write", "open_append", "replace", "truncate", "lock"}
    return {kind_of(name) for verb, name in made if verb in verbs}


async def names_of_a_life() -> set[str]:
    """Archive, drain, start again after a kill, redact, and repair; return the files' kinds."""
    names: set[str] = set()
    for disk in [
        (await make_small())[0],
        (await make_small(drained=False, archived=9))[0],
        (await redact(None))[0],
    ]:
        left = disk.after_kill()
        await read_all_of(left)
        names |= names_of(disk) | names_of(left)
        flipped = bytearray(left.files()[DATA / "checkpoint.json"])
        flipped[9] ^= 1
        left.put(DATA / "checkpoint.json", bytes(flipped))
        Check(left, DATA, repair=True).run()
        kept = [path.name for path in left.files() if path.parent.name == "quarantine"]
        assert kept
        names |= names_of(left) - {*kept, *(f"{name}.tmp" for name in kept)}
    return names


def test_there_is_no_file_in_a_store_that_is_not_damaged_here() -> None:
    paths = {path for one in CASES.values() for path in one.disk.files()}

    assert asyncio.run(names_of_a_life()) <= {kind_of(path.name) for path in paths}
    assert {"quarantine", "journal", "index", "lifecycles"} <= {path.parent.name for path in paths}


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
