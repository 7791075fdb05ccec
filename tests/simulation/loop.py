"""An asyncio loop whose time is the world's.

Promise:  callbacks run in the order in which asyncio would run them; time passes only while nothing
          is ready, and a little with every turn, so that nobody can spin for ever at one moment.
"""

import asyncio
from collections.abc import Callable
from contextvars import Context
from math import ceil, inf
from typing import Any, Final, TypeVarTuple

from tests.simulation.threads import KilledError, SimulatedThreads
from tests.simulation.world import SECOND_US, World

TURN_US: Final = 25  # What a turn of the loop takes at most.
Arguments = TypeVarTuple("Arguments")
_RESOLUTION_S: Final = 1e-6


class SimulatedLoop(asyncio.BaseEventLoop):
    """The loop of one life of the simulated process. It is its own selector, with nothing to select."""

    def __init__(self, world: World, threads: SimulatedThreads) -> None:
        super().__init__()
        self.is_dead = False  # Then time stands still; what is left may only unwind.
        self._world = world
        self._threads = threads
        self._dice = world.dice(f"loop {world.now_us}")
        self._selector = self
        self._clock_resolution = _RESOLUTION_S
        self._ready: Any  # asyncio's own.

    def time(self) -> float:
        """Return the world's time in seconds."""
        return self._world.now_us / SECOND_US

    def select(self, timeout: float | None) -> list[Any]:
        """Let the world go on until something is ready here, at most for `timeout` seconds."""
        if self.is_dead:
            assert timeout == 0, "something waits that its dead process cannot do"
            return []
        now_us = self._world.now_us
        if timeout == 0:
            self._world.run_until(now_us + self._dice.randint(1, TURN_US), lambda: False)
        else:
            limit_us = inf if timeout is None else now_us + ceil(timeout * SECOND_US)
            self._world.run_until(limit_us, lambda: bool(self._ready))
        return []

    def run_in_executor(
        self, executor: object, func: Callable[..., Any], *args: object
    ) -> asyncio.Future[Any]:
        """Run `func` in a simulated thread."""
        assert executor is None
        future = self.create_future()
        if self.is_dead:
            future.cancel()
            return future

        def tell(outcome: Callable[[Any], None], value: object) -> None:
            if not future.done():
                outcome(value)

        def job() -> None:
            try:
                result = func(*args)
            except BaseException as error:
                if isinstance(error, KilledError):
                    self.call_soon(future.cancel)
                    raise
                self.call_soon(tell, future.set_exception, error)
            else:
                self.call_soon(tell, future.set_result, result)

        self._threads.start(job, "executor")
        return future

    def call_soon_threadsafe(
        self,
        callback: Callable[[*Arguments], object],
        *args: *Arguments,
        context: Context | None = None,
    ) -> asyncio.Handle:
        """See asyncio: with threads that take turns it is the same as `call_soon`."""
        return self.call_soon(callback, *args, context=context)

    def _process_events(self, event_list: list[Any]) -> None:
        """Nothing comes from outside."""

    def _write_to_self(self) -> None:
        """Nobody sleeps in a system call."""
