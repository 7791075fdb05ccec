"""Which segments of the journal are given up, once the archive holds what is in them.

    [ 1 ... ][ 65 ... ][ 129 ... ][ 193 ...          last: stays, whatever the limits say
    removed  | kept: one limit at least does not ask for it

Promise:  only segments go that lie wholly below the durable checkpoint, from the oldest on, each
          removal durable before the next: killed anywhere, the journal has no gap. A segment that
          cannot be judged stays. A wall clock that is set while the process runs makes no segment
          old for an hour: time enough to set it right.
Assume:   the wall clock is right when the process starts, and an hour after it was set. The caller
          wrote the checkpoint durably before it calls, and nobody else removes segments.
Not here: a manifest's own history. It is in the archive, and nothing of it is ever removed.
"""

import logging
import re
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

from daemon.journal.disk import Disk
from daemon.journal.segment import JOURNAL_NAME, list_segments, segment_path

log: Final = logging.getLogger(__name__)

CLOCK_DRIFT_S_MAX: Final = 60.0  # Between two looks, an hour apart at most: more is no drift.
CLOCK_DOUBT_S: Final = 3600.0
_HEAD_SIZE_BYTES: Final = 64 << 10  # Holds a batch's header and the members of its first event.
_AT: Final = re.compile(rb',"at":"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z)"')


class Retention(NamedTuple):
    """How far back the journal, and so the feed, reaches; None: no limit of that sort.

    Whichever limit is passed first decides. `events`: the last so many stay. `size_bytes`: the
    segments take at most so much together, the last one aside. `age_s`: what is older than that
    goes; a segment is as old as its last event.
    """

    events: int | None = None
    size_bytes: int | None = None
    age_s: float | None = None

    @property
    def is_unlimited(self) -> bool:
        """Whether everything is kept."""
        return self == (None, None, None)


KEEP_EVERYTHING: Final = Retention()


class AgeClock:
    """Whether the wall clock may be believed, by one that nobody can set."""

    def __init__(self) -> None:
        self._ahead_s: float | None = None  # Of the wall clock before the steady one.
        self._set_at_s: float | None = None  # Steady time; None: it was not set, or long ago.

    def is_believed(self, now_s: float, steady_s: float) -> bool:
        """Whether nobody set the clock lately; to be asked whenever it is looked at."""
        ahead_s = now_s - steady_s
        moved_s = 0.0 if self._ahead_s is None else ahead_s - self._ahead_s
        self._ahead_s = ahead_s
        if abs(moved_s) > CLOCK_DRIFT_S_MAX:
            self._set_at_s = steady_s
            log.warning(
                "the clock was set by %+.0f s: for %.0f s no segment of the journal goes for its age",
                moved_s,
                CLOCK_DOUBT_S,
            )
        elif self._set_at_s is not None and steady_s - self._set_at_s >= CLOCK_DOUBT_S:
            self._set_at_s = None
        return self._set_at_s is None


class SegmentRemover:
    """Removes segments. All calls block; one caller at a time."""

    def __init__(self, disk: Disk, data_directory: Path, retention: Retention) -> None:
        self._disk = disk
        self._directory = data_directory
        self._retention = retention
        self._clock = AgeClock()
        self._began: dict[int, float] = {}  # Segment -> Unix time of its first event.

    def remove(
        self, checkpoint_seq: int, last_seq: int, now_s: float, steady_s: float
    ) -> list[int]:
        """Remove what no limit keeps; return the first seqs of the segments that are gone.

        `checkpoint_seq` is the durable checkpoint's; `now_s` is Unix time, `steady_s` monotonic.
        """
        if self._retention.is_unlimited:
            return []
        if self._retention.age_s is not None and not self._clock.is_believed(now_s, steady_s):
            now_s = 0.0  # Then nothing is old.
        firsts = list_segments(self._disk, self._directory)
        size_bytes = self._sizes(firsts)
        removed = []
        for first, next_first in pairwise(firsts):
            if next_first > checkpoint_seq + 1:
                break
            if not self._is_given_up(next_first, size_bytes, last_seq, now_s):
                break
            path = segment_path(self._directory, first)
            if self._retention.size_bytes is not None:
                size_bytes -= self._disk.size(path)
            self._disk.remove(path)
            self._disk.sync_directory(self._directory / JOURNAL_NAME)
            self._began.pop(first, None)
            removed.append(first)
        return removed

    def _sizes(self, firsts: list[int]) -> int:
        if self._retention.size_bytes is None:
            return 0
        return sum(self._disk.size(segment_path(self._directory, first)) for first in firsts)

    def _is_given_up(self, next_first: int, size_bytes: int, last_seq: int, now_s: float) -> bool:
        """Tell whether a limit asks for the oldest segment, which ends before `next_first`."""
        events, size_bytes_max, age_s = self._retention
        if events is not None and next_first + events <= last_seq + 1:
            return True
        if size_bytes_max is not None and size_bytes > size_bytes_max:
            return True
        if age_s is None:
            return False
        # The next segment began after everything in this one: its head alone has to be read.
        began_s = self._began_s(next_first)
        return began_s is not None and began_s < now_s - age_s

    def _began_s(self, first: int) -> float | None:
        if first not in self._began:
            path = segment_path(self._directory, first)
            found = _AT.search(self._disk.read(path, 0, _HEAD_SIZE_BYTES))
            if found is None:
                return None
            self._began[first] = _unix_time_s(found[1].decode())
        return self._began[first]


def _unix_time_s(text: str) -> float:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC).timestamp()
