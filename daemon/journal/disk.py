"""The port to the disk, and the only module that syncs, renames or removes a file.

All calls block: the journal has a thread of its own, and everything else reaches this module
through `aiofiles.os.wrap`, one hop per operation and not one per call. A test passes
`tests.support.faulty_disk.FaultyDisk` instead and so chooses which call fails.

Promise:  bytes are safe after `sync`, names after `sync_directory`, both after `sync_filesystem`;
          every failure is the operating system's own `OSError`, never swallowed.
Not here: what a failure means. After a failed sync nothing may be retried (`committer.py`).
"""

import ctypes
import errno
import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

# Errors of a write that mean "no room" or "not now"; nothing is wrong with the disk (design 3).
_NO_DESCRIPTORS: Final = (errno.EMFILE, errno.ENFILE)
DESCRIPTOR_WAIT_S: Final = 0.005  # `daemon.connections` looks every 20 ms then.
DESCRIPTOR_WAITS: Final = 1000  # Five seconds.
SURVIVABLE_ERRNOS: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})


class AppendFile(Protocol):
    """An open file that grows at its end."""

    def write(self, data: bytes) -> None:
        """Append all of `data`, however often the system takes only a part of it."""

    def sync(self) -> None:
        """Make everything written so far survive a power cut (fdatasync)."""

    def truncate(self, size: int) -> None:
        """Cut the file to `size` bytes; durable only after `sync`."""

    def close(self) -> None:
        """Release the descriptor. Syncs nothing."""


class Disk(Protocol):
    """What a store needs from a file system, and nothing more. Paths are absolute.

    What is called for each archived manifest takes them as text, too.
    """

    def open_append(self, path: Path, *, create: bool) -> AppendFile:
        """Open for appending; with `create` the file must not exist, without it it must."""

    def read(self, path: Path, offset: int = 0, size: int = -1) -> bytes:
        """Return `size` bytes from `offset` on, or all that are there."""

    def size(self, path: Path) -> int:
        """Return a file's size in bytes; `FileNotFoundError` when there is none."""

    def list_names(self, path: Path) -> list[str]:
        """Return the names in a directory, sorted; empty when it does not exist."""

    def make_directory(self, path: Path | str) -> None:
        """Create a directory and its parents; one that exists is fine. Mode 0750."""

    def write(self, path: Path | str, data: bytes) -> None:
        """Create or overwrite a file. Not durable."""

    def append(self, path: Path | str, data: bytes) -> int:
        """Append to a file, created when missing; return its size before. Not durable."""

    def replace(self, source: Path | str, target: Path | str) -> None:
        """Rename over `target`. Durable after `sync_directory` of the target's folder."""

    def remove(self, path: Path) -> None:
        """Unlink a file; one that is not there is fine."""

    def cut(self, path: Path, size: int) -> None:
        """Cut a file to `size` bytes and sync it."""

    def allocate(self, path: Path, size: int) -> None:
        """Create a file that really occupies `size` bytes, and sync it."""

    def write_durably(self, path: Path, data: bytes) -> None:
        """Write a file atomically: temp file, sync, rename over `path`, sync of the folder."""

    def sync_directory(self, path: Path) -> None:
        """Make every create, rename and unlink done so far in `path` durable."""

    def sync_filesystem(self, path: Path) -> None:
        """Make everything written so far on the file system that holds `path` durable."""

    def lock(self, path: Path) -> int:
        """Take the exclusive lock on `path`, created when missing, and return its descriptor.

        Raises:
            BlockingIOError: another process (or another open of this one) holds it.
        """

    def unlock(self, descriptor: int) -> None:
        """Give a lock back. The end of the process does so, too."""


