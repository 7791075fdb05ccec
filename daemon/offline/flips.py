"""One flipped bit, put back: where a sha256 says what was there, it proves which bit it was.

Promise:  what comes back has a good seal; two different contents with one seal would be a
          collision of sha256.
Not here: more than one bit. Trying two takes the square of the time.
"""

import re
import zlib
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Final

from protocol.events import CommittedEvent, DamagedEventError

SIZE_BYTES_MAX: Final = 64 << 10  # A try for each bit, 2 us for a KiB: half a minute at most.

_CRC_SIZE: Final = len(b',"crc":"00000000"}')
_NEWLINE: Final = 0x0A
# Two lines, or a header and a line, with one byte between them that was a newline.
_JOINT: Final = re.compile(rb'"\}\}?([\x0b\x08\x0e\x02\x1a\x2a\x4a\x8a])(?=\{"seq":)')


def unflipped(data: bytes, is_good: Callable[[bytes], bool]) -> bytes | None:
    """Return `data` with the one bit changed that makes it good; None when no single one does."""
    if len(data) > SIZE_BYTES_MAX:
        return None
    changed = bytearray(data)
    for place in range(len(changed)):
        for bit in range(8):
            changed[place] ^= 1 << bit
            if is_good(bytes(changed)):
                return bytes(changed)
            changed[place] ^= 1 << bit
    return None


def unflipped_line(line: bytes) -> bytes | None:
    """Return the event line that `line` was before one bit of it was flipped; None for none."""
    return unflipped(line, _has_crc) if len(line) > _CRC_SIZE else None


def _has_crc(line: bytes) -> bool:
    if line[-_CRC_SIZE:] != b',"crc":"%08x"}' % zlib.crc32(line[:-_CRC_SIZE]):
        return False
    try:
        CommittedEvent.read(line)
    except DamagedEventError:
        return False
    return True


def without_flips(content: bytes) -> Iterator[bytes]:
    """Yield the lines of `content` that one flipped bit damaged, as they were.

    A newline may have become another byte, or another byte a newline.
    """
    pieces = content.split(b"\n")
    for piece in pieces:
        if (line := unflipped_line(piece)) is not None:
            yield line
        for joint in _JOINT.finditer(piece):
            yield from (piece[: joint.start(1)], piece[joint.end(1) :])
    for left, right in pairwise(pieces):
        for bit in range(8):
            joined = left + bytes([_NEWLINE ^ 1 << bit]) + right
            if _has_crc(joined):
                yield joined
