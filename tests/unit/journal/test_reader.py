"""Pages of the feed: what is durable, in order, and no more than was asked for."""

import asyncio
from itertools import accumulate
from pathlib import Path

import pytest

from daemon.journal import batches, reader
from daemon.journal.reader import DurableEnd, JournalReader
from daemon.journal.retention import Retention, SegmentRemover
from daemon.journal.segment import segment_path
from protocol.errors import CorruptError, HistoryCompactedError
from tests.support.faulty_disk import FaultyDisk
from tests.unit.journal.journals import (
    DATA,
    Running,
    event,
    journal_bytes,
    log_hash_after,
    put_segment,
    seqs,
)

SIZES = (3, 1, 2)
ALL = 1 << 30


@pytest.fixture
def disk() -> FaultyDisk:
    """Return a journal of three segments: 1 to 6, 7 to 12, 13 to 18."""
    disk = FaultyDisk()
    for first in (1, 7, 13):
        put_segment(disk, journal_bytes(SIZES, first, log_hash_after(first - 1)), first)
    return disk


def reader_of(disk: FaultyDisk, seq: int = 18) -> JournalReader:
    """Return a reader where everything up to the batch that ends in `seq` is durable."""
    ends = list(accumulate(SIZES))
    count = ends.index(seq - 12) + 1
    size_bytes = len(journal_bytes(SIZES[:count], 13, log_hash_after(12)))
    return JournalReader(disk, DATA, lambda: DurableEnd(seq, 13, size_bytes))


@pytest.mark.parametrize("after_seq", range(20))
@pytest.mark.parametrize("limit", [1, 2, 5, 100])
def test_a_page_holds_what_follows(disk: FaultyDisk, after_seq: int, limit: int) -> None:
    page = reader_of(disk).feed(after_seq, limit, ALL)

    assert seqs(page) == list(range(after_seq + 1, 19))[:limit]
    assert all(one.line == event(one.seq).line for one in page)


@pytest.mark.parametrize(("size_bytes", "count"), [(1, 1), (2, 2), (3, 3)])
def test_a_page_ends_before_it_grows_too_large(
    disk: FaultyDisk, size_bytes: int, count: int
) -> None:
    page = reader_of(disk).feed(1, 100, size_bytes * len(event(1).line))

    assert seqs(page) == list(range(2, 2 + count))


@pytest.mark.parametrize("durable", [15, 16, 18])
def test_what_is_not_durable_is_not_read(disk: FaultyDisk, durable: int) -> None:
    assert seqs(reader_of(disk, durable).feed(0, 100, ALL)) == list(range(1, durable + 1))


def test_a_segment_that_the_journal_has_only_begun_is_not_read(disk: FaultyDisk) -> None:
    put_segment(disk, journal_bytes([1], 19, log_hash_after(18)), 19)

    assert seqs(reader_of(disk).feed(12, 100, ALL)) == list(range(13, 19))


async def test_the_feed_follows_a_journal_at_work() -> None:
    disk = FaultyDisk()
    disk.make_directory(DATA / "journal")
    running = Running(disk, segment_size_bytes=3000)
    feed = JournalReader(disk, DATA, running.journal.durable_end).feed
    assert feed(0, 10, ALL) == []

    for seq in range(1, 10):
        await running.commit(seq)
        assert seqs(feed(0, 100, ALL)) == list(range(1, seq + 1))
        assert seqs(feed(seq - 1, 100, ALL)) == [seq]
    disk.sync_may_finish.clear()
    disk.sync_started.clear()
    running.append(10)
    await asyncio.to_thread(disk.sync_started.wait)
    assert feed(9, 100, ALL) == []
    disk.sync_may_finish.set()

    await running.journal.close()
    assert seqs(feed(8, 100, ALL)) == [9, 10]
    assert len(disk.list_names(DATA / "journal")) > 1


def test_what_was_removed_is_said_with_the_oldest_that_is_left(disk: FaultyDisk) -> None:
    SegmentRemover(disk, DATA, Retention(events=1)).remove(7, 7, 0.0, 0.0)
    journal = reader_of(disk)

    with pytest.raises(HistoryCompactedError) as caught:
        journal.feed(5, 10, ALL)

    assert caught.value.details == {"oldest_seq": 7}
    assert journal.oldest_seq == 7
    assert seqs(journal.feed(6, 1, ALL)) == [7]


def test_a_segment_that_is_removed_while_it_is_read_counts_as_removed(disk: FaultyDisk) -> None:
    disk.fail("size", 2)

    with pytest.raises(HistoryCompactedError):
        reader_of(disk).feed(0, 10, ALL)


def test_damage_is_named_by_file_line_and_seq(disk: FaultyDisk) -> None:
    path = segment_path(DATA, 7)
    content = disk.files()[path]
    disk.put(path, content.replace(b"echo-11@", b"echo-12@"))
    journal = reader_of(disk)

    with pytest.raises(CorruptError) as caught:
        journal.feed(8, 10, ALL)

    assert caught.value.details == {"file": path.name, "line": 8, "seq": 11}
    assert seqs(journal.feed(8, 2, ALL)) == [9, 10]


@pytest.mark.parametrize("path", [segment_path(DATA, 7), segment_path(DATA, 13)])
def test_a_missing_segment_is_never_skipped(disk: FaultyDisk, path: Path) -> None:
    disk.remove(path)
    journal = reader_of(disk)

    assert seqs(journal.feed(0, 6, ALL)) == [1, 2, 3, 4, 5, 6]
    last_before = int(path.name[:20]) - 1
    with pytest.raises(CorruptError, match=f"no segment holds seq {last_before + 1}"):
        journal.feed(last_before, 10, ALL)


def test_a_page_reads_about_as_much_as_it_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MARK_STRIDE_BYTES", 4096)
    monkeypatch.setattr(batches, "CHUNK_SIZE_BYTES", 1024)
    disk = FaultyDisk()
    content = journal_bytes([2] * 100)
    put_segment(disk, content)
    journal = JournalReader(disk, DATA, lambda: DurableEnd(200, 1, len(content)))
    assert len(journal.feed(0, 200, ALL)) == 200
    disk.calls.clear()

    assert seqs(journal.feed(190, 2, ALL)) == [191, 192]

    assert len([call for call in disk.calls if call.startswith("read ")]) <= 6


def test_marks_are_kept_for_a_bounded_number_of_segments(
    disk: FaultyDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "MARKED_SEGMENTS_MAX", 1)
    journal = reader_of(disk)

    for _ in range(2):
        assert seqs(journal.feed(0, 100, ALL)) == list(range(1, 19))
