"""Writes what is dirty into the manifests' own folders, many manifests at a time.

    1. append to every events.log, write every state.json.tmp      (a full disk: try again later)
    2. sync the file system
    3. rename every temp file over its target
    4. sync the file system                                        (2 to 4: a failure is fatal)

Promise:  after `write` every event and snapshot given to it survives a power cut. At no moment does
          a `state.json` lead its `events.log`, and no version is in a log twice.
Assume:   one caller at a time; nobody else writes in `manifests/`; each manifest's events continue
          what was archived of it.
Not here: what is dirty (`dirty.py`), and when to write (`archiver.py`).

The cost of a manifest is system calls: open, seek, write, close for the log, open, write, close,
rename for the snapshot. So where a log ends is remembered, and looked up once; and paths are text:
five `Path`s would cost as much as a rename.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from daemon.archive.dirty import DirtyManifest
from daemon.archive.layout import (
    LOG_NAME,
    LOG_TEMPORARY_NAME,
    STATE_NAME,
    STATE_TEMPORARY_NAME,
    Layout,
)
from daemon.archive.log import last_event_in, read_log
from daemon.archive.merge import merge
from daemon.archive.reader import ArchiveReader
from daemon.errors import DamagedStoreError, DiskFailedError
from daemon.journal.disk import SURVIVABLE_ERRNOS, Disk
from protocol.events import GENESIS, CommittedEvent
from protocol.replies import ManifestSummary
from protocol.snapshots import StateSnapshot, encode_snapshot, replay

log = logging.getLogger(__name__)

# Logs whose end is remembered: 200 bytes each. One that was forgotten costs a read of its end.
KNOWN_LOGS_MAX: Final = 65_536


class NoRoomError(Exception):
    """A write found no room, or a read-only file system. What was dirty is dirty still."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(str(cause))
        self.cause = cause


class ArchiveWriter:
    """The one writer of `manifests/`. All calls block."""

    def __init__(self, disk: Disk, data_directory: Path) -> None:
        self._disk = disk
        self._directory = data_directory
        self._layout = Layout(data_directory)
        self._reader = ArchiveReader(disk, data_directory)
        self._ends: dict[str, int] = {}  # Manifest id -> size of the log as this process left it.

    def write(self, batch: Sequence[DirtyManifest]) -> list[ManifestSummary]:
        """Archive `batch` and return the index row of each of its manifests.

        Raises:
            NoRoomError: nothing of the batch counts as archived; give it again later.
            DiskFailedError: only a restart can tell what is there.
            DamagedStoreError: a log contradicts the journal.
        """
        renames: list[tuple[str, str]] = []
        try:
            rows = [self._write_manifest(entry, renames) for entry in batch]
        except OSError as error:
            for entry in batch:
                self._ends.pop(entry.manifest_id, None)
            if error.errno in SURVIVABLE_ERRNOS:
                raise NoRoomError(error) from error
            what = "writing the archive"
            raise DiskFailedError(what, error) from error
        self._settle(renames)
        while len(self._ends) > KNOWN_LOGS_MAX:
            del self._ends[next(iter(self._ends))]
        return rows

    def forget(self, manifest_id: str) -> None:
        """Do not count on where a log ended; call it while nothing is written."""
        self._ends.pop(manifest_id, None)

    def _settle(self, renames: list[tuple[str, str]]) -> None:
        try:
            self._disk.sync_filesystem(self._directory)
            for source, target in renames:
                self._disk.replace(source, target)
            self._disk.sync_filesystem(self._directory)
        except OSError as error:
            what = "syncing the archive"
            raise DiskFailedError(what, error) from error

    def _write_manifest(
        self, entry: DirtyManifest, renames: list[tuple[str, str]]
    ) -> ManifestSummary:
        folder = self._layout.folder_text(entry.manifest_id)
        snapshot = _current_snapshot(self._reader, entry)
        if entry.events:
            end = self._append(entry, folder)
            if end is None:
                end = self._rewrite_log(entry, folder, renames)
            self._ends[entry.manifest_id] = end
        temporary = f"{folder}/{STATE_TEMPORARY_NAME}"
        self._disk.write(temporary, encode_snapshot(snapshot))
        renames.append((temporary, f"{folder}/{STATE_NAME}"))
        return ManifestSummary.of(snapshot)

    def _append(self, entry: DirtyManifest, folder: str) -> int | None:
        """Append to the log and return its size; None when it has to be merged instead."""
        path = f"{folder}/{LOG_NAME}"
        first = entry.events[0].core
        end = self._ends.pop(entry.manifest_id, None)
        is_known = end is not None
        if first.version == 1:
            self._disk.make_directory(folder)
            end = None if entry.suspect else 0
        elif end is None:
            end = self._end_before(entry, Path(path))
        if end is None:
            return None
        data = b"".join([event.line + b"\n" for event in entry.events])
        size = self._disk.append(path, data)
        if size == end:
            return end + len(data)
        if is_known:
            reason = f"it was {end} bytes long and is {size}: another program writes to it"
            raise DamagedStoreError(Path(path), reason, seq=entry.events[0].seq)
        return None  # A first event that was there already; `merge` compares.

    def _end_before(self, entry: DirtyManifest, path: Path) -> int | None:
        """Return the size of a log that ends just before `entry`; None when it ends otherwise.

        A doubled last line is another end: what is written behind it nobody can read. Damage
        before the end is for whoever reads that.
        """
        first = entry.events[0].core
        data = read_log(self._disk, path)
        last = last_event_in(data)
        if last is None or (last.core.version, last.hash, last.core.manifest_id) != (
            first.version - 1,
            first.prev,
            entry.manifest_id,
        ):
            return None
        *lines, behind = data.split(b"\n", last.core.version)
        is_doubled = behind and lines[-1] == last.line
        return None if is_doubled else len(data)

    def _rewrite_log(
        self, entry: DirtyManifest, folder: str, renames: list[tuple[str, str]]
    ) -> int:
        path, temporary = Path(folder, LOG_NAME), Path(folder, LOG_TEMPORARY_NAME)
        merged = merge(path, read_log(self._disk, path), entry.events)
        if merged.damaged:
            self._quarantine(path, merged.damaged, entry.events[0])
        self._disk.write(temporary, merged.data)
        renames.append((str(temporary), str(path)))
        return len(merged.data)

    def _quarantine(self, path: Path, damaged: bytes, first: CommittedEvent) -> None:
        self._disk.make_directory(self._layout.quarantine)
        kept = self._layout.quarantine / f"{path.parent.name[:180]}.{LOG_NAME}.{first.seq}"
        self._disk.write(kept, damaged)
        log.warning(
            "%s: %d bytes at its end are none of its events; kept in %s, and what belongs there was "
            "written from the journal",
            path,
            len(damaged),
            kept,
        )


def _current_snapshot(reader: ArchiveReader, entry: DirtyManifest) -> StateSnapshot:
    """Return the snapshot after the entry's last event, made here where nobody saved it."""
    if entry.is_current():
        assert entry.snapshot is not None
        return entry.snapshot
    base = entry.snapshot
    before = entry.events[0].core.version - 1
    if base is None or base.version < before:
        base = reader.state(entry.manifest_id, before)
    version, head = (0, GENESIS) if base is None else (base.version, base.head)
    events = [event for event in entry.events if event.core.version > version]
    assert not events or events[0].core.prev == head
    snapshot = replay(events, base)
    assert snapshot is not None
    return snapshot
