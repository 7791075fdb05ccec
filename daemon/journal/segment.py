"""Segments: the files that the journal consists of, named by the seq of their first event.

    journal/00000000000000000001.jsonl    batches, one after another (`batch.py`)
    journal/00000000000000065537.jsonl    begins where the one before it ends
    journal/00000000000000065537.jsonl.tmp    left by a recovery that was killed; worth nothing

Promise:  sorted by name is sorted by seq.
Not here: writing (`segment_writer.py`), reading (`reader.py`).
"""

import re
from pathlib import Path
from typing import Final

from daemon.journal.disk import Disk

JOURNAL_NAME: Final = "journal"
SEGMENT_SIZE_BYTES: Final = 64 << 20  # After a crash a segment is rewritten as a whole: 0.2 s.
_NAME: Final = re.compile(r"([0-9]{20})\.jsonl")
_TEMPORARY: Final = ".tmp"


def segment_path(data_directory: Path, first_seq: int) -> Path:
    """Return the path of the segment whose first event is `first_seq`."""
    return data_directory / JOURNAL_NAME / f"{first_seq:020d}.jsonl"


def temporary_path(segment: Path) -> Path:
    """Return where a segment's next content is put together before it replaces the segment."""
    return segment.with_name(segment.name + _TEMPORARY)


def segment_first(name: str) -> int | None:
    """Return the first seq of the segment called `name`; None when it is no segment's name."""
    match = _NAME.fullmatch(name)
    return int(match.group(1)) if match and int(match.group(1)) > 0 else None


def is_temporary(name: str) -> bool:
    """Whether `name` is one that `temporary_path` makes."""
    return name.endswith(_TEMPORARY) and segment_first(name.removesuffix(_TEMPORARY)) is not None


def list_segments(disk: Disk, data_directory: Path) -> list[int]:
    """Return the first seqs of the segments that are there, ascending."""
    firsts = map(segment_first, disk.list_names(data_directory / JOURNAL_NAME))
    return [first for first in firsts if first is not None]
