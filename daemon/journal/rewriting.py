"""Carrying out what recovery decided: quarantine, rewrite, clear away.

Promise:  killed at any moment and started again, recovery finds either what it found before or
          what it was about to write, segment by segment, and comes to the same result. What is
          given up lies durably in `quarantine/` before it leaves the journal.
Assume:   the bytes to write are at hand: after a failed sync the page cache may forget them
          between two reads.
Not here: deciding (`inspection.py`).
"""

from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple

from daemon.journal.clean import remove_clean
from daemon.journal.disk import SURVIVABLE_ERRNOS, Disk
from daemon.journal.reserve import Reserve
from daemon.journal.segment import JOURNAL_NAME, segment_path, temporary_path

QUARANTINE_NAME: Final = "quarantine"


class Rescue(NamedTuple):
    """Bytes that leave the journal, to be kept: from `offset` of the segment `first` on."""

    first: int
    offset: int
    data: bytes

    @property
    def name(self) -> str:
        """The file's name in `quarantine/`: the same bytes from the same place get it again."""
        return f"journal-{self.first:020d}-{self.offset}-{sha256(self.data).hexdigest()[:16]}"


class Rewrite(NamedTuple):
    """What the segment `first` is to hold from now on."""

    first: int
    content: bytes


class Work(NamedTuple):
    """All that recovery writes, in this order."""

    rescues: list[Rescue]
    temporaries: list[str]  # Names in `journal/` that a killed recovery left.
    rewrites: list[Rewrite]
    is_clean: bool  # Whether `clean` speaks of this journal; if not, it goes.

    def carry_out(self, disk: Disk, data_directory: Path) -> None:
        """Do it; an `OSError` means that only another start can tell what was done."""
        journal = data_directory / JOURNAL_NAME
        if JOURNAL_NAME not in disk.list_names(data_directory):
            disk.make_directory(journal)
            disk.sync_directory(data_directory)
        reserve = Reserve(disk, data_directory)
        if self.rescues:
            quarantine = data_directory / QUARANTINE_NAME
            disk.make_directory(quarantine)
            disk.sync_directory(data_directory)
            for rescue in self.rescues:
                _replace(disk, quarantine / rescue.name, rescue.data, reserve)
        for name in self.temporaries:
            disk.remove(journal / name)
        for rewrite in self.rewrites:
            path = segment_path(data_directory, rewrite.first)
            _replace(disk, path, rewrite.content, reserve)
        if not self.is_clean:
            remove_clean(disk, data_directory)
            disk.sync_directory(data_directory)


def _replace(disk: Disk, path: Path, content: bytes, reserve: Reserve) -> None:
    """Give `path` its content, durably and as a whole; on a full disk, in the reserve's room."""
    try:
        write_temporary(disk, path, content)
    except NoRoomToRewriteError as error:
        if not reserve.release():
            raise error.cause from None
        try:
            write_temporary(disk, path, content)
        except NoRoomToRewriteError as again:
            raise again.cause from None
    disk.replace(temporary_path(path), path)
    disk.sync_directory(path.parent)


class NoRoomToRewriteError(Exception):
    """A write, and not a sync, found no room: it may be tried again in a new file."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(cause)
        self.cause = cause


def write_temporary(disk: Disk, path: Path, content: bytes) -> None:
    """Write a segment's next content beside it, durably but for its name.

    Raises:
        NoRoomToRewriteError: a write found no room; nothing is left of it.
        OSError: the disk failed.
    """
    temporary = temporary_path(path)
    disk.remove(temporary)
    file = disk.open_append(temporary, create=True)
    try:
        try:
            file.write(content)
        except OSError as error:
            if error.errno in SURVIVABLE_ERRNOS:
                disk.remove(temporary)
                raise NoRoomToRewriteError(error) from error
            raise
        file.sync()
    finally:
        file.close()
