"""Reading the journal at start-up and deciding what to do about it; nothing is written here.

Promise:  everything after the checkpoint is read once and checked; of the segment in which the
          checkpoint stands, what is before it is checked by its headers; older segments are not
          read. When it raises, nothing was changed.
Assume:   nobody else has the journal open; the archive holds everything up to the checkpoint.
Not here: the verdicts (`damage.py`), the proofs (`mending.py`), the writing (`rewriting.py`).
"""

import re
from bisect import bisect_right
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from daemon.errors import DamagedStoreError
from daemon.journal.batches import Batch, DamagedBatchError, read_batches, read_from
from daemon.journal.checkpoint import NOTHING, BatchEnd, read_checkpoint
from daemon.journal.clean import has_clean, read_clean
from daemon.journal.damage import (
    Copy,
    Damage,
    Form,
    Place,
    Standing,
    Verdict,
    form_of,
    judge,
    place_of,
)
from daemon.journal.disk import Disk
from daemon.journal.mending import MendedBatch, intact_start, rebuild
from daemon.journal.reserve import RESERVE_NAME
from daemon.journal.rewriting import QUARANTINE_NAME, Rescue, Rewrite, Work
from daemon.journal.segment import (
    JOURNAL_NAME,
    is_temporary,
    segment_first,
    segment_path,
)
from protocol.events import CommittedEvent

# A name that only the journal gives: under a wrong one a segment would be missed silently.
_LIKE_A_SEGMENT: Final = re.compile(r"[0-9].*|.*\.jsonl")
_LINE_SIZE_BYTES_MIN: Final = 256  # Of an event; it bounds how many a damaged batch can hold.

SecondCopy = Callable[[int, int], dict[int, bytes]]  # (first, last) inclusive -> line by seq


class Findings(NamedTuple):
    """What the journal holds, and what has to be written before anybody is told of it.

    `checkpoint` has an empty log hash where it is not known (see `Inspection`).
    """

    end: BatchEnd
    checkpoint: BatchEnd
    tail: list[CommittedEvent]
    batch_ends: list[BatchEnd]
    segment_first: int  # Of the last segment; 0 when there is none.
    segment_size_bytes: int
    notes: list[str]
    work: Work


class _Read(NamedTuple):
    """A segment that was read, as it is to be; `is_covered` when the checkpoint covers all of it."""

    rewrite: Rewrite
    is_mended: bool
    is_covered: bool


