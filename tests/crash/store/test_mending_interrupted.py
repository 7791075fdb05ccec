"""A start that mends damage loses its power anywhere, and the start after it comes to the same store.

    one damage of one file -> start, read, end -> every disk that a power cut may leave -> start, read

What the first start found is what every later one has to find: what was mended must not be undone
by half, and what was cut must not be missed. A start that refuses changes nothing, so that there is
nothing to interrupt (`test_any_damage.py`).
"""

import asyncio
from pathlib import Path
from random import Random

import pytest

from daemon.errors import DamagedStoreError
from protocol.errors import CorruptError
from tests.support.crash_states import DiskState, RecordingDisk, crash_states
from tests.support.damage_check import Case
from tests.support.damages import Damage, some
from tests.support.effort import rounds, tally
from tests.support.small_store import DATA, EVENTS, Contents, make_small, read_all_of

STATES_AT_ONE_MOMENT = 6
BY_ARCHIVED = {"drained": (True, 12), "killed": (False, 12), "killed unarchived": (False, 9)}


def case(name: str) -> Case:
    """Return a small store."""
    drained, archived = BY_ARCHIVED[name]
    disk, contents = asyncio.run(make_small(drained=drained, archived=archived))
    return Case(disk, contents, EVENTS if archived == 12 else 16)


CASES = {name: case(name) for name in BY_ARCHIVED}


async def mended(
    one: Case, path: Path, damage: Damage
) -> tuple[DiskState, RecordingDisk, Contents] | None:
    """Start on the damaged store and read everything; None where that is refused."""
    files = one.damaged(path, damage).files()
    folders = frozenset(folder for file in files for folder in file.parents)
    beginning = DiskState(folders, files)
    disk = RecordingDisk(beginning)
    try:
        contents = await read_all_of(disk)
    except (DamagedStoreError, CorruptError):
        return None
    return beginning, disk, contents


async def interrupt(one: Case, path: Path, damage: Damage, random: Random, states: int) -> int:
    """Start again on so many of the disks that a mending leaves; return on how many it was."""
    found = await mended(one, path, damage)
    if found is None:
        return 0
    beginning, disk, contents = found
    left = list(crash_states(disk, beginning, random=random, states_max=STATES_AT_ONE_MOMENT))
    chosen = random.sample(left, min(states, len(left)))
    for state in chosen:
        try:
            again = await read_all_of(RecordingDisk(state))
        except (DamagedStoreError, CorruptError) as error:
            raise AssertionError(
                f"refused after {damage.kind}, place {damage.place}, of {path}: {error}"
            ) from error
        assert again == contents, f"{damage.kind}, place {damage.place}, of {path}"
    tally("crash states of a start that mends damage", len(chosen))
    return len(chosen)


async def interrupt_some(random: Random, *, flips: int, others: int, states: int) -> int:
    """Interrupt the mending of a few damages of every file of every store."""
    count = 0
    for one in CASES.values():
        for path, content in one.disk.files().items():
            for damage in some(content, random, flips, others):
                count += await interrupt(one, path, damage, random, states)
    return count


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Leave what start-up says of thousands of damaged disks unsaid."""
    caplog.set_level("CRITICAL")


def test_a_mending_that_loses_its_power_is_done_by_the_next_start() -> None:
    (random,) = rounds(1)

    assert asyncio.run(interrupt_some(random, flips=1, others=1, states=5)) > 100


@pytest.mark.long
def test_many_mendings_that_lose_their_power_are_done_by_the_next_start() -> None:
    for random in rounds(2):
        assert asyncio.run(interrupt_some(random, flips=1, others=1, states=10)) > 200


@pytest.mark.parametrize("kind", ["sync", "sync_directory"])
def test_a_mending_that_does_not_sync_is_found_out(kind: str) -> None:
    """The negative control: a repaired batch whose segment, or its name, was not synced."""
    one = CASES["killed"]
    last = max(
        path
        for path in one.disk.files()
        if path.suffix == ".jsonl" and path.parent == DATA / "journal"
    )
    content = one.disk.files()[last]
    damage = Damage("a flipped bit", 0, content[:-9] + b"~" + content[-8:])

    async def run() -> None:
        found = await mended(one, last, damage)
        assert found is not None
        beginning, disk, contents = found
        disk.operations = [each for each in disk.operations if each.kind != kind]
        for state in crash_states(disk, beginning, random=Random(1), states_max=40):  # noqa: S311
            assert await read_all_of(RecordingDisk(state)) == contents

    with pytest.raises((AssertionError, DamagedStoreError, CorruptError)):
        asyncio.run(run())


def test_nothing_is_written_behind_a_doubled_last_line_of_a_log() -> None:
    """The regression: the next start could not read what the first had archived there."""
    one = CASES["killed unarchived"]

    async def run() -> None:
        for log, content in one.disk.files().items():
            if log.name == "events.log":
                last = content.splitlines(keepends=True)[-1]
                disk = one.damaged(log, Damage("a doubled line", 0, content + last))
                assert await read_all_of(disk) == one.contents
                assert await read_all_of(disk) == one.contents

    asyncio.run(run())


def test_a_line_doubled_before_the_last_one_ends_no_daemon() -> None:
    """Whoever reads that manifest is refused; the others, and what is archived, are not."""
    one = CASES["killed unarchived"]
    log = next(path for path in one.disk.files() if path.name == "events.log")
    first, *rest = one.disk.files()[log].splitlines(keepends=True)
    disk = one.damaged(log, Damage("a doubled line", 0, b"".join([first, first, *rest])))

    with pytest.raises(CorruptError, match=r"events\.log, line 2"):
        asyncio.run(read_all_of(disk))
    with pytest.raises(CorruptError, match=r"events\.log, line 2"):
        asyncio.run(read_all_of(disk))
