"""The service manager's side of the process: sd_notify (sd_notify(3)), without a library.

Promise:  `READY=1` is sent once the sockets answer; the watchdog is fed only from the event loop,
          so a loop that hangs gets the daemon restarted. A service manager that does not listen is
          logged, and no reason to stop.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Mapping
from typing import Final

log: Final = logging.getLogger(__name__)

MICROSECONDS: Final = 1_000_000
SENDING_MAX_S: Final = 0.5  # The loop waits that long for room in a busy manager's queue.


class ServiceManager:
    """Sends notifications to systemd, or nowhere when it did not start us."""

    def __init__(self, environment: Mapping[str, str], pid: int | None = None) -> None:
        self._address = environment.get("NOTIFY_SOCKET")
        self._timer: asyncio.TimerHandle | None = None
        own = environment.get("WATCHDOG_PID") in (None, str(pid or os.getpid()))
        interval = environment.get("WATCHDOG_USEC", "") if own else ""
        self.watchdog_s = int(interval) / MICROSECONDS if interval.isdecimal() else 0.0

    def notify(self, **members: str) -> None:
        """Send assignments such as `READY="1"`, in one message."""
        if not self._address:
            return
        name = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        # One assignment a line: a file name in a status may hold anything.
        text = "\n".join(f"{key}={' '.join(value.split())}" for key, value in members.items())
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
                channel.settimeout(SENDING_MAX_S)
                channel.sendto(text.encode(errors="replace"), name)
        except OSError as error:
            log.warning("NOTIFY_SOCKET=%s was not told %r: %s", self._address, text, error)

    def ready(self, status: str) -> None:
        """Say that the daemon answers."""
        self.notify(READY="1", STATUS=status)

    def status(self, status: str) -> None:
        """Say in one line what the daemon does; shown by `systemctl status`."""
        self.notify(STATUS=status)

    def stopping(self, status: str) -> None:
        """Say that the daemon is about to end."""
        self.notify(STOPPING="1", STATUS=status)

    def feed_watchdog(self, status: Callable[[], str]) -> None:
        """Feed the watchdog at half its interval, from now on; `status` is shown with it."""
        if not self.watchdog_s:
            return
        loop = asyncio.get_running_loop()

        def feed(interval_s: float) -> None:
            self._timer = loop.call_later(interval_s, feed, interval_s)
            self.notify(WATCHDOG="1", STATUS=status())

        feed(self.watchdog_s / 2)

    def close(self) -> None:
        """Stop feeding the watchdog."""
        if self._timer is not None:
            self._timer.cancel()
