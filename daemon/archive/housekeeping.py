"""What a store does by itself, now and then, beside archiving: it lets old segments go.

Promise:  a segment that has grown too old goes within `SWEEP_S`, also where nothing is written; at
          most one piece of work at a time, and never beside the archiver's.
Not here: which segments go (`journal/retention.py`).
"""

import asyncio
from contextlib import suppress
from typing import Final

from daemon.archive.archiver import Archiver, Timer, TimerHandle
from daemon.archive.work import BlockingWork
from daemon.errors import DaemonError

SWEEP_S: Final = 3600.0  # Ages are given in days.


class Housekeeping:
    """Belongs to the event loop's thread. `stop` it before the archiver."""

    def __init__(self, archiver: Archiver, work: BlockingWork, timer: Timer) -> None:
        self._archiver = archiver
        self._work = work
        self._timer = timer
        self._handle: TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Look now, and every hour from now on."""
        if self._work.removes_by_age:
            self._look()

    async def stop(self) -> None:
        """Begin nothing more, and wait for what is being done."""
        if self._handle is not None:
            self._handle.cancel()
        if self._task is not None:
            await self._task

    def _look(self) -> None:
        self._handle = self._timer.call_later(SWEEP_S, self._look)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._sweep())

    async def _sweep(self) -> None:
        with suppress(DaemonError):  # The archiver has reported it.
            await self._archiver.alone(self._work.sweep)
