"""The bytes of a batch: what one write and one sync make durable together.

    batch  := header line{count}
    header := {"batch":{"first":N,"count":k,"bytes":b,"log_hash":"L","crc":"C"}}\\n
    line   := an event's line (`protocol.events`)  \\n

    N = seq of the first event      b = size of the k lines, newlines included
    L = log hash after the batch's last event, 64 lower-case hex digits
    C = crc32 of the header's bytes before the comma of `,"crc"`, 8 lower-case hex digits

Promise:  from a good header a reader knows where the next one stands; a header that `read_header`
          accepts was written by `encode_batch`, byte for byte.
Assume:   an event's line holds no newline and no zero byte (it is JSON).
Not here: whether the events behind a header are what it says (`reader.py`).
"""

import re
import zlib
from collections.abc import Sequence
from typing import Final, NamedTuple

from protocol.events import CommittedEvent, next_log_hash

HEADER_SIZE_MAX: Final = 200  # Bytes; the regex below admits no more than 172.
_HEADER: Final = re.compile(
    rb'(\{"batch":\{"first":([1-9][0-9]{0,18}),"count":([1-9][0-9]{0,8}),"bytes":([1-9][0-9]{0,9})'
    rb',"log_hash":"([0-9a-f]{64})"),"crc":"([0-9a-f]{8})"\}\}\n'
)


class BatchHeader(NamedTuple):
    """What a header says about the lines behind it; `header_size_bytes` is its own line's size."""

    first: int
    event_count: int
    lines_size_bytes: int
    log_hash: bytes
    header_size_bytes: int

    @property
    def last(self) -> int:
        """The seq of the batch's last event."""
        return self.first + self.event_count - 1

    @property
    def size_bytes(self) -> int:
        """The size of the whole batch."""
        return self.header_size_bytes + self.lines_size_bytes


class EncodedBatch(NamedTuple):
    """A batch's bytes, the log hash after it, and how much of the bytes are event lines."""

    data: bytes
    log_hash: bytes
    lines_size_bytes: int


def encode_batch(events: Sequence[CommittedEvent], log_hash: bytes) -> EncodedBatch:
    """Return the batch of `events`, gapless by seq, where `log_hash` holds before the first."""
    for event in events:
        log_hash = next_log_hash(log_hash, event.seq, event.hash)
    return encode_lines(events[0].seq, [event.line for event in events], log_hash)


def encode_lines(first: int, lines: Sequence[bytes], log_hash: bytes) -> EncodedBatch:
    """Return the batch of event lines from seq `first` on, where `log_hash` holds after the last."""
    size_bytes = sum(map(len, lines)) + len(lines)
    checked = b'{"batch":{"first":%d,"count":%d,"bytes":%d,"log_hash":"%b"' % (
        first,
        len(lines),
        size_bytes,
        log_hash,
    )
    header = b'%b,"crc":"%08x"}}' % (checked, zlib.crc32(checked))
    return EncodedBatch(b"\n".join([header, *lines, b""]), log_hash, size_bytes)


def read_header(data: bytes, offset: int = 0) -> BatchHeader | None:
    """Return the header that begins at `offset` in `data`; None when there is no good one."""
    match = _HEADER.match(data, offset)
    return None if match is None else _checked_header(match)


def find_header(data: bytes, offset: int, *, first_min: int) -> BatchHeader | None:
    """Return the first good header at or behind `offset` whose first seq is at least `first_min`."""
    found = find_header_at(data, offset, first_min=first_min)
    return None if found is None else found[1]


def find_header_at(data: bytes, offset: int, *, first_min: int) -> tuple[int, BatchHeader] | None:
    """Return what `find_header` does, and where it stands."""
    for match in _HEADER.finditer(data, offset):
        header = _checked_header(match)
        if header is not None and header.first >= first_min:
            return match.start(), header
    return None


def _checked_header(match: re.Match[bytes]) -> BatchHeader | None:
    checked, first, count, size_bytes, log_hash, crc = match.groups()
    if crc != b"%08x" % zlib.crc32(checked):
        return None
    return BatchHeader(int(first), int(count), int(size_bytes), log_hash, len(match.group()))
