"""The table of damages, and the facts that are looked up in it."""

from itertools import chain, product
from pathlib import Path

import pytest

from daemon.journal.batch import read_header
from daemon.journal.batches import DamagedBatchError, read_batches, read_from
from daemon.journal.damage import (
    DAMAGES,
    SECTOR_SIZE_BYTES,
    Copy,
    Damage,
    Form,
    Place,
    Standing,
    Verdict,
    form_of,
    has_zeroed_sector,
    judge,
    place_of,
)
from tests.unit.journal.journals import journal_bytes

EVERY_DAMAGE = [Damage(*facts) for facts in product(Place, Form, Standing, Copy)]


@pytest.mark.parametrize("damage", EVERY_DAMAGE, ids="-".join)
def test_every_damage_meets_exactly_one_row(damage: Damage) -> None:
    assert sum(row.matches(damage) for row in DAMAGES) == 1


@pytest.mark.parametrize("row", DAMAGES, ids=lambda row: row.because)
def test_every_row_is_needed(row: object) -> None:
    assert any(judge(damage) is row for damage in EVERY_DAMAGE)


@pytest.mark.parametrize("damage", EVERY_DAMAGE, ids="-".join)
def test_only_a_torn_last_batch_that_nobody_was_told_of_is_cut(damage: Damage) -> None:
    is_cut = judge(damage).verdict is Verdict.CUT

    assert is_cut == (damage[:3] == (Place.LAST, Form.TORN, Standing.POSSIBLE))


@pytest.mark.parametrize("damage", EVERY_DAMAGE, ids="-".join)
def test_nothing_is_repaired_without_a_whole_copy(damage: Damage) -> None:
    assert judge(damage).verdict is not Verdict.REPAIR or damage.copy is Copy.COMPLETE


def damage_in(segment: bytes) -> DamagedBatchError:
    """Return what the iterator says of a segment that begins at seq 1."""
    batches = read_batches(read_from(segment), Path("/x"), offset=0, end_offset=len(segment), seq=1)
    with pytest.raises(DamagedBatchError) as caught:
        list(chain.from_iterable(batch.events() for batch in batches))
    return caught.value


def flipped(segment: bytes, offset: int) -> bytes:
    """Return `segment` with a bit changed at `offset`."""
    return segment[:offset] + bytes([segment[offset] ^ 1]) + segment[offset + 1 :]


TWO = journal_bytes([2, 2])
header = read_header(TWO)
assert header
SECOND = header.size_bytes


@pytest.mark.parametrize(
    ("segment", "place", "form"),
    [
        (flipped(TWO, 5), Place.EARLIER, Form.CHANGED),
        (flipped(TWO, 300), Place.EARLIER, Form.CHANGED),
        (flipped(TWO, SECOND - 1), Place.EARLIER, Form.CHANGED),
        (flipped(TWO, SECOND + 5), Place.LAST, Form.CHANGED),
        (flipped(TWO, len(TWO) - 1), Place.LAST, Form.CHANGED),
        (TWO[:-1], Place.LAST, Form.TORN),
        (TWO[: SECOND + 1], Place.LAST, Form.TORN),
        (TWO[:512] + bytes(512) + TWO[1024:], Place.EARLIER, Form.TORN),
        (TWO + bytes(3), Place.LAST, Form.TORN),
        (TWO + b"x\n", Place.LAST, Form.CHANGED),
        (TWO[:SECOND] + TWO[:SECOND], Place.LAST, Form.CONTRADICTION),
    ],
)
def test_the_facts_are_what_the_bytes_say(segment: bytes, place: Place, form: Form) -> None:
    error = damage_in(segment)

    assert place_of(error, segment, is_last_segment=True) is place
    assert form_of(error, segment) is form


def test_whatever_stands_in_an_earlier_segment_is_no_tail() -> None:
    error = damage_in(TWO[:-1])

    assert place_of(error, TWO[:-1], is_last_segment=False) is Place.EARLIER


@pytest.mark.parametrize(
    ("zeros", "start", "end", "expected"),
    [
        (range(512, 1024), 0, 2000, True),
        (range(513, 1024), 0, 2000, False),
        (range(512, 1023), 0, 2000, False),
        (range(300, 512), 300, 2000, True),
        (range(300, 511), 300, 2000, False),
        (range(1536, 2000), 0, 2000, True),
        (range(1537, 2000), 0, 2000, False),
        (range(100, 101), 0, 2000, False),
        (range(512, 1024), 0, 512, False),
        (range(700, 1600), 0, 2000, True),
        (range(0), 0, 2000, False),
    ],
)
def test_a_sector_counts_as_zeroed_when_all_of_it_that_lies_within_is(
    zeros: range, start: int, end: int, *, expected: bool
) -> None:
    content = bytes(0 if offset in zeros else 1 for offset in range(2000))

    assert SECTOR_SIZE_BYTES == 512
    assert has_zeroed_sector(content, start, end) is expected
