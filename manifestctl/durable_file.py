"""A file that is there as a whole or not at all, as the client writes it.

Promise:  until `keep` renames, what stood under the file's name stands there still; when it
          returns, the new content survives a power cut, and only its owner may read it. A process that
          is killed leaves at most `.<name>.part` beside it, which the next one overwrites; two at a
          time are refused. A symbolic link is followed; what is no regular file (a device, a FIFO, a
          folder) is refused before anything is written, and never replaced.
Not here: what is written.
"""

import errno
import fcntl
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from protocol.errors import ManifestdError


class FileError(ManifestdError):
    """A file cannot be read or written; the message names it and says why."""

    def __init__(self, what: str, path: Path, cause: OSError) -> None:
        super().__init__(f"cannot {what} {path}: {cause.strerror or cause}")
        self.path = path
        self.cause = cause


class DurableFile:
    """Use it with `with`; what was not kept is removed at its end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._target = Path(os.path.realpath(path))
        self._temporary = self._target.parent / f".{self._target.name}.part"
        self._file: BinaryIO | None = None
        self._is_kept = False

    def __enter__(self) -> Self:
        """Open the temporary file; nobody else may read it.

        Raises:
            FileError: it cannot be made.
        """
        self._check_target()
        try:
            # Whoever may write in the folder could put a link there that leads elsewhere.
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(self._temporary, flags, 0o600)
        except OSError as error:
            if error.errno == errno.ELOOP:
                error = self._strange()
            raise self._error(error) from error
        try:
            self._take(descriptor)
        except OSError as error:
            os.close(descriptor)
            raise self._error(error) from error
        self._file = os.fdopen(descriptor, "w+b")
        return self

    def _check_target(self) -> None:
        try:
            mode = self._target.stat().st_mode
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._error(error) from error
        if not stat.S_ISREG(mode):
            reason = "it is a directory" if stat.S_ISDIR(mode) else "it is no regular file"
            raise self._error(OSError(errno.EINVAL, reason))

    def _take(self, descriptor: int) -> None:
        """Make the open temporary file ours alone, and empty."""
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_nlink > 1:
            raise self._strange()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever held the lock may have renamed it since: then it is his file, and finished.
            is_ours = os.path.samestat(os.fstat(descriptor), self._temporary.stat())
        except (BlockingIOError, FileNotFoundError):
            is_ours = False
        if not is_ours:
            raise OSError(errno.EBUSY, "another process is writing it")
        os.fchmod(descriptor, 0o600)
        os.ftruncate(descriptor, 0)

    def _strange(self) -> OSError:
        return OSError(errno.EEXIST, f"{self._temporary} is not a file of ours; remove it")

    def _error(self, cause: OSError) -> FileError:
        what = "write"
        return FileError(what, self._path, cause)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Remove what was not kept."""
        assert self._file is not None
        if not self._is_kept:
            self._temporary.unlink(missing_ok=True)
        with suppress(OSError):  # Its last bytes may find no room; they are given up anyway.
            self._file.close()

    def write(self, data: bytes) -> None:
        """Append `data`.

        Raises:
            FileError: there is no room, or the disk failed.
        """
        assert self._file is not None
        try:
            self._file.write(data)
        except OSError as error:
            raise self._error(error) from error

    def keep(self, check: Callable[[BinaryIO], None]) -> None:
        """Sync what was written, let `check` read it from its first byte, then give it its name.

        Raises:
            FileError: there is no room, or the disk failed.
        """
        assert self._file is not None
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.seek(0)
        except OSError as error:
            raise self._error(error) from error
        check(self._file)
        try:
            self._temporary.replace(self._target)
            self._is_kept = True
            folder = os.open(self._target.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise self._error(error) from error


def exchange(path: Path, data: bytes) -> None:
    """Give `path` the content `data`; after a power cut it has the old content, or the new.

    That is half of what `DurableFile` promises, for a small file of one process that changes often.

    Raises:
        OSError: there is no room, or the disk failed; `path` has the old content.
    """
    beside = path.with_name(f"{path.name}.new")
    with beside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fdatasync(file.fileno())
    beside.replace(path)
