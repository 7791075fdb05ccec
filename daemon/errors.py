"""Errors that end the daemon, each with the exit status that the unit file knows."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Final

from protocol.errors import ManifestdError


class DaemonError(ManifestdError):
    """The daemon cannot start or go on; `exit_status` is what the process ends with."""

    exit_status: ClassVar[int] = 1


class DamagedStoreError(DaemonError):
    """Stored bytes are not what was written, and no second copy says what they were (exit 70)."""

    exit_status = 70

    def __init__(
        self, path: Path, reason: str, *, line: int | None = None, seq: int | None = None
    ) -> None:
        place = "".join(
            f", {what} {number}"
            for what, number in (("line", line), ("seq", seq))
            if number is not None
        )
        super().__init__(
            f"{path}{place}: {reason}; nothing was changed. "
            f"Keep a copy of the data directory, then run: manifestd fsck --data-dir DIR"
        )
        self.path = path
        self.line = line
        self.seq = seq
        self.reason = reason


class DiskFailedError(DaemonError):
    """A sync, a rename or a read of the disk failed: only a restart can tell what is there."""

    exit_status = 74

    def __init__(self, what: str, cause: OSError) -> None:
        super().__init__(f"{what}: {cause}; stopping, because a retry could hide the loss")
        self.what = what
        self.cause = cause


class StoreLockedError(DaemonError):
    """Another daemon has the data directory open (exit 75)."""

    exit_status = 75

    def __init__(self, directory: Path) -> None:
        super().__init__(
            f"another manifestd works on {directory}; stop it, or use another --data-dir"
        )
        self.directory = directory


class BadInputError(DaemonError):
    """A file that was given is not what it should be (exit 65); the data directory is untouched."""

    exit_status = 65


class ConfigurationError(DaemonError):
    """The configuration is wrong; the message says where and what to write instead (exit 78)."""

    exit_status = 78


class NoRoomForItError(DaemonError):
    """A command found no room and took back what it had written (exit 74); `outcome` says what is left.

    Unlike after a failed sync nothing is unknown.
    """

    exit_status = 74

    def __init__(self, what: str, cause: OSError, outcome: str) -> None:
        super().__init__(f"there is no room {what}: {cause.strerror}; {outcome}")


_UNUSABLE: Final = (PermissionError, NotADirectoryError, FileExistsError, IsADirectoryError)
_UNUSABLE_ERRNOS: Final = (errno.ENAMETOOLONG, errno.ELOOP)
_UNMAKEABLE_ERRNOS: Final = (errno.ENOENT, errno.EROFS)


def is_unusable(error: OSError) -> bool:
    """Whether no restart mends it: the data directory is not ours, or none."""
    return isinstance(error, _UNUSABLE) or error.errno in _UNUSABLE_ERRNOS


def is_unmakeable(error: OSError) -> bool:
    """Whether no restart mends that there is no data directory."""
    return is_unusable(error) or error.errno in _UNMAKEABLE_ERRNOS


def unusable(directory: Path, cause: OSError) -> ConfigurationError:
    """Return the error for a data directory that cannot be used, or made."""
    where = "" if cause.filename in (None, str(directory)) else f" ({cause.filename})"
    return ConfigurationError(
        f"the data directory {directory} cannot be used: {cause.strerror}{where}; "
        "give another --data-dir, or make all of it belong to the user who runs this"
    )


@contextmanager
def disk_errors(directory: Path, what: str) -> Iterator[None]:
    """Turn an `OSError` of the data directory into the error that ends the process.

    Raises:
        ConfigurationError: the directory cannot be used, now or later.
        DiskFailedError: the disk failed while `what` ("reading /data").
    """
    try:
        yield
    except OSError as error:
        if is_unusable(error):
            raise unusable(directory, error) from error
        raise DiskFailedError(what, error) from error
