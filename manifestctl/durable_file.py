"""A file that is there as a whole or not at all, as the client writes it.

Promise:  until `keep` renames, what stood under the file's name stands there still; when it
          returns, the new content survives a power cut. A process that is killed leaves at most
          `.<name>.part` beside it, which the next one overwrites; two at a time are refused.
Not here: what is written.
"""

import errno
import fcntl
import os
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
        self._temporary = path.with_name(f".{path.name}.part")
        self._file: BinaryIO | None = None
        self._is_kept = False

    def __enter__(self) -> Self:
        """Open the temporary file; nobody else may read it.

        Raises:
            FileError: it cannot be made.
        """
        what = "write"
        try:
            descriptor = os.open(self._temporary, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise FileError(what, self._path, error) from error
        self._file = os.fdopen(descriptor, "w+b")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever held the lock may have renamed it since: then it is his file, and finished.
            is_ours = os.path.samestat(os.fstat(descriptor), self._temporary.stat())
            if is_ours:
                os.ftruncate(descriptor, 0)
        except (BlockingIOError, FileNotFoundError):
            is_ours = False
        except OSError as error:
            self._file.close()
            raise FileError(what, self._path, error) from error
        if not is_ours:
            self._file.close()
            busy = OSError(errno.EBUSY, "another process is writing it")
            raise FileError(what, self._path, busy)
        return self

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
            raise FileError("write", self._path, error) from error

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
            raise FileError("write", self._path, error) from error
        check(self._file)
        try:
            self._temporary.replace(self._path)
            self._is_kept = True
            folder = os.open(self._path.absolute().parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise FileError("write", self._path, error) from error
