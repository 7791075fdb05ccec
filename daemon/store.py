"""`FileStore`: events in a journal, manifests in an archive behind it, in one directory.

    append -> journal (durable, in seq order) -> on_batch -> dirty map, listener -> ... -> archive

Promise:  a committed event survives; `load`, `history` and `feed` answer with committed events
          only, wherever they are at that moment; the store uses bounded memory beside one small
          entry for each manifest.
Assume:   all methods are called on the event loop's thread; the listener saves a snapshot for
          every event (one that it forgot is made from the events).
Not here: how each part works. This module ties `daemon/journal/` and `daemon/archive/` together.
"""

import asyncio
from collections.abc import Callable, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Final, NamedTuple, Self

from aiofiles.os import wrap

from actors.ports import (
    AppendOutcome,
    AppendRefusal,
    CommittedListener,
    FeedPage,
    Loaded,
    Position,
)
from actors.turns import Turns
from daemon.archive.archiver import Timer
from daemon.archive.behind import StoreParts, start_behind
from daemon.archive.closing import finish
from daemon.archive.dirty import DirtyManifests
from daemon.archive.opening import OpenedStore, open_store
from daemon.archive.pins import LifecyclePins
from daemon.archive.reads import StoreReads
from daemon.archive.recent import RecentEvents, bounded
from daemon.archive.reservations import Reservations
from daemon.archive.writer import NoRoomError
from daemon.errors import DaemonError, DiskFailedError
from daemon.journal.checkpoint import BatchEnd
from daemon.journal.committer import Journal
from daemon.journal.disk import Disk, OperatingSystemDisk
from daemon.journal.threads import Threads
from daemon.redaction.pending import Erasure
from daemon.settings import DEFAULT_SETTINGS, StoreSettings
from protocol.errors import (
    CommandError,
    OptimisticLockError,
    OverloadedError,
    ShuttingDownError,
    StorageFullError,
    UnavailableError,
)
from protocol.events import CommittedEvent, NewEvent
from protocol.limits import PAGE_BYTES_MAX
from protocol.replies import ManifestSummary, Usage
from protocol.snapshots import StateSnapshot

RETRY_AFTER_MS: Final = 200  # The archive frees a batch of thousands in about that time.


class _Entry(NamedTuple):  # An event on its way through the journal, and who hears if it fails.
    committed: CommittedEvent
    refused: Callable[[AppendRefusal], None]


