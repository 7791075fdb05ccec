"""The latest committed events, in memory: what a subscriber that follows closely asks for.

Promise:  it holds the events `first_seq` to `last_seq` without gaps, and no more than its bounds.
"""

from collections import deque
from collections.abc import Collection
from itertools import islice
from typing import Final

from protocol.erasure import erased
from protocol.events import CommittedEvent

EVENTS_MAX: Final = 8192  # A subscriber that reconnects within a third of a second of full load.
SIZE_BYTES_MAX: Final = 32 << 20  # The same, where events carry documents.


class RecentEvents:
    """A bounded queue of the last committed events of a store."""

    def __init__(
        self,
        last_seq: int,
        *,
        events_max: int = EVENTS_MAX,
        size_bytes_max: int = SIZE_BYTES_MAX,
    ) -> None:
        self.last_seq = last_seq
        self._events: deque[CommittedEvent] = deque()
        self._size_bytes = 0
        self._events_max = events_max
        self._size_bytes_max = size_bytes_max

    @property
    def first_seq(self) -> int:
        """The seq of the oldest event it holds; `last_seq` + 1 when it holds none."""
        return self.last_seq + 1 - len(self._events)

    def add(self, event: CommittedEvent) -> None:
        """Take the event that follows, and forget the oldest ones where there are too many."""
        assert event.seq == self.last_seq + 1
        self.last_seq = event.seq
        self._events.append(event)
        self._size_bytes += len(event.line)
        while len(self._events) > self._events_max or self._size_bytes > self._size_bytes_max:
            self._size_bytes -= len(self._events.popleft().line)

    def redact(self, manifest_id: str, version: int, fields: Collection[str]) -> None:
        """Take fields out of an event, where it is here."""
        for index, event in enumerate(self._events):
            if (event.core.manifest_id, event.core.version) == (manifest_id, version):
                self._size_bytes -= len(event.line)
                self._events[index] = left = erased(event, fields)
                self._size_bytes += len(left.line)

    def page(self, after_seq: int, limit: int, bytes_max: int) -> list[CommittedEvent]:
        """Return at most `limit` events after `after_seq`, at least one where there is one."""
        assert after_seq + 1 >= self.first_seq
        start = after_seq + 1 - self.first_seq
        return bounded(list(islice(self._events, start, start + limit)), bytes_max)


def bounded(events: list[CommittedEvent], bytes_max: int) -> list[CommittedEvent]:
    """Return `events` up to `bytes_max` of lines, but one at least where there is one."""
    size_bytes = 0
    for number, event in enumerate(events):
        size_bytes += len(event.line)
        if size_bytes > bytes_max and number > 0:
            return events[:number]
    return events
