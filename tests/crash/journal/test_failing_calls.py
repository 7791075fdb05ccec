"""Every call that a running journal makes to its disk fails once, in every way that calls fail.

What was acknowledged must come back from whatever the disk kept; what comes back besides was
appended and is in its place; and what comes back once comes back for ever.
"""

import asyncio
import errno
from collections.abc import Callable
from contextlib import suppress

import pytest

from daemon.errors import DamagedStoreError, DiskFailedError
from daemon.journal.checkpoint import BatchEnd, write_checkpoint
from daemon.journal.clean import mark_clean
from daemon.journal.reserve import Reserve
from tests.support.faulty_disk import (
    FaultyDisk,
    SyncsNothing,
    everything,
    only_durable,
    torn_after,
)
from tests.unit.journal.journals import (
    DATA,
    Running,
    events,
    journal_bytes,
    recover,
    seqs,
)

BATCHES = ((1,), (2, 3), (4, 5, 6), (7,), (8, 9))
SEGMENT_SIZE_BYTES = len(journal_bytes([1, 2]))  # So that the journal rolls twice.
LINES = [one.line for one in events(1, 9)]

CRASHES: dict[str, Callable[[FaultyDisk], FaultyDisk]] = {
    "killed": FaultyDisk.after_kill,
    "power cut": lambda disk: disk.after_power_cut(only_durable),
    "all survives": lambda disk: disk.after_power_cut(everything, names_survive=True),
    "data survives": lambda disk: disk.after_power_cut(everything),
    "names survive": lambda disk: disk.after_power_cut(only_durable, names_survive=True),
    "torn": lambda disk: disk.after_power_cut(torn_after(700), names_survive=True),
    "torn early": lambda disk: disk.after_power_cut(torn_after(7), names_survive=True),
    "zeros": lambda disk: disk.after_power_cut(
        lambda durable, cached: durable + bytes(len(cached) - len(durable)), names_survive=True
    ),
}


async def run(disk: FaultyDisk) -> Running:
    """Recover, append all batches one after the other, with a checkpoint between; then close.

    Ends early when the journal fails. Refused batches are tried again until they are committed.
    """
    running = Running(disk, recover(disk).end, segment_size_bytes=SEGMENT_SIZE_BYTES)
    for batch in BATCHES:
        while batch[-1] not in running.acknowledged and not running.failures:
            running.journal.try_resume()
            assert not running.journal.is_full()
            await running.commit(*batch)
        if running.failures:
            break
    await running.journal.close()
    return running


async def started(disk: FaultyDisk) -> FaultyDisk:
    """Return `disk` with an empty store that was shut down cleanly."""
    recover(disk)
    mark_clean(disk, DATA, BatchEnd(0, b"0" * 64))
    return disk


def check(disk: FaultyDisk, acknowledged: list[int]) -> None:
    """Recover after each kind of crash and compare with what was acknowledged."""
    for name, crash in CRASHES.items():
        after = crash(disk)
        recovered = recover(after)

        lines = [one.line for one in recovered.tail]
        assert lines == LINES[: len(lines)], name
        assert seqs(recovered.tail)[: len(acknowledged)] == acknowledged, name
        again = recover(after.after_power_cut())
        assert seqs(again.tail) == seqs(recovered.tail), name
        assert again.end == recovered.end


async def undisturbed_calls() -> list[str]:
    """Return the calls of a run in which nothing fails, from the start of the journal on."""
    disk = await started(FaultyDisk())
    before = len(disk.calls)
    running = await run(disk)
    assert running.batches == [list(batch) for batch in BATCHES]
    check(disk, running.acknowledged)
    return disk.calls[before:]


async def test_the_power_may_go_at_any_call() -> None:
    for call in range(1, len(await undisturbed_calls()) + 1):
        disk = await started(FaultyDisk())
        disk.kill_at(call)
        acknowledged = []
        with suppress(DiskFailedError):  # Killed in recovery, before the journal was open.
            acknowledged = (await run(disk)).acknowledged

        check(disk, acknowledged)


