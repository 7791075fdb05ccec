"""What can be rebuilt from where, file by file, in the order in which it has to be written.

    store.json, kept lifecycles -> journal -> events.log -> state.json -> index -> checkpoint, clean

Promise:  each `Mend` is right by itself: a repair that ends after any of them leaves a store that
          the next one finishes, and that a daemon either opens rightly or refuses.
Assume:   the survey is done, and nothing was changed since.
"""

from collections.abc import Iterator
from pathlib import Path

from daemon.archive.identity import IDENTITY_NAME
from daemon.archive.log import read_log
from daemon.archive.pins import LIFECYCLES_NAME, pinned_name
from daemon.index import encode_index, index_path
from daemon.journal.checkpoint import CHECKPOINT_NAME, BatchEnd, encode_end
from daemon.journal.clean import CLEAN_NAME
from daemon.journal.disk import Disk
from daemon.journal.sealed import seal, seal_bytes, unseal_bytes
from daemon.offline.archive_scan import ScannedManifest
from daemon.offline.flips import unflipped
from daemon.offline.gaps import JournalRemedies
from daemon.offline.redactions import lesser, without_ordered
from daemon.offline.remedy import Lost, Mend, Remedy
from daemon.offline.survey import Survey
from daemon.redaction.pending import REDACTIONS_NAME
from protocol.events import GENESIS, CommittedEvent
from protocol.lifecycle.registry import LifecycleRegistry
from protocol.record import ReplayError
from protocol.replies import ManifestSummary
from protocol.snapshots import StateSnapshot, encode_snapshot, replay

EVENTS = "its own events.log"


