"""What can happen to the bytes of a file: every kind of damage that promise 11 names.

`every(content)` yields all of a kind, `some(content, random)` a few of each.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

SECTOR: Final = 512
PAGE: Final = 4096  # What a file system moves at a time.


class Damage(NamedTuple):
    """A kind of damage at a place, and what the file holds then."""

    kind: str
    place: int
    content: bytes
    other: tuple[Path, bytes] | None = None  # A second file that is not what it was.


Kind = Callable[[bytes, int], bytes]


def _flipped(content: bytes, place: int) -> bytes:
    changed = bytearray(content)
    changed[place // 8] ^= 1 << place % 8
    return bytes(changed)


def _zeroed(content: bytes, place: int) -> bytes:
    start, end = place * SECTOR, min((place + 1) * SECTOR, len(content))
    return content[:start] + bytes(end - start) + content[end:]


def _cut(content: bytes, place: int) -> bytes:
    return content[:place]


def _doubled_line(content: bytes, place: int) -> bytes:
    lines = content.splitlines(keepends=True)
    return b"".join([*lines[: place + 1], *lines[place:]])


def _swapped_lines(content: bytes, place: int) -> bytes:
    lines = content.splitlines(keepends=True)
    lines[place : place + 2] = reversed(lines[place : place + 2])
    return b"".join(lines)


def _blocks(content: bytes, size: int) -> list[bytes]:
    return [content[start : start + size] for start in range(0, len(content), size)]


def _put(blocks: list[bytes], place: int, block: bytes) -> None:
    """Put `block` there; the file's size stays. Behind a file's end its last block holds zeros."""
    size = len(blocks[place])
    blocks[place] = block[:size].ljust(size, b"\0")


def _pair(place: int, count: int) -> tuple[int, int]:
    """Return the `place`-th pair of two different ones of `count`."""
    one, other = divmod(place, count - 1)
    return one, other + (other >= one)


def _doubled(size: int) -> "Kind":
    def doubled(content: bytes, place: int) -> bytes:
        """A block is there once more in place of another one, as after a misdirected write."""
        blocks = _blocks(content, size)
        source, target = _pair(place, len(blocks))
        _put(blocks, target, blocks[source])
        return b"".join(blocks)

    return doubled


def _swapped(size: int) -> "Kind":
    def swapped(content: bytes, place: int) -> bytes:
        blocks = _blocks(content, size)
        one, other = _pair(place, len(blocks))
        kept = blocks[one]
        _put(blocks, one, blocks[other])
        _put(blocks, other, kept)
        return b"".join(blocks)

    return swapped


def _pairs(size: int) -> Callable[[bytes], int]:
    def pairs(content: bytes) -> int:
        count = -(-len(content) // size)
        return count * (count - 1)

    return pairs


def _bits(content: bytes) -> int:
    return 8 * len(content)


def _lines(content: bytes) -> int:
    return content.count(b"\n")


def _sectors(content: bytes) -> int:
    return -(-len(content) // SECTOR)


# Name -> how it is done, and at how many places.
KINDS: Final[dict[str, tuple[Kind, Callable[[bytes], int]]]] = {
    "a flipped bit": (_flipped, _bits),
    "a zeroed sector": (_zeroed, _sectors),
    "a truncation": (_cut, len),
    "a doubled line": (_doubled_line, _lines),
    "two swapped lines": (_swapped_lines, _lines),
    "a doubled block": (_doubled(SECTOR), _pairs(SECTOR)),
    "two swapped blocks": (_swapped(SECTOR), _pairs(SECTOR)),
    "a doubled page": (_doubled(PAGE), _pairs(PAGE)),
    "two swapped pages": (_swapped(PAGE), _pairs(PAGE)),
}


def every(content: bytes, kind: str) -> Iterator[Damage]:
    """Yield all damages of one kind that change anything."""
    damaged, places = KINDS[kind]
    for place in range(places(content)):
        yield from _changing(content, Damage(kind, place, damaged(content, place)))


def some(content: bytes, random: Random, flips: int, others: int) -> Iterator[Damage]:
    """Yield so many flipped bits, and so many damages of other kinds."""
    for number in range(flips + others):
        kind = "a flipped bit" if number < flips else random.choice(list(KINDS)[1:])
        damaged, places = KINDS[kind]
        if (count := places(content)) > 0:
            place = random.randrange(count)
            yield from _changing(content, Damage(kind, place, damaged(content, place)))


def across(one: bytes, path: Path, other: bytes, size: int) -> Iterator[Damage]:
    """Yield every exchange of a block of `one` with one of `other`, the file `path`.

    And every block of `other` in place of one of `one`, which is as it was: a write that went astray.
    """
    for place, (source, target) in enumerate(
        (s, t) for s in range(-(-len(other) // size)) for t in range(-(-len(one) // size))
    ):
        ours, theirs = _blocks(one, size), _blocks(other, size)
        kept = ours[target]
        _put(ours, target, theirs[source])
        _put(theirs, source, kept)
        changed, exchanged = b"".join(ours), b"".join(theirs)
        if changed != one:
            yield Damage("a block of another file", place, changed)
            yield Damage("blocks of two files swapped", place, changed, (path, exchanged))


def _changing(content: bytes, damage: Damage) -> Iterator[Damage]:
    if damage.content != content:
        yield damage
