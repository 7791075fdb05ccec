"""What the archive says about a manifest: its state, its events, the command behind an event.

Promise:  an answer is made of checked bytes only. A missing, damaged or stale `state.json` is made
          anew from `events.log` and said in the log; a damaged `events.log` is `DamagedStoreError`.
Assume:   `upto_version` versions are archived and synced; the caller has the events after them.
Not here: threads. All calls block; the store reaches them through `aiofiles.os.wrap`.
"""

import logging
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from daemon.archive.layout import LOG_NAME, Layout
from daemon.archive.log import check_length, checked_events, last_event, read_log
from daemon.errors import DamagedStoreError
from daemon.journal.disk import Disk
from protocol.events import CommittedEvent, DamagedEventError
from protocol.record import ReplayError
from protocol.snapshots import DamagedSnapshotError, StateSnapshot, decode_snapshot, replay

log = logging.getLogger(__name__)


class Archived(NamedTuple):
    """A manifest as its folder has it; `rebuilt` says that `state.json` is not as it should be."""

    snapshot: StateSnapshot | None
    tail: list[CommittedEvent]
    rebuilt: bool = False


class ArchiveReader:
    """Reads the folders of manifests. It has no state, so any thread may use it."""

    def __init__(self, disk: Disk, data_directory: Path) -> None:
        self._disk = disk
        self._layout = Layout(data_directory)

    def load(self, manifest_id: str, upto_version: int) -> Archived:
        """Return a manifest's snapshot and its events after that, up to `upto_version`."""
        if upto_version == 0:
            return Archived(None, [])
        snapshot = self._snapshot(manifest_id, upto_version)
        if snapshot is not None:
            return Archived(snapshot, self._events_after(snapshot, upto_version))
        return Archived(self.rebuild(manifest_id, upto_version), [], rebuilt=True)

    def state(self, manifest_id: str, upto_version: int) -> StateSnapshot | None:
        """Return the state of a manifest after version `upto_version`; None after version 0."""
        archived = self.load(manifest_id, upto_version)
        return _replayed(self._layout.log(manifest_id), archived.tail, archived.snapshot)

    def rebuild(self, manifest_id: str, upto_version: int) -> StateSnapshot:
        """Return the state after version `upto_version` (at least 1) from the events alone."""
        events = self.events(manifest_id, 0, upto_version)
        state = _replayed(self._layout.log(manifest_id), events, None)
        assert state is not None
        return state

    def whole(self, manifest_id: str) -> StateSnapshot:
        """Return the state after the last archived version, however many there are.

        Raises:
            DamagedStoreError: the log is damaged, or ends before `state.json` does.
        """
        path = self._layout.log(manifest_id)
        size, last = last_event(self._disk, path)
        if last is None:
            count = read_log(self._disk, path).count(b"\n")
            if count == 0 or size == 0:
                raise DamagedStoreError(path, "it holds no event")
        else:
            count = last.core.version
        snapshot = self.read_snapshot(manifest_id)
        if snapshot is not None and snapshot.version > count:
            reason = f"it ends after version {count}, but state.json stands on {snapshot.version}"
            raise DamagedStoreError(path, reason, line=count + 1)
        state = self.state(manifest_id, count)
        assert state is not None
        return state

    def events(
        self, manifest_id: str, after_version: int, upto_version: int
    ) -> list[CommittedEvent]:
        """Return a manifest's events after `after_version`, up to `upto_version`."""
        if after_version >= upto_version:
            return []
        path = self._layout.log(manifest_id)
        data = read_log(self._disk, path)
        return list(
            checked_events(
                path, data, manifest_id, after_version=after_version, upto_version=upto_version
            )
        )

    def find_command(
        self, manifest_id: str, command_id: str, upto_version: int
    ) -> CommittedEvent | None:
        """Return the event that `command_id` caused; looks for its bytes before it parses a line.

        None is an answer only where the log has all its lines: unknown is not absent.
        """
        if upto_version == 0:
            return None
        path = self._layout.log(manifest_id)
        data = read_log(self._disk, path)
        check_length(path, data, upto_version)
        needle = b'"command_id":%b,' % msgspec.json.encode(command_id)
        position = data.find(needle)
        while position >= 0:
            version = data.count(b"\n", 0, position) + 1
            if version > upto_version:
                return None
            (event,) = checked_events(
                path, data, manifest_id, after_version=version - 1, upto_version=version
            )
            if event.core.command_id == command_id:  # Not a context that says the same.
                return event
            position = data.find(needle, position + 1)
        return None

    def read_snapshot(self, manifest_id: str) -> StateSnapshot | None:
        """Return what `state.json` holds, or None when it is missing or damaged (and say so)."""
        path = self._layout.state(manifest_id)
        try:
            snapshot = decode_snapshot(self._disk.read(path))
        except FileNotFoundError:
            return self._unusable(path, "it is missing")
        except DamagedSnapshotError as error:
            return self._unusable(path, str(error))
        if snapshot.manifest_id != manifest_id:
            return self._unusable(path, f"it belongs to {snapshot.manifest_id}")
        return snapshot

    def manifest_ids(self, known: Collection[str]) -> Iterator[str]:
        """Yield the id of every manifest that is not `known`. Slow: opens every log.

        Raises:
            DamagedStoreError: a folder does not say whose it is.
        """
        skipped = {self._layout.log(manifest_id) for manifest_id in known}
        for path in self.log_paths():
            if path in skipped:
                continue
            first, _, _ = read_log(self._disk, path).partition(b"\n")
            try:
                yield CommittedEvent.read(first).core.manifest_id
            except DamagedEventError as error:
                raise DamagedStoreError(path, error.reason, line=1) from error

    def log_paths(self) -> Iterator[Path]:
        """Yield the path of every `events.log` there is."""
        manifests = self._layout.manifests
        for prefix in self._disk.list_names(manifests):
            for name in self._disk.list_names(manifests / prefix):
                yield manifests / prefix / name / LOG_NAME

    def second_copy(self, first_seq: int, last_seq: int) -> dict[int, bytes]:
        """Return the lines of these seqs (both included). Slow: reads every log; repair only."""
        found = {}
        for path in self.log_paths():
            for line in read_log(self._disk, path).split(b"\n"):
                try:
                    event = CommittedEvent.read(line)
                except DamagedEventError:
                    continue
                if first_seq <= event.seq <= last_seq:
                    found[event.seq] = line
        return found

    def seq_max(self) -> int:
        """Return the greatest seq at the end of a log. Slow: opens every log."""
        ends = (last_event(self._disk, path)[1] for path in self.log_paths())
        return max((event.seq for event in ends if event is not None), default=0)

    def _snapshot(self, manifest_id: str, upto_version: int) -> StateSnapshot | None:
        snapshot = self.read_snapshot(manifest_id)
        if snapshot is not None and snapshot.version > upto_version:
            # The archive writes it just now, or a crash left it so. Either way not what was asked.
            return None
        return snapshot

    def _events_after(self, snapshot: StateSnapshot, upto_version: int) -> list[CommittedEvent]:
        """Return the events after `snapshot`, and check that the log holds the one it stands on."""
        path = self._layout.log(snapshot.manifest_id)
        _, last = last_event(self._disk, path)
        if last is not None and last.core.version == upto_version == snapshot.version:
            events = [last]
        else:
            events = self.events(snapshot.manifest_id, snapshot.version - 1, upto_version)
        if events[0].hash != snapshot.head or events[0].core.manifest_id != snapshot.manifest_id:
            reason = f"version {snapshot.version} is not the event that state.json stands on"
            raise DamagedStoreError(path, reason, line=snapshot.version, seq=events[0].seq)
        return events[1:]

    @staticmethod
    def _unusable(path: Path, reason: str) -> None:
        log.warning("%s: %s; rebuilding it from %s", path, reason, LOG_NAME)


def _replayed(
    path: Path, events: list[CommittedEvent], state: StateSnapshot | None
) -> StateSnapshot | None:
    try:
        return replay(events, state)
    except ReplayError as error:
        raise DamagedStoreError(path, str(error)) from error
