"""An in-memory disk that forgets what was not synced, tears writes and fails where it is told to.

    process  ->  cached   what every read sees, also after the process was killed
                   |  sync: the dirty ranges of one file; sync_directory: the names in one folder
                   v
                 durable  what a power cut leaves

Promise:  it passes the same checks as the real disk (`tests/conformance/test_disk.py`). A failed
          sync behaves as on Linux: the pages count as clean from then on, so that reads go on
          showing bytes that no later sync will ever write.
Not here: reordering among synced operations; a disk that lies about sync (see `SyncsNothing`).
"""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, RLock

from daemon.journal.disk import AppendFile

Survive = Callable[[bytes, bytes], bytes]  # (durable, cached) -> what a power cut leaves


def only_durable(durable: bytes, _cached: bytes) -> bytes:
    """Nothing that was not synced reached the disk: the usual case."""
    return durable


def everything(_durable: bytes, cached: bytes) -> bytes:
    """All of it reached the disk by itself."""
    return cached


def torn_after(size_bytes: int) -> Survive:
    """Only the first `size_bytes` of what was appended and not synced reached the disk."""
    return lambda durable, cached: cached[: len(durable) + size_bytes]


class KilledError(OSError):
    """The process ended at this call; nothing that it does afterwards has an effect."""

    def __init__(self) -> None:
        super().__init__(errno.EIO, "the process was killed here")


