"""The journal's own thread: take what is queued, write it, sync it, tell the loop; again.

Promise:  what it tells the loop is true of the disk. After an error that is no refused write it
          touches no file again.
Not here: everything that the loop knows (`committer.py`), the file (`segment_writer.py`).
"""

import errno
import logging
from collections.abc import Callable
from enum import Enum
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

from daemon.errors import DaemonError, DiskFailedError
from daemon.journal.batch import encode_batch
from daemon.journal.reader import DurableEnd
from daemon.journal.segment_writer import NoRoomError, SegmentWriter
from daemon.journal.threads import Queue
from protocol.errors import CommandError, ReadOnlyError, StorageFullError
from protocol.events import CommittedEvent

BATCH_SIZE_BYTES_MAX: Final = 4 << 20  # A write and a reader hold a batch in memory as a whole.
BATCH_EVENTS_MAX: Final = 512  # The loop applies, publishes and answers them in one go: some 15 ms.

log: Final = logging.getLogger(__name__)


class Entry(Protocol):
    """What is appended: anything that carries the event. It comes back in the callbacks."""

    @property
    def committed(self) -> CommittedEvent:
        """The event in its place."""


EntryT = TypeVar("EntryT", bound=Entry)


class Order(Enum):
    """What the loop tells the thread between two lists of entries."""

    STOP = "stop"  # Nothing is queued behind this but `REFUSAL_KNOWN`.
    SEAL = "seal"  # Append no more to the segment at hand.
    REFUSAL_KNOWN = "refusal known"  # What is queued behind this follows the last durable event.


class JournalBugError(DaemonError):
    """The journal's thread ended on a defect of ours. Unlike `DiskFailedError` the disk is well."""


class Answers(NamedTuple):
    """What the thread calls on the loop."""

    committed: Callable[..., None]  # (entries, size of their lines, durable end, log hash)
    write_refused: Callable[[CommandError], None]  # Answered by `Order.REFUSAL_KNOWN`.
    refused: Callable[..., None]  # (all entries that were queued, error)
    failed: Callable[[DaemonError], None]
    sealed: Callable[[], None]  # Answers `Order.SEAL`.
    stopped: Callable[[], None]


class CommitThread(Generic[EntryT]):
    """The thread's work. `post(callback, *arguments)` makes the loop call back."""

    def __init__(
        self,
        queue: Queue[list[EntryT] | Order],
        writer: SegmentWriter,
        log_hash: bytes,
        post: Callable[..., object],
        answers: Answers,
    ) -> None:
        self._queue = queue
        self._writer = writer
        self._log_hash = log_hash
        self._post = post
        self._answers = answers
        self._stopping = False

    def run(self) -> None:
        """Work until `Order.STOP` or a failure; the last thing called is `stopped`."""
        try:
            self._work()
            self._writer.close()
        except OSError as error:
            failure: DaemonError = DiskFailedError("committing to the journal", error)
            self._post(self._answers.failed, failure)
        except Exception as error:
            log.exception("the journal's thread ended on a defect")
            failure = JournalBugError(f"the journal's thread ended on a defect: {error!r}")
            self._post(self._answers.failed, failure)
        finally:
            self._post(self._answers.stopped)

    def _work(self) -> None:
        backlog: list[EntryT] = []
        while backlog or not self._stopping:
            if not backlog:
                self._receive(backlog)
            while self._queue.qsize():
                self._receive(backlog)
            if backlog:
                count = _fitting(backlog)
                try:
                    self._commit(backlog if count == len(backlog) else backlog[:count])
                except NoRoomError as error:
                    self._refuse(backlog, error)
                    count = len(backlog)
                backlog = backlog[count:]

    def _receive(self, backlog: list[EntryT]) -> Order | None:
        """Wait for what the loop queued next, and add it to `backlog` when it is entries."""
        queued = self._queue.get()
        if isinstance(queued, list):
            backlog += queued
            return None
        if queued is Order.STOP:
            self._stopping = True
        elif queued is Order.SEAL:
            self._writer.seal()
            self._post(self._answers.sealed)
        return queued

    def _commit(self, entries: list[EntryT]) -> None:
        events = [entry.committed for entry in entries]
        batch = encode_batch(events, self._log_hash)
        self._writer.commit(events[0].seq, batch.data)
        self._log_hash = batch.log_hash
        end = DurableEnd(
            events[-1].seq, self._writer.segment_first, self._writer.durable_size_bytes
        )
        self._post(self._answers.committed, entries, batch.lines_size_bytes, end, batch.log_hash)

    def _refuse(self, backlog: list[EntryT], cause: NoRoomError) -> None:
        """Give back everything that was queued before the loop knew of the refusal."""
        error = _client_error(cause)
        self._post(self._answers.write_refused, error)
        while not self._stopping and self._receive(backlog) is not Order.REFUSAL_KNOWN:
            pass
        self._post(self._answers.refused, list(backlog), error)


def _fitting(backlog: list[EntryT]) -> int:
    """Return how many entries make the next batch: at least one, at most what the bound admits."""
    size_bytes = 0
    for index, entry in enumerate(backlog):
        size_bytes += len(entry.committed.line)
        if index and (size_bytes > BATCH_SIZE_BYTES_MAX or index == BATCH_EVENTS_MAX):
            return index
    return len(backlog)


def _client_error(cause: NoRoomError) -> CommandError:
    kind = ReadOnlyError if cause.cause.errno == errno.EROFS else StorageFullError
    return kind(
        f"the journal cannot be written: {cause.cause.strerror}; nothing was changed",
        suggestion="make room on the data directory's file system; the daemon resumes by itself",
        details={"retry_after_ms": 1000},
    )
