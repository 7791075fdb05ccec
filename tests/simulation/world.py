"""Virtual time: a clock, a heap of things to come, seeded dice, and the trace of what happened.

Promise:  the same seed gives the same trace, byte for byte, on every machine. Nothing here looks at
          a real clock, a real thread or the hash of an object.
Not here: the event loop (`loop.py`), threads (`threads.py`), the disk (`disk.py`).
"""

import hashlib
from collections.abc import Callable
from heapq import heappop, heappush
from math import inf
from random import Random
from typing import Final

START_NS: Final = 1_795_446_000_000_000_000  # 2026-11-23T15:00:00Z
SECOND_US: Final = 1_000_000
MILLISECOND_US: Final = 1_000


class ViolationError(AssertionError):
    """A promise was broken; the message begins with its number (`docs/durability.md`)."""


class StuckError(Exception):
    """Nothing is left to happen, and somebody waits: a deadlock in what is simulated."""


class Coming:
    """Something that will happen; `cancel` calls it off."""

    __slots__ = ("callback", "cancelled")

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        """Call it off."""
        self.cancelled = True


class World:
    """The time, what is to come, and what was. `now_us` only grows."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.now_us = 0
        self.clock_off_us = 0  # Somebody sets the clock on the wall.
        self.trace: list[str] = []
        self.violation: ViolationError | None = None  # The first one. Nothing happens after it.
        self._order = 0
        self._coming: list[tuple[int, int, Coming]] = []

    def dice(self, purpose: str) -> Random:
        """Return a source of randomness of its own: more throws here change nothing elsewhere."""
        return Random(f"{self.seed}/{purpose}")  # noqa: S311 (not for secrets: to be repeated)

    def after(self, delay_us: int, callback: Callable[[], None]) -> Coming:
        """Call `callback` in `delay_us`; what is due at one time happens in the order of calling."""
        assert delay_us >= 0
        coming = Coming(callback)
        self._order += 1
        heappush(self._coming, (self.now_us + delay_us, self._order, coming))
        return coming

    def run_until(self, limit_us: float, is_enough: Callable[[], bool]) -> None:
        """Let happen what is due up to `limit_us`, one thing after another, until `is_enough()`."""
        while True:
            while self._coming and self._coming[0][2].cancelled:
                heappop(self._coming)
            if not self._coming or self._coming[0][0] > limit_us:
                break
            due_us, _, coming = heappop(self._coming)
            self.now_us = max(self.now_us, due_us)
            coming.callback()
            if self.violation is not None:
                raise self.violation
            if is_enough():
                return
        if limit_us == inf:
            raise StuckError(f"nothing will happen any more at {self.now_us} us")
        self.now_us = max(self.now_us, int(limit_us))

    def wall_ns(self) -> int:
        """Return what a clock on the wall shows, in nanoseconds since 1970."""
        return START_NS + (self.now_us + self.clock_off_us) * 1000

    def note(self, *words: object) -> None:
        """Add a line to the trace: the time, and `words`."""
        self.trace.append(f"{self.now_us} {' '.join(map(str, words))}")

    def violated(self, message: str) -> ViolationError:
        """Return the error to raise where a promise is broken; who catches it hides nothing."""
        error = ViolationError(message)
        if self.violation is None:
            self.note("violated", message)
            self.violation = error
        return error

    def trace_hash(self) -> str:
        """Return the sha256 of the trace."""
        return hashlib.sha256("\n".join(self.trace).encode()).hexdigest()