class Inspection:
    """One reading of the journal. Use it once.

    Without a good checkpoint the first segment is where reading begins. When retention removed
    those before it, the log hash of its first batch has nothing to be compared with.
    """

    def __init__(
        self,
        disk: Disk,
        data_directory: Path,
        second_copy: SecondCopy,
        archived_seq_max: int | None,
    ) -> None:
        self._disk = disk
        self._data_directory = data_directory
        self._journal = data_directory / JOURNAL_NAME
        self._second_copy = second_copy
        self._archived_seq = archived_seq_max or 0
        self._clean = read_clean(disk, data_directory)
        self._checkpoint = NOTHING
        self._seq = 0
        self._log_hash: bytes | None = NOTHING.log_hash
        self._covered_size_bytes = 0  # How much of the segment at hand the checkpoint covers.
        self._tail: list[CommittedEvent] = []
        self._batch_ends: list[BatchEnd] = []
        self._notes: list[str] = []
        self._rescues: list[Rescue] = []
        self._segments: list[_Read] = []

    def run(self) -> Findings:
        """Read, check, decide.

        Raises:
            DamagedStoreError: the journal must not be used as it is.
            OSError: the disk failed.
        """
        firsts, temporaries = self._names()
        for first in self._start(firsts):
            self._read_segment(first, is_last=first == firsts[-1])
        is_clean = self._check_end(firsts)
        rewrites = [
            segment.rewrite
            for segment in self._segments
            if segment.is_mended or not (is_clean or segment.is_covered)
        ]
        last = self._segments[-1].rewrite if self._segments else None
        assert self._log_hash is not None
        return Findings(
            BatchEnd(self._seq, self._log_hash),
            self._checkpoint,
            self._tail,
            self._batch_ends,
            last.first if last else 0,
            len(last.content) if last else 0,
            self._notes,
            Work(
                self._rescues,
                temporaries,
                rewrites,
                is_clean,
            ),
        )

    def _names(self) -> tuple[list[int], list[str]]:
        firsts, temporaries = [], []
        for name in self._disk.list_names(self._journal):
            first = segment_first(name)
            if first is not None:
                firsts.append(first)
            elif is_temporary(name):
                temporaries.append(name)
            elif _LIKE_A_SEGMENT.fullmatch(name):
                reason = "no segment has such a name; rename it as it was, or move it away"
                raise DamagedStoreError(self._journal / name, reason)
            elif name != RESERVE_NAME:
                self._notes.append(f"{self._journal / name} is none of the journal's files")
        return firsts, temporaries

    def _start(self, firsts: list[int]) -> list[int]:
        """Stand at the checkpoint, and return the segments to read from there on."""
        checkpoint = read_checkpoint(self._disk, self._data_directory)
        if checkpoint is None:
            return self._start_without_checkpoint(firsts)
        self._checkpoint = checkpoint
        index = bisect_right(firsts, checkpoint.seq + 1) - 1
        if index < 0:
            if checkpoint.seq == 0 and not firsts:
                return []
            reason = f"no segment holds seq {checkpoint.seq}, where the checkpoint stands"
            raise DamagedStoreError(self._journal, reason, seq=checkpoint.seq)
        self._seq = firsts[index] - 1
        if self._seq == checkpoint.seq:
            self._log_hash = checkpoint.log_hash
        elif self._seq > 0:
            self._log_hash = None
        return firsts[index:]

    def _start_without_checkpoint(self, firsts: list[int]) -> list[int]:
        if firsts:
            self._notes.append(
                "there is no checkpoint.json that could be used (none was written yet, or it is "
                "damaged): the journal was read from its beginning"
            )
            if firsts[0] > 1:
                self._checkpoint = BatchEnd(firsts[0] - 1, b"")
                self._seq, self._log_hash = firsts[0] - 1, None
                self._notes.append(
                    f"the events before seq {firsts[0]} were removed, so that the log_hash there "
                    "could not be compared with anything"
                )
        return firsts

    def _read_segment(self, first: int, *, is_last: bool) -> None:
        path = segment_path(self._data_directory, first)
        if first != self._seq + 1:
            reason = f"the segment before it ends at seq {self._seq}"
            raise DamagedStoreError(path, reason, seq=self._seq + 1)
        segment = content = self._disk.read(path)
        self._covered_size_bytes = 0
        try:
            for batch in read_batches(
                read_from(segment), path, offset=0, end_offset=len(segment), seq=first
            ):
                self._take(batch)
        except DamagedBatchError as error:
            content = self._mend(error, first, segment, is_last=is_last)
        is_covered = self._covered_size_bytes == len(content) > 0
        rewrite = Rewrite(first, content)
        self._segments.append(_Read(rewrite, content is not segment, is_covered))

    def _take(self, batch: Batch) -> None:
        header = batch.header
        if header.last <= self._checkpoint.seq:
            self._advance(batch.path, header.last, header.log_hash)
            self._covered_size_bytes = batch.end_offset
            return
        if header.first <= self._checkpoint.seq:
            reason = "the checkpoint stands within a batch, where none was ever put"
            raise DamagedStoreError(batch.path, reason, seq=self._checkpoint.seq)
        self._tail += batch.checked_events(self._log_hash)
        self._advance(batch.path, header.last, header.log_hash)

    def _advance(self, path: Path, seq: int, log_hash: bytes) -> None:
        self._seq, self._log_hash = seq, log_hash
        if seq == self._checkpoint.seq and log_hash != self._checkpoint.log_hash:
            reason = "its log_hash is not the one that checkpoint.json has for this seq"
            raise DamagedStoreError(path, reason, seq=seq)
        if seq > self._checkpoint.seq:
            self._batch_ends.append(BatchEnd(seq, log_hash))

    def _mend(
        self, error: DamagedBatchError, first: int, segment: bytes, *, is_last: bool
    ) -> bytes:
        """Return what the segment is to hold; raise where the table says to refuse."""
        place = place_of(error, segment, is_last_segment=is_last)
        form = form_of(error, segment)
        seq = error.header.first if error.header else error.seq
        copies, mended = {}, None
        if place is Place.LAST and form is not Form.CONTRADICTION:
            count = (len(segment) - error.offset) // _LINE_SIZE_BYTES_MIN + 1
            copies = self._second_copy(seq, error.header.last if error.header else seq + count)
            mended = rebuild(error, segment, copies, self._log_hash)
        is_proven = any(copy >= seq for copy in copies) or self._acknowledged_seq() >= seq
        row = judge(
            Damage(
                place,
                form,
                Standing.PROVEN if is_proven else Standing.POSSIBLE,
                Copy.LACKING if mended is None else Copy.COMPLETE,
            )
        )
        if row.verdict is Verdict.CUT and self._log_hash is not None:
            events = intact_start(error, segment)
            mended = MendedBatch.of(events, self._log_hash)
        elif row.verdict is not Verdict.REPAIR or mended is None:
            line = segment.count(b"\n", 0, error.offset) + 1 + error.line
            reason = f"{error.reason} ({row.because})"
            raise DamagedStoreError(error.path, reason, line=line, seq=error.seq)
        rescue = Rescue(first, error.offset, segment[error.offset :])
        self._rescues.append(rescue)
        self._notes.append(
            f"{error.path}, seq {error.seq}: {error.reason} ({row.because}): {row.verdict}; "
            f"{len(rescue.data)} bytes as they were are in {QUARANTINE_NAME}/{rescue.name}"
        )
        if mended.events:
            last = mended.events[-1].seq
            self._tail += [e for e in mended.events if e.seq > self._checkpoint.seq]
            self._advance(error.path, last, mended.encoded.log_hash)
        return segment[: error.offset] + mended.encoded.data

    def _acknowledged_seq(self) -> int:
        """The greatest seq of which it is known, without the journal, that it was acknowledged."""
        clean_seq = self._clean.seq if self._clean else 0
        return max(self._checkpoint.seq, self._archived_seq, clean_seq)

    def _check_end(self, firsts: list[int]) -> bool:
        """Refuse a journal that lost its end; return whether `clean` speaks of this one."""
        path = segment_path(self._data_directory, firsts[-1]) if firsts else self._journal
        if self._seq < self._acknowledged_seq():
            reason = f"the journal ends at seq {self._seq}; later events were acknowledged"
            raise DamagedStoreError(path, reason, seq=self._seq + 1)
        if self._clean is not None and self._clean.seq == self._seq:
            if self._clean.log_hash != self._log_hash:
                reason = "its log_hash is not the one that the shutdown left in `clean`"
                raise DamagedStoreError(path, reason, seq=self._seq)
            return True
        if has_clean(self._disk, self._data_directory):
            self._notes.append("`clean` does not speak of this journal's end: it was ignored")
        return False
