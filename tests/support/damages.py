"""What can happen to the bytes of a file: every kind of damage that promise 11 names.

`every(content)` yields all of a kind, `some(content, random)` a few of each.
"""

from collections.abc import Callable, Iterator
from random import Random
from typing import Final, NamedTuple

SECTOR: Final = 512


class Damage(NamedTuple):
    """A kind of damage at a place, and what the file holds then."""

    kind: str
    place: int
    content: bytes


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


def _blocks(content: bytes) -> list[bytes]:
    return [content[start : start + SECTOR] for start in range(0, len(content), SECTOR)]


def _doubled_block(content: bytes, place: int) -> bytes:
    """The block is there once more in place of the one behind it."""
    blocks = _blocks(content)
    blocks[place + 1 : place + 2] = [blocks[place]] * len(blocks[place + 1 : place + 2])
    return b"".join(blocks)


def _swapped_blocks(content: bytes, place: int) -> bytes:
    blocks = _blocks(content)
    blocks[place : place + 2] = reversed(blocks[place : place + 2])
    return b"".join(blocks)


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
    "a doubled block": (_doubled_block, _sectors),
    "two swapped blocks": (_swapped_blocks, _sectors),
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


def _changing(content: bytes, damage: Damage) -> Iterator[Damage]:
    if damage.content != content:
        yield damage
