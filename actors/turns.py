"""The loop's turns: how much is done in one before sockets and timers get theirs.

    turn := [work that waited: one lane first, then the others] [what sockets, threads, tasks bring]

Promise:  nothing is begun any more once a turn has taken `TURN_S_MAX`: it takes that, and the one piece
          of work that was under way then. Whatever waits is begun in the end: each turn begins
          with another lane, and a lane with what has waited longest in it.
Assume:   everything runs on the loop's thread. No piece of work is long by itself: what a request or
          an event may hold is bounded for that (`protocol.limits`), and so are batches and pages.
Not here: which work is worth asking for. What takes microseconds and is bounded in number need not.

To ask is to read the clock: a tenth of a microsecond.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final

TURN_S_MAX: Final = 0.01  # A tenth of what the loop may be held up; the longest piece has the rest.

Action = Callable[[], object]


class Lane:
    """Work of one sort that waits for its turn, first in, first out."""

    __slots__ = ("_turns", "_waiting")

    def __init__(self, turns: "Turns") -> None:
        self._turns = turns
        self._waiting: deque[Action] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def begin(self, action: Action) -> None:
        """Do `action`: now where nothing waits and there is time, else in its turn."""
        if self._waiting or self._turns.is_over():
            self.later(action)
        else:
            action()

    def later(self, action: Action) -> None:
        """Do `action` in its turn."""
        self._waiting.append(action)
        self._turns.is_over()  # A turn that has begun is followed by another one.

    def next(self) -> None:
        """Do what has waited longest."""
        self._waiting.popleft()()

    def clear(self) -> None:
        """Forget what waits."""
        self._waiting.clear()


class Turns:
    """All that is done on one loop, in portions. `clock` gives seconds; `loop`: else the running one."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        *,
        turn_s_max: float = TURN_S_MAX,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._clock = clock
        self._loop = loop
        self._turn_s_max = turn_s_max
        self._ends_s = 0.0
        self._has_begun = False  # Then the next one is sure to come.
        self._is_given = False  # To the task that was woken.
        self._lanes: deque[Lane] = deque()
        self.commands = self.lane()  # Of manifests: each does one, or more while there is time.
        self._tasks = self.lane()

    def lane(self) -> Lane:
        """Return a new lane, for work of another sort."""
        lane = Lane(self)
        self._lanes.append(lane)
        return lane

    def is_over(self) -> bool:
        """Tell whether the rest has to wait for another turn."""
        now_s = self._clock()
        if self._has_begun:
            return now_s >= self._ends_s
        self._begin(now_s)
        return False

    async def share(self) -> None:
        """Return when the task that asks may do a piece of work: at once, or in its turn."""
        if not self._tasks and not self.is_over():
            return
        woken = asyncio.get_running_loop().create_future()

        def wake() -> None:
            if _wake(woken):
                self._is_given = True
                self._ends_s = self._clock()

        self._tasks.later(wake)
        await woken

    async def finish(self, lane: Lane) -> None:
        """Return when nothing waits in `lane` any more."""
        while lane:
            passed = asyncio.get_running_loop().create_future()
            lane.later(partial(_wake, passed))
            await passed

    def _begin(self, now_s: float) -> None:
        self._has_begun = True
        self._ends_s = now_s + self._turn_s_max
        self._come_again()

    def _come_again(self) -> None:
        (self._loop or asyncio.get_running_loop()).call_soon(self._next)

    def _next(self) -> None:
        if self._is_given:  # The task runs in this one.
            self._is_given = False
            self._come_again()
            return
        self._has_begun = False
        self._lanes.rotate(-1)
        if any(self._lanes):
            self._begin(self._clock())
            self._work()

    def _work(self) -> None:
        for lane in tuple(self._lanes):
            while lane:
                lane.next()
                if self.is_over():
                    return


def _wake(waiting: asyncio.Future[None]) -> bool:
    """Wake the task that waits, and tell whether there is one: it may have been cancelled."""
    if waiting.done():
        return False
    waiting.set_result(None)
    return True
