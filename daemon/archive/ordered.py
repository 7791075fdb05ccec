"""The archive in the journal's order: the events that retention took out of the journal.

    heap of (seq of the next line, log, version, offset)   one entry for each manifest
      pop the lowest -> read its line -> push the log again with the line after it

Promise:  pages of events with gapless seqs, each line checked; memory for one entry per manifest.
Assume:   everything before `before_seq` is archived and synced. A log may be replaced meanwhile by
          one in which lines are shorter (redaction): a line that is not where it was is looked for.
Not here: what the journal still holds (`journal/reader.py`).
"""

import re
from heapq import heapify, heappop, heappush
from pathlib import Path
from threading import Lock
from typing import Final, NamedTuple

from daemon.archive.layout import LOG_NAME
from daemon.archive.log import read_log
from daemon.archive.reader import ArchiveReader
from daemon.errors import DamagedStoreError
from daemon.journal.disk import Disk
from protocol.events import CommittedEvent, DamagedEventError

CHUNK_SIZE_BYTES: Final = 16 << 10  # One read: a few lines, and the beginning of the next.
_SEQ: Final = re.compile(rb'\{"seq":([1-9][0-9]{0,18}),')
_SEQ_SIZE_MAX: Final = 32  # Bytes that `_SEQ` needs to see.


class _Next(NamedTuple):
    """Where a log's next line is."""

    seq: int
    log: str  # The folders' names: a `Path` takes ten times as much.
    version: int
    offset: int


class OrderedArchive:
    """Pages over all logs. Calls block; any thread may make them, one after another."""

    def __init__(self, disk: Disk, data_directory: Path) -> None:
        self._disk = disk
        self._reader = ArchiveReader(disk, data_directory)
        self._root: Path | None = None
        self._heap: list[_Next] = []
        self._position = -1
        self._page: tuple[int, list[CommittedEvent]] = (-1, [])
        self._lock = Lock()

    def page(
        self, after_seq: int, before_seq: int, limit: int, bytes_max: int
    ) -> list[CommittedEvent]:
        """Return the events after `after_seq` and before `before_seq`: at least one, where any is.

        The first page, and one that does not follow the page before it, opens every log.

        Raises:
            DamagedStoreError: a line is damaged or missing.
        """
        with self._lock:
            if after_seq == self._page[0]:  # The answer was lost on its way.
                return self._page[1]
            if after_seq != self._position:
                self._open(after_seq)
            events = self._take(after_seq, min(before_seq, after_seq + limit + 1), bytes_max)
            self._page = (after_seq, events)
            return events

    def _take(self, after_seq: int, before_seq: int, bytes_max: int) -> list[CommittedEvent]:
        events: list[CommittedEvent] = []
        size_bytes = 0
        for seq in range(after_seq + 1, before_seq):
            if not self._heap or self._heap[0].seq != seq:
                assert self._root is not None
                raise DamagedStoreError(self._root, f"no log holds seq {seq}", seq=seq)
            event = self._pop()
            events.append(event)
            self._position = seq
            size_bytes += len(event.line)
            if size_bytes > bytes_max:
                break
        return events

    def _open(self, after_seq: int) -> None:
        """Find the first line after `after_seq` in every log."""
        self._position, self._heap = -1, []
        for path in self._reader.log_paths():
            self._root = path.parent.parent.parent
            found = self._first_after(path, after_seq)
            if found is not None:
                self._heap.append(found)
        heapify(self._heap)
        self._position = after_seq

    def _first_after(self, path: Path, after_seq: int) -> _Next | None:
        name = f"{path.parent.parent.name}/{path.parent.name}"
        if after_seq == 0:
            seq = _seq_in(self._disk.read(path, 0, _SEQ_SIZE_MAX))
            return None if seq is None else _Next(seq, name, 1, 0)
        offset = 0
        for version, line in enumerate(read_log(self._disk, path).splitlines(keepends=True), 1):
            seq = _seq_in(line)
            if seq is not None and seq > after_seq:
                return _Next(seq, name, version, offset)
            offset += len(line)
        return None

    def _pop(self) -> CommittedEvent:
        """Return the event at the top of the heap, and put its log's next line there instead."""
        top = heappop(self._heap)
        assert self._root is not None
        path = self._root / top.log / LOG_NAME
        event, end, following = self._line(path, top)
        if following is not None:
            heappush(self._heap, _Next(following, top.log, top.version + 1, end))
        return event

    def _line(self, path: Path, place: _Next) -> tuple[CommittedEvent, int, int | None]:
        """Return the event at `place`, where the line after it begins, and that line's seq."""
        size_bytes = CHUNK_SIZE_BYTES
        while True:
            data = self._disk.read(path, place.offset, size_bytes)
            line, newline, rest = data.partition(b"\n")
            if len(data) < size_bytes or (newline and len(rest) >= _SEQ_SIZE_MAX):
                break
            size_bytes *= 4
        event = _event(line)
        if event is None or (event.seq, event.core.version) != (place.seq, place.version):
            return self._searched(path, place)
        return event, place.offset + len(line) + 1, _seq_in(rest)

    def _searched(self, path: Path, place: _Next) -> tuple[CommittedEvent, int, int | None]:
        """Return the same, in a log that was replaced since."""
        lines = read_log(self._disk, path).splitlines(keepends=True)[: place.version + 1]
        if len(lines) < place.version:
            reason = f"it ends after version {len(lines)}, but version {place.version} was archived"
            raise DamagedStoreError(path, reason, line=len(lines) + 1)
        try:
            event = CommittedEvent.read(lines[place.version - 1].removesuffix(b"\n"))
        except DamagedEventError as error:
            raise DamagedStoreError(
                path, error.reason, line=place.version, seq=place.seq
            ) from error
        if (event.seq, event.core.version) != (place.seq, place.version):
            reason = f"it holds seq {event.seq}, version {event.core.version}"
            raise DamagedStoreError(path, reason, line=place.version, seq=place.seq)
        end = sum(map(len, lines[: place.version]))
        return event, end, _seq_in(lines[place.version]) if len(lines) > place.version else None


def _event(line: bytes) -> CommittedEvent | None:
    try:
        return CommittedEvent.read(line)
    except DamagedEventError:
        return None


def _seq_in(data: bytes) -> int | None:
    match = _SEQ.match(data)
    return None if match is None else int(match.group(1))
