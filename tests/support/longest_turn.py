"""The longest turn of a loop, in CPU time of its thread.

    with LongestTurn() as longest: ...      then `longest.cpu_s`

Promise:  what other processes and threads do in the meantime is not counted, nor is looking for garbage
          among what the test's process held before. A turn is all that the loop does before it looks
          at its sockets and timers again, however many callbacks that is.
"""

import asyncio
import gc
import time
from typing import Self


class LongestTurn:
    """Comes along in every turn of the running loop, and looks how long ago the last one was."""

    def __init__(self) -> None:
        self.cpu_s = 0.0
        self.turns = 0
        self._loop = asyncio.get_running_loop()
        self._handle: asyncio.Handle | None = None
        self._last_s = 0.0

    def __enter__(self) -> Self:
        """Begin to measure."""
        gc.collect()
        gc.freeze()  # For good: to thaw it would have every later look go through all of it.
        self._last_s = time.thread_time()
        self._handle = self._loop.call_soon(self._look)
        return self

    def __exit__(self, *_: object) -> None:
        """End with the turn that runs."""
        self._note()
        assert self._handle is not None
        self._handle.cancel()

    def _look(self) -> None:
        self._note()
        self.turns += 1
        self._handle = self._loop.call_soon(self._look)

    def _note(self) -> None:
        now_s = time.thread_time()
        self.cpu_s = max(self.cpu_s, now_s - self._last_s)
        self._last_s = now_s
