"""Reading the whole journal, and going on behind what is damaged.

    segment := batch* (gap batch*)*        a gap is what no good batch covers

Promise:  every byte of every segment is in a good batch or in a gap; a gap says which seqs belong
          there. A good batch is what was written: its header, its lines, its place, its log hash
          where the one before it is known.
Not here: what a gap means (`survey.py`), what can be put there (`gaps.py`).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from daemon.journal.batch import BatchHeader, find_header_at, read_header
from daemon.journal.batches import Batch, DamagedBatchError, batch_in
from daemon.journal.checkpoint import BatchEnd
from protocol.events import CommittedEvent, DamagedEventError


class Gap(NamedTuple):
    """Bytes of a segment that are not what was written, and the seqs that belong in their place.

    `last_seq` is less than `first_seq` where nothing belongs, None where the journal ends and
    nothing says at which seq. `log_hash` holds before it (None: not known).
    """

    path: Path
    segment_first: int
    offset: int
    end_offset: int
    first_seq: int
    last_seq: int | None
    log_hash: bytes | None
    error: DamagedBatchError


class ScannedBatch(NamedTuple):
    """A good batch."""

    header: BatchHeader
    events: list[CommittedEvent]


class SegmentScanner:
    """Walks through one segment; `seq` and `log_hash` are where it stands.

    `next_first` is the first seq of the segment behind it, None for the last one.
    """

    def __init__(
        self,
        path: Path,
        first: int,
        content: bytes,
        log_hash: bytes | None,
        next_first: int | None,
    ) -> None:
        self.seq = first - 1
        self.log_hash = log_hash
        self._path = path
        self._first = first
        self._content = content
        self._next_first = next_first

    @property
    def end(self) -> BatchEnd:
        """Where the last good batch ended."""
        return BatchEnd(self.seq, self.log_hash or b"")

    def run(self) -> Iterator[ScannedBatch | Gap]:
        """Yield what is there, in order."""
        offset = 0
        while offset < len(self._content):
            header = read_header(self._content, offset)
            try:
                batch = self._checked(offset, header)
            except DamagedBatchError as error:
                gap = self._gap(offset, error)
                yield gap
                self._go_behind(gap)
                offset = gap.end_offset
                if gap.last_seq is None:
                    return
                continue
            assert header is not None
            self.seq, self.log_hash = header.last, header.log_hash
            yield batch
            offset += header.size_bytes
        if self._next_first is not None and self._next_first != self.seq + 1:
            reason = f"it ends at seq {self.seq}, the next segment begins at {self._next_first}"
            yield self._gap(offset, self._error(reason, offset, None))
            self.seq, self.log_hash = self._next_first - 1, None

    def _checked(self, offset: int, header: BatchHeader | None) -> ScannedBatch:
        if header is None:
            reason = "no good batch header stands here"
            raise self._error(reason, offset, None)
        if header.first != self.seq + 1:
            reason = f"a batch begins with seq {header.first} where seq {self.seq + 1} belongs"
            raise self._error(reason, offset, header)
        batch: Batch = batch_in(self._content, self._path, offset, header)
        return ScannedBatch(header, batch.checked_events(self.log_hash))

    def _error(self, reason: str, offset: int, header: BatchHeader | None) -> DamagedBatchError:
        return DamagedBatchError(
            self._path,
            reason,
            offset=offset,
            line=0,
            seq=self.seq + 1,
            header=header,
            is_contradiction=header is not None,
        )

    def _gap(self, offset: int, error: DamagedBatchError) -> Gap:
        """Return the gap at `offset`: up to where the journal goes on."""
        end_offset, first = self._resumption(offset, error)
        last_seq = None if first is None else first - 1
        return Gap(
            self._path,
            self._first,
            offset,
            end_offset,
            self.seq + 1,
            last_seq,
            self.log_hash,
            error,
        )

    def _resumption(self, offset: int, error: DamagedBatchError) -> tuple[int, int | None]:
        """Return where the next good header that can follow stands, and the seq it begins with."""
        header, content = error.header, self._content
        is_ours = header is not None and header.first == self.seq + 1
        if is_ours and header is not None:
            end_offset = offset + header.size_bytes
            if end_offset == len(content):
                return end_offset, self._next_first
            follows = read_header(content, end_offset)
            if follows is not None and follows.first == header.last + 1:
                return end_offset, follows.first
        start = offset if header is not None and not is_ours else offset + 1
        later = find_header_at(content, start, first_min=self.seq + 1)
        if later is not None:
            return later[0], later[1].first
        return len(content), self._next_first

    def _go_behind(self, gap: Gap) -> None:
        if gap.last_seq is None or gap.last_seq < gap.first_seq:
            return
        header = gap.error.header
        is_one = header is not None and (header.first, header.last) == (gap.first_seq, gap.last_seq)
        self.seq = gap.last_seq
        self.log_hash = header.log_hash if is_one and header is not None else None


def intact_lines(content: bytes) -> dict[int, bytes]:
    """Return the event lines in `content` that are whole, by seq."""
    found = {}
    for line in content.split(b"\n"):
        try:
            found[CommittedEvent.read(line).seq] = line
        except DamagedEventError:
            continue
    return found
