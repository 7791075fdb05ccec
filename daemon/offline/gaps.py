"""The journal mended: what belongs in each gap, from the intact lines and from the archive.

Promise:  a mended segment holds the lines that were written, in their places, and every log hash
          behind a gap, and the one that `clean` or the checkpoint knows, is what it was. What is
          not proven is `Lost`, with the seqs that no copy has.
Not here: finding gaps (`journal_scan.py`), writing (`repairing.py`).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from daemon.archive.reader import ArchiveReader
from daemon.journal.checkpoint import NOTHING, BatchEnd
from daemon.journal.damage import Form, form_of
from daemon.journal.disk import Disk
from daemon.journal.mending import MendedBatch, rebuild
from daemon.journal.segment import segment_path
from daemon.offline.flips import without_flips
from daemon.offline.journal_scan import Gap, SegmentScanner, intact_lines
from daemon.offline.remedy import Lost, Mend, Remedy
from daemon.offline.survey import Survey
from protocol.events import CommittedEvent

SOURCE: Final = "the intact lines of the journal and the archive"
_NAMED_MAX: Final = 5  # Seqs in a message.


class _LostError(Exception):
    """A gap cannot be filled."""


class JournalRemedies:
    """What becomes of each segment with gaps. `lines` are those that gaps get, by seq."""

    def __init__(self, disk: Disk, data_directory: Path, survey: Survey) -> None:
        self.lines: dict[int, bytes] = {}
        self.end = survey.end  # Of the mended journal.
        self.is_lost = False
        self._disk = disk
        self._directory = data_directory
        self._survey = survey
        self._copies: dict[int, bytes] = {}
        self._filled: bytes | None = None  # The log hash after the gap that was filled last.

    def run(self) -> Iterator[Remedy]:
        """Yield a remedy for each segment that has gaps, in their order."""
        gaps = self._survey.gaps
        if not gaps:
            return
        last_seq = gaps[-1].last_seq or self._survey.acknowledged_seq
        reader = ArchiveReader(self._disk, self._directory)
        # Copies of the whole span: one pass over the archive, whatever the number of gaps.
        self._copies = reader.second_copy(gaps[0].first_seq, max(last_seq, _wanted(gaps[-1])))
        firsts = self._survey.segments or [1]
        log_hash: bytes | None = None
        for index, first in enumerate(firsts):
            if first < gaps[0].segment_first:
                continue
            if first == gaps[0].segment_first:
                log_hash = self._survey.log_hashes_before.get(first, NOTHING.log_hash)
            next_first = firsts[index + 1] if index + 1 < len(firsts) else None
            path = segment_path(self._directory, first)
            content = self._disk.read(path) if self._survey.segments else b""
            ours = [gap for gap in gaps if gap.segment_first == first]
            try:
                mended = self._mended(content, ours)
                log_hash = self._proved(path, first, mended, log_hash, next_first)
            except _LostError as error:
                self.is_lost = True
                yield Lost(path, str(error))
                return
            if ours:
                damaged = content if self._survey.segments else None
                yield Mend(path, damaged, mended, SOURCE + self._doubt(ours[-1]))

    def _doubt(self, gap: Gap) -> str:
        """Say so where nothing tells that the journal did not hold more."""
        if gap.last_seq is not None or self._survey.is_clean or gap.error.header is not None:
            return ""
        return f" (if events followed seq {self.end.seq}, they were not archived and are lost)"

    def _mended(self, content: bytes, gaps: list[Gap]) -> bytes:
        parts, offset = [], 0
        for gap in gaps:
            parts += [content[offset : gap.offset], self._filling(gap, content)]
            offset = gap.end_offset
        return b"".join([*parts, content[offset:]])

    def _filling(self, gap: Gap, content: bytes) -> bytes:
        """Return the bytes that belong in a gap."""
        if gap.log_hash is None:  # No good batch stands between it and the gap before it.
            gap = gap._replace(log_hash=self._filled)
        region = content[: gap.end_offset]
        known = self._known(gap, region[gap.offset :])
        mended = (
            rebuild(gap.error, region, known, gap.log_hash, lines_suffice=True)
            if gap.offset < len(region)
            else None
        )
        if mended is None and self._is_whole_header(gap):
            self._check_known(gap.first_seq, _wanted(gap), known)
            raise _LostError("its lines are known, and do not give the log_hash of its header")
        if mended is None or (gap.last_seq is not None and mended.events[-1].seq > gap.last_seq):
            if gap.log_hash is None:
                raise _LostError(f"the log_hash before seq {gap.first_seq} is not known")
            mended = MendedBatch.of([], gap.log_hash)
        return self._continued(gap, content, mended, known)

    def _known(self, gap: Gap, region: bytes) -> dict[int, bytes]:
        """Return the lines that may belong in a gap; where some lack, with flipped bits put back."""
        known = self._copies | self._survey.strays
        last_seq = gap.error.header.last if gap.error.header else gap.last_seq
        if last_seq is None or any(seq not in known for seq in range(gap.first_seq, last_seq + 1)):
            known = intact_lines(b"\n".join(without_flips(region))) | known
        return known

    def _continued(
        self, gap: Gap, content: bytes, start: MendedBatch, known: dict[int, bytes]
    ) -> bytes:
        """Return the batch `start`, which was proven, and what belongs behind it in the gap."""
        first_seq = start.events[-1].seq + 1 if start.events else gap.first_seq
        last_seq = gap.last_seq
        if last_seq is None:
            last_seq = self._last_seq(gap, content, known, first_seq)
        self._check_known(first_seq, last_seq, known)
        filling = self._take(start)
        filling += self._batches(first_seq, last_seq, known, start.encoded.log_hash)
        region = content[gap.offset : gap.end_offset]
        is_more = len(filling) < len(region) and not _is_repetition(region, gap.first_seq)
        if gap.last_seq is None and is_more and not self._survey.is_clean:
            raise _LostError(f"events behind seq {last_seq} stood here, and no copy has them")
        return filling

    def _batches(
        self, first_seq: int, last_seq: int, known: dict[int, bytes], log_hash: bytes
    ) -> bytes:
        """Return the lines of these seqs as a batch, or two: a checkpoint stands between batches."""
        middle = self._survey.marks.checkpoint_seq
        ends = [middle, last_seq] if first_seq <= middle < last_seq else [last_seq]
        data = b""
        for end in ends:
            events = [CommittedEvent.read(known[seq]) for seq in range(first_seq, end + 1)]
            mended = MendedBatch.of(events, log_hash)
            data += self._take(mended)
            first_seq, log_hash = end + 1, mended.encoded.log_hash
        return data

    @staticmethod
    def _is_whole_header(gap: Gap) -> bool:
        header = gap.error.header
        return header is not None and (
            header.first == gap.first_seq and gap.last_seq in {None, header.last}
        )

    def _take(self, mended: MendedBatch) -> bytes:
        self.lines |= {event.seq: event.line for event in mended.events}
        self._filled = mended.encoded.log_hash
        return mended.encoded.data

    def _last_seq(self, gap: Gap, content: bytes, known: dict[int, bytes], first_seq: int) -> int:
        """Return the seq of the last event that a gap at the journal's end had.

        `first_seq` is the first that is not proven by a header.
        """
        survey = self._survey
        if survey.marks.clean is not None:
            return survey.marks.clean.seq
        region = content[gap.offset : gap.end_offset]
        is_unknown = first_seq == gap.first_seq and not _is_repetition(region, first_seq)
        if is_unknown and form_of(gap.error, content) is not Form.TORN:
            raise _LostError(
                f"the events from seq {gap.first_seq} on were perhaps acknowledged, and nothing "
                "says how many there were"
            )
        last_seq = max(survey.acknowledged_seq, first_seq - 1)
        while last_seq + 1 in known:
            last_seq += 1
        return last_seq

    def _check_known(self, first: int, last: int, known: dict[int, bytes]) -> None:
        missing = [seq for seq in range(first, last + 1) if seq not in known]
        if missing:
            what = f"seq {missing[0]}" if len(missing) == 1 else f"seqs {_spans(missing)}"
            raise _LostError(f"no intact copy is left of {what}")

    def _proved(
        self,
        path: Path,
        first: int,
        content: bytes,
        log_hash: bytes | None,
        next_first: int | None,
    ) -> bytes | None:
        """Read a mended segment as any other, and return the log hash after it."""
        scanner = SegmentScanner(path, first, content, log_hash, next_first)
        for found in scanner.run():
            if isinstance(found, Gap):
                reason = f"the copies do not fit together at seq {found.error.seq}: "
                raise _LostError(reason + found.error.reason)
            self._compare(found.header.last, found.header.log_hash)
        self.end = BatchEnd(scanner.seq, scanner.log_hash or b"")
        return scanner.log_hash

    def _compare(self, seq: int, log_hash: bytes) -> None:
        marks = self._survey.marks
        for end in (marks.clean, marks.checkpoint):
            if end is not None and end.seq == seq and end.log_hash != log_hash:
                raise _LostError(f"the copies do not give the log_hash that is known for seq {seq}")


def _is_repetition(region: bytes, first_seq: int) -> bool:
    """Whether `region` holds nothing but whole lines that stand further in front, too."""
    lines = region.split(b"\n")
    intact = intact_lines(region)
    return not lines.pop() and len(intact) == len(set(lines)) and max(intact, default=0) < first_seq


def _wanted(gap: Gap) -> int:
    """Return the last seq that a gap may need."""
    header = gap.error.header
    if gap.last_seq is not None:
        return gap.last_seq
    return header.last if header is not None else gap.first_seq + (1 << 20)


def _spans(seqs: list[int]) -> str:
    if seqs[-1] - seqs[0] == len(seqs) - 1:
        return f"{seqs[0]} to {seqs[-1]}"
    more = f" and {len(seqs) - _NAMED_MAX} more" if len(seqs) > _NAMED_MAX else ""
    return ", ".join(map(str, seqs[:_NAMED_MAX])) + more
