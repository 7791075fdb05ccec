"""A whole store, read once: every byte of it checked, and every copy against the other.

    archive -> table of events -> journal, event by event against the table -> marks against both

Promise:  every damage is a finding; the store is not touched. What the next start mends by itself
          after a kill or a power cut is a note.
Assume:   the caller holds the lock. Memory: 36 bytes for each event, a row for each manifest, and
          the lines of what one of the two copies lacks.
Not here: the small files (`marks.py`), rebuilding (`remedies.py`).
"""

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from daemon.archive.layout import Layout
from daemon.journal.checkpoint import NOTHING, BatchEnd
from daemon.journal.damage import Form, Place, form_of, place_of
from daemon.journal.disk import Disk
from daemon.journal.segment import JOURNAL_NAME, list_segments, segment_path
from daemon.offline.archive_scan import ArchiveScan, ScannedManifest
from daemon.offline.event_table import HASH_SIZE, fingerprint
from daemon.offline.journal_scan import Gap, ScannedBatch, SegmentScanner, intact_lines
from daemon.offline.marks import Anchor, Marks
from daemon.offline.report import Report
from daemon.redaction.pending import REDACTIONS_NAME, Erasure
from daemon.redaction.quarantine import quarantine_warning
from protocol.events import CommittedEvent, next_log_hash


class Unarchived(NamedTuple):
    """An event that the journal has and the archive has not."""

    version: int
    seq: int
    line: bytes


