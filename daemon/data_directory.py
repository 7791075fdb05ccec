"""Notices that the data directory is no longer where it was: moved, removed, replaced, unmounted.

Promise:  within `INTERVAL_S` the daemon is told, once; likewise when the disk cannot say. Its open files
          are in the old folder and what it opens from then on would be in a new one, where a second
          daemon would find no lock.
Not here: preventing it, and what was acknowledged between two looks: it is in the old folder.

The lock's file is what is looked at: whoever removes that one lets a second daemon in, too.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from actors.timers import CallLater, Handle
from daemon.errors import ConfigurationError, DaemonError, DiskFailedError

INTERVAL_S: Final = 0.1  # Half of the time after which the archive would make the folders anew.


class DirectoryWatch:
    """Looks whether `lock`, the path of a lock that we hold, is the file that it was."""

    def __init__(
        self, lock: Path, call_later: CallLater, on_failed: Callable[[DaemonError], None]
    ) -> None:
        self._lock = lock
        self._call_later = call_later
        self._on_failed = on_failed
        self._handle: Handle | None = None
        self._found = lock.stat()

    def start(self) -> None:
        """Begin to look."""
        self._handle = self._call_later(INTERVAL_S, self._look)

    def stop(self) -> None:
        """Look no more."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _look(self) -> None:
        error = self._what_is_wrong()
        if error is None:
            self.start()
        else:
            self._handle = None
            self._on_failed(error)

    def _what_is_wrong(self) -> DaemonError | None:
        try:
            if os.path.samestat(self._found, self._lock.stat()):
                return None
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            pass  # Said below.
        except OSError as error:
            what = f"looking for {self._lock}"
            return DiskFailedError(what, error)
        return ConfigurationError(
            f"{self._lock.parent} was moved or replaced, or {self._lock.name} in it removed, while "
            "the daemon worked on it; put it back, look whether anything was made in its place, "
            "then start the daemon"
        )