class OperatingSystemDisk:
    """The real disk."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)

    def open_append(self, path: Path, *, create: bool) -> AppendFile:
        """See `Disk`."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
        flags |= os.O_CREAT | os.O_EXCL if create else 0
        return _OperatingSystemFile(_open(path, flags))

    def read(self, path: Path, offset: int = 0, size: int = -1) -> bytes:
        """See `Disk`."""
        with open(path, "rb", buffering=0, opener=_open) as file:
            if offset:
                file.seek(offset)
            data: bytes = file.read(size) or b""
            if 0 <= len(data) < size:  # A raw read may be short before the end of the file.
                while len(data) < size and (more := file.read(size - len(data))):
                    data += more
            return data

    def size(self, path: Path) -> int:
        """See `Disk`."""
        return os.stat(path).st_size  # noqa: PTH116 (the hot path of feed)

    def list_names(self, path: Path) -> list[str]:
        """See `Disk`."""
        try:
            return sorted(os.listdir(path))  # noqa: PTH208 (names, not paths)
        except FileNotFoundError:
            return []

    def make_directory(self, path: Path | str) -> None:
        """See `Disk`."""
        try:
            os.mkdir(path, 0o750)  # noqa: PTH102 (half the cost, once per archived manifest)
        except FileNotFoundError:  # Not `parents=True`, which gives those another mode.
            self.make_directory(Path(path).parent)
            with suppress(FileExistsError):  # Somebody was faster.
                os.mkdir(path, 0o750)  # noqa: PTH102
        except FileExistsError:
            if not Path(path).is_dir():
                raise

    def write(self, path: Path | str, data: bytes) -> None:
        """See `Disk`."""
        self._write(path, data, os.O_TRUNC)

    def append(self, path: Path | str, data: bytes) -> int:
        """See `Disk`."""
        return self._write(path, data, os.O_APPEND)

    def _write(self, path: Path | str, data: bytes, how: int) -> int:
        descriptor = _open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | how)
        try:
            size = os.lseek(descriptor, 0, os.SEEK_END) if how == os.O_APPEND else 0
            _write_all(descriptor, data)
        finally:
            os.close(descriptor)
        return size

    def replace(self, source: Path | str, target: Path | str) -> None:
        """See `Disk`."""
        os.replace(source, target)  # noqa: PTH105 (half the cost, once per archived manifest)

    def remove(self, path: Path) -> None:
        """See `Disk`."""
        path.unlink(missing_ok=True)

    def cut(self, path: Path, size: int) -> None:
        """See `Disk`."""
        descriptor = _open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.ftruncate(descriptor, size)
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)

    def allocate(self, path: Path, size: int) -> None:
        """See `Disk`."""
        descriptor = _open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC)
        try:
            os.posix_fallocate(descriptor, 0, size)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def write_durably(self, path: Path, data: bytes) -> None:
        """See `Disk`."""
        temporary = path.with_name(f"{path.name}.tmp")
        descriptor = _open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC)
        try:
            _write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.replace(path)
        self.sync_directory(path.parent)

    def sync_directory(self, path: Path) -> None:
        """See `Disk`."""
        descriptor = _open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def sync_filesystem(self, path: Path) -> None:
        """See `Disk`. Linux reports write errors from syncfs since 5.8 (man 2 syncfs)."""
        descriptor = _open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if self._libc.syncfs(descriptor) != 0:
                code = ctypes.get_errno()
                raise OSError(code, f"syncfs: {os.strerror(code)}", str(path))
        finally:
            os.close(descriptor)

    def lock(self, path: Path) -> int:
        """See `Disk`."""
        # To read is enough, and all that a read-only file system allows: `verify` works there.
        descriptor = _open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise
        return descriptor

    def unlock(self, descriptor: int) -> None:
        """See `Disk`."""
        os.close(descriptor)


def _open(path: Path | str, flags: int) -> int:
    """Open a file; where there is no descriptor left, wait until connections have given some back.

    To wait is right here: nothing is wrong with the disk, and all of this runs in threads.
    """
    for _ in range(DESCRIPTOR_WAITS):
        try:
            return os.open(path, flags, 0o640)
        except OSError as error:
            if error.errno not in _NO_DESCRIPTORS:
                raise
            time.sleep(DESCRIPTOR_WAIT_S)
    return os.open(path, flags, 0o640)


class _OperatingSystemFile:
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, data: bytes) -> None:
        _write_all(self._descriptor, data)

    def sync(self) -> None:
        os.fdatasync(self._descriptor)

    def truncate(self, size: int) -> None:
        os.ftruncate(self._descriptor, size)

    def close(self) -> None:
        os.close(self._descriptor)


def _write_all(descriptor: int, data: bytes) -> None:
    written = os.write(descriptor, data)
    while written < len(data):  # A full disk takes a part, then refuses the rest.
        written += os.write(descriptor, memoryview(data)[written:])
