"""`journal/reserve`: room kept back, so that recovery and shutdown succeed on a full disk.

Promise:  while the file is there, `release` makes that much room.
Not here: when to release it. Recovery does where a write of its own finds no room; whoever shuts
          down does for the archive. Ordinary appends never do: they are refused instead.
"""

from pathlib import Path
from typing import Final

from daemon.journal.disk import SURVIVABLE_ERRNOS, Disk
from daemon.journal.segment import JOURNAL_NAME

RESERVE_NAME: Final = "reserve"
RESERVE_SIZE_BYTES: Final = 68 << 20  # Recovery rewrites one segment at a time: 64 MiB, one batch.


class Reserve:
    """The preallocated file. All calls block."""

    def __init__(
        self, disk: Disk, data_directory: Path, size_bytes: int = RESERVE_SIZE_BYTES
    ) -> None:
        self._disk = disk
        self._directory = data_directory / JOURNAL_NAME
        self._path = self._directory / RESERVE_NAME
        self._size_bytes = size_bytes

    def ensure(self) -> bool:
        """Make the reserve where it is missing or short; False when there is no room for it."""
        if self.held_bytes >= self._size_bytes:
            return True
        try:
            self._disk.allocate(self._path, self._size_bytes)
        except OSError as error:
            if error.errno not in SURVIVABLE_ERRNOS:
                raise
            self.release()
            return False
        self._disk.sync_directory(self._directory)
        return True

    def release(self) -> bool:
        """Give the room back; False when there was no reserve to give."""
        if self.held_bytes == 0:
            return False
        self._disk.remove(self._path)
        self._disk.sync_directory(self._directory)
        return True

    @property
    def held_bytes(self) -> int:
        """How much room the file holds now."""
        try:
            return self._disk.size(self._path)
        except FileNotFoundError:
            return 0
