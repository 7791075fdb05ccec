"""What a store does by itself beside archiving: old segments go, and so does what was redacted.

| what                  | when                                                                      |
|-----------------------|---------------------------------------------------------------------------|
| segments grown old    | at the start and every hour, also where nothing is written                |
| redactions            | as soon as one is durable, at the start, at the end; where there was no   |
|                       | room, again after `PAUSE_S`                                               |

Promise:  at most one piece of work at a time, and never beside the archiver's.
Not here: which segments go (`journal/retention.py`), how data is taken out (`redaction/`).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from daemon.archive.archiver import Archiver, Timer, TimerHandle
from daemon.archive.work import BlockingWork
from daemon.archive.writer import NoRoomError
from daemon.errors import DaemonError
from daemon.redaction.pending import Erasure
from daemon.redaction.work import ErasureWork

log: Final = logging.getLogger(__name__)

SWEEP_S: Final = 3600.0  # Ages are given in days.
PAUSE_S: Final = 30.0


class Housekeeping:
    """Belongs to the event loop's thread. `stop` it before the journal; `finish` after that."""

    def __init__(
        self, archiver: Archiver, work: BlockingWork, erasing: ErasureWork, timer: Timer
    ) -> None:
        self._archiver = archiver
        self._work = work
        self._erasing = erasing
        self._timer = timer
        self._handles: dict[str, TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._erasing_task: asyncio.Task[None] | None = None
        self._is_stopped = False

    @property
    def redactions_pending(self) -> int:
        """How many redactions are facts and not carried out in every file."""
        return len(self._erasing.pending)

    def start(self) -> None:
        """Do what is due, and look again now and then."""
        if self._work.removes_by_age:
            self._sweep()
        if self.redactions_pending:
            self._erase()

    def redact(self, erasure: Erasure) -> None:
        """Carry out a redaction whose event is durable, soon."""
        self._erasing.pending.add(erasure)
        self._erase()

    async def stop(self) -> None:
        """Begin nothing more, and wait for what is being done."""
        self._is_stopped = True
        for handle in self._handles.values():
            handle.cancel()
        if self._tasks:
            await asyncio.wait(set(self._tasks))

    async def finish(self) -> None:
        """Carry out what is pending, after the journal was closed; what is not is left to start-up.

        Raises:
            DaemonError: the disk failed, or stored bytes are damaged.
        """
        try:
            await self._carry_out()
        except NoRoomError as error:
            log.warning("no room to redact: %s; start-up will do it", error)

    def _sweep(self) -> None:
        self._handles["sweep"] = self._timer.call_later(SWEEP_S, self._sweep)
        self._begin(partial(self._archiver.alone, self._work.sweep))

    def _erase(self) -> None:
        if not self._is_stopped and (self._erasing_task is None or self._erasing_task.done()):
            self._erasing_task = self._begin(self._carry_out)

    def _begin(self, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(self._run(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _run(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except NoRoomError as error:
            log.warning("no room to redact: %s; trying again until there is", error)
            self._handles["erase"] = self._timer.call_later(PAUSE_S, self._erase)
        except DaemonError:
            pass  # The archiver has reported it.

    async def _carry_out(self) -> None:
        tried: set[Erasure] = set()
        while left := [one for one in self._erasing.pending.entries() if one not in tried]:
            tried.update(left)  # What damage stands in the way of is not tried for ever.
            await self._archiver.archive_now()
            await self._archiver.alone(partial(self._erasing.carry_out, left))
