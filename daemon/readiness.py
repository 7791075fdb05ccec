"""The service manager's side of the process: sd_notify (sd_notify(3)), without a library.

Promise:  `READY=1` is sent once the sockets answer; the watchdog is fed only from the event loop,
          so a loop that hangs gets the daemon restarted.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Mapping
from typing import Final

MICROSECONDS: Final = 1_000_000


class ServiceManager:
    """Sends notifications to systemd, or nowhere when it did not start us."""

    def __init__(self, environment: Mapping[str, str], pid: int | None = None) -> None:
        self._address = environment.get("NOTIFY_SOCKET")
        self._timer: asyncio.TimerHandle | None = None
        own = environment.get("WATCHDOG_PID") in (None, str(pid or os.getpid()))
        interval = environment.get("WATCHDOG_USEC", "") if own else ""
        self.watchdog_s = int(interval) / MICROSECONDS if interval.isdecimal() else None

    def notify(self, **members: str) -> None:
        """Send assignments such as `READY="1"`; `OSError` when systemd's socket is gone."""
        if self._address is None:
            return
        name = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        text = "\n".join(f"{key}={value}" for key, value in members.items())
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.sendto(text.encode(), name)

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
        if self.watchdog_s is None:
            return
        loop = asyncio.get_running_loop()

        def feed(interval_s: float) -> None:
            self.notify(WATCHDOG="1", STATUS=status())
            self._timer = loop.call_later(interval_s, feed, interval_s)

        feed(self.watchdog_s / 2)

    def close(self) -> None:
        """Stop feeding the watchdog."""
        if self._timer is not None:
            self._timer.cancel()
