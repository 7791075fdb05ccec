"""The small files of a store against what journal and archive say: `store.json`, `checkpoint.json`,
`clean`, the index, the kept lifecycles.

Not here: reading the two big copies (`survey.py`).
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from daemon.archive.identity import StoreIdentity, read_identity
from daemon.archive.pins import LIFECYCLES_NAME, pin_file_name, pinned_name
from daemon.errors import DamagedStoreError
from daemon.index import INDEX_NAME, LoadedIndex, index_path, read_index
from daemon.journal.checkpoint import CHECKPOINT_NAME, BatchEnd, read_checkpoint
from daemon.journal.clean import CLEAN_NAME, has_clean, read_clean
from daemon.journal.disk import Disk
from daemon.journal.sealed import unseal_bytes
from daemon.journal.segment import JOURNAL_NAME
from daemon.offline.report import Report
from daemon.redaction.pending import REDACTIONS_NAME, Erasure, find_erasures, read_pending
from protocol.lifecycle.findings import LifecycleError
from protocol.lifecycle.reader import read_lifecycle
from protocol.replies import ManifestSummary

if TYPE_CHECKING:
    from daemon.offline.survey import Survey


class Anchor(NamedTuple):
    """A seq and its log hash that somebody kept elsewhere."""

    seq: int
    log_hash: bytes


class Marks:
    """What the small files say, and what is wrong with them."""

    def __init__(
        self, disk: Disk, data_directory: Path, report: Report, anchor: Anchor | None
    ) -> None:
        self.identity: StoreIdentity | None = None
        self.checkpoint: BatchEnd | None = None
        self.clean: BatchEnd | None = None
        self.index: LoadedIndex | None = None
        self.redactions: list[Erasure] = []  # Ordered, and perhaps not carried out everywhere.
        self.are_redactions_read = False
        self.asked: set[int] = set()  # Seqs whose log hash somebody wants to compare.
        self._disk = disk
        self._directory = data_directory
        self._report = report
        self._anchor = anchor

    def read(self) -> None:
        """Read them all."""
        disk, directory = self._disk, self._directory
        try:
            self.identity = read_identity(disk, directory)
        except DamagedStoreError as error:
            self._report.find(error.path, error.reason)
        self.checkpoint = read_checkpoint(disk, directory)
        names = disk.list_names(directory)
        if self.checkpoint is None and CHECKPOINT_NAME in names:
            self._unsealed(directory / CHECKPOINT_NAME)
        self.clean = read_clean(disk, directory)
        if self.clean is None and has_clean(disk, directory):
            self._unsealed(directory / CLEAN_NAME)
        self.index = read_index(disk, directory)
        self.are_redactions_read = read_pending(disk, directory) is not None
        if not self.are_redactions_read:
            self._unsealed(directory / REDACTIONS_NAME)
        self.redactions = find_erasures(disk, directory, (), [])
        ends = (self.checkpoint, self.clean, self._anchor)
        self.asked = {end.seq for end in ends if end is not None}

    def names(self, redactions: Iterable[Erasure]) -> bool:
        """Whether `redactions.json` names all of these, so that a checkpoint may pass them."""
        return self.are_redactions_read and set(self.redactions).issuperset(redactions)

    @property
    def checkpoint_seq(self) -> int:
        """Up to which seq the archive is known to be synced."""
        return 0 if self.checkpoint is None else self.checkpoint.seq

    @property
    def acknowledged_seq(self) -> int:
        """The greatest seq that one of the small files knows."""
        clean_seq = 0 if self.clean is None else self.clean.seq
        index_seq = 0 if self.index is None else self.index.seq_max
        return max(self.checkpoint_seq, clean_seq, index_seq)

    def judge_ends(self, survey: "Survey") -> None:
        """Compare checkpoint, `clean` and the anchor with the journal."""
        clean, anchor = self.clean, self._anchor
        if self.checkpoint is not None:
            self._judge_checkpoint(self.checkpoint, survey)
        if clean is not None:
            path = self._directory / CLEAN_NAME
            if self._is_log_hash(path, clean, survey) and clean.seq < survey.end.seq:
                reason = f"the journal ends at seq {survey.end.seq}"
                self._report.find(path, reason, seq=clean.seq)
        if anchor is not None:
            self._judge_anchor(anchor, survey)

    def _judge_checkpoint(self, checkpoint: BatchEnd, survey: "Survey") -> None:
        path = self._directory / CHECKPOINT_NAME
        is_inside = survey.first_seq - 1 <= checkpoint.seq <= survey.end.seq
        is_true = self._is_log_hash(path, checkpoint, survey)
        if is_true and is_inside and not survey.gaps and not survey.is_batch_end(checkpoint.seq):
            self._report.find(path, "no batch ends at its seq", seq=checkpoint.seq)

    def _is_log_hash(self, path: Path, end: BatchEnd, survey: "Survey") -> bool:
        known = survey.log_hash_at(end.seq)
        if known is None or known == end.log_hash:
            return True
        self._report.find(path, "its log_hash is not the journal's at this seq", seq=end.seq)
        return False

    def _judge_anchor(self, anchor: Anchor, survey: "Survey") -> None:
        path = self._directory / JOURNAL_NAME
        known = survey.log_hash_at(anchor.seq)
        if anchor.seq > survey.end.seq:
            reason = f"it ends at seq {survey.end.seq}, before the anchor: events were removed"
            self._report.find(path, reason, seq=anchor.seq)
        elif known is None:
            self._report.find(
                path, "the log_hash at the anchor's seq cannot be told any more", seq=anchor.seq
            )
        elif known != anchor.log_hash:
            reason = "its log_hash is not the anchor's: the events up to it are others"
            self._report.find(path, reason, seq=anchor.seq)

    def judge_index(self, survey: "Survey") -> None:
        """Compare the index with what the archive's events give."""
        path = index_path(self._directory)
        loaded = self.index
        if loaded is None:
            if survey.acknowledged_seq or INDEX_NAME in self._disk.list_names(self._directory):
                self._report.find(path, "it is missing or damaged")
            return
        if loaded.is_torn:
            if survey.is_clean:
                self._report.find(path, "its last block is cut short", offset=loaded.size_bytes)
            else:
                self._report.notes.append(
                    f"{self._report.name(path)}: its last block was not finished; the next start "
                    "makes it anew"
                )
        if loaded.seq < self.checkpoint_seq:
            reason = f"it is current to seq {loaded.seq}, the checkpoint stands at "
            self._report.find(path, f"{reason}{self.checkpoint_seq}")
        self._judge_rows(path, loaded, survey)

    def _judge_rows(self, path: Path, loaded: LoadedIndex, survey: "Survey") -> None:
        known = set()
        for found in survey.manifests.values():
            manifest_id = found.manifest_id
            if manifest_id is None:
                continue
            known.add(manifest_id)
            row = loaded.rows.get(manifest_id)
            if row is not None and row.version > found.whole and not found.is_damaged:
                reason = f"it ends after version {found.whole}, the index knows {row.version}"
                self._report.find(found.log, reason, line=found.whole + 1, seq=row.seq)
                found.is_damaged = True
            elif not self._report.is_damaged(found.log):
                self._judge_row(path, found.row, row, survey)
        for manifest_id in loaded.rows.keys() - known:
            log = survey.layout.log(manifest_id)
            if not self._report.is_damaged(log):
                seq = loaded.rows[manifest_id].seq
                self._report.find(log, "it is missing, and the index knows it", seq=seq)

    def _judge_row(
        self,
        path: Path,
        expected: ManifestSummary | None,
        row: ManifestSummary | None,
        survey: "Survey",
    ) -> None:
        if expected is None or row == expected:
            return
        assert self.index is not None
        if not survey.is_clean and expected.seq > self.index.seq:
            return
        what = "lacks the row" if row is None else "has another row than its events give"
        self._report.find(path, f"it {what} of {expected.manifest_id}", seq=expected.seq)

    def judge_lifecycles(self, named: dict[str, Path]) -> None:
        """See that every lifecycle that an event names is kept, and can be read."""
        folder = self._directory / LIFECYCLES_NAME
        kept = set()
        for file_name in self._disk.list_names(folder):
            name = pinned_name(file_name)
            if name is None:
                continue
            kept.add(name)
            definition = unseal_bytes(self._disk.read(folder / file_name))
            if definition is None:
                self._unsealed(folder / file_name)
                continue
            try:
                read_lifecycle(definition, name, syntax="json")
            except LifecycleError as error:
                self._report.find(folder / file_name, f"it cannot be read: {error}")
        for name in sorted(named.keys() - kept):
            reason = f"it is missing, and events in {self._report.name(named[name])} name it"
            self._report.find(folder / pin_file_name(name), reason)

    def _unsealed(self, path: Path) -> None:
        self._report.find(path, "its sha256 does not match its bytes")
