"""When the archive is written: soon when there is little to do, in bulk when there is much.

| situation                                   | what happens                                       |
|---------------------------------------------|----------------------------------------------------|
| few events since the last look              | written within `DELAY_S`: 200 ms after the commit, |
|                                             | writing included, the folder is current            |
| many (sustained load)                       | wait up to `COALESCE_S`: a manifest that changes   |
|                                             | five times is written once                         |
| half of a limit of `DirtyLimits` is reached | written at once, batch after batch                 |
| no room                                     | tried again after a pause that doubles             |

Promise:  the checkpoint never passes what archive and index hold on the disk. After a failed sync
          or rename nothing is tried again: `on_failed` is called, once.
Assume:   all methods run on the event loop's thread; `work` runs in a worker thread, one at a time.
Not here: how a batch is written (`writer.py`), what a full archive refuses (`store.py`).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

from daemon.archive.dirty import DirtyManifest, DirtyManifests
from daemon.archive.writer import NoRoomError
from daemon.errors import DaemonError
from daemon.journal.checkpoint import BatchEnd
from protocol.replies import ManifestSummary

log = logging.getLogger(__name__)

DELAY_S: Final = 0.05  # Between commit and write. Leaves 150 of 200 ms for the write itself.
LOAD_EVENTS: Final = 100  # In DELAY_S, so 2,000/s: from here on waiting saves more than it costs.
COALESCE_S: Final = 2.0  # The age at which a dirty manifest is written whatever the load.
CHECKPOINT_S: Final = 1.0  # Between checkpoints. Each costs two syncs, and start-up replays less.
PAUSE_FIRST_S: Final = 1.0  # After a write without room; doubles up to PAUSE_MAX_S.
PAUSE_MAX_S: Final = 30.0


class TimerHandle(Protocol):
    """A timer that can be called off."""

    def cancel(self) -> None: ...


class Timer(Protocol):
    """The part of an event loop that tells the time. A test passes one that it moves itself."""

    def time(self) -> float: ...
    def call_later(self, delay: float, callback: Callable[[], None], /) -> TimerHandle: ...


class ArchiveWork(Protocol):
    """What the archiver does not do itself; both are awaited one at a time."""

    def write(self, batch: Sequence[DirtyManifest]) -> Awaitable[list[ManifestSummary]]:
        """Archive a batch (`ArchiveWriter.write`)."""

    def checkpoint(
        self, rows: list[ManifestSummary], archived_seq: int, end: BatchEnd | None
    ) -> Awaitable[None]:
        """Add `rows` to the index, current to `archived_seq`, then write the checkpoint `end`."""


class Archiver:
    """Decides when what is dirty is written, and keeps the one task that does it."""

    def __init__(
        self,
        dirty: DirtyManifests,
        work: ArchiveWork,
        *,
        last_seq: Callable[[], int],
        batch_end: Callable[[int], BatchEnd | None],  # The greatest one up to a seq.
        on_failed: Callable[[DaemonError], None],
        timer: Timer,
    ) -> None:
        self.no_room: NoRoomError | None = None  # Why the last write was given up, until one works.
        self._dirty = dirty
        self._work = work
        self._last_seq = last_seq
        self._batch_end = batch_end
        self._on_failed = on_failed
        self._timer = timer
        self._handle: TimerHandle | None = None  # Of the next look, and when that is.
        self._look_at = 0.0
        self._task: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()  # Around each write: `archive_now` may come between.
        self._owed_end: BatchEnd | None = None  # A checkpoint that found no room.
        self._draining: asyncio.Future[None] | None = None
        self._rows: dict[str, ManifestSummary] = {}  # Of archived manifests, not yet in the index.
        self._stopped = False
        self._failure: DaemonError | None = None
        self._looked_at_seq = last_seq()
        self._dirty_since = timer.time()
        self._checkpoint_at = timer.time()
        self._pause_s = PAUSE_FIRST_S

    @property
    def archived_seq(self) -> int:
        """The seq up to which every event is in its manifest's folder."""
        first = self._dirty.first_seq
        return self._last_seq() if first is None else first - 1

    @property
    def is_awake(self) -> bool:
        """Whether it writes, or will look at what is dirty soon."""
        return self._task is not None or self._handle is not None

    def wake(self) -> None:
        """Look at what is dirty soon; called after every committed batch."""
        if self._stopped or self._task is not None:
            return
        if self._is_urgent():
            self._start()
        elif self._handle is None or self._awaits_checkpoint():
            self._dirty_since = self._timer.time()
            self._look_in(DELAY_S)

    async def archive_now(self) -> None:
        """Write everything that is dirty when called, then index and checkpoint.

        Raises:
            NoRoomError: there was no room; it is dirty still.
            DaemonError: the disk failed, or the archive contradicts the journal.
        """
        # Shielded: a caller that is cancelled does not stop the thread, and must not free the lock.
        self._draining = asyncio.ensure_future(self._drain())
        await asyncio.shield(self._draining)

    async def _drain(self) -> None:
        self._cancel()
        async with self._lock:
            if self._failure is not None:  # Also of what held the lock just now.
                raise self._failure
            if not self._stopped and (len(self._dirty) or self._rows):
                await self._write_batch()
                await self._write_checkpoint()

    async def alone(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do `work` while nothing else is written; nothing is begun once the archiver stopped.

        Raises:
            NoRoomError: there was no room.
            DaemonError: the disk failed, or stored bytes are damaged.
        """
        async with self._lock:
            if self._stopped:
                return
            try:
                await work()
            except NoRoomError:
                raise
            except DaemonError as error:
                self._fail(error)
                raise
            except Exception as error:
                log.exception("the archive stops after a fault of ours")
                failure = DaemonError("the archive stopped; see the log")
                self._fail(failure)
                raise failure from error

    async def stop(self) -> None:
        """Start nothing more, and wait for what is being written."""
        self._stopped = True
        self._cancel()
        async with self._lock:
            self._rows.clear()

    def _awaits_checkpoint(self) -> bool:
        """Whether the next look is about nothing but a checkpoint, and too late for what is dirty."""
        return self.no_room is None and self._look_at > self._timer.time() + DELAY_S

    def _look_in(self, delay_s: float) -> None:
        self._cancel()
        self._look_at = self._timer.time() + delay_s
        self._handle = self._timer.call_later(delay_s, self._look)

    def _is_urgent(self) -> bool:
        return self.no_room is None and self._dirty.holds(0.5)

    def _look(self) -> None:
        self._handle = None
        seq, now = self._last_seq(), self._timer.time()
        under_load = seq - self._looked_at_seq >= LOAD_EVENTS
        self._looked_at_seq = seq
        if under_load and now - self._dirty_since < COALESCE_S and not self._is_urgent():
            self._look_in(DELAY_S)
        else:
            self._start()

    def _start(self) -> None:
        self._cancel()
        self._task = asyncio.get_running_loop().create_task(self._run())
        self._task.add_done_callback(self._ended)

    def _ended(self, _task: asyncio.Task[None]) -> None:
        self._task = None
        if self._stopped or self._handle is not None:
            return
        if len(self._dirty):
            self.wake()
        elif self._rows:
            rest_s = self._checkpoint_at + CHECKPOINT_S - self._timer.time()
            self._look_in(max(rest_s, 0.0))

    async def _run(self) -> None:
        try:
            async with self._lock:
                await self._write_batch()
                if self._timer.time() - self._checkpoint_at >= CHECKPOINT_S:
                    await self._write_checkpoint()
        except NoRoomError:
            pass  # It is tried again.
        except DaemonError:
            assert self._stopped  # `on_failed` was called where it was caught first.
        except Exception:
            log.exception("the archive stops after a fault of ours")
            self._fail(DaemonError("the archive stopped; see the log"))

    async def _write_batch(self) -> None:
        batch = self._dirty.take()
        if not batch:
            return
        try:
            rows = await self._work.write(batch)
        except NoRoomError as error:
            self._dirty.put_back()
            self._give_up(error)
            raise
        except DaemonError as error:
            self._fail(error)
            raise
        self._dirty.settle()
        self._rows.update((row.manifest_id, row) for row in rows)
        self._recovered()

    async def _write_checkpoint(self) -> None:
        """Bring index and checkpoint up to what is archived."""
        archived_seq = self.archived_seq
        self._owed_end = self._batch_end(archived_seq) or self._owed_end
        try:
            await self._work.checkpoint(list(self._rows.values()), archived_seq, self._owed_end)
        except NoRoomError as error:
            self._give_up(error)
            raise
        except DaemonError as error:
            self._fail(error)
            raise
        self._rows.clear()  # The lock is held: nobody added a row meanwhile.
        self._owed_end = None
        self._checkpoint_at = self._timer.time()
        self._recovered()

    def _fail(self, error: DaemonError) -> None:
        self._stopped = True
        self._failure = error
        self._on_failed(error)

    def _give_up(self, error: NoRoomError) -> None:
        """Try again after a pause, whoever asked for what was given up."""
        if self.no_room is None:
            log.warning("no room for the archive: %s; trying again until there is", error)
        self.no_room = error
        if not self._stopped:
            self._look_in(self._pause_s)
            self._pause_s = min(self._pause_s * 2, PAUSE_MAX_S)

    def _recovered(self) -> None:
        if self.no_room is not None:
            log.warning("there is room for the archive again")
        self.no_room = None
        self._pause_s = PAUSE_FIRST_S

    def _cancel(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
