"""Reading every manifest's folder: each line, each chain, each snapshot.

Promise:  all findings come out, not only the first. A `ScannedManifest` without `is_damaged` is
          whole: its log replays, and `state` is what the replay gives.
Assume:   nobody writes meanwhile.
Not here: comparing with the journal (`survey.py`), rebuilding (`remedies.py`).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from daemon.archive.layout import LOG_NAME, STATE_NAME, Layout
from daemon.archive.log import read_log
from daemon.archive.reader import ArchiveReader
from daemon.journal.disk import Disk
from daemon.offline.event_table import EventTable, fingerprint
from daemon.offline.redactions import RedactionsSeen
from daemon.offline.report import Report
from protocol.events import GENESIS, CommittedEvent, DamagedEventError
from protocol.record import ReplayError
from protocol.replies import ManifestSummary
from protocol.snapshots import (
    DamagedSnapshotError,
    StateSnapshot,
    apply,
    decode_snapshot,
    encode_snapshot,
)

TORN: Final = "it ends in the middle of a line"
EMPTY: Final = "it is missing or empty"


class ScannedManifest:
    """One folder, as it was found.

    `whole` counts the versions from 1 on that are in place and chained; `tear` is the finding about
    what stands behind them and may be a tear, None when nothing does.
    """

    __slots__ = (
        *("folder", "head", "is_damaged", "known", "last_seq", "log", "manifest_id", "row"),
        *("state", "state_path", "state_reason", "state_version", "tear", "whole"),
    )

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / LOG_NAME
        self.state_path = folder / STATE_NAME
        self.manifest_id: str | None = None
        self.whole = 0
        self.head = GENESIS
        self.last_seq = 0
        self.state: StateSnapshot | None = None
        self.row: ManifestSummary | None = None  # Of `state`.
        self.known: dict[int, bytes] = {}  # Version -> intact line; only where the log is damaged.
        self.is_damaged = False
        self.tear: tuple[str, int, int] | None = None  # Reason, line, offset.
        self.state_reason: str | None = None  # What is wrong with `state.json`.
        self.state_version: int | None = None  # Of a `state.json` that is older and true.


class ArchiveScan:
    """One reading of `manifests/`. Use it once."""

    def __init__(self, disk: Disk, data_directory: Path, report: Report) -> None:
        self.table = EventTable()
        self.lifecycles: dict[str, Path] = {}  # Those that events name, and where the first does.
        self.redactions = RedactionsSeen()
        self._disk = disk
        self._layout = Layout(data_directory)
        self._reader = ArchiveReader(disk, data_directory)
        self._report = report

    def run(self) -> Iterator[ScannedManifest]:
        """Yield every folder, read and checked by itself."""
        for path in self._reader.log_paths():
            yield self.scan(path.parent)

    def scan(self, folder: Path) -> ScannedManifest:
        """Return what is in one folder."""
        found = ScannedManifest(folder)
        data = read_log(self._disk, found.log)
        events = self._events(found, data)
        found.manifest_id = _whose(folder, self._layout, events)
        snapshot = self._snapshot(found)
        if not data:
            found.tear = (EMPTY, 1, 0)
        self._walk(found, data, events, snapshot)
        return found

    def _events(
        self, found: ScannedManifest, data: bytes
    ) -> list[CommittedEvent | DamagedEventError]:
        lines = data.split(b"\n")
        rest = lines.pop()
        events: list[CommittedEvent | DamagedEventError] = []
        for line in lines:
            try:
                events.append(CommittedEvent.read(line))
            except DamagedEventError as error:
                events.append(error)
        if rest:
            found.tear = (TORN, len(lines) + 1, len(data) - len(rest))
        return events

    def _snapshot(self, found: ScannedManifest) -> tuple[StateSnapshot, bytes] | None:
        try:
            data = self._disk.read(found.state_path)
            snapshot = decode_snapshot(data)
        except FileNotFoundError:
            found.state_reason = "it is missing"
            return None
        except DamagedSnapshotError as error:
            found.state_reason = str(error)
            return None
        if snapshot.manifest_id != found.manifest_id:
            found.state_reason = f"it belongs to {snapshot.manifest_id}"
            return None
        return snapshot, data

    def _walk(
        self,
        found: ScannedManifest,
        data: bytes,
        events: list[CommittedEvent | DamagedEventError],
        snapshot: tuple[StateSnapshot, bytes] | None,
    ) -> None:
        """Follow the chain from the first line on; say where it breaks, and go on behind that."""
        problems: list[tuple[str, int, int | None, int]] = []
        offset = seq = 0
        lines = data.split(b"\n")
        for number, event in enumerate(events, 1):
            reason = self._wrong(found, event, number, seq, is_whole=not problems)
            if reason is not None:
                place = None if isinstance(event, DamagedEventError) else event.seq
                problems.append((reason, number, place, offset))
            elif not problems and isinstance(event, CommittedEvent):
                self._advance(found, event, snapshot)
            if isinstance(event, CommittedEvent):
                seq = event.seq
                self._note(found, event)
            offset += len(lines[number - 1]) + 1
        self._conclude(found, problems, events)
        self._compare(found, snapshot)
        found.row = None if found.state is None else ManifestSummary.of(found.state)

    def _wrong(
        self,
        found: ScannedManifest,
        event: CommittedEvent | DamagedEventError,
        number: int,
        seq: int,
        *,
        is_whole: bool,
    ) -> str | None:
        if isinstance(event, DamagedEventError):
            return event.reason
        core = event.core
        if core.manifest_id != found.manifest_id or core.version != number:
            return f"it holds version {core.version} of {core.manifest_id}"
        if is_whole and core.prev != found.head:
            return "it does not continue the hash chain"
        if event.seq <= seq:
            return f"its seq follows seq {seq}"
        return None

    def _advance(
        self,
        found: ScannedManifest,
        event: CommittedEvent,
        snapshot: tuple[StateSnapshot, bytes] | None,
    ) -> None:
        found.whole, found.head, found.last_seq = event.core.version, event.hash, event.seq
        self.lifecycles.setdefault(event.core.lifecycle, found.log)
        if found.state is None and found.whole > 1:
            return  # The replay failed before.
        try:
            found.state = apply(found.state, event)
        except ReplayError as error:
            self._report.find(found.log, str(error), line=found.whole, seq=event.seq)
            found.is_damaged, found.state = True, None
            return
        if snapshot is not None and snapshot[0].version == found.whole:
            found.state_version = found.whole
            if encode_snapshot(found.state) != snapshot[1]:
                found.state_reason = "it is not what the events give"

    def _note(self, found: ScannedManifest, event: CommittedEvent) -> None:
        core = event.core
        if core.manifest_id != found.manifest_id:
            return
        found.known.setdefault(core.version, event.line)
        self.redactions.see(event, found.known)
        if not self.table.put(event.seq, fingerprint(event)):
            reason = "another event of the archive has the same seq"
            self._report.find(found.log, reason, line=core.version, seq=event.seq)
            found.is_damaged = True

    def _conclude(
        self,
        found: ScannedManifest,
        problems: list[tuple[str, int, int | None, int]],
        events: list[CommittedEvent | DamagedEventError],
    ) -> None:
        """Tell a tear at the end from damage."""
        behind = events[found.whole :]
        unreadable = all(isinstance(event, DamagedEventError) for event in behind)
        if problems and unreadable:
            reason, number, _, offset = problems[0]
            found.tear = (reason, number, offset)
        else:
            for reason, number, seq, offset in problems:
                self._report.find(found.log, reason, line=number, seq=seq, offset=offset)
            if problems and found.tear is not None:
                reason, number, offset = found.tear
                self._report.find(found.log, reason, line=number, offset=offset)
            found.is_damaged = found.is_damaged or bool(problems)
        if not found.is_damaged and found.tear is None:
            found.known = {}

    def _compare(
        self, found: ScannedManifest, snapshot: tuple[StateSnapshot, bytes] | None
    ) -> None:
        if snapshot is None or found.state_reason is not None or found.is_damaged:
            return
        version = snapshot[0].version
        if version > found.whole:
            reason = f"it ends after version {found.whole}, but state.json stands on {version}"
            self._report.find(found.log, reason, line=found.whole + 1)
            found.is_damaged = True


def _whose(
    folder: Path, layout: Layout, events: list[CommittedEvent | DamagedEventError]
) -> str | None:
    """Return the id of the manifest whose folder this is; None when nothing says so."""
    for event in events:
        if isinstance(event, CommittedEvent) and layout.folder(event.core.manifest_id) == folder:
            return event.core.manifest_id
    name = unquote(folder.name)
    return name if layout.folder(name) == folder else None
