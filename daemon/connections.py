"""How many peers may be connected, and what happens before there are no descriptors left.

Promise:  three quarters of the descriptors are kept free for files and for those who connect between
          two looks. When more peers are connected than that leaves, or than the configuration lets
          in, the door is closed: who connects then is refused at once. Those who hold most
          connections are hung up on, newest number first, and when there is room the door is
          opened. Whoever holds few connections stays connected.
Assume:   Linux 6.2 or newer for the cheap count (stat of /proc/self/fd); else it is read.
Not here: what a file does when there is none left all the same (`journal.disk`, it waits).

libzmq accepts whoever comes, and ends the process when there is no descriptor left for one
(ipc_listener.cpp takes EMFILE for a bug of ours; measured). Nothing but the name of its socket can be
taken from it without ending every connection there is, so that is the door: without a name nobody
finds it, and what is in its backlog is the last that it accepts. A thread of its own looks, so that
no busy turn of the loop keeps it from that.

The connections are ended by their descriptors' numbers: `shutdown` has libzmq close them. No descriptor
is needed for any of this, or it would fail when it is needed. A number may pass to another
connection while we look; then that one is hung up on, and a file takes no notice (ENOTSOCK).
"""

import logging
import os
import resource
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from struct import unpack
from typing import Final, NamedTuple

from daemon.door import Door
from daemon.errors import ConfigurationError
from protocol.replies import Usage

log: Final = logging.getLogger(__name__)

CONNECTIONS_MAX: Final = 4096  # A connection costs libzmq some ten kilobytes.
# With fewer there is no time to close the door before a flood has taken them all.
DESCRIPTORS_MIN: Final = 4096
CONNECTIONS_SHARE: Final = 4  # One of so many parts of the descriptors.
BACKLOG_MAX: Final = 1024  # Clients that connect at the same moment; libzmq's 100 are few.
BACKLOG_SHARE: Final = 32  # Likewise: those are accepted after the door was closed.
INTERVAL_S_MAX: Final = 0.25  # Between two looks; 3 us each.
INTERVAL_S_MIN: Final = 0.002
ACCEPTED_PER_S_MAX: Final = 200_000  # Four times what was measured.
SLACK_SHARE: Final = 16  # So many parts are the connections; one of them is freed beyond need.
CALM_S: Final = 1.0  # So long there has been room when the log says that there is.
_CREDENTIALS: Final = "3i"  # struct ucred (unix(7)): pid, uid, gid.


class Connection(NamedTuple):
    """One peer's connection: the number of our descriptor, and the peer's process."""

    descriptor: int
    pid: int


