"""The disk as one life of the process has it: calls that take time, and fail where they are told to.

Promise:  every call is a moment at which others run, and at which the process may be killed. It passes
          `tests/conformance/test_disk.py`. After `die` no call has an effect.
Not here: what a power cut leaves (`media.py`).
"""

import errno
import os
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Final

from daemon.journal.disk import AppendFile
from tests.simulation.media import Folder, Inode, Link, Media, Rename, Unlink
from tests.simulation.threads import KilledError, SimulatedThreads
from tests.simulation.world import World

if TYPE_CHECKING:
    from collections.abc import Callable

# Microseconds that a call takes at most; some take a hundred times as long.
LATENCIES_US: Final = {"sync": 900, "sync_directory": 900, "sync_filesystem": 2500}
LATENCY_US: Final = 60
SLOW_PROBABILITY: Final = 0.01
READS: Final = frozenset({"read", "size", "list_names"})


@dataclass
class Fault:
    """Calls of `operation` (empty: any but reads) fail with `error` from `start_us` to `end_us`."""

    operation: str
    error: int
    start_us: float = 0
    end_us: float = inf
    times: float = inf

    def hits(self, operation: str, now_us: int) -> bool:
        """Tell whether it strikes this call, and count."""
        wanted = self.operation in ("", operation) and (self.operation or operation not in READS)
        if not wanted or self.times <= 0 or not self.start_us <= now_us < self.end_us:
            return False
        self.times -= 1
        return True


class Environment:
    """What outlives the process: the media, what is wrong with it, its size, and who counts calls."""

    def __init__(self, world: World, threads: SimulatedThreads) -> None:
        self.world = world
        self.threads = threads
        self.dice = world.dice("disk")
        self.media = Media()
        self.media.make_folder(Path("/data"))
        self.media.root.sync()
        self.faults: list[Fault] = []
        self.capacity_bytes: float = inf
        self.locks: dict[Path, SimulatedDisk] = {}
        self.calls = 0
        self.kill_at_call: float = inf  # Then `killed` is called, between two calls.
        self.killed: Callable[[], None] = lambda: None
        self.struck = 0  # How many calls were made to fail.
        self.found_full = 0

    def lose_power(self) -> None:
        """Leave what a power cut leaves."""
        self.media = self.media.after_power_cut(self.dice)


