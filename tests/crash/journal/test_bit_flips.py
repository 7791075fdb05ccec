"""Bit rot: every bit of a small journal, with and without a second copy of its events.

Whatever comes back is right to the byte and complete, or recovery refuses and changes nothing.
"""

from itertools import product

import pytest

from daemon.errors import DamagedStoreError
from daemon.journal.checkpoint import BatchEnd, write_checkpoint
from daemon.journal.clean import mark_clean
from daemon.journal.inspection import SecondCopy
from daemon.journal.recovery import recover_journal
from daemon.journal.segment import segment_path
from tests.support.effort import tally
from tests.support.faulty_disk import FaultyDisk
from tests.unit.journal.journals import (
    DATA,
    events,
    journal_bytes,
    log_hash_after,
    no_copy,
    put_segment,
    whole_copy,
)

pytestmark = (
    pytest.mark.no_cover
)  # What it runs is covered elsewhere; measured, it takes many times as long.

CONTENT = journal_bytes([1, 2])
FIRST_SIZE = len(journal_bytes([1]))
LINES = [one.line for one in events(1, 3)]


def outcome(content: bytes, second_copy: SecondCopy, *, is_clean: bool) -> str:
    """Recover a segment with `content`; return "right" or "refused", and fail on anything else."""
    disk = FaultyDisk()
    path = put_segment(disk, content)
    if is_clean:
        mark_clean(disk, DATA, BatchEnd(3, log_hash_after(3)))
    before = disk.files()
    try:
        recovered = recover_journal(disk, DATA, second_copy=second_copy, archived_seq_max=None)
    except DamagedStoreError as refusal:
        error = refusal
    else:
        assert [one.line for one in recovered.tail] == LINES
        assert recovered.end.log_hash == log_hash_after(3)
        assert disk.durable_files()[path] == CONTENT
        return "right"
    assert error.path == path
    assert error.line is not None
    assert error.seq in {1, 2, 3}
    assert disk.files() == before
    return "refused"


def flip(offset: int, bit: int, second_copy: SecondCopy, *, is_clean: bool) -> None:
    """Flip one bit, and see that recovery mends what it can and refuses the rest."""
    content = bytearray(CONTENT)
    content[offset] ^= 1 << bit

    result = outcome(bytes(content), second_copy, is_clean=is_clean)

    if offset < FIRST_SIZE:  # A later batch stands behind it.
        assert result == "refused", (offset, bit)
    elif second_copy is whole_copy:
        assert result == "right", (offset, bit)


COPIES = pytest.mark.parametrize(
    ("second_copy", "is_clean"), [(no_copy, False), (no_copy, True), (whole_copy, False)]
)


@COPIES
def test_a_flipped_bit_in_every_third_byte_is_mended_or_refused(
    second_copy: SecondCopy, *, is_clean: bool
) -> None:
    for offset in range(0, len(CONTENT), 3):
        flip(offset, offset % 8, second_copy, is_clean=is_clean)


@pytest.mark.long
@COPIES
def test_every_flipped_bit_is_mended_or_refused(second_copy: SecondCopy, *, is_clean: bool) -> None:
    for offset, bit in product(range(len(CONTENT)), range(8)):
        flip(offset, bit, second_copy, is_clean=is_clean)
        tally("bit flips")


@pytest.mark.parametrize("every", [3, pytest.param(1, marks=pytest.mark.long)])
def test_changed_bytes_of_the_last_batch_are_mended_from_the_second_copy(every: int) -> None:
    for offset in range(FIRST_SIZE, len(CONTENT), every):
        value = (0, 10, 32, 255)[offset % 4]
        if CONTENT[offset] != value:
            content = bytearray(CONTENT)
            content[offset] = value

            assert outcome(bytes(content), whole_copy, is_clean=False) == "right", offset


@pytest.mark.parametrize("every", [3, pytest.param(1, marks=pytest.mark.long)])
@pytest.mark.parametrize("name", ["checkpoint.json", "clean"])
def test_flipped_bits_of_a_derived_file_cost_only_a_longer_start(name: str, every: int) -> None:
    original = FaultyDisk()
    put_segment(original, CONTENT)
    write_checkpoint(original, DATA, BatchEnd(1, log_hash_after(1)))
    mark_clean(original, DATA, BatchEnd(3, log_hash_after(3)))
    content = original.files()[DATA / name]
    for place in range(0, 8 * len(content), every):
        disk = original.after_kill()
        changed = bytearray(content)
        changed[place // 8] ^= 1 << place % 8
        disk.put(DATA / name, bytes(changed))

        recovered = recover_journal(disk, DATA, second_copy=no_copy, archived_seq_max=1)

        begins = 0 if name == "checkpoint.json" else 1
        assert [one.line for one in recovered.tail] == LINES[begins:], place
        assert len(recovered.notes) == 1
        assert disk.files()[segment_path(DATA, 1)] == CONTENT