class Survey:
    """One reading of a store. `run` it once; then it is what is known about the store."""

    def __init__(self, disk: Disk, data_directory: Path, anchor: Anchor | None = None) -> None:
        self.report = Report(data_directory)
        self.marks = Marks(disk, data_directory, self.report, anchor)
        self.archive = ArchiveScan(disk, data_directory, self.report)
        self.layout = Layout(data_directory)
        self.manifests: dict[Path, ScannedManifest] = {}
        self.gaps: list[Gap] = []
        self.strays: dict[int, bytes] = {}  # Intact lines that stand in gaps, by seq.
        self.unarchived: dict[str, list[Unarchived]] = defaultdict(list)
        self.journal_lines: dict[Path, dict[int, bytes]] = defaultdict(dict)
        self.lagging: set[str] = set()  # Manifests whose snapshot is not that of the whole log.
        self.redactions: list[Erasure] = []  # Ordered, and perhaps not carried out everywhere.
        self.contradictions: set[Path] = set()  # Logs that say other things than the journal.
        self.first_seq = 1
        self.end = NOTHING
        self.is_torn = False  # The last batch is what a power cut leaves; a start cuts it.
        self.segments: list[int] = []
        self.log_hashes_before: dict[int, bytes | None] = {}  # By the segment's first seq.
        self._disk = disk
        self._directory = data_directory
        self._events = 0
        self._log_hashes: dict[int, bytes] = {}
        self._batch_ends: set[int] = {0}

    def run(self) -> None:
        """Read everything."""
        self.marks.read()
        for found in self.archive.run():
            found.state = None  # Its row is enough; documents are large.
            self.manifests[found.folder] = found
        self._read_journal()
        self._judge_redactions()
        self._judge_logs()
        self._judge_states()
        self.marks.judge_index(self)
        self.marks.judge_ends(self)
        self.marks.judge_lifecycles(self.archive.lifecycles)
        self._figure()

    @property
    def is_clean(self) -> bool:
        """Whether a shutdown said that everything is archived and synced."""
        return self.marks.clean is not None

    def log_hash_at(self, seq: int) -> bytes | None:
        """Return the log hash after `seq`, if `seq` was asked for and could be reached."""
        return self._log_hashes.get(seq)

    def is_batch_end(self, seq: int) -> bool:
        """Whether a batch ends at `seq`, of the seqs that were asked for."""
        return seq in self._batch_ends

    @property
    def acknowledged_seq(self) -> int:
        """The greatest seq of which it is known, without the journal, that it was acknowledged."""
        return max(self.marks.acknowledged_seq, self.archive.table.seq_max)

    def unarchived_from(self) -> int | None:
        """Return the lowest seq that is not archived; None when all are."""
        return min((one.seq for lines in self.unarchived.values() for one in lines), default=None)

    # The journal.

    def _read_journal(self) -> None:
        self.segments = list_segments(self._disk, self._directory)
        self.first_seq = self.segments[0] if self.segments else 1
        log_hash = self._log_hash_before(self.first_seq)
        self._note_end(BatchEnd(self.first_seq - 1, log_hash or b""))
        for first, next_first in pairwise([*self.segments, None]):
            assert first is not None
            path = segment_path(self._directory, first)
            content = self._disk.read(path)
            self.log_hashes_before[first] = log_hash
            scanner = SegmentScanner(path, first, content, log_hash, next_first)
            for found in scanner.run():
                if isinstance(found, Gap):
                    self._take_gap(found, content)
                else:
                    log_hash = self._take_batch(found, log_hash)
            log_hash = scanner.log_hash
            self.end = BatchEnd(scanner.seq, log_hash or b"")
        self._check_tail()

    def _log_hash_before(self, first_seq: int) -> bytes | None:
        """Return the log hash before the journal: from the archive, where retention removed more."""
        events = self.archive.table.hashes(first_seq - 1)
        if events is None:
            checkpoint = self.marks.checkpoint
            known = checkpoint is not None and checkpoint.seq == first_seq - 1
            return checkpoint.log_hash if known and checkpoint else None
        log_hash = NOTHING.log_hash
        for seq, event_hash in events:
            log_hash = next_log_hash(log_hash, seq, event_hash)
            self._note_log_hash(seq, log_hash)
        return log_hash

    def _take_batch(self, batch: ScannedBatch, log_hash: bytes | None) -> bytes:
        for event in batch.events:
            self._compare(event)
            if log_hash is not None:
                log_hash = next_log_hash(log_hash, event.seq, event.hash)
                self._note_log_hash(event.seq, log_hash)
        self._events += len(batch.events)
        header = batch.header
        self._note_end(BatchEnd(header.last, header.log_hash))
        return header.log_hash

    def _note_end(self, end: BatchEnd) -> None:
        if end.seq in self.marks.asked:
            self._batch_ends.add(end.seq)
            if end.log_hash:
                self._log_hashes[end.seq] = end.log_hash

    def _note_log_hash(self, seq: int, log_hash: bytes) -> None:
        if seq in self.marks.asked:
            self._log_hashes[seq] = log_hash

    def _compare(self, event: CommittedEvent) -> None:
        core, folder = event.core, self.layout.folder(event.core.manifest_id)
        self.archive.lifecycles.setdefault(core.lifecycle, self._directory / JOURNAL_NAME)
        self.archive.redactions.see(event)
        archived = self.archive.table.get(event.seq)
        manifest = self.manifests.get(folder)
        if manifest is not None and (manifest.is_damaged or manifest.tear is not None):
            self.journal_lines[folder][core.version] = event.line
        if archived is None:
            self.unarchived[core.manifest_id].append(
                Unarchived(core.version, event.seq, event.line)
            )
        elif archived != fingerprint(event):
            if archived[:HASH_SIZE] == fingerprint(event)[:HASH_SIZE]:
                self.archive.redactions.differing.append(event)
            else:
                self._contradict(event, "the journal has another event at this seq")

    def _contradict(self, event: CommittedEvent, reason: str) -> None:
        core = event.core
        log = self.layout.log(core.manifest_id)
        self.report.find(log, reason, line=core.version, seq=event.seq)
        self.contradictions.add(log.parent)

    def _judge_redactions(self) -> None:
        judged = self.archive.redactions.judge(self.marks.redactions, self.marks.checkpoint_seq)
        self.redactions = [*judged.pending, *judged.left_behind]
        for event in judged.unordered:
            self._contradict(event, "the journal has another payload, and no redaction says why")
        path = self._directory / REDACTIONS_NAME
        for one in judged.left_behind:
            reason = f"it does not name what version {one.version} of {one.manifest_id} is to lose"
            self.report.find(path, reason)
        if judged.pending and not self.report.is_damaged(path):
            self.report.notes.append(
                f"{len(judged.pending)} redactions may not be carried out in every file yet; "
                "the next start does that"
            )
        if self.archive.redactions.ordered or self.marks.redactions:
            warning = quarantine_warning(self._disk, self._directory)
            if warning is not None:
                self.report.notes.append(warning)

    def _take_gap(self, gap: Gap, content: bytes) -> None:
        self.strays |= intact_lines(content[gap.offset : gap.end_offset])
        error = gap.error
        line = content.count(b"\n", 0, gap.offset) + 1 + error.line
        is_last = gap.last_seq is None and (
            place_of(error, content, is_last_segment=True) is Place.LAST
        )
        if (
            is_last
            and form_of(error, content) is Form.TORN
            and self.acknowledged_seq < gap.first_seq
        ):
            self.is_torn = True
            self.report.notes.append(
                f"{self.report.name(gap.path)}, line {line}, seq {error.seq}: {error.reason}: "
                "a write that was not finished, so nothing in it was acknowledged; "
                "the next start cuts it off"
            )
            return
        self.gaps.append(gap)
        offset = gap.offset
        for _ in range(error.line):
            offset = content.find(b"\n", offset) + 1 or offset
        self.report.find(gap.path, error.reason, line=line, seq=error.seq, offset=offset)

    def _check_tail(self) -> None:
        """Find that the journal ends too early, or is not there at all."""
        if self.gaps and self.gaps[-1].last_seq is None:
            return
        seq = self.end.seq
        if self.acknowledged_seq <= seq:
            return
        first = self.segments[-1] if self.segments else 1
        path = segment_path(self._directory, first)
        size_bytes = self._disk.size(path) if self.segments else 0
        reason = f"the journal ends at seq {seq}, and seq {self.acknowledged_seq} was acknowledged"
        log_hash = self.end.log_hash or None
        self.gaps.append(lost_tail(path, first, size_bytes, seq + 1, log_hash, reason))
        self.report.find(path, reason, seq=seq + 1, offset=size_bytes)

    # The archive.

    def _judge_logs(self) -> None:
        for manifest_id, lines in self.unarchived.items():
            log = self.layout.log(manifest_id)
            if self.report.is_damaged(log):
                continue
            first = lines[0]
            if self.is_clean or first.seq <= self.marks.checkpoint_seq:
                reason = f"it lacks version {first.version}, which the journal has"
                self.report.find(log, reason, line=first.version, seq=first.seq)
        waiting = {self.layout.folder(one): lines for one, lines in self.unarchived.items()}
        for folder, found in self.manifests.items():
            if found.tear is None:
                continue
            next_version = waiting[folder][0].version if folder in waiting else None
            if self.is_clean or found.is_damaged or next_version != found.whole + 1:
                reason, line, offset = found.tear
                self.report.find(found.log, reason, line=line, offset=offset)
            else:
                del self.journal_lines[folder]
        count = sum(map(len, self.unarchived.values()))
        if count and not self.is_clean:
            self.report.notes.append(
                f"{count} events are not archived yet; the next start does that"
            )

    def _judge_states(self) -> None:
        for found in self.manifests.values():
            if self.report.is_damaged(found.log):
                if found.state_reason is not None:
                    self.report.find(found.state_path, found.state_reason)
                continue
            if found.row is None:
                continue  # Nothing of it is archived yet.
            if found.state_version != found.whole and found.manifest_id is not None:
                self.lagging.add(found.manifest_id)
            may_lag = not self.is_clean and found.last_seq > self.marks.checkpoint_seq
            if found.state_reason is not None:
                if not may_lag or found.state_reason != "it is missing":
                    self.report.find(found.state_path, found.state_reason, seq=found.last_seq)
            elif found.state_version != found.whole and not may_lag:
                reason = f"it stands on version {found.state_version}, its log on {found.whole}"
                self.report.find(found.state_path, reason, seq=found.last_seq)

    def _figure(self) -> None:
        known = self.end.log_hash
        self.report.figures = {
            "store_id": None if self.marks.identity is None else self.marks.identity.store_id,
            "manifests": len(self.manifests),
            "events": self.archive.table.count + sum(map(len, self.unarchived.values())),
            "journal_events": self._events,
            "journal_segments": len(self.segments),
            "first_seq": self.first_seq,
            "last_seq": self.end.seq,
            "log_hash": known.decode() if known else None,
            "anchor": f"{self.end.seq}:{known.decode()}" if known else None,
            "clean": self.is_clean,
        }

    def rows(self) -> Iterator[ScannedManifest]:
        """Yield the manifests whose log is whole."""
        for found in self.manifests.values():
            if found.row is not None and not self.report.is_damaged(found.log):
                yield found


def lost_tail(
    path: Path, first: int, offset: int, seq: int, log_hash: bytes | None, reason: str
) -> Gap:
    """Return the gap at the end of a journal that lost all from `seq` on."""
    from daemon.journal.batches import DamagedBatchError  # noqa: PLC0415

    error = DamagedBatchError(path, reason, offset=offset, line=0, seq=seq, header=None)
    return Gap(path, first, offset, offset, seq, None, log_hash, error)
