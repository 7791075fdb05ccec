"""What a configuration may change about the file store, and a test makes small."""

from typing import Final, NamedTuple

from daemon.archive.dirty import DIRTY_LIMITS, DirtyLimits
from daemon.journal.reserve import RESERVE_SIZE_BYTES
from daemon.journal.retention import KEEP_EVERYTHING, Retention
from daemon.journal.segment import SEGMENT_SIZE_BYTES


class StoreSettings(NamedTuple):
    """Bounds of the file store, with its defaults."""

    dirty: DirtyLimits = DIRTY_LIMITS
    segment_size_bytes: int = SEGMENT_SIZE_BYTES
    reserve_size_bytes: int = RESERVE_SIZE_BYTES
    retention: Retention = KEEP_EVERYTHING  # How far `feed` reaches back.


DEFAULT_SETTINGS: Final = StoreSettings()
