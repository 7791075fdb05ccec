"""How many peers may be connected, and what happens before there are no descriptors left.

Promise:  descriptors for files are kept free: when more peers are connected than that leaves, or
          than the configuration lets in, those who hold most connections are hung up on, newest
          number first, until there is room again. Whoever holds few of them stays connected.
Assume:   Linux 6.2 or newer for the cheap count (stat of /proc/self/fd); else it is read.
Not here: what a file does when there is none left all the same (`journal.disk`, it waits).

libzmq accepts whoever comes, and ends the process when there is no descriptor left for one
(ipc_listener.cpp takes EMFILE for a bug of ours; measured). So half of the descriptors, or as many as
may connect at the same moment, stay free, and the nearer the limit, the more often we look. To unbind would end every connection there is (measured): the
connections are ended by their descriptors' numbers: `shutdown` has libzmq close them. No descriptor
is needed for any of this, or it would fail when it is needed. A number may pass to another
connection while we look; then that one is hung up on, and a file takes no notice (ENOTSOCK).
"""

import logging
import os
import resource
import socket
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from struct import unpack
from typing import Final, NamedTuple

from actors.timers import CallLater, Handle
from protocol.replies import Usage

log: Final = logging.getLogger(__name__)

CONNECTIONS_MAX: Final = 4096  # A connection costs libzmq some ten kilobytes.
# For files, and for those who connect between two looks; of few descriptors only half.
DESCRIPTORS_RESERVED: Final = 1024
DESCRIPTORS_WANTED: Final = 8192  # With fewer of them a flood may be faster than we are.
INTERVAL_S_MAX: Final = 0.25  # Between two looks; 3 us each.
INTERVAL_S_MIN: Final = 0.002
ACCEPTED_PER_S_MAX: Final = 100_000  # Twice what was measured.
SLACK_SHARE: Final = 16  # So many parts are the connections; one of them is freed beyond need.
_CREDENTIALS: Final = "3i"  # struct ucred (unix(7)): pid, uid, gid.


class Connection(NamedTuple):
    """One peer's connection: the number of our descriptor, and the peer's process."""

    descriptor: int
    pid: int


def raise_descriptor_limit() -> None:
    """Take as many descriptors as we may: the default for a process is made for `select`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def open_descriptors() -> int:
    """Return how many descriptors this process has open."""
    count = os.stat("/proc/self/fd").st_size  # noqa: PTH116 (four times a second)
    return count or len(os.listdir("/proc/self/fd"))  # noqa: PTH208 (likewise)


def descriptor_limit() -> int:
    """Return how many it may have; somebody may change that while it runs (prlimit(1))."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


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
    """Looks, and hangs up. `paths` are those of the daemon's ipc sockets."""

    def __init__(self, paths: Sequence[str], connections_max: int, call_later: CallLater) -> None:
        self._paths = frozenset(paths)
        self._connections_max = connections_max
        self._call_later = call_later
        self._handle: Handle | None = None
        self._own = open_descriptors()  # Before anybody is connected.
        self._is_crowded = False
        self._hung_up = 0

    @property
    def _limit(self) -> int:
        """How many descriptors may be open, connections and all."""
        most = descriptor_limit()
        reserved = min(DESCRIPTORS_RESERVED, most // 2)
        return min(self._own + self._connections_max, most - reserved)

    @property
    def usage(self) -> dict[str, Usage]:
        """How many descriptors are open, and how many connections were ended."""
        return {"descriptors": Usage(open_descriptors(), self._limit, self._hung_up)}

    def start(self) -> None:
        """Begin to look."""
        if descriptor_limit() < DESCRIPTORS_WANTED:
            log.warning(
                "only %d descriptors: very many connections at once may end the daemon; "
                "raise the limit to %d or more (LimitNOFILE=, ulimit -n)",
                *(descriptor_limit(), DESCRIPTORS_WANTED),
            )
        self._look()

    def stop(self) -> None:
        """Look no more."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _look(self) -> None:
        limit, used = self._limit, open_descriptors()
        if used > limit:
            self._make_room(used, limit)
        elif self._is_crowded and used <= limit - (limit - self._own) // SLACK_SHARE // 2:
            self._is_crowded = False
            log.warning("there is room for connections again: %d of %d descriptors", used, limit)
        interval_s = max(INTERVAL_S_MIN, (descriptor_limit() - used) / ACCEPTED_PER_S_MAX)
        self._handle = self._call_later(min(interval_s, INTERVAL_S_MAX), self._look)

    def _make_room(self, used: int, limit: int) -> None:
        if not self._is_crowded:
            self._is_crowded = True
            log.warning(
                "%d descriptors are open, at most %d may be: whoever holds most connections loses some",
                *(used, limit),
            )
        slack = max(1, (limit - self._own) // SLACK_SHARE)
        # Numbers are given out from the smallest, so that few are larger than that.
        connected = list(connections(self._paths, 4 * used))
        for connection in to_hang_up(connected, used - limit + slack):
            with suppress(OSError):
                hang_up(connection.descriptor)
                self._hung_up += 1


def hang_up(descriptor: int) -> None:
    """End a connection; libzmq notices and closes it."""
    looked_at = socket.socket(fileno=descriptor)
    try:
        looked_at.shutdown(socket.SHUT_RDWR)
    finally:
        looked_at.detach()
