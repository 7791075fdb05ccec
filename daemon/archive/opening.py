"""Start-up of a file store: from a directory to everything that a running store needs.

    lock -> store.json -> lifecycles -> index -> journal -> (index rebuilt) -> journal's tail applied -> reserve

Promise:  a directory that another process holds is not touched. When `open_store` returns, the
          journal is durable, the index is current to its end, and what the archive lacks is dirty.
          Damage that no second copy mends is `DamagedStoreError`, and the lock is given back.
Assume:   the checkpoint is true: what it covers was synced.
Not here: what the journal mends of itself (`journal/recovery.py`).
"""

import logging
from collections.abc import Iterator
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Final, NamedTuple

from daemon.archive.dirty import DirtyManifest
from daemon.archive.identity import StoreIdentity, open_identity
from daemon.archive.layout import Layout
from daemon.archive.pins import LifecyclePins
from daemon.archive.reader import ArchiveReader
from daemon.errors import DamagedStoreError, DiskFailedError, StoreLockedError
from daemon.index import IndexFile, LoadedIndex, read_index
from daemon.journal.clean import read_clean
from daemon.journal.disk import Disk
from daemon.journal.recovery import JournalEnd, RecoveredJournal, recover_journal
from daemon.journal.reserve import RESERVE_SIZE_BYTES, Reserve
from daemon.redaction.pending import Erasure, carried_out, find_erasures
from protocol.events import CommittedEvent
from protocol.record import ReplayError
from protocol.replies import ManifestSummary
from protocol.snapshots import StateSnapshot, replay

log = logging.getLogger(__name__)

LOCK_NAME: Final = "lock"


class OpenedStore(NamedTuple):
    """What start-up found and made."""

    lock: int
    identity: StoreIdentity
    end: JournalEnd
    checkpoint_seq: int
    erasures: list[Erasure]  # Perhaps not carried out in every file.
    rows: dict[str, ManifestSummary]
    dirty: list[DirtyManifest]
    index_file: IndexFile
    reserve: Reserve
    was_clean: bool
    notes: list[str]


def open_store(
    disk: Disk, data_directory: Path, *, reserve_size_bytes: int = RESERVE_SIZE_BYTES
) -> OpenedStore:
    """Lock `data_directory`, recover what is in it, and return it. Blocks.

    Raises:
        StoreLockedError: another daemon works on it.
        DamagedStoreError: it cannot be trusted as it is.
        DiskFailedError: the disk failed.
    """
    try:
        disk.make_directory(data_directory)
        lock = disk.lock(data_directory / LOCK_NAME)
    except BlockingIOError as error:
        raise StoreLockedError(data_directory) from error
    except OSError as error:
        what = f"opening {data_directory}"
        raise DiskFailedError(what, error) from error
    try:
        reserve = Reserve(disk, data_directory, reserve_size_bytes)
        return _Opening(disk, data_directory).run(lock, reserve)
    except OSError as error:
        disk.unlock(lock)
        what = f"recovering {data_directory}"
        raise DiskFailedError(what, error) from error
    except BaseException:
        disk.unlock(lock)
        raise


class _Opening:
    def __init__(self, disk: Disk, data_directory: Path) -> None:
        self._disk = disk
        self._directory = data_directory
        self._reader = ArchiveReader(disk, data_directory)
        self._notes: list[str] = []

    def run(self, lock: int, reserve: Reserve) -> OpenedStore:
        disk, directory = self._disk, self._directory
        identity = open_identity(disk, directory)
        LifecyclePins(disk, directory).check()
        was_clean = read_clean(disk, directory) is not None
        loaded = read_index(disk, directory)
        recovered = recover_journal(
            disk,
            directory,
            second_copy=self._reader.second_copy,
            archived_seq_max=self._reader.seq_max() if loaded is None else loaded.seq_max,
        )
        self._notes += recovered.notes
        erasures = find_erasures(disk, directory, recovered.tail, self._notes)
        tail = carried_out(recovered.tail, erasures)
        dirty = [self._dirty(events, suspect=not was_clean) for events in _by_manifest(tail)]
        trusted = self._trusted(loaded, recovered)
        rows = self._rebuilt(dirty) if trusted is None else trusted.rows
        for entry in dirty:
            assert entry.snapshot is not None
            rows[entry.manifest_id] = ManifestSummary.of(entry.snapshot)
        index = IndexFile(disk, directory, trusted)
        if trusted is None or trusted.is_torn or not was_clean:
            # After a crash the page cache may show blocks that the disk does not have.
            index.rewrite(rows.values(), recovered.end.seq)
        if not reserve.ensure():
            self._notes.append("there is no room for journal/reserve; free some space")
        for note in self._notes:
            log.warning("%s", note)
        return OpenedStore(
            lock,
            identity,
            recovered.end,
            recovered.checkpoint.seq,
            erasures,
            rows,
            dirty,
            index,
            reserve,
            was_clean,
            self._notes,
        )

    def _trusted(
        self, loaded: LoadedIndex | None, recovered: RecoveredJournal
    ) -> LoadedIndex | None:
        """Return the index if start-up can build on it."""
        if loaded is None:
            if recovered.end.seq:
                self._notes.append("the index is missing or damaged; rebuilt from the archive")
            return None
        if loaded.seq < recovered.checkpoint.seq:
            self._notes.append(
                f"the index ends at seq {loaded.seq}, before the checkpoint at "
                f"{recovered.checkpoint.seq}; rebuilt from the archive"
            )
            return None
        return loaded

    def _rebuilt(self, dirty: list[DirtyManifest]) -> dict[str, ManifestSummary]:
        """Return the rows of all manifests that are archived as a whole."""
        known = {entry.manifest_id for entry in dirty}
        return {
            manifest_id: ManifestSummary.of(self._reader.whole(manifest_id))
            for manifest_id in self._reader.manifest_ids(known)
        }

    def _dirty(self, events: list[CommittedEvent], *, suspect: bool) -> DirtyManifest:
        """Return what a manifest's part of the journal's tail makes of it."""
        manifest_id = events[0].core.manifest_id
        state = self._base(manifest_id, events)
        version = 0 if state is None else state.version
        try:
            state = replay((one for one in events if one.core.version > version), state)
        except ReplayError as error:
            path = Layout(self._directory).state(manifest_id)
            raise DamagedStoreError(path, str(error), seq=events[0].seq) from error
        return DirtyManifest(manifest_id, events, state, suspect=suspect)

    def _base(self, manifest_id: str, events: list[CommittedEvent]) -> StateSnapshot | None:
        """Return a state that the tail continues: `state.json`'s, or the one before the tail."""
        before = events[0].core.version - 1
        snapshot = self._reader.read_snapshot(manifest_id) if before else None
        if snapshot is None or not before <= snapshot.version <= before + len(events):
            return self._reader.state(manifest_id, before)
        follows = snapshot.version - before
        head = events[follows - 1].hash if follows else events[0].core.prev
        return snapshot if snapshot.head == head else self._reader.state(manifest_id, before)


def _by_manifest(tail: list[CommittedEvent]) -> Iterator[list[CommittedEvent]]:
    """Yield each manifest's events in seq order, the manifest with the lowest seq first."""
    key = attrgetter("core.manifest_id")
    groups = [list(group) for _, group in groupby(sorted(tail, key=key), key)]
    yield from sorted(groups, key=lambda events: events[0].seq)