class Remedies:
    """What to do about each damaged file of a surveyed store. Use it once."""

    def __init__(self, disk: Disk, data_directory: Path, survey: Survey) -> None:
        self._disk = disk
        self._directory = data_directory
        self._survey = survey
        self._report = survey.report
        self._journal = JournalRemedies(disk, data_directory, survey)
        self._rows: dict[str, ManifestSummary] = {}  # Of manifests that were mended.
        self._lost: set[Path] = set()  # Folders whose log is lost.
        self._index_seq = 0 if survey.marks.index is None else survey.marks.index.seq

    def run(self) -> Iterator[Remedy]:
        """Yield them; they are to be carried out in this order, all of them or none."""
        yield from self._identity()
        yield from self._lifecycles()
        yield from self._redactions()
        yield from self._journal.run()
        yield from self._archive()
        yield from self._index()
        yield from self._ends()

    # The small files that nothing else holds.

    def _identity(self) -> Iterator[Remedy]:
        path = self._directory / IDENTITY_NAME
        if not self._report.is_damaged(path):
            return
        lost = "nothing else holds the store's id; copy the file from a backup"
        yield _unflipped(path, self._read(path), lost)

    def _lifecycles(self) -> Iterator[Remedy]:
        folder = self._directory / LIFECYCLES_NAME
        files = {finding.file for finding in self._report.findings}
        for file in sorted(file for file in files if (self._directory / file).parent == folder):
            path = self._directory / file
            name = pinned_name(path.name)
            data = self._read(path)
            builtin = LifecycleRegistry.builtin()
            if name is not None and name in builtin:
                content = seal_bytes(builtin.get(name).to_json())
                yield Mend(path, data, content, "the lifecycles that manifestd brings")
            else:
                lost = "nothing else holds the definition; copy the file from a backup"
                yield _unflipped(path, data, lost)

    def _redactions(self) -> Iterator[Remedy]:
        path = self._directory / REDACTIONS_NAME
        if self._report.is_damaged(path):
            members = {"redactions": [one._asdict() for one in self._survey.redactions]}
            source = "the events that order redactions: the next start carries them out again"
            yield Mend(path, self._read(path), seal(members), source)

    # The archive.

    def _archive(self) -> Iterator[Remedy]:
        survey = self._survey
        known = {survey.layout.folder(one): one for one in survey.unarchived}
        if survey.marks.index is not None:
            known |= {survey.layout.folder(one): one for one in survey.marks.index.rows}
        for folder in sorted(known.keys() | survey.manifests.keys()):
            found = survey.manifests.get(folder) or ScannedManifest(folder)
            if found.manifest_id is None:
                found.manifest_id = known.get(folder)
            yield from self._manifest(found)

    def _manifest(self, found: ScannedManifest) -> Iterator[Remedy]:
        is_log_damaged = self._report.is_damaged(found.log)
        if not is_log_damaged and not self._report.is_damaged(found.state_path):
            return
        log = read_log(self._disk, found.log)
        state: StateSnapshot | None = None
        if is_log_damaged:
            remedy, events = self._log(found, log)
            yield remedy
            if isinstance(remedy, Lost):
                self._lost.add(found.folder)
                return
        else:
            lines = log.split(b"\n")[: found.whole]
            events = [CommittedEvent.read(line) for line in lines]
        state = replay(events)
        assert state is not None
        self._rows[state.manifest_id] = ManifestSummary.of(state)
        data, content = self._read(found.state_path), encode_snapshot(state)
        if data != content:
            yield Mend(found.state_path, data, content, EVENTS)

    def _log(self, found: ScannedManifest, data: bytes) -> tuple[Remedy, list[CommittedEvent]]:
        """Return the remedy for a damaged log, and the events that it has then."""
        if found.folder in self._survey.contradictions:
            reason = "journal and archive are whole, and they contradict one another"
            return Lost(found.log, reason), []
        known = self._lines(found, data)
        last = max(known, default=0)
        last = max(last, self._versions_known(found))
        missing = [version for version in range(1, last + 1) if version not in known]
        if missing or not last:
            versions = ", ".join(map(str, missing[:5])) or "1"
            return Lost(found.log, f"no intact copy is left of version {versions}"), []
        events = [CommittedEvent.read(known[version]) for version in range(1, last + 1)]
        prev, seq = GENESIS, 0
        for event in events:
            if event.core.prev != prev or event.seq <= seq:
                reason = f"the copies do not fit together at version {event.core.version}"
                return Lost(found.log, reason), []
            prev, seq = event.hash, event.seq
        try:
            replay(events)
        except ReplayError as error:
            return Lost(found.log, str(error)), []
        events = without_ordered(events, self._survey.redactions)
        content = b"".join(event.line + b"\n" for event in events)
        source = "its own intact lines and the journal"
        return Mend(found.log, data or None, content, source), events

    def _lines(self, found: ScannedManifest, data: bytes) -> dict[int, bytes]:
        """Return every intact line of a manifest that there is, by version."""
        manifest_id = found.manifest_id
        known = dict(found.known)
        if not known:
            known = dict(enumerate(data.split(b"\n")[: found.whole], 1))
        lines = list(self._survey.journal_lines.get(found.folder, {}).items())
        if manifest_id is not None:
            lines += [(one.version, one.line) for one in self._survey.unarchived[manifest_id]]
            events = map(CommittedEvent.read, self._journal.lines.values())
            ours = (event for event in events if event.core.manifest_id == manifest_id)
            lines += [(event.core.version, event.line) for event in ours]
        for version, line in lines:
            known[version] = lesser(known, version, line)
        return known

    def _versions_known(self, found: ScannedManifest) -> int:
        """Return how many versions a manifest has at least, as index or snapshot say."""
        index = self._survey.marks.index
        row = None if index is None else index.rows.get(found.manifest_id or "")
        return max(found.state_version or 0, 0 if row is None else row.version)

    # What is derived from both copies.

    def _index(self) -> Iterator[Remedy]:
        path = index_path(self._directory)
        if not self._report.is_damaged(path) and not self._rows:
            return
        data = self._read(path)
        if self._lost or self._journal.is_lost:
            if self._report.is_damaged(path):
                yield Lost(path, "it is made from the archive, which is not whole")
            return
        rows = {
            found.row.manifest_id: found.row
            for found in self._survey.manifests.values()
            if found.row is not None
        }
        archived = list((rows | self._rows).values())
        content = encode_index(archived, self._archived_seq())
        if content != data and (self._report.is_damaged(path) or self._is_stale(archived)):
            self._index_seq = self._archived_seq()
            yield Mend(path, data, content, "the archive")

    def _is_stale(self, rows: list[ManifestSummary]) -> bool:
        index = self._survey.marks.index
        return index is None or any(index.rows.get(row.manifest_id) != row for row in rows)

    def _archived_seq(self) -> int:
        """Return the seq up to which everything is archived, with what was mended."""
        waiting = [
            one.seq
            for manifest_id, lines in self._survey.unarchived.items()
            if manifest_id not in self._rows
            for one in lines
        ]
        return min(waiting, default=self._journal.end.seq + 1) - 1

    def _ends(self) -> Iterator[Remedy]:
        """Make checkpoint and `clean` anew where everything is archived; else a start does it."""
        checkpoint, clean = self._directory / CHECKPOINT_NAME, self._directory / CLEAN_NAME
        if self._lost or self._journal.is_lost:
            return
        end = self._journal.end
        is_archived = bool(end.log_hash) and self._is_current(end.seq)
        for path in (checkpoint, clean):
            data = self._read(path)
            stale = path == clean and data is not None and self._survey.marks.clean != end
            if not self._report.is_damaged(path) and not stale:
                continue
            if is_archived and not self._survey.is_torn:
                yield Mend(path, data, encode_end(BatchEnd(*end)), "journal and archive")
            else:
                yield Mend(path, data, None, "the next start, which reads the journal")

    def _is_current(self, seq: int) -> bool:
        """Whether archive and index are current to `seq`, the journal's end, and nothing is pending."""
        return (
            self._archived_seq() == self._index_seq == seq
            and self._survey.lagging.issubset(self._rows)
            and self._survey.marks.names(self._survey.redactions)
        )

    def _read(self, path: Path) -> bytes | None:
        try:
            return self._disk.read(path)
        except FileNotFoundError:
            return None


def _unflipped(path: Path, data: bytes | None, lost: str) -> Remedy:
    """Return a sealed file mended by its own seal, or that it is lost."""
    content = None if data is None else unflipped(data, lambda one: unseal_bytes(one) is not None)
    if content is None:
        return Lost(path, lost)
    return Mend(path, data, content, "its own sha256: one bit was flipped")