class FaultyDisk:
    """A file system in memory. `root` exists, durably.

    `calls` names every call so far ("sync 00000000000000000001.jsonl"), composed ones by their
    steps. `capacity_bytes` bounds the sizes of all files together.
    """

    def __init__(self, root: Path = Path("/data"), capacity_bytes: int | None = None) -> None:
        self.calls: list[str] = []
        self.capacity_bytes = capacity_bytes
        self.sync_started = Event()
        self.sync_may_finish = Event()
        self.sync_may_finish.set()
        self._cached = _Names({root, *root.parents}, {})
        self._durable = _Names({root, *root.parents}, {})
        self._faults: list[_Fault] = []
        self._kill_at: int | None = None
        self._locks: dict[Path, int] = {}
        self._mutex = RLock()

    # Faults.

    def fail(self, operation: str, error: int = errno.EIO, *, at: int = 1, times: int = 1) -> None:
        """Let the `at`-th next `operation` fail, and `times` in all, with the errno `error`.

        `operation` is the first word of an entry of `calls`, or the whole entry.
        """
        self._faults.append(_Fault(operation, error, at, times))

    def kill_at(self, call: int) -> None:
        """End the process at the `call`-th next call: it and all later ones do nothing and raise."""
        self._kill_at = len(self.calls) + call

    def after_kill(self) -> "FaultyDisk":
        """Return the disk as the next process finds it: the cache outlives the process."""
        return self._next(self._cached, self._durable, _File.copy)

    def after_power_cut(
        self, survive: Survive = only_durable, *, names_survive: bool = False
    ) -> "FaultyDisk":
        """Return the disk as it is found when the power is back.

        `survive` says what is left of each file with unsynced bytes; `names_survive` whether
        creates, renames and unlinks that were not synced reached the disk all the same.
        """
        names = self._cached if names_survive else self._durable
        return self._next(names, names, lambda file: file.after_power_cut(survive))

    def _next(
        self, cached: "_Names", durable: "_Names", keep: Callable[["_File"], "_File"]
    ) -> "FaultyDisk":
        disk = FaultyDisk(capacity_bytes=self.capacity_bytes)
        files = [*cached.files.values(), *durable.files.values()]
        kept = {id(file): keep(file) for file in files}
        disk._cached = cached.with_files(kept)
        disk._durable = durable.with_files(kept)
        return disk

    # What tests look at and set.

    def files(self) -> dict[Path, bytes]:
        """Return every file as a reader sees it."""
        return {path: bytes(file.cached) for path, file in sorted(self._cached.files.items())}

    def durable_files(self) -> dict[Path, bytes]:
        """Return every file as a power cut leaves it."""
        return {path: bytes(file.durable) for path, file in sorted(self._durable.files.items())}

    def put(self, path: Path, content: bytes) -> None:
        """Give a file durable content from outside, as bit rot or an editor does."""
        file = _File(content, content)
        for names in (self._cached, self._durable):
            names.folders |= {path.parent, *path.parent.parents}
            names.files[path] = file

    # The `Disk` protocol.

    def open_append(self, path: Path, *, create: bool) -> AppendFile:
        """See `Disk`."""
        with self._step("open_append", path):
            if create and path in self._cached.files:
                raise _error(errno.EEXIST, path)
            return _FaultyFile(self, path, self._create(path) if create else self._file(path))

    def read(self, path: Path, offset: int = 0, size: int = -1) -> bytes:
        """See `Disk`."""
        with self._step("read", path):
            end = None if size < 0 else offset + size
            return bytes(self._file(path).cached[offset:end])

    def size(self, path: Path) -> int:
        """See `Disk`."""
        with self._step("size", path):
            return len(self._file(path).cached)

    def list_names(self, path: Path) -> list[str]:
        """See `Disk`."""
        with self._step("list_names", path):
            entries = [*self._cached.files, *self._cached.folders]
            return sorted({one.name for one in entries if one.parent == path and one != path})

    def make_directory(self, path: Path | str) -> None:
        """See `Disk`."""
        with self._step("make_directory", path := Path(path)):
            self._cached.folders |= {path, *path.parents}

    def write(self, path: Path | str, data: bytes) -> None:
        """See `Disk`."""
        file = self._open(path := Path(path))
        self._truncate(path, file, 0)
        self._write(path, file, data)

    def append(self, path: Path | str, data: bytes) -> int:
        """See `Disk`."""
        file = self._open(path := Path(path))
        size_bytes = len(file.cached)
        self._write(path, file, data)
        return size_bytes

    def replace(self, source: Path | str, target: Path | str) -> None:
        """See `Disk`."""
        with self._step("replace", target := Path(target)):
            file = self._file(source := Path(source))
            del self._cached.files[source]
            self._cached.files[target] = file

    def remove(self, path: Path) -> None:
        """See `Disk`."""
        with self._step("remove", path):
            self._cached.files.pop(path, None)

    def cut(self, path: Path, size: int) -> None:
        """See `Disk`."""
        file = self._file(path)
        self._truncate(path, file, size)
        self._sync(path, file)

    def allocate(self, path: Path, size: int) -> None:
        """See `Disk`."""
        file = self._open(path)
        self._write(path, file, bytes(max(0, size - len(file.cached))))
        self._sync(path, file)

    def write_durably(self, path: Path, data: bytes) -> None:
        """See `Disk`."""
        temporary = path.with_name(f"{path.name}.tmp")
        self.write(temporary, data)
        self._sync(temporary, self._file(temporary))
        self.replace(temporary, path)
        self.sync_directory(path.parent)

    def sync_directory(self, path: Path) -> None:
        """See `Disk`."""
        with self._step("sync_directory", path):
            if path not in self._cached.folders:
                raise _error(errno.ENOENT, path)
            self._durable.take_folder(path, self._cached)

    def sync_filesystem(self, path: Path) -> None:
        """See `Disk`."""
        with self._step("sync_filesystem", path):
            for file in self._cached.files.values():
                file.sync()
            for folder in set(self._cached.folders):
                self._durable.take_folder(folder, self._cached)

    def lock(self, path: Path) -> int:
        """See `Disk`."""
        with self._step("lock", path):
            if path in self._locks:
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN), str(path))
            self._open(path)
            self._locks[path] = len(self._locks) + 1000
            return self._locks[path]

    def unlock(self, descriptor: int) -> None:
        """See `Disk`."""
        self._locks = {path: held for path, held in self._locks.items() if held != descriptor}

    # The steps that calls are made of.

    @contextmanager
    def _step(self, operation: str, path: Path) -> Iterator[None]:
        with self._mutex:
            fault = self._begin(operation, path)
            if fault is not None:
                raise fault
            yield

    def _begin(self, operation: str, path: Path) -> OSError | None:
        """Note the call, and return what is to go wrong with it."""
        if self._kill_at is not None and len(self.calls) >= self._kill_at:
            raise KilledError
        call = f"{operation} {path.name}"
        self.calls.append(call)
        if len(self.calls) == self._kill_at:
            return KilledError()
        hits = [fault for fault in self._faults if fault.hits(call)]
        return _error(hits[0].error, path) if hits else None

    def _open(self, path: Path) -> "_File":
        return self._cached.files[path] if path in self._cached.files else self._create(path)

    def _file(self, path: Path) -> "_File":
        if path not in self._cached.files:
            raise _error(errno.ENOENT, path)
        return self._cached.files[path]

    def _create(self, path: Path) -> "_File":
        if path.parent not in self._cached.folders:
            raise _error(errno.ENOENT, path)
        file = self._cached.files[path] = _File(b"", b"")
        return file

    def _write(self, path: Path, file: "_File", data: bytes) -> None:
        with self._mutex:
            fault = self._begin("write", path)
            taken = len(data)
            if fault is not None:  # As often, a part was taken first.
                taken = 0 if fault.errno == errno.EROFS else len(data) // 2
            elif self.capacity_bytes is not None:
                files = self._cached.files.values()
                taken = min(taken, self.capacity_bytes - sum(len(one.cached) for one in files))
                taken = max(0, taken)
                fault = _error(errno.ENOSPC, path) if taken < len(data) else None
            file.append(data[:taken])
            if fault is not None:
                raise fault

    def _truncate(self, path: Path, file: "_File", size: int) -> None:
        with self._step("truncate", path):
            file.truncate(size)

    def _sync(self, path: Path, file: "_File") -> None:
        self.sync_started.set()
        self.sync_may_finish.wait()
        try:
            with self._step("sync", path):
                file.sync()
        except KilledError:
            raise
        except OSError:
            file.dirty.clear()
            raise


