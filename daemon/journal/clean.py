"""`clean`: the mark of a drained shutdown; it says where the journal ends.

Promise:  while it is there, everything in the journal is durable and nothing follows its `seq`.
Assume:   it is written after the last sync, and removed durably before the next append.
"""

from pathlib import Path
from typing import Final

from daemon.journal.checkpoint import BatchEnd, decode_end, encode_end
from daemon.journal.disk import Disk

CLEAN_NAME: Final = "clean"


def mark_clean(disk: Disk, data_directory: Path, end: BatchEnd) -> None:
    """Say that the journal was drained at `end`; call it last, after `Journal.close`."""
    disk.write_durably(data_directory / CLEAN_NAME, encode_end(end))


def has_clean(disk: Disk, data_directory: Path) -> bool:
    """Whether the mark is there, damaged or not."""
    return CLEAN_NAME in disk.list_names(data_directory)


def remove_clean(disk: Disk, data_directory: Path) -> None:
    """Remove the mark, if there is one; durable after `sync_directory`. The journal does so before it writes."""
    disk.remove(data_directory / CLEAN_NAME)


def read_clean(disk: Disk, data_directory: Path) -> BatchEnd | None:
    """Return where the journal was drained; None when the mark is missing or damaged."""
    if not has_clean(disk, data_directory):
        return None
    return decode_end(disk.read(data_directory / CLEAN_NAME))
