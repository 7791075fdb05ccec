"""The one iterator of checked batches: recovery, the feed and `fsck` read the journal through it.

Promise:  a batch that comes out has a good header with the seq that belongs there, and lies in the
          file whole; its events come out only when they are what was written. Headers give sizes,
          so a batch whose lines nobody asks for costs its header.
Assume:   the caller knows how many bytes of the segment may be read (all after a restart, the
          durable ones while the journal is open).
Not here: what damage means (`damage.py`).
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from daemon.journal.batch import HEADER_SIZE_MAX, BatchHeader, read_header
from protocol.errors import ManifestdError
from protocol.events import CommittedEvent, DamagedEventError, next_log_hash

CHUNK_SIZE_BYTES: Final = 256 << 10  # One read; headers within it are hopped over in memory.

ReadAt = Callable[[int, int], bytes]  # (offset, size in bytes) -> the bytes that are there


class DamagedBatchError(ManifestdError):
    """A batch is not what was written. Unlike `DamagedStoreError` it may yet be a torn tail.

    `offset` is where the batch begins, `line` counts its lines from 0, the header; `header` is
    None when that itself is damaged. `is_contradiction` says that the bytes have good checksums
    and cannot all be true: that is no accident of a disk.
    """

    def __init__(
        self,
        path: Path,
        reason: str,
        *,
        offset: int,
        line: int,
        seq: int,
        header: BatchHeader | None,
        is_contradiction: bool = False,
    ) -> None:
        super().__init__(f"{path}, byte {offset}, line {line} of the batch, seq {seq}: {reason}")
        self.path = path
        self.reason = reason
        self.offset = offset
        self.line = line
        self.seq = seq
        self.header = header
        self.is_contradiction = is_contradiction


class Batch:
    """One batch. Ask for its lines before the iterator goes on: they are read from its window."""

    __slots__ = ("_window", "header", "offset", "path")

    def __init__(self, path: Path, offset: int, header: BatchHeader, window: "_Window") -> None:
        self.path = path
        self.offset = offset
        self.header = header
        self._window = window

    @property
    def end_offset(self) -> int:
        """Where the next batch begins."""
        return self.offset + self.header.size_bytes

    def events(self, after_seq: int = 0) -> Iterator[CommittedEvent]:
        """Yield the events over `after_seq`, each checked by itself.

        Raises:
            DamagedBatchError: at the first line that is damaged or missing.
        """
        lines_offset = self.offset + self.header.header_size_bytes
        lines = self._window.take(lines_offset, self.header.lines_size_bytes).split(b"\n")
        ended = len(lines) - 1  # What stands behind the last newline is no line, or a piece of one.
        is_whole = ended == self.header.event_count and not lines[-1]
        skipped = max(0, after_seq + 1 - self.header.first) if is_whole else 0
        for index in range(skipped, min(ended, self.header.event_count)):
            yield self._event(lines[index], index)
        if not is_whole:
            line = min(ended + 1, self.header.event_count)
            raise self._damage(line, "the batch does not end where its header says")

    def checked_events(self, log_hash: bytes | None) -> list[CommittedEvent]:
        """Return all events, where `log_hash` holds before the first (None: not known).

        Raises:
            DamagedBatchError: a line is damaged, or the header's log hash is not the events'.
        """
        events = list(self.events())
        if log_hash is not None:
            for event in events:
                log_hash = next_log_hash(log_hash, event.seq, event.hash)
            if log_hash != self.header.log_hash:
                reason = "the events do not give the log_hash of their batch"
                raise self._damage(0, reason, is_contradiction=True)
        return events

    def _event(self, line: bytes, index: int) -> CommittedEvent:
        try:
            event = CommittedEvent.read(line)
        except DamagedEventError as error:
            raise self._damage(index + 1, error.reason) from error
        seq = self.header.first + index
        if event.seq != seq:
            reason = f"seq {event.seq} stands where seq {seq} belongs"
            raise self._damage(index + 1, reason, is_contradiction=True)
        return event

    def _damage(
        self, line: int, reason: str, *, is_contradiction: bool = False
    ) -> DamagedBatchError:
        return DamagedBatchError(
            self.path,
            reason,
            offset=self.offset,
            line=line,
            seq=self.header.first + max(0, line - 1),
            header=self.header,
            is_contradiction=is_contradiction,
        )


def read_batches(
    read: ReadAt, path: Path, *, offset: int, end_offset: int, seq: int
) -> Iterator[Batch]:
    """Yield the batches between two offsets of a segment; `seq` is the first one's first.

    `read(offset, size)` gives the segment's bytes; `path` is for messages.

    Raises:
        DamagedBatchError: at the first batch that has no good header, is cut short, or does not
            continue the seqs before it.
        OSError: the disk failed.
    """
    window = _Window(read, end_offset)
    while offset < end_offset:
        header = read_header(window.take(offset, HEADER_SIZE_MAX))
        if header is None:
            reason = "no good batch header stands here"
            raise DamagedBatchError(path, reason, offset=offset, line=0, seq=seq, header=None)
        if header.first != seq:
            raise DamagedBatchError(
                path,
                f"a batch begins with seq {header.first} where seq {seq} belongs",
                offset=offset,
                line=0,
                seq=seq,
                header=header,
                is_contradiction=True,
            )
        batch = Batch(path, offset, header, window)
        if batch.end_offset > end_offset:
            for _ in batch.events():
                pass  # It raises at the line where the batch is cut.
        yield batch
        offset, seq = batch.end_offset, header.last + 1


def read_from(segment: bytes) -> ReadAt:
    """Return the reading function of a segment whose bytes are at hand."""
    return lambda offset, size_bytes: segment[offset : offset + size_bytes]


def batch_in(segment: bytes, path: Path, offset: int, header: BatchHeader) -> Batch:
    """Return the batch with a good `header` at `offset` of a segment whose bytes are at hand."""
    return Batch(path, offset, header, _Window(read_from(segment), len(segment)))


class _Window:
    """The part of a segment that was read last."""

    def __init__(self, read: ReadAt, end_offset: int) -> None:
        self._read = read
        self._end_offset = end_offset
        self._offset = 0
        self._data = b""

    def take(self, offset: int, size_bytes: int) -> bytes:
        """Return `size_bytes` from `offset`, fewer where the readable part ends."""
        size_bytes = min(size_bytes, self._end_offset - offset)
        start = offset - self._offset
        if start < 0 or start + size_bytes > len(self._data):
            wanted = min(max(size_bytes, CHUNK_SIZE_BYTES), self._end_offset - offset)
            self._data = self._read(offset, wanted)
            self._offset, start = offset, 0
        return self._data[start : start + size_bytes]
