"""What the journal says to its store while it runs, on a disk that does what it is told."""

import asyncio
import errno

import pytest

from daemon.errors import DiskFailedError
from daemon.journal import commit_thread, committer
from daemon.journal.checkpoint import BatchEnd
from daemon.journal.clean import mark_clean, read_clean
from daemon.journal.commit_thread import JournalBugError
from daemon.journal.segment import segment_path
from protocol.errors import (
    OverloadedError,
    ReadOnlyError,
    ShuttingDownError,
    StorageFullError,
    UnavailableError,
)
from tests.support.faulty_disk import FaultyDisk
from tests.unit.journal.journals import (
    DATA,
    EMPTY,
    Entry,
    Running,
    event,
    journal_bytes,
    log_hash_after,
)

SEGMENT = segment_path(DATA, 1)


@pytest.fixture
def disk() -> FaultyDisk:
    """Return a disk with a journal folder, as recovery leaves it."""
    disk = FaultyDisk()
    disk.make_directory(SEGMENT.parent)
    disk.sync_directory(DATA)
    return disk


def syncs(disk: FaultyDisk) -> int:
    """Return how many file syncs there were."""
    return sum(call.startswith("sync ") for call in disk.calls)


async def test_one_batch_costs_one_write_one_sync_and_one_callback(disk: FaultyDisk) -> None:
    running = Running(disk)

    await running.commit(1, 2, 3)

    assert running.batches == [[1, 2, 3]]
    assert running.log_hashes == [running.journal.log_hash] == [log_hash_after(3)]
    assert syncs(disk) == 1
    assert disk.durable_files()[SEGMENT] == journal_bytes([3])
    await running.journal.close()


async def test_the_name_of_a_new_segment_is_durable_before_its_first_byte(
    disk: FaultyDisk,
) -> None:
    running = Running(disk)

    await running.commit(1)

    written = disk.calls.index(f"write {SEGMENT.name}")
    assert disk.calls.index("sync_directory journal") < written
    await running.journal.close()


async def test_what_is_appended_during_a_sync_is_the_next_batch(disk: FaultyDisk) -> None:
    running = Running(disk)
    disk.sync_may_finish.clear()
    running.append(1)
    await asyncio.to_thread(disk.sync_started.wait)

    running.append(2, 3)
    await asyncio.to_thread(lambda: None)
    running.append(4)
    await asyncio.to_thread(lambda: None)
    assert running.batches == []
    assert running.journal.durable_seq == 0
    disk.sync_may_finish.set()
    await running.settled()

    assert running.batches == [[1], [2, 3, 4]]
    assert syncs(disk) == 2
    await running.journal.close()


async def test_a_batch_is_bounded_and_one_larger_event_goes_alone(
    disk: FaultyDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit_thread, "BATCH_SIZE_BYTES_MAX", 2 * len(event(1).line))
    running = Running(disk)

    await running.commit(1, 2, 3)
    monkeypatch.setattr(commit_thread, "BATCH_SIZE_BYTES_MAX", 1)
    await running.commit(4, 5)

    assert running.batches == [[1, 2], [3], [4], [5]]
    await running.journal.close()


async def test_a_full_queue_says_so_and_opens_again(
    disk: FaultyDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committer, "PENDING_EVENTS_MAX", 2)
    running = Running(disk)

    running.append(1, 2)
    assert running.journal.is_full()
    assert isinstance(running.journal.refusal(), OverloadedError)
    await running.settled()

    assert not running.journal.is_full()
    assert running.journal.refusal() is None
    await running.journal.close()


async def test_pending_bytes_are_bounded_too(
    disk: FaultyDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committer, "PENDING_BYTES_MAX", len(event(1).line))
    running = Running(disk)

    running.append(1)
    assert running.journal.is_full()
    await running.settled()

    assert not running.journal.is_full()
    await running.journal.close()


async def test_a_segment_at_its_limit_is_followed_by_another(disk: FaultyDisk) -> None:
    running = Running(disk, segment_size_bytes=len(journal_bytes([1, 1])))

    for seq in (1, 2, 3):
        await running.commit(seq)
    await running.journal.close()

    files = disk.durable_files()
    assert files[SEGMENT] == journal_bytes([1, 1])
    assert files[segment_path(DATA, 3)] == journal_bytes([1], 3, log_hash_after(2))
    assert running.journal.durable_end() == (3, 3, len(files[segment_path(DATA, 3)]))


async def test_clean_is_removed_durably_before_the_first_byte(disk: FaultyDisk) -> None:
    mark_clean(disk, DATA, BatchEnd(0, EMPTY.log_hash))
    running = Running(disk)
    assert read_clean(disk, DATA)

    await running.commit(1)

    removed = disk.calls.index("remove clean")
    synced = disk.calls.index("sync_directory data", removed)
    assert synced < disk.calls.index(f"write {SEGMENT.name}")
    assert DATA / "clean" not in disk.durable_files()
    await running.journal.close()


@pytest.mark.parametrize("call", ["sync", "sync_directory", "open_append", "write"])
async def test_a_failed_call_stops_everything_and_acknowledges_nothing(
    disk: FaultyDisk, call: str
) -> None:
    running = Running(disk)
    disk.fail(call)

    await running.commit(1)
    calls = len(disk.calls)

    assert running.batches == []
    (failure,) = running.failures
    assert isinstance(failure, DiskFailedError)
    assert failure.exit_status == 74
    assert running.journal.is_full()
    assert isinstance(running.journal.refusal(), UnavailableError)
    await running.journal.close()
    assert len(disk.calls) == calls


