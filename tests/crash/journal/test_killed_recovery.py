"""Recovery itself ends at any of its calls, is started again, and comes to the same result."""

from collections.abc import Callable

import pytest

from daemon.errors import DiskFailedError
from daemon.journal.checkpoint import BatchEnd, write_checkpoint
from daemon.journal.clean import mark_clean
from daemon.journal.inspection import SecondCopy
from daemon.journal.recovery import RecoveredJournal, recover_journal
from daemon.journal.segment import segment_path, temporary_path
from tests.support.faulty_disk import FaultyDisk, everything, only_durable
from tests.unit.journal.journals import (
    DATA,
    journal_bytes,
    log_hash_after,
    no_copy,
    put_segment,
    seqs,
    whole_copy,
)

TWO = journal_bytes([2, 2])


def torn() -> FaultyDisk:
    """Return a journal of three segments whose last batch is torn."""
    disk = FaultyDisk()
    put_segment(disk, TWO)
    put_segment(disk, journal_bytes([2, 2], 5, log_hash_after(4)), 5)
    put_segment(disk, journal_bytes([1, 2], 9, log_hash_after(8))[:-5], 9)
    disk.put(temporary_path(segment_path(DATA, 5)), b"left by an earlier one")
    write_checkpoint(disk, DATA, BatchEnd(2, log_hash_after(2)))
    return disk


def changed() -> FaultyDisk:
    """Return a journal with a changed byte that the second copy can mend."""
    disk = FaultyDisk()
    put_segment(disk, TWO[:-100] + b"~" + TWO[-99:])
    return disk


def unclean() -> FaultyDisk:
    """Return a journal whose mark of a clean shutdown is about another end."""
    disk = FaultyDisk()
    put_segment(disk, TWO)
    mark_clean(disk, DATA, BatchEnd(2, log_hash_after(2)))
    return disk


def new() -> FaultyDisk:
    """Return an empty data directory."""
    return FaultyDisk()


def recover(disk: FaultyDisk, second_copy: SecondCopy) -> RecoveredJournal:
    """Recover with that second copy."""
    return recover_journal(disk, DATA, second_copy=second_copy, archived_seq_max=None)


@pytest.mark.parametrize(
    ("state", "second_copy"),
    [(torn, no_copy), (changed, whole_copy), (unclean, no_copy), (new, no_copy)],
)
@pytest.mark.parametrize(
    "crash",
    [
        FaultyDisk.after_kill,
        lambda disk: disk.after_power_cut(only_durable),
        lambda disk: disk.after_power_cut(everything, names_survive=True),
        lambda disk: disk.after_power_cut(lambda _, cached: cached[: len(cached) // 2]),
    ],
    ids=["killed", "power cut", "everything survives", "half of each file survives"],
)
def test_recovery_may_end_anywhere(
    state: Callable[[], FaultyDisk],
    second_copy: SecondCopy,
    crash: Callable[[FaultyDisk], FaultyDisk],
) -> None:
    undisturbed = state()
    calls_before = len(undisturbed.calls)
    expected = recover(undisturbed, second_copy)
    calls = len(undisturbed.calls) - calls_before
    for call in range(1, calls + 1):
        disk = state()
        disk.kill_at(call)
        with pytest.raises(DiskFailedError):
            recover(disk, second_copy)
        next_disk = crash(disk)

        again = recover(next_disk, second_copy)

        assert seqs(again.tail) == seqs(expected.tail), call
        assert [one.line for one in again.tail] == [one.line for one in expected.tail]
        assert (again.end, again.checkpoint) == (expected.end, expected.checkpoint)
        assert _left(next_disk) == _left(undisturbed), call


@pytest.mark.parametrize("state", [torn, changed])
@pytest.mark.parametrize("operation", ["sync", "sync_directory", "replace", "write", "remove"])
def test_a_failed_call_ends_recovery_and_the_next_start_succeeds(
    state: Callable[[], FaultyDisk], operation: str
) -> None:
    undisturbed = state()
    expected = recover(undisturbed, whole_copy if state is changed else no_copy)
    count = sum(call.startswith(f"{operation} ") for call in undisturbed.calls)
    assert count
    for at in range(1, count + 1):
        disk = state()
        already = sum(call.startswith(f"{operation} ") for call in disk.calls)
        if at + already > count:
            break
        disk.fail(operation, at=at)
        with pytest.raises(DiskFailedError):
            recover(disk, whole_copy if state is changed else no_copy)

        again = recover(disk.after_kill(), whole_copy if state is changed else no_copy)

        assert seqs(again.tail) == seqs(expected.tail)
        assert again.end == expected.end


def _left(disk: FaultyDisk) -> dict[str, bytes]:
    """Return what is durable, but for what quarantine may hold besides from an earlier attempt."""
    return {
        str(path): content
        for path, content in disk.durable_files().items()
        if not path.name.endswith(".tmp") or path.parent != DATA / "quarantine"
    }
