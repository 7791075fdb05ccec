"""One flipped bit, put back: where a sha256 says what was there, it proves which bit it was.

Promise:  what comes back has a good seal; two different contents with one seal would be a
          collision of sha256.
Not here: more than one bit. Trying two takes the square of the time.
"""

from collections.abc import Callable
from typing import Final

SIZE_BYTES_MAX: Final = 64 << 10  # A try for each bit, 2 us for a KiB: half a minute at most.


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
