"""Time that stands still until a test moves it."""

import asyncio
from collections.abc import Callable


class ManualHandle:
    """A timer that was set; `cancel` calls it off."""

    def __init__(self, due: float, callback: Callable[[], None]) -> None:
        self.due = due
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        """Call the timer off."""
        self.cancelled = True


class ManualTimer:
    """Stands in for the loop where something asks for the time or sets a timer."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._handles: list[ManualHandle] = []

    def time(self) -> float:
        """Return the time in seconds."""
        return self.now

    def call_later(self, delay: float, callback: Callable[[], None], /) -> ManualHandle:
        """Call `callback` when the time has been moved by `delay` seconds."""
        handle = ManualHandle(self.now + delay, callback)
        self._handles.append(handle)
        return handle

    @property
    def waiting(self) -> list[ManualHandle]:
        """The timers that are set, the next one first."""
        self._handles = [handle for handle in self._handles if not handle.cancelled]
        return sorted(self._handles, key=lambda handle: handle.due)

    def advance(self, seconds: float) -> None:
        """Move the time, and call what is due on the way."""
        end = self.now + seconds
        while self.waiting and self.waiting[0].due <= end:
            handle = self.waiting[0]
            self.now = max(self.now, handle.due)
            handle.cancel()
            handle.callback()
        self.now = end


async def until(condition: Callable[[], bool], *, timeout_s: float = 30.0) -> None:
    """Let the loop turn until `condition` holds."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + timeout_s
    while not condition():
        assert loop.time() < give_up, "it never came to hold"
        turned = loop.create_future()
        loop.call_later(0.0005, turned.set_result, None)
        await turned