class SyncsNothing(FaultyDisk):
    """The negative control: file syncs are counted, and no byte becomes durable."""

    def _sync(self, path: Path, file: "_File") -> None:
        del file
        self.calls.append(f"sync {path.name}")


class _Fault:
    def __init__(self, operation: str, error: int, at: int, times: int) -> None:
        self.error = error
        self._operation = operation
        self._skipped = at - 1
        self._times = times

    def hits(self, call: str) -> bool:
        if self._operation not in {call, call.partition(" ")[0]} or self._times == 0:
            return False
        if self._skipped:
            self._skipped -= 1
            return False
        self._times -= 1
        return True


class _File:
    """The bytes of one file; `dirty` are the ranges that the next sync writes."""

    def __init__(self, cached: bytes, durable: bytes) -> None:
        self.cached = bytearray(cached)
        self.durable = bytearray(durable)
        self.dirty: list[tuple[int, int]] = []

    def append(self, data: bytes) -> None:
        self.dirty.append((len(self.cached), len(self.cached) + len(data)))
        self.cached += data

    def truncate(self, size: int) -> None:
        _resize(self.cached, size)
        self.dirty = [(start, min(end, size)) for start, end in self.dirty if start < size]

    def sync(self) -> None:
        _resize(self.durable, len(self.cached))
        for start, end in self.dirty:
            self.durable[start:end] = self.cached[start:end]
        self.dirty.clear()

    def copy(self) -> "_File":
        copied = _File(bytes(self.cached), bytes(self.durable))
        copied.dirty = list(self.dirty)
        return copied

    def after_power_cut(self, survive: Survive) -> "_File":
        left = bytes(self.durable)
        if self.dirty or len(self.cached) != len(self.durable):
            left = survive(left, bytes(self.cached))
        return _File(left, left)


class _Names:
    """Folders, and which file stands under which path."""

    def __init__(self, folders: set[Path], files: dict[Path, _File]) -> None:
        self.folders = folders
        self.files = files

    def with_files(self, kept: dict[int, _File]) -> "_Names":
        """Return the same entries with other files, but those whose folder is not there."""
        reachable = {
            path: kept[id(file)] for path, file in self.files.items() if path.parent in self.folders
        }
        return _Names(set(self.folders), reachable)

    def take_folder(self, folder: Path, other: "_Names") -> None:
        """Make the entries of `folder` here what they are in `other`."""
        for path in [path for path in self.files if path.parent == folder]:
            del self.files[path]
        self.files |= {path: file for path, file in other.files.items() if path.parent == folder}
        self.folders |= {path for path in other.folders if path.parent == folder}


class _FaultyFile:
    def __init__(self, disk: FaultyDisk, path: Path, file: _File) -> None:
        self._disk = disk
        self._path = path
        self._file = file

    def write(self, data: bytes) -> None:
        self._disk._write(self._path, self._file, data)  # noqa: SLF001 (one class in two)

    def sync(self) -> None:
        self._disk._sync(self._path, self._file)  # noqa: SLF001

    def truncate(self, size: int) -> None:
        self._disk._truncate(self._path, self._file, size)  # noqa: SLF001

    def close(self) -> None:
        """Close changes nothing: durability was never its job."""


def _resize(content: bytearray, size: int) -> None:
    del content[size:]
    content += bytes(size - len(content))


def _error(number: int, path: Path) -> OSError:
    return OSError(number, os.strerror(number), str(path))
