"""One flipped bit is put back where a hash says what was there."""

from daemon.journal.sealed import seal, unseal
from daemon.offline.flips import unflipped, unflipped_line, without_flips
from tests.support.events import Chain, committed

LINES = [event.line for event in committed([chain.next() for chain in map(Chain, "abc")])]


def flip(content: bytes, place: int) -> bytes:
    """Return `content` with the bit at `place` flipped."""
    changed = bytearray(content)
    changed[place // 8] ^= 1 << place % 8
    return bytes(changed)


def test_every_bit_of_a_sealed_file_is_put_back() -> None:
    sealed = seal({"seq": 1})

    for place in range(8 * len(sealed)):
        assert unflipped(flip(sealed, place), lambda data: unseal(data) is not None) == sealed


def test_two_bits_are_not_guessed() -> None:
    sealed = seal({"seq": 1})

    assert unflipped(flip(flip(sealed, 9), 99), lambda data: unseal(data) is not None) is None


def test_bits_all_over_an_event_are_put_back() -> None:
    for place in range(0, 8 * len(LINES[0]), 509):
        assert unflipped_line(flip(LINES[0], place)) == LINES[0]


def test_a_newline_that_became_another_byte_is_put_back() -> None:
    content = b"\n".join(LINES) + b"\n"
    place = 8 * len(LINES[0])

    for bit in range(8):
        found = list(without_flips(flip(content, place + bit)))
        assert {LINES[0], LINES[1]} <= set(found), bit


def test_a_byte_that_became_a_newline_is_put_back() -> None:
    (event,) = committed([Chain("a").next(reason="J*K")])
    line = event.line
    near = next(n for n, byte in enumerate(line) if (byte ^ 0x0A).bit_count() == 1)
    changed = line[:near] + b"\n" + line[near + 1 :]

    assert line in list(without_flips(LINES[0] + b"\n" + changed + b"\n"))
