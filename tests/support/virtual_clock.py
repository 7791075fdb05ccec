"""A wall clock, a loop's timers and stamps that all stand still until a test moves them."""

from collections.abc import Callable

from actors.ports import Stamp
from protocol.events import timestamp
from protocol.timers import seconds_between
from tests.support.manual_timer import ManualHandle, ManualTimer

START_NS = 1_795_446_000_000_000_000  # 2026-11-23T15:00:00Z
SECOND_NS = 1_000_000_000


class VirtualClock:
    """Stands in for the loop's `call_later`, and implements `ports.Stamper`."""

    def __init__(self) -> None:
        self.timer = ManualTimer()
        self.stamps = 0
        self._started = self.timer.now
        self._jumped_ns = 0

    def now(self) -> str:
        """Return what the wall clock shows."""
        passed_us = round((self.timer.now - self._started) * 1e6)
        return timestamp(START_NS + passed_us * 1000 + self._jumped_ns)

    def stamp(self) -> Stamp:
        """Return the time, and ids that count up."""
        self.stamps += 1
        return Stamp(self.now(), f"event-{self.stamps}", f"{self.stamps:032x}")

    def call_later(self, delay: float, callback: Callable[[], None], /) -> ManualHandle:
        """Call `callback` when the time has been moved by `delay` seconds."""
        return self.timer.call_later(delay, callback)

    def advance(self, seconds: float) -> None:
        """Let time go by, and call what is due on the way."""
        self.timer.advance(seconds)

    def jump(self, seconds: int) -> None:
        """Set the wall clock; no time goes by."""
        self._jumped_ns += seconds * SECOND_NS

    def show(self, at: str) -> None:
        """Set the wall clock to the time `at` (RFC 3339)."""
        self._jumped_ns += round(seconds_between(self.now(), at) * 1e6) * 1000

    @property
    def wakes(self) -> list[float]:
        """In how many seconds the timers that are set are due."""
        return [handle.due - self.timer.now for handle in self.timer.waiting]