def raise_descriptor_limit() -> None:
    """Take as many descriptors as we may: the default for a process is made for `select`.

    Raises:
        ConfigurationError: they are too few; the message says how to go on.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if descriptor_limit() < DESCRIPTORS_MIN:
        message = (
            f"only {descriptor_limit()} descriptors may be open; give it {DESCRIPTORS_MIN} or more "
            "(LimitNOFILE=, ulimit -n)"
        )
        raise ConfigurationError(message)


def open_descriptors() -> int:
    """Return how many descriptors this process has open."""
    count = os.stat("/proc/self/fd").st_size  # noqa: PTH116 (four times a second)
    return count or len(os.listdir("/proc/self/fd"))  # noqa: PTH208 (likewise)


def descriptor_limit() -> int:
    """Return how many it may have; somebody may change that while it runs (prlimit(1))."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def backlog() -> int:
    """Return how many may wait to be accepted, on each socket."""
    return max(1, min(BACKLOG_MAX, descriptor_limit() // BACKLOG_SHARE))


def connections(paths: Collection[str], numbers: int) -> Iterator[Connection]:
    """Yield the connections made to sockets at `paths`, by a look at each of so many descriptors."""
    for descriptor in range(numbers):
        try:
            looked_at = socket.socket(fileno=descriptor)
        except OSError:
            continue  # None, or no socket.
        try:
            if looked_at.family == socket.AF_UNIX and looked_at.getsockname() in paths:
                options = looked_at.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
                if not looked_at.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    yield Connection(descriptor, unpack(_CREDENTIALS, options)[0])
        except OSError:
            pass  # It ended meanwhile.
        finally:
            looked_at.detach()


def to_hang_up(connected: Sequence[Connection], count: int) -> list[Connection]:
    """Return `count` of the connections: one after the other of whichever process has most left."""
    by_process: dict[int, list[Connection]] = defaultdict(list)
    for connection in sorted(connected):
        by_process[connection.pid].append(connection)
    chosen: list[Connection] = []
    while len(chosen) < count and by_process:
        most = max(len(held) for held in by_process.values())
        for pid, held in list(by_process.items()):
            if len(held) == most and len(chosen) < count:
                chosen.append(held.pop())
                if not held:
                    del by_process[pid]
    return chosen


class ConnectionLimit:
    """Looks, hangs up, and keeps the door. `paths` are those of the daemon's ipc sockets."""

    def __init__(
        self,
        paths: Sequence[str],
        connections_max: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._paths = frozenset(paths)
        self._connections_max = connections_max
        self._clock = clock
        self._door = Door(paths)
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._own = open_descriptors()  # With few peers or none: the least that was seen.
        self._crowded_s: float | None = None  # When there were too many, the last time.
        self._hung_up = 0

    @property
    def _limit(self) -> int:
        """How many descriptors may be open, connections and all."""
        share = descriptor_limit() // CONNECTIONS_SHARE
        return max(self._own + 1, min(self._own + self._connections_max, share))

    @property
    def usage(self) -> dict[str, Usage]:
        """How many descriptors are open, and how many connections were ended."""
        return {"descriptors": Usage(open_descriptors(), self._limit, self._hung_up)}

    def start(self) -> None:
        """Begin to look; the sockets are bound."""
        wanted = CONNECTIONS_SHARE * (self._own + self._connections_max)
        if descriptor_limit() < wanted:
            log.warning(
                "only %d descriptors: at most %d connections; for the %d of limits.connections raise "
                "the limit to %d or more (LimitNOFILE=, ulimit -n)",
                *(descriptor_limit(), self._limit - self._own, self._connections_max, wanted),
            )
        self._thread = threading.Thread(target=self._watch, name="connections", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look no more, and leave the door open: the sockets' names are where they were bound."""
        if self._thread is not None:
            self._stopped.set()
            self._thread.join()
            self._thread = None
            try:
                self._door.open()
            except OSError as error:  # Nobody needs the names any more.
                log.warning("the sockets' names could not be given back: %s", error)

    def _watch(self) -> None:
        interval_s = 0.0
        while not self._stopped.wait(interval_s):
            try:
                interval_s = self.look()
            except Exception:
                log.exception("the connections could not be looked at")
                interval_s = INTERVAL_S_MAX

    def look(self) -> float:
        """See to it that there is room; return after how many seconds to look again."""
        used = open_descriptors()
        self._own = min(self._own, used)
        limit = self._limit
        # Less than is freed, so that one look frees enough; and more, so that the door moves seldom.
        enough = limit if self._door.is_open else limit - self._slack(limit) // 2
        if used > enough:
            self._door.close()
            self._make_room(used, limit)
        else:
            self._door.open()
            self._say_when_calm(used, limit)
        free = descriptor_limit() - used - backlog()
        return min(max(INTERVAL_S_MIN, free / ACCEPTED_PER_S_MAX), INTERVAL_S_MAX)

    def _say_when_calm(self, used: int, limit: int) -> None:
        if self._crowded_s is not None and self._clock() > self._crowded_s + CALM_S:
            self._crowded_s = None
            log.warning("there is room for connections again: %d of %d descriptors", used, limit)

    def _slack(self, limit: int) -> int:
        return max(1, (limit - self._own) // SLACK_SHARE)

    def _make_room(self, used: int, limit: int) -> None:
        # Numbers are given out from the smallest, so that few are larger than that.
        connected = list(connections(self._paths, 4 * used))
        for connection in to_hang_up(connected, used - limit + self._slack(limit)):
            with suppress(OSError):
                hang_up(connection.descriptor)
                self._hung_up += 1
        if self._crowded_s is None:
            log.warning(
                "%d descriptors are open, at most %d may be: nobody can connect, and whoever holds "
                "most connections loses some",
                *(used, limit),
            )
        self._crowded_s = self._clock()


def hang_up(descriptor: int) -> None:
    """End a connection; libzmq notices and closes it."""
    looked_at = socket.socket(fileno=descriptor)
    try:
        looked_at.shutdown(socket.SHUT_RDWR)
    finally:
        looked_at.detach()


def hang_up_on(pid: int | None, paths: Collection[str]) -> None:
    """End every connection of a process, None: of all processes, to the sockets at `paths`."""
    for connection in connections(paths, 4 * open_descriptors()):
        if pid in (None, connection.pid):
            with suppress(OSError):
                hang_up(connection.descriptor)