class SimulatedDisk:
    """Implements `daemon.journal.disk.Disk`. `syncs_files`, `syncs_folders`: false in controls."""

    syncs_files = True
    syncs_folders = True

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self._media = environment.media
        self.is_dead = False

    def die(self) -> None:
        """The process is gone: let nothing that it still does have an effect."""
        self.is_dead = True

    def open_append(self, path: Path, *, create: bool) -> AppendFile:
        """See `Disk`."""
        self._step("open_append", path)
        if not create:
            return _SimulatedFile(self, path, self._file(path))
        if self._media.node(path) is not None:
            raise _error(errno.EEXIST, path)
        return _SimulatedFile(self, path, self._create(path))

    def read(self, path: Path, offset: int = 0, size: int = -1) -> bytes:
        """See `Disk`."""
        self._step("read", path)
        end = None if size < 0 else offset + size
        return bytes(self._file(path).cached[offset:end])

    def size(self, path: Path) -> int:
        """See `Disk`."""
        self._step("size", path)
        return len(self._file(path).cached)

    def list_names(self, path: Path) -> list[str]:
        """See `Disk`."""
        self._step("list_names", path)
        folder = self._media.node(path)
        return sorted(folder.cached) if isinstance(folder, Folder) else []

    def make_directory(self, path: Path | str) -> None:
        """See `Disk`."""
        path = Path(path)
        self._step("make_directory", path)
        self._media.make_folder(path)

    def write(self, path: Path | str, data: bytes) -> None:
        """See `Disk`."""
        path = Path(path)
        self._step("open", path)
        inode = self._open(path)
        if inode.cached:
            inode.truncate(0)
        self.put(path, inode, data)

    def append(self, path: Path | str, data: bytes) -> int:
        """See `Disk`."""
        path = Path(path)
        self._step("open", path)
        inode = self._open(path)
        size = len(inode.cached)
        self.put(path, inode, data)
        return size

    def replace(self, source: Path | str, target: Path | str) -> None:
        """See `Disk`."""
        source, target = Path(source), Path(target)
        self._step("replace", target)
        assert source.parent == target.parent
        inode = self._file(source)
        self._folder(target.parent).change(Rename(source.name, target.name, inode))

    def remove(self, path: Path) -> None:
        """See `Disk`."""
        self._step("remove", path)
        folder = self._folder(path.parent)
        if path.name in folder.cached:
            folder.change(Unlink(path.name))

    def cut(self, path: Path, size: int) -> None:
        """See `Disk`."""
        inode = self._file(path)
        self.truncate(path, inode, size)
        self.sync(path, inode)

    def allocate(self, path: Path, size: int) -> None:
        """See `Disk`."""
        self._step("open", path)
        inode = self._open(path)
        self.put(path, inode, bytes(max(0, size - len(inode.cached))))
        self.sync(path, inode)

    def write_durably(self, path: Path, data: bytes) -> None:
        """See `Disk`."""
        temporary = path.with_name(f"{path.name}.tmp")
        self.write(temporary, data)
        self.sync(temporary, self._file(temporary))
        self.replace(temporary, path)
        self.sync_directory(path.parent)

    def sync_directory(self, path: Path) -> None:
        """See `Disk`."""
        self._step("sync_directory", path)
        folder = self._folder(path)
        if self.syncs_folders:
            folder.sync()

    def sync_filesystem(self, path: Path) -> None:
        """See `Disk`."""
        dirty = [one for one in self._media.everything() if one.changes]
        try:
            self._step("sync_filesystem", path)
        except OSError:
            files = [one for one in dirty if isinstance(one, Inode)]
            for inode in files[:1]:
                inode.fail_sync(self.environment.dice)
                inode.has_lost = True
            raise
        for node in self._media.everything():
            node.sync()

    def lock(self, path: Path) -> int:
        """See `Disk`. The lock of a process that is gone is free."""
        self._step("lock", path)
        locks = self.environment.locks
        holder = locks.get(path)
        if holder is not None and not holder.is_dead:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN), str(path))
        self._open(path)
        locks[path] = self
        return len(locks)

    def unlock(self, descriptor: int) -> None:
        """See `Disk`."""
        del descriptor
        locks = self.environment.locks
        for path in [path for path, holder in locks.items() if holder is self]:
            del locks[path]

    # The steps that calls are made of.

    def put(self, path: Path, inode: Inode, data: bytes) -> None:
        """Append `data` at the end of `inode`; where it does not fit, a part of it."""
        environment = self.environment
        try:
            self._step("write", path, len(data))
        except OSError as error:
            if error.errno != errno.EROFS:
                inode.write(len(inode.cached), data[: len(data) // 2])
            raise
        room = max(0.0, environment.capacity_bytes - self._media.size_bytes())
        taken = data if room >= len(data) else data[: int(room)]
        if taken:
            inode.write(len(inode.cached), taken)
        if len(taken) < len(data):
            environment.found_full += 1
            environment.world.note("disk full", path.name)
            raise _error(errno.ENOSPC, path)

    def truncate(self, path: Path, inode: Inode, size: int) -> None:
        """Cut `inode`."""
        self._step("truncate", path, size)
        inode.truncate(size)

    def sync(self, path: Path, inode: Inode) -> None:
        """Make what was written to `inode` durable."""
        try:
            self._step("sync", path)
        except OSError:
            inode.fail_sync(self.environment.dice)
            raise
        if inode.has_lost:  # An error is told to each descriptor of the file, and by `syncfs`.
            inode.has_lost = False
            raise _error(errno.EIO, path)
        if self.syncs_files:
            inode.sync()

    def _step(self, operation: str, path: Path, *detail: object) -> None:
        """Take the time of a call, and raise what is to go wrong with it."""
        if self.is_dead:
            raise KilledError
        environment = self.environment
        environment.threads.pause(self._latency_us(operation))
        if self.is_dead:
            raise KilledError
        environment.calls += 1
        if operation not in READS:
            environment.world.note(operation, path.name, *detail)
        if environment.calls >= environment.kill_at_call:
            environment.kill_at_call = inf
            environment.killed()
            environment.threads.pause(0)
        for fault in environment.faults:
            if fault.hits(operation, environment.world.now_us):
                environment.struck += 1
                environment.world.note("fails", operation, path.name, fault.error)
                raise _error(fault.error, path)

    def _latency_us(self, operation: str) -> int:
        dice = self.environment.dice
        latency_us = dice.randint(1, LATENCIES_US.get(operation, LATENCY_US))
        return latency_us * 100 if dice.random() < SLOW_PROBABILITY else latency_us

    def _open(self, path: Path) -> Inode:
        return self._create(path) if self._media.node(path) is None else self._file(path)

    def _file(self, path: Path) -> Inode:
        node = self._media.node(path)
        if not isinstance(node, Inode):
            raise _error(errno.ENOENT, path)
        return node

    def _folder(self, path: Path) -> Folder:
        node = self._media.node(path)
        if not isinstance(node, Folder):
            raise _error(errno.ENOENT, path)
        return node

    def _create(self, path: Path) -> Inode:
        inode = Inode()
        self._folder(path.parent).change(Link(path.name, inode))
        return inode


class _SimulatedFile:
    def __init__(self, disk: SimulatedDisk, path: Path, inode: Inode) -> None:
        self._disk = disk
        self._path = path
        self._inode = inode

    def write(self, data: bytes) -> None:
        self._disk.put(self._path, self._inode, data)

    def sync(self) -> None:
        self._disk.sync(self._path, self._inode)

    def truncate(self, size: int) -> None:
        self._disk.truncate(self._path, self._inode, size)

    def close(self) -> None:
        """Close changes nothing: durability was never its job."""


def _error(code: int, path: Path) -> OSError:
    return OSError(code, os.strerror(code), str(path))
