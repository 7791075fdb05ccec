"""The op `backup`: pages of every event up to one seq, while the daemon works.

    open -> seq S and log_hash at S, in one turn of the loop     (so nothing lies between them)
    page -> what the journal holds, and before that, after retention, the archive in seq order

Promise:  the events up to S are immutable but for redaction, so pages read later are still of S.
          Each page is one read in a worker thread; a backup costs the loop what its pages do as a
          feed. A page asked for again is answered again, also after a restart. At most `BACKUPS_MAX`
          are under way; one more has to wait: after retention, to take its place would have every
          page of each of them open every log anew.
Assume:   a client asks for one page after another.
Not here: the file, and its check as a whole (`protocol.backup`, `manifestctl`). The daemon writes
          none: a path that a client names would be opened with the daemon's rights.
"""

from collections import OrderedDict
from pathlib import Path
from typing import Final

import msgspec
from aiofiles.os import wrap

from daemon.archive.ordered import OrderedArchive
from daemon.errors import DamagedStoreError
from daemon.journal.disk import Disk
from daemon.store import FileStore
from protocol.commands import Backup
from protocol.errors import (
    BadRequestError,
    CommandError,
    CorruptError,
    HistoryCompactedError,
    OverloadedError,
    UnavailableError,
)
from protocol.events import CommittedEvent
from protocol.limits import PAGE_BYTES_MAX
from protocol.progress import Clock, ProgressReporter, ProgressSink
from protocol.replies import BackupResult

BACKUP: Final = "backup"
STAGES: Final = ("events",)
BACKUPS_MAX: Final = 4  # At once; each holds a place in every log.
IDLE_NS: Final = 10 * 10**9  # Then a client is taken to be gone, and its place may go to another.
RETRY_AFTER_MS: Final = 2000


class _Followed:
    """One backup under way: its progress, and its place in the archive."""

    def __init__(self, reporter: ProgressReporter, archive: OrderedArchive, now_ns: int) -> None:
        self.reporter = reporter
        self.archive = archive
        self.used_ns = now_ns


class Backups:
    """Answers `backup`."""

    def __init__(
        self,
        store: FileStore,
        disk: Disk,
        data_directory: Path,
        sink: ProgressSink,
        clock: Clock,
    ) -> None:
        self._store = store
        self._disk = disk
        self._directory = data_directory
        self._sink = sink
        self._clock = clock
        self._followed: OrderedDict[str, _Followed] = OrderedDict()

    async def answer(self, request: Backup) -> BackupResult:
        """Return the answer to `request`.

        Raises:
            CommandError: it cannot be answered.
        """
        if request.upto_seq is None:
            return await self._open(request)
        if request.upto_seq > self._store.last_seq:
            message = (
                f"the last event is {self._store.last_seq}; there is nothing up to "
                f"{request.upto_seq}"
            )
            raise BadRequestError(
                message, path="/upto_seq", suggestion="open a backup: leave upto_seq out"
            )
        return await self._page(request, request.upto_seq)

    async def _open(self, request: Backup) -> BackupResult:
        seq, log_hash = self._store.end
        self._follow(request.token, seq)
        lifecycles = await self._store.pinned_lifecycles()
        return BackupResult(
            store_id=self._store.store_id,
            seq=seq,
            next_seq=1,
            events=[],
            log_hash=log_hash.decode(),
            lifecycles={name: msgspec.Raw(one) for name, one in lifecycles.items()},
        )

    async def _page(self, request: Backup, upto_seq: int) -> BackupResult:
        followed = self._followed.get(request.token) or self._follow(request.token, upto_seq)
        followed.used_ns = self._clock.monotonic_ns()
        self._followed.move_to_end(request.token)
        after_seq = request.after_seq
        limit = min(request.limit, upto_seq - after_seq)
        try:
            events = await self._events(followed, after_seq, limit) if limit > 0 else []
        except CommandError as error:
            self._followed.pop(request.token, None)
            followed.reporter.error(str(error), seq=after_seq)
            raise
        next_seq = events[-1].seq + 1 if events else after_seq + 1
        followed.reporter.progress((next_seq - 1) / max(upto_seq, 1), seq=next_seq - 1)
        if next_seq > upto_seq and self._followed.pop(request.token, None) is not None:
            followed.reporter.complete(seq=upto_seq)
        return BackupResult(
            store_id=self._store.store_id,
            seq=upto_seq,
            next_seq=next_seq,
            events=[msgspec.Raw(event.line) for event in events],
        )

    async def _events(
        self, followed: _Followed, after_seq: int, limit: int
    ) -> list[CommittedEvent]:
        try:
            return (await self._store.feed(after_seq, limit)).events
        except HistoryCompactedError as error:
            oldest_seq = int(error.details["oldest_seq"])
        try:
            return await wrap(followed.archive.page)(after_seq, oldest_seq, limit, PAGE_BYTES_MAX)
        except DamagedStoreError as damage:
            details = {"file": str(damage.path), "line": damage.line, "seq": damage.seq}
            raise CorruptError(
                str(damage), suggestion="manifestd fsck", details=details
            ) from damage
        except OSError as unread:
            message = f"the store cannot be read now: {unread}"
            raise UnavailableError(message) from unread

    def _follow(self, token: str, seq: int) -> _Followed:
        now_ns = self._clock.monotonic_ns()
        self._followed.pop(token, None)
        if len(self._followed) >= BACKUPS_MAX:
            self._give_up_idle(now_ns)
        reporter = ProgressReporter(self._sink, self._clock)
        followed = _Followed(reporter, OrderedArchive(self._disk, self._directory), now_ns)
        self._followed[token] = followed
        reporter.start(BACKUP, STAGES, token=token, seq=seq)
        reporter.stage(STAGES[0])
        return followed

    def _give_up_idle(self, now_ns: int) -> None:
        """Take its place from whoever was silent longest; `OverloadedError` where nobody is."""
        token, eldest = next(iter(self._followed.items()))
        if now_ns - eldest.used_ns < IDLE_NS:
            what = "the table of backups under way"
            raise OverloadedError.full(what, limit=BACKUPS_MAX, retry_after_ms=RETRY_AFTER_MS)
        del self._followed[token]
        eldest.reporter.error("nobody asked for its next page")
