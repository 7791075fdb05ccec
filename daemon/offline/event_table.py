"""Which event stands at which seq: enough of each to compare two copies, in 36 bytes.

Promise:  two lines with the same seq, hash and crc are the same bytes: the hash covers all but seq
          and payload, the payload is bound by a digest within it, and the crc covers the rest.
"""

from collections.abc import Iterator
from typing import Final

from protocol.events import CommittedEvent

HASH_SIZE: Final = 32
_SIZE: Final = HASH_SIZE + 4
_CHUNK: Final = 4096  # Events.
_NOTHING: Final = bytes(_SIZE)


def fingerprint(event: CommittedEvent) -> bytes:
    """Return hash and crc of an event that was checked."""
    return bytes.fromhex(event.hash) + bytes.fromhex(event.line[-10:-2].decode())


class EventTable:
    """Seq -> fingerprint."""

    def __init__(self) -> None:
        self.seq_max = 0
        self.count = 0
        self._chunks: dict[int, bytearray] = {}

    def put(self, seq: int, found: bytes) -> bool:
        """Note what stands at `seq`; False when something else stands there already."""
        known = self.get(seq)
        if known is not None:
            return known == found
        chunk = self._chunks.setdefault(seq // _CHUNK, bytearray(_SIZE * _CHUNK))
        place = seq % _CHUNK * _SIZE
        chunk[place : place + _SIZE] = found
        self.seq_max = max(self.seq_max, seq)
        self.count += 1
        return True

    def get(self, seq: int) -> bytes | None:
        """Return the fingerprint at `seq`; None when nothing stands there."""
        chunk = self._chunks.get(seq // _CHUNK)
        if chunk is None:
            return None
        place = seq % _CHUNK * _SIZE
        found = bytes(chunk[place : place + _SIZE])
        return None if found == _NOTHING else found

    def hashes(self, last_seq: int) -> Iterator[tuple[int, str]] | None:
        """Return seq and hash from 1 to `last_seq`; None when one of them is missing."""
        if any(self.get(seq) is None for seq in range(1, last_seq + 1)):
            return None
        found = ((seq, self.get(seq)) for seq in range(1, last_seq + 1))  # One at a time.
        return ((seq, one[:HASH_SIZE].hex()) for seq, one in found if one is not None)