async def test_a_failed_sync_is_fatal_even_when_it_says_no_room(disk: FaultyDisk) -> None:
    running = Running(disk)
    disk.fail("sync", errno.ENOSPC)

    await running.commit(1)

    assert [type(failure) for failure in running.failures] == [DiskFailedError]
    assert running.refusals == []
    await running.journal.close()


async def test_a_defect_of_the_thread_is_told_and_not_taken_for_a_disk_error(
    disk: FaultyDisk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(commit_thread, "encode_batch", broken)
    running = Running(disk)

    await running.commit(1)
    await running.journal.close()

    assert [type(failure) for failure in running.failures] == [JournalBugError]
    assert "defect" in caplog.text


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (errno.ENOSPC, StorageFullError),
        (errno.EDQUOT, StorageFullError),
        (errno.EFBIG, StorageFullError),
        (errno.EROFS, ReadOnlyError),
    ],
)
async def test_a_refused_write_is_undone_and_writing_resumes(
    disk: FaultyDisk, error: int, expected: type[Exception]
) -> None:
    running = Running(disk)
    await running.commit(1)
    disk.fail("write", error)

    await running.commit(2, 3)

    ((refused, why),) = running.refusals
    assert refused == [2, 3]
    assert isinstance(why, expected)
    assert [running.journal.storage_error] == [why]
    assert disk.files()[SEGMENT] == disk.durable_files()[SEGMENT] == journal_bytes([1])
    assert running.journal.is_full()
    assert running.journal.refusal() is why

    running.journal.try_resume()
    assert not running.journal.is_full()
    await running.commit(2)

    assert running.acknowledged == [1, 2]
    assert running.journal.storage_error is None
    assert disk.durable_files()[SEGMENT] == journal_bytes([1, 1])
    await running.journal.close()


@pytest.mark.parametrize("call", ["open_append", "remove"])
async def test_a_call_before_the_write_that_finds_no_room_is_survived(
    disk: FaultyDisk, call: str
) -> None:
    mark_clean(disk, DATA, BatchEnd(0, EMPTY.log_hash))
    running = Running(disk)
    disk.fail(call, errno.ENOSPC)

    await running.commit(1)
    running.journal.try_resume()
    assert not running.journal.is_full()
    await running.commit(1)

    assert running.acknowledged == [1]
    assert running.failures == []
    await running.journal.close()


@pytest.mark.parametrize("call", ["truncate", "sync"])
async def test_a_refused_write_that_cannot_be_undone_is_fatal(disk: FaultyDisk, call: str) -> None:
    running = Running(disk)
    disk.fail("write", errno.ENOSPC)
    disk.fail(call)

    await running.commit(1)

    assert [type(failure) for failure in running.failures] == [DiskFailedError]
    assert running.refusals == []
    await running.journal.close()


async def test_nothing_behind_a_refused_event_is_written(disk: FaultyDisk) -> None:
    running = Running(disk)
    disk.sync_may_finish.clear()
    running.append(1)
    await asyncio.to_thread(disk.sync_started.wait)
    running.append(2)
    await asyncio.to_thread(lambda: None)
    disk.fail("write", errno.ENOSPC)  # Of 2; what comes behind it would find room.
    disk.sync_may_finish.set()
    next_seq = 3
    while not running.journal.is_full():
        running.append(next_seq)
        next_seq += 1
        await asyncio.to_thread(lambda: None)

    await running.settled()

    assert [refused for refused, _ in running.refusals] == [list(range(2, next_seq))]
    assert running.acknowledged == [1]
    assert disk.durable_files()[SEGMENT] == journal_bytes([1])
    await running.journal.close()


async def test_the_pause_after_a_refusal_ends_by_itself(
    disk: FaultyDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committer, "PAUSE_AFTER_REFUSAL_S", 0.0)
    running = Running(disk)
    disk.fail("write", errno.ENOSPC)

    await running.commit(1)

    assert not running.journal.is_full()
    await running.commit(1)
    assert running.acknowledged == [1]
    await running.journal.close()


async def test_close_commits_what_was_appended_and_takes_nothing_more(disk: FaultyDisk) -> None:
    running = Running(disk)
    running.append(1, 2)

    await running.journal.close()

    assert running.acknowledged == [1, 2]
    assert running.journal.is_full()
    assert isinstance(running.journal.refusal(), ShuttingDownError)
    with pytest.raises(AssertionError):
        running.journal.append(Entry(event(3)))


async def test_close_gives_back_what_finds_no_room(disk: FaultyDisk) -> None:
    running = Running(disk)
    disk.fail("write", errno.ENOSPC)
    running.append(1, 2)

    await running.journal.close()

    assert [refused for refused, _ in running.refusals] == [[1, 2]]
    assert running.failures == []


async def test_a_checkpoint_stands_at_the_last_batch_end_up_to_the_limit(
    disk: FaultyDisk,
) -> None:
    running = Running(disk)
    for batch in ((1, 2), (3,), (4, 5)):
        await running.commit(*batch)

    assert running.journal.checkpoint_at(1) is None
    assert running.journal.checkpoint_at(4) == BatchEnd(3, log_hash_after(3))
    assert running.journal.checkpoint_at(4) is None
    assert running.journal.checkpoint_at(9) == BatchEnd(5, log_hash_after(5))
    await running.journal.close()


async def test_batch_ends_are_thinned_out_rather_than_kept_without_bound(
    disk: FaultyDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committer, "BATCH_ENDS_MAX", 3)
    running = Running(disk)

    for seq in range(1, 5):
        await running.commit(seq)

    assert running.journal.checkpoint_at(3) == BatchEnd(2, log_hash_after(2))
    assert running.journal.checkpoint_at(4) == BatchEnd(4, log_hash_after(4))
    await running.journal.close()
