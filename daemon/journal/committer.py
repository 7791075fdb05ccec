"""Group commit: many events, one write, one sync, one callback.

    loop    append append …  hand over        on_batch: apply, publish, answer
               |      |          |                ^ one call_soon_threadsafe per batch
    thread     +------+----> queue -> write -> sync     what arrives meanwhile is the next batch

Promise:  `on_batch` gets every event once, in seq order without gaps, after its batch is durable
          and its end may be read. After a refused write no event with a later seq is written until
          the loop knows of the refusal. After a failure nothing is called but `on_failed`, once.
Assume:   the caller gives gapless seqs, and asks `is_full` before each `append`.
Not here: the bytes (`batch.py`), the file (`segment_writer.py`).
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum
from functools import partial
from math import inf
from pathlib import Path
from typing import Final, Generic

from actors.turns import Turns
from daemon.errors import DaemonError
from daemon.journal.checkpoint import BatchEnd
from daemon.journal.commit_thread import Answers, CommitThread, EntryT, Order
from daemon.journal.disk import Disk
from daemon.journal.reader import SEALED, DurableEnd
from daemon.journal.recovery import JournalEnd
from daemon.journal.segment import SEGMENT_SIZE_BYTES
from daemon.journal.segment_writer import SegmentWriter
from daemon.journal.threads import Queue, SystemThreads, Threads
from protocol.errors import (
    CommandError,
    OverloadedError,
    ShuttingDownError,
    UnavailableError,
)
from protocol.replies import Usage

PENDING_EVENTS_MAX: Final = 65_536  # Two seconds of the fastest machine measured.
PENDING_BYTES_MAX: Final = 64 << 20  # Sixty-four requests of the largest size.
PAUSE_AFTER_REFUSAL_S: Final = 0.25  # Then one append tries again whether there is room.
BATCH_ENDS_MAX: Final = 65_536  # Places where the next checkpoint could stand; 10 MB.


class _Phase(Enum):
    OPEN = "open"
    REFUSING = "refusing"  # The thread is collecting what was queued behind a refused write.
    PAUSED = "paused"  # Everything was refused; wait, then let an append try.
    CLOSING = "closing"
    FAILED = "failed"


class Journal(Generic[EntryT]):
    """The journal while the daemon runs. All methods belong to the loop's thread."""

    def __init__(  # noqa: PLR0913 (named, and each of another kind)
        self,
        disk: Disk,
        data_directory: Path,
        *,
        end: JournalEnd,
        loop: asyncio.AbstractEventLoop,
        on_batch: Callable[[Sequence[EntryT], bytes], None],
        on_refused: Callable[[Sequence[EntryT], CommandError], None],
        on_failed: Callable[[DaemonError], None],
        segment_size_bytes: int = SEGMENT_SIZE_BYTES,
        threads: Threads | None = None,
        turns: Turns | None = None,
    ) -> None:
        """Start the journal's thread at `end`, which `recover_journal` returned.

        `on_batch(entries, log hash after them)`, `on_refused(entries, what to tell their clients)`
        and `on_failed(why)` are called on `loop`; after `on_failed` the process has to end. Await
        `close` in any case, before the loop ends.
        """
        self._loop = loop
        self._on_batch = on_batch
        self._on_refused = on_refused
        self._on_failed = on_failed
        self._phase = _Phase.OPEN
        self._resume_at = inf  # Loop time; finite only while paused.
        self._storage_error: CommandError | None = None
        self._collected: list[EntryT] = []
        self._pending_events = 0
        self._pending_bytes = 0
        self._log_hash = end.log_hash
        self._durable_end = DurableEnd(end.seq, end.segment_first, end.segment_size_bytes)
        self._batch_ends = deque(end.batch_ends)
        self._stopped = loop.create_future()
        self._sealing: list[asyncio.Future[None]] = []
        self._told = (turns or Turns(loop=loop)).lane()
        threads = threads or SystemThreads()
        self._queue: Queue[list[EntryT] | Order] = threads.queue()
        writer = SegmentWriter(
            disk,
            data_directory,
            segment_first=end.segment_first,
            segment_size_bytes=end.segment_size_bytes,
            segment_size_bytes_max=segment_size_bytes,
        )
        worker = CommitThread(self._queue, writer, end.log_hash, self._post, self._answers())
        threads.start(worker.run, "journal")

    def _answers(self) -> Answers:
        """Return what the thread has called on the loop."""
        return Answers(
            self._committed,
            self._write_refused,
            self._refused,
            self._failed,
            self._has_sealed,
            self._has_stopped,
        )

    def append(self, entry: EntryT) -> None:
        """Queue `entry`, whose seq follows the last one appended, or `durable_seq` after a refusal.

        Only while `is_full()` is False. On the loop, once, `on_batch` or `on_refused` gets it, or
        `on_failed` is called.

        `on_refused` gets at once ALL entries that were appended and not committed, in seq order:
        when it is called nothing is pending, and the next seq is `durable_seq + 1`. From the
        refused write until the pause after it ends `is_full()` is True.
        """
        assert self._phase is _Phase.OPEN
        if not self._collected:
            self._loop.call_soon(self._hand_over)
        self._collected.append(entry)
        self._pending_events += 1
        self._pending_bytes += len(entry.committed.line) + 1

    def is_full(self) -> bool:
        """Whether `append` must not be called now; `refusal` says what to tell the client."""
        if self._phase is _Phase.OPEN:
            return (
                self._pending_events >= PENDING_EVENTS_MAX
                or self._pending_bytes >= PENDING_BYTES_MAX
            )
        if self._phase is _Phase.PAUSED and self._loop.time() >= self._resume_at:
            self._phase = _Phase.OPEN
            return False
        return True

    def refusal(self) -> CommandError | None:
        """Return why `append` must not be called now, for the client; None when it may."""
        if not self.is_full():
            return None
        match self._phase:
            case _Phase.OPEN:
                return OverloadedError.full(
                    "the journal's queue", limit=PENDING_EVENTS_MAX, retry_after_ms=100
                )
            case _Phase.REFUSING | _Phase.PAUSED:
                return self._storage_error
            case _Phase.CLOSING:
                return ShuttingDownError(ShuttingDownError.wording)
            case _Phase.FAILED:
                return UnavailableError("the journal failed; the daemon is stopping")

    @property
    def usage(self) -> dict[str, Usage]:
        """How full the queue is, in each of its limits."""
        return {
            "journal_events": Usage(self._pending_events, PENDING_EVENTS_MAX),
            "journal_bytes": Usage(self._pending_bytes, PENDING_BYTES_MAX),
        }

    @property
    def storage_error(self) -> CommandError | None:
        """Why the last write was refused; None as soon as one succeeded again. For `health`."""
        return self._storage_error

    def try_resume(self) -> None:
        """Let the next append try the disk now, rather than when the pause is over."""
        self._resume_at = -inf

    @property
    def durable_seq(self) -> int:
        """The seq of the last durable event that `on_batch` was, or is being, called with."""
        return self._durable_end.seq

    @property
    def log_hash(self) -> bytes:
        """The log hash after `durable_seq`."""
        return self._log_hash

    @property
    def pending_events(self) -> int:
        """How many events were appended and neither committed nor refused yet."""
        return self._pending_events

    def durable_end(self) -> DurableEnd:
        """Return how far the journal may be read. Safe from any thread."""
        return self._durable_end

    def checkpoint_at(self, limit_seq: int) -> BatchEnd | None:
        """Return the greatest batch end <= `limit_seq` where no checkpoint stood yet, or None.

        It and those before it are forgotten: write the checkpoint, or never ask for them again.
        """
        end = None
        while self._batch_ends and self._batch_ends[0].seq <= limit_seq:
            end = self._batch_ends.popleft()
        return end

    async def seal(self) -> None:
        """Return when nobody appends to any segment that there is; the next batch begins a new one.

        After a failure it returns as well: what was asked for is then not to be done.
        """
        if self._stopped.done():
            return
        sealed = self._loop.create_future()
        self._sealing.append(sealed)
        self._queue.put(Order.SEAL)
        await sealed

    async def close(self) -> None:
        """Commit what was appended, let the last callbacks run, stop the thread.

        Does not write `clean`: that is for whoever knows that the archive is drained, too.
        """
        if self._phase is not _Phase.FAILED:
            self._hand_over()
            self._phase = _Phase.CLOSING
            self._queue.put(Order.STOP)
        await asyncio.shield(self._stopped)

    def _hand_over(self) -> None:
        if self._collected:
            self._queue.put(self._collected)
            self._collected = []

    # What follows is called by the thread, through the loop: one after the other, each as a whole,
    # and as many in one turn of the loop as there is time for.

    def _post(self, callback: Callable[..., None], *arguments: object) -> None:
        begin = self._at_once if callback == self._failed else self._told.begin
        self._loop.call_soon_threadsafe(begin, partial(callback, *arguments))

    def _at_once(self, failed: Callable[[], None]) -> None:
        self._told.clear()  # Durable or not: nothing is acknowledged any more.
        failed()

    def _committed(
        self, entries: list[EntryT], lines_size_bytes: int, end: DurableEnd, log_hash: bytes
    ) -> None:
        self._pending_events -= len(entries)
        self._pending_bytes -= lines_size_bytes
        self._durable_end = end
        self._log_hash = log_hash
        self._storage_error = None
        self._batch_ends.append(BatchEnd(end.seq, log_hash))
        if len(self._batch_ends) > BATCH_ENDS_MAX:  # A checkpoint may stand at every other one.
            self._batch_ends = deque(list(self._batch_ends)[1::2])
        self._on_batch(entries, log_hash)

    def _write_refused(self, error: CommandError) -> None:
        self._storage_error = error
        if self._phase is _Phase.OPEN:
            self._phase = _Phase.REFUSING
        self._hand_over()
        self._queue.put(Order.REFUSAL_KNOWN)

    def _refused(self, entries: list[EntryT], error: CommandError) -> None:
        self._pending_events = self._pending_bytes = 0
        if self._phase is _Phase.REFUSING:
            self._phase = _Phase.PAUSED
            self._resume_at = self._loop.time() + PAUSE_AFTER_REFUSAL_S
        self._on_refused(entries, error)

    def _failed(self, error: DaemonError) -> None:
        self._phase = _Phase.FAILED
        self._on_failed(error)

    def _has_sealed(self) -> None:
        self._durable_end = self._durable_end._replace(segment_size_bytes=SEALED)
        _tell(self._sealing.pop(0))

    def _has_stopped(self) -> None:
        while self._sealing:
            _tell(self._sealing.pop())
        _tell(self._stopped)


def _tell(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)