async def test_the_power_cut_test_fails_where_nothing_is_synced() -> None:
    disk = await started(SyncsNothing())
    running = await run(disk)
    assert running.acknowledged == list(range(1, 10))
    assert recover(disk.after_kill()).end.seq == 9

    with pytest.raises((AssertionError, DamagedStoreError), match=r"power cut|ends at seq 0"):
        check(disk, running.acknowledged)


@pytest.mark.parametrize("operation", ["sync", "sync_directory", "write", "open_append"])
async def test_a_call_that_fails_ends_the_journal_and_loses_nothing(operation: str) -> None:
    calls = await undisturbed_calls()
    count = sum(call.startswith(f"{operation} ") for call in calls)
    assert count
    failures = 0
    for at in range(1, count + 1):
        disk = await started(FaultyDisk())
        end = recover(disk).end
        assert end.seq == 0
        disk.fail(operation, at=at)
        running = Running(disk, end, segment_size_bytes=SEGMENT_SIZE_BYTES)
        for batch in BATCHES:
            if not running.failures:
                await running.commit(*batch)
        await running.journal.close()

        failures += len(running.failures)
        assert running.acknowledged == list(range(1, 1 + len(running.acknowledged)))
        assert len(running.failures) == (running.acknowledged != list(range(1, 10)))
        check(disk, running.acknowledged)
    assert failures


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS])
async def test_a_refused_write_loses_nothing_and_keeps_nothing_refused(error: int) -> None:
    calls = await undisturbed_calls()
    for at in range(1, sum(call.startswith("write ") for call in calls) + 1):
        disk = await started(FaultyDisk())
        disk.fail("write", error, at=at, times=2)

        running = await run(disk)

        assert running.failures == []
        assert running.acknowledged == list(range(1, 10))
        assert [refused for refused, _ in running.refusals] == [list(BATCHES[at - 1])] * 2
        check(disk, running.acknowledged)


@pytest.mark.parametrize("capacity_bytes", range(0, 12_000, 617))
async def test_a_full_disk_refuses_and_goes_on_when_there_is_room(capacity_bytes: int) -> None:
    disk = await started(FaultyDisk())
    reserve_size_bytes = SEGMENT_SIZE_BYTES + len(LINES[0])
    assert Reserve(disk, DATA, reserve_size_bytes).ensure()
    disk.capacity_bytes = reserve_size_bytes + capacity_bytes
    running = Running(disk, recover(disk).end, segment_size_bytes=SEGMENT_SIZE_BYTES)
    seq = 1
    while seq <= 9 and not running.refusals:
        await running.commit(seq)
        seq += 1
    check(disk.after_kill(), running.acknowledged)

    disk.capacity_bytes = None
    running.journal.try_resume()
    while not running.journal.is_full() and running.journal.durable_seq < 9:
        await running.commit(running.journal.durable_seq + 1)

    assert running.acknowledged == list(range(1, 10))
    assert running.failures == []
    await running.journal.close()
    check(disk, running.acknowledged)


async def test_events_appended_while_the_disk_syncs_are_acknowledged_only_when_durable() -> None:
    disk = await started(FaultyDisk())
    running = Running(disk, recover(disk).end)
    disk.sync_started.clear()
    disk.sync_may_finish.clear()
    running.append(1, 2)
    await asyncio.to_thread(disk.sync_started.wait)
    running.append(3)

    cut = disk.after_power_cut()

    assert running.acknowledged == []
    assert recover(cut).tail == []
    disk.sync_may_finish.set()
    await running.settled()
    assert seqs(recover(disk.after_power_cut()).tail) == running.acknowledged == [1, 2, 3]
    await running.journal.close()


async def test_a_journal_goes_on_after_recovery_where_it_ended() -> None:
    disk = await started(FaultyDisk())
    for batch in BATCHES:
        end = recover(disk).end
        running = Running(disk, end, segment_size_bytes=SEGMENT_SIZE_BYTES)
        await running.commit(*batch)
        checkpoint = running.journal.checkpoint_at(batch[-1] - 1)
        if checkpoint is not None:
            write_checkpoint(disk, DATA, checkpoint)
        await running.journal.close()
        disk = disk.after_power_cut()

    recovered = recover(disk)

    assert recovered.end.seq == 9
    assert recovered.checkpoint.seq == 7
    assert seqs(recovered.tail) == [8, 9]
