"""Pages of committed events, for the feed.

Promise:  only durable bytes are read, so an append that runs meanwhile is never seen; a page costs
          what it holds and at most `MARK_STRIDE_BYTES` of headers before it, once somebody has read
          that far in the segment.
Assume:   `durable_end` never says more than what is synced.
Not here: the reading itself (`batches.py`), what follows from damage (the caller answers CORRUPT).
"""

from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Final, NamedTuple

from daemon.journal.batches import Batch, DamagedBatchError, read_batches
from daemon.journal.disk import Disk
from daemon.journal.segment import JOURNAL_NAME, list_segments, segment_path
from protocol.errors import CorruptError, HistoryCompactedError
from protocol.events import CommittedEvent

MARK_STRIDE_BYTES: Final = 64 << 10  # About 80 events: a tenth of a millisecond to hop over.
MARKED_SEGMENTS_MAX: Final = 256  # 16 KiB of marks for a full segment: 4 MiB in all.


SEALED: Final = -1  # All that is in the file is durable.


class DurableEnd(NamedTuple):
    """How far the journal may be read: its last durable seq, and the last segment's synced size.

    `segment_first` is 0 while there is no segment; the size is `SEALED` once nobody appends to it.
    """

    seq: int
    segment_first: int
    segment_size_bytes: int


class JournalReader:
    """Reads pages. `feed` blocks: call it in a worker thread, in any and in several at a time."""

    def __init__(
        self, disk: Disk, data_directory: Path, durable_end: Callable[[], DurableEnd]
    ) -> None:
        self._disk = disk
        self._data_directory = data_directory
        self._durable_end = durable_end
        self._marks: OrderedDict[int, _Marks] = OrderedDict()
        self._lock = Lock()  # Guards the marks. Held while reading: there is one disk, one GIL.

    def feed(self, after_seq: int, limit: int, bytes_max: int) -> list[CommittedEvent]:
        """Return at most `limit` durable events with a seq over `after_seq`, in order.

        The page ends before its lines would pass `bytes_max`, but holds one event when there is
        one. It is empty when `after_seq` is at or over the last durable seq.

        Raises:
            HistoryCompactedError: `after_seq + 1` was removed; `details.oldest_seq` is left.
            CorruptError: stored bytes are damaged; names file, line and seq.
            OSError: the disk failed.
        """
        end = self._durable_end()
        page: list[CommittedEvent] = []
        size_bytes = 0
        with self._lock:
            for event in self._events(after_seq, end):
                if event.seq != after_seq + len(page) + 1:
                    break
                size_bytes += len(event.line)
                if page and size_bytes > bytes_max:
                    break
                page.append(event)
                if len(page) >= limit:
                    break
        if not page and after_seq < end.seq:
            raise self._gap(after_seq + 1)
        return page

    def exchange(self, first: int, replace: Callable[[], None]) -> None:
        """Have `replace` put other bytes of the same events in the place of the segment `first`."""
        with self._lock:
            replace()
            self._marks.pop(first, None)

    @property
    def oldest_seq(self) -> int:
        """The first seq that the journal still holds; 1 when it holds no segment."""
        return next(iter(list_segments(self._disk, self._data_directory)), 1)

    def _events(self, after_seq: int, end: DurableEnd) -> Iterator[CommittedEvent]:
        if after_seq >= end.seq:
            return
        firsts = list_segments(self._disk, self._data_directory)
        start = bisect_right(firsts, after_seq + 1) - 1
        if start < 0:
            raise _compacted(after_seq, firsts[0] if firsts else end.seq + 1)
        for first in firsts[start:]:
            if first > end.segment_first:
                return  # The journal's thread has begun it; nothing in it is committed yet.
            yield from self._segment_events(first, after_seq, end)

    def _segment_events(
        self, first: int, after_seq: int, end: DurableEnd
    ) -> Iterator[CommittedEvent]:
        path = segment_path(self._data_directory, first)
        try:
            for batch in self._batches(first, path, after_seq, end):
                if batch.header.last > after_seq:
                    yield from batch.events(after_seq)
        except DamagedBatchError as error:
            raise _corrupt(self._disk, error) from error
        except FileNotFoundError:  # Retention removed it since it was listed.
            raise _compacted(after_seq, self.oldest_seq) from None

    def _batches(self, first: int, path: Path, after_seq: int, end: DurableEnd) -> Iterator[Batch]:
        is_open = first == end.segment_first and end.segment_size_bytes != SEALED
        size_bytes = end.segment_size_bytes if is_open else self._disk.size(path)
        marks = self._marks.setdefault(first, _Marks(first))
        self._marks.move_to_end(first)
        if len(self._marks) > MARKED_SEGMENTS_MAX:
            self._marks.popitem(last=False)
        seq, offset = marks.before(after_seq + 1)
        read = partial(self._disk.read, path)
        for batch in read_batches(read, path, offset=offset, end_offset=size_bytes, seq=seq):
            marks.note(batch)
            yield batch

    def _gap(self, seq: int) -> CorruptError:
        directory = self._data_directory / JOURNAL_NAME
        return CorruptError(
            f"{directory}: no segment holds seq {seq}",
            suggestion="manifestd fsck",
            details={"file": directory.name, "seq": seq},
        )


class _Marks:
    """A sparse index of one segment: where some of its batches begin, ascending."""

    def __init__(self, first: int) -> None:
        self._seqs = array("Q", [first])
        self._offsets = array("Q", [0])

    def before(self, seq: int) -> tuple[int, int]:
        """Return first seq and offset of the last marked batch that does not begin after `seq`."""
        index = max(0, bisect_right(self._seqs, seq) - 1)
        return self._seqs[index], self._offsets[index]

    def note(self, batch: Batch) -> None:
        """Mark `batch` when it lies a stride behind the last mark."""
        if batch.offset >= self._offsets[-1] + MARK_STRIDE_BYTES:
            self._seqs.append(batch.header.first)
            self._offsets.append(batch.offset)


def _compacted(after_seq: int, oldest_seq: int) -> HistoryCompactedError:
    return HistoryCompactedError(
        f"the feed begins at seq {oldest_seq}; seq {after_seq + 1} is not kept any more",
        suggestion=f"read on from seq {oldest_seq}, or take the current states first",
        details={"oldest_seq": oldest_seq},
    )


def _corrupt(disk: Disk, error: DamagedBatchError) -> CorruptError:
    line = line_number(disk, error)
    return CorruptError(
        f"{error.path}, line {line}, seq {error.seq}: {error.reason}",
        suggestion="manifestd fsck",
        details={"file": error.path.name, "line": line, "seq": error.seq},
    )


def line_number(disk: Disk, error: DamagedBatchError) -> int:
    """Return the number, from 1, of the damaged line in its file, as an editor counts them."""
    return disk.read(error.path, 0, error.offset).count(b"\n") + 1 + error.line
