"""The clock and the randomness of a running daemon."""

import secrets
import time
from collections.abc import Callable
from typing import Final

from actors.ports import Stamp
from protocol.events import timestamp
from protocol.identifiers import uuid7

_POOL_SIZE_BYTES: Final = 6656  # One system call for 256 stamps.
_PART_SIZE_BYTES: Final = 26  # 16 for the salt, 10 for the event id.


class SystemStamper:
    """Stamps with the system's clock and random bytes. Implements `ports.Stamper`."""

    def __init__(
        self,
        clock_ns: Callable[[], int] = time.time_ns,
        randomness: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._clock_ns = clock_ns
        self._randomness = randomness
        self._pool = b""
        self._at = 0

    def stamp(self) -> Stamp:
        """Return the present, a fresh UUIDv7 and a fresh salt."""
        start = self._at
        if start >= len(self._pool):
            self._pool = self._randomness(_POOL_SIZE_BYTES)
            start = 0
        self._at = start + _PART_SIZE_BYTES
        part = self._pool[start : self._at]
        now_ns = self._clock_ns()
        event_id = uuid7(now_ns // 1_000_000, part[16:])
        return Stamp(timestamp(now_ns), event_id, part[:16].hex())

    def now(self) -> str:
        """Return the present."""
        return timestamp(self._clock_ns())