class FileStore:
    """The embedded `EventStore`. Made by `FileStore.open`, ended by `close`."""

    def __init__(
        self,
        disk: Disk,
        data_directory: Path,
        opened: OpenedStore,
        settings: StoreSettings,
        timer: Timer | None,
        threads: Threads | None,
        turns: Turns | None,
        on_failed: Callable[[DaemonError], None],
    ) -> None:
        self.store_id = opened.identity.store_id
        self.notes = opened.notes  # What start-up mended, in sentences for the operator.
        self._disk, self._directory = disk, data_directory
        self._opened, self._report_failure = opened, on_failed
        self._failure: DaemonError | None = None
        self._closing: asyncio.Task[None] | None = None
        self._listener: CommittedListener | None = None
        self._rows = sorted(opened.rows.values(), key=attrgetter("created_seq"))
        self._versions = {row.manifest_id: row.version for row in self._rows}
        self._pending: dict[str, _Entry] = {}
        self._next_seq = opened.end.seq + 1
        self._recent = RecentEvents(opened.end.seq)
        self._dirty = DirtyManifests(settings.dirty)
        self._dirty.restore(opened.dirty)
        self._reservations = Reservations(self._rows)
        self._journal: Journal[_Entry] = Journal(
            disk,
            data_directory,
            end=opened.end,
            loop=asyncio.get_running_loop(),
            on_batch=self._on_batch,
            on_refused=self._on_refused,
            on_failed=self._fail,
            segment_size_bytes=settings.segment_size_bytes,
            threads=threads,
            turns=turns,
        )
        self._reads = StoreReads(disk, data_directory, self._journal.durable_end)
        self._pins = LifecyclePins(disk, data_directory)
        self._archiver, self._housekeeping = start_behind(
            disk,
            data_directory,
            opened,
            StoreParts(self._dirty, self._journal, self._reads),
            retention=settings.retention,
            timer=timer or asyncio.get_running_loop(),
            last_seq=lambda: self.last_seq,
            on_failed=self._fail,
        )

    @classmethod
    async def open(
        cls,
        data_directory: Path,
        *,
        disk: Disk | None = None,
        settings: StoreSettings = DEFAULT_SETTINGS,
        timer: Timer | None = None,
        threads: Threads | None = None,
        turns: Turns | None = None,
        on_failed: Callable[[DaemonError], None],
    ) -> Self:
        """Open the store in `data_directory`, made when missing, and recover what a crash left.

        `on_failed` is called once when the disk failed or stored bytes turned out damaged: end the
        process with the error's `exit_status`. Batches are told in `turns`, those of whoever is told.

        Raises:
            StoreLockedError: another daemon works on it.
            DamagedStoreError: it cannot be trusted as it is; nothing was changed.
            DiskFailedError: the disk failed.
        """
        disk = OperatingSystemDisk() if disk is None else disk
        reserve = settings.reserve_size_bytes
        opened = await wrap(open_store)(disk, data_directory, reserve_size_bytes=reserve)
        return cls(disk, data_directory, opened, settings, timer, threads, turns, on_failed)

    def on_committed(self, listener: CommittedListener) -> None:
        """See `EventStore`."""
        assert self._listener is None
        self._listener = listener

    def append(
        self, event: NewEvent, expected: Position, refused: Callable[[AppendRefusal], None]
    ) -> None:
        """See `EventStore`."""
        refusal = self._refusal(event, expected)
        if refusal is not None:
            refused(refusal)
            return
        entry = _Entry(CommittedEvent.of(event, self._next_seq), refused)
        self._next_seq += 1
        self._pending[event.core.manifest_id] = entry
        self._journal.append(entry)

    async def load(self, manifest_id: str) -> Loaded:
        """See `EventStore`."""
        while True:
            version = self._versions.get(manifest_id, 0)
            dirty = self._dirty.get(manifest_id)
            events = [] if dirty is None else dirty.events
            if dirty is not None and dirty.snapshot is not None and dirty.is_current():
                return Loaded(dirty.snapshot, [])
            archived_version = version - len(events)
            archived = await self._reads.load(manifest_id, archived_version)
            if self._versions.get(manifest_id, 0) != version:
                continue  # Events were committed meanwhile.
            if archived.rebuilt and archived.snapshot and manifest_id not in self._dirty:
                self.save_snapshot(archived.snapshot)  # Mends state.json.
            return Loaded(archived.snapshot, archived.tail + events)

    def save_snapshot(self, snapshot: StateSnapshot) -> None:
        """See `EventStore`."""
        self._dirty.save(snapshot)
        if not self._archiver.is_awake:
            self._archiver.wake()

    def is_clean(self, manifest_id: str) -> bool:
        """See `EventStore`."""
        return manifest_id not in self._dirty and manifest_id not in self._pending

    def summaries(self) -> Sequence[ManifestSummary]:
        """See `EventStore`. Handed over, not kept: a second call returns nothing."""
        rows, self._rows = self._rows, []
        return rows

    async def history(
        self, manifest_id: str, after_version: int, limit: int
    ) -> list[CommittedEvent]:
        """See `EventStore`."""
        unarchived = self._unarchived(manifest_id)
        archived_version = self._versions.get(manifest_id, 0) - len(unarchived)
        events: list[CommittedEvent] = []
        if after_version < archived_version:
            upto_version = min(archived_version, after_version + limit)
            events = await self._reads.events(manifest_id, after_version, upto_version)
        events += unarchived[max(0, after_version - archived_version) :]
        return bounded(events[:limit], PAGE_BYTES_MAX)

    async def find_command(self, manifest_id: str, command_id: str) -> CommittedEvent | None:
        """See `EventStore`."""
        unarchived = self._unarchived(manifest_id)
        for event in unarchived:
            if event.core.command_id == command_id:
                return event
        archived_version = self._versions.get(manifest_id, 0) - len(unarchived)
        return await self._reads.find_command(manifest_id, command_id, archived_version)

    async def feed(self, after_seq: int, limit: int) -> FeedPage:
        """See `EventStore`."""
        missing = self._recent.first_seq - after_seq - 1
        if missing <= 0:
            events = self._recent.page(after_seq, limit, PAGE_BYTES_MAX)
        else:
            events = await self._reads.feed(after_seq, min(limit, missing))
        next_seq = events[-1].seq + 1 if events else min(after_seq, self.last_seq) + 1
        return FeedPage(events, next_seq)

    @property
    def last_seq(self) -> int:
        """See `EventStore`."""
        return self._recent.last_seq

    @property
    def end(self) -> BatchEnd:
        """The seq of the last durable event, and the log hash after it."""
        return BatchEnd(self._journal.durable_seq, self._journal.log_hash)

    @property
    def log_hash(self) -> str:
        """See `EventStore`."""
        return self._journal.log_hash.decode()

    @property
    def archived_seq(self) -> int:
        """The seq up to which every event is in its manifest's own folder."""
        return self._archiver.archived_seq

    @property
    def redactions_pending(self) -> int:
        """How many redactions are durable, and not carried out in every file."""
        return self._housekeeping.redactions_pending

    @property
    def usage(self) -> dict[str, Usage]:
        """How full the queues of journal and archive are."""
        return self._journal.usage | self._dirty.usage

    @property
    def writable(self) -> bool:
        """Whether an event would be taken now, and the last one tried found room."""
        return self._unwritable() is None and self._journal.storage_error is None

    def reserve(
        self, urn: str, manifest_id: str, version: int, answer: Callable[[str | None], None]
    ) -> None:
        """See `EventStore`."""
        del version  # Only a store that several daemons share has to know it.
        answer(self._reservations.reserve(urn, manifest_id))

    def confirm(self, urn: str, manifest_id: str) -> None:
        """See `EventStore`."""
        self._reservations.confirm(urn, manifest_id)

    def release(self, urn: str, manifest_id: str) -> None:
        """See `EventStore`."""
        self._reservations.release(urn, manifest_id)

    async def pin_lifecycle(self, name: str, definition: bytes) -> None:
        """See `EventStore`."""
        try:
            await wrap(self._pins.pin)(name, definition)
        except DiskFailedError as error:
            self._fail(error)  # Else `close` would call this end a clean one.
            raise

    async def pinned_lifecycles(self) -> dict[str, bytes]:
        """See `EventStore`."""
        return await wrap(self._pins.read)()

    async def write_behind(self) -> None:
        """See `EventStore`.

        Raises:
            StorageFullError: there was no room.
            DaemonError: the disk failed, or the archive contradicts the journal.
        """
        try:
            await self._archiver.archive_now()
        except NoRoomError as error:
            message = f"no room to write behind what is committed: {error}"
            raise StorageFullError(message) from error
        if self._failure is not None:
            raise self._failure

    async def close(self) -> None:
        """See `EventStore`. The second call waits for the first."""
        if self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        try:
            await self._housekeeping.stop()
            await self._journal.close()
            if self._failure is None:
                await finish(
                    self._disk,
                    self._directory,
                    self._archiver,
                    self._housekeeping,
                    self._opened.reserve,
                    lambda: self.end,
                    self._fail,
                )
        finally:
            await self._archiver.stop()
            self._opened.index_file.close()
            self._disk.unlock(self._opened.lock)

    def _refusal(self, event: NewEvent, expected: Position) -> AppendRefusal | None:
        if (error := self._unwritable()) is not None:
            outcome = AppendOutcome.FULL if self._failure is None else AppendOutcome.UNKNOWN
            return AppendRefusal(outcome, error)
        manifest_id = event.core.manifest_id
        version = self._versions.get(manifest_id, 0)
        assert event.core.version == expected.version + 1
        if expected.version == version and manifest_id not in self._pending:
            return None
        actual = version + (manifest_id in self._pending)
        lost = OptimisticLockError.at(
            manifest_id, expected=expected.version, actual=actual, allowed_events=[]
        )
        return AppendRefusal(AppendOutcome.CONFLICT, lost)

    def _unwritable(self) -> CommandError | None:
        if self._failure is not None:
            return UnavailableError(f"the store has failed: {self._failure}")
        if self._closing is not None:
            return ShuttingDownError("the daemon is shutting down; nothing was written")
        refusal = self._journal.refusal()
        if refusal is not None:
            return refusal
        if not self._dirty.holds(1.0):
            return None
        if self._archiver.no_room is not None:
            return StorageFullError(f"no room to archive: {self._archiver.no_room}; free some")
        what, limit = "the queue of the archive", len(self._dirty)
        return OverloadedError.full(what, limit=limit, retry_after_ms=RETRY_AFTER_MS)

    def _on_batch(self, entries: Sequence[_Entry], _log_hash: bytes) -> None:
        if self._failure is not None:
            return  # They were told: only a restart can tell what is there.
        committed = [entry.committed for entry in entries]
        for event in committed:
            manifest_id = event.core.manifest_id
            del self._pending[manifest_id]
            self._versions[manifest_id] = event.core.version
            self._recent.add(event)
            self._dirty.add(event)
            erasure = Erasure.of(event)
            if erasure is not None:
                self._recent.redact(*erasure)
                self._housekeeping.redact(erasure)
        assert self._listener is not None
        self._listener(committed)
        self._archiver.wake()

    def _on_refused(self, entries: Sequence[_Entry], error: CommandError) -> None:
        self._next_seq = self._journal.durable_seq + 1
        self._pending.clear()
        for entry in entries:
            entry.refused(AppendRefusal(AppendOutcome.FULL, error))

    def _fail(self, error: DaemonError) -> None:
        """Acknowledge nothing from now on, whatever else becomes durable."""
        if self._failure is not None:
            return
        self._failure = error
        self._report_failure(error)
        entries, self._pending = self._pending, {}
        unknown = "the store failed before the event was safe; ask again with the same command_id"
        for entry in entries.values():
            entry.refused(AppendRefusal(AppendOutcome.UNKNOWN, UnavailableError(unknown)))

    def _unarchived(self, manifest_id: str) -> list[CommittedEvent]:
        dirty = self._dirty.get(manifest_id)
        return [] if dirty is None else dirty.events
