"""A power cut during the last write: every byte at which it can end, every sector it can lose."""

from collections.abc import Sequence
from itertools import product

import pytest

from daemon.journal.damage import SECTOR_SIZE_BYTES
from tests.support.faulty_disk import FaultyDisk
from tests.unit.journal.journals import (
    DATA,
    events,
    journal_bytes,
    put_segment,
    recover,
    seqs,
)

SYNCED = journal_bytes([2])
WHOLE = journal_bytes([2, 3])
TRUE_LINES = [one.line for one in events(1, 5)]


def recovered_seqs(content: bytes) -> list[int]:
    """Recover a segment with `content`; see that all of it is true, and stays so from then on."""
    disk = FaultyDisk()
    put_segment(disk, content)

    recovered = recover(disk)

    lines = [one.line for one in recovered.tail]
    assert lines == TRUE_LINES[: len(lines)]
    for later in (disk.after_kill(), disk.after_power_cut()):
        again = recover(later)
        assert seqs(again.tail) == seqs(recovered.tail)
        assert again.end == recovered.end
    is_cut = disk.durable_files()[DATA / "journal" / f"{1:020d}.jsonl"] != content
    kept = [path for path in disk.durable_files() if path.parent == DATA / "quarantine"]
    assert bool(kept) == is_cut
    return seqs(recovered.tail)


ENDS = range(len(WHOLE) - len(SYNCED) + 1)
LINE_ENDS = [n for n in ENDS[1:] if WHOLE[: len(SYNCED) + n].endswith(b"\n")]


@pytest.mark.parametrize(
    "ends",
    [
        pytest.param(sorted({*ENDS[::5], *LINE_ENDS, *(n - 1 for n in LINE_ENDS)}), id="some"),
        pytest.param(ENDS, id="all", marks=pytest.mark.long),
    ],
)
def test_a_write_that_ends_at_any_byte_leaves_its_whole_lines(ends: Sequence[int]) -> None:
    for size_bytes in ends:
        content = WHOLE[: len(SYNCED) + size_bytes]
        whole_lines = max(0, content[len(SYNCED) :].count(b"\n") - 1)

        assert recovered_seqs(content) == list(range(1, 3 + whole_lines)), size_bytes


def test_a_file_that_grew_before_its_bytes_came_is_torn_where_the_zeros_begin() -> None:
    first = -(-len(SYNCED) // SECTOR_SIZE_BYTES) * SECTOR_SIZE_BYTES
    for arrived in (len(SYNCED), *range(first, len(WHOLE), SECTOR_SIZE_BYTES)):
        whole_lines = max(0, WHOLE[len(SYNCED) : arrived].count(b"\n") - 1)
        content = WHOLE[:arrived] + bytes(len(WHOLE) - arrived)

        assert recovered_seqs(content) == list(range(1, 3 + whole_lines)), arrived


def test_any_sectors_of_the_last_write_may_be_missing() -> None:
    sectors = range(len(SYNCED) // SECTOR_SIZE_BYTES, -(-len(WHOLE) // SECTOR_SIZE_BYTES))
    for lost in product([False, True], repeat=len(sectors)):
        content = bytearray(WHOLE)
        first_zero = len(WHOLE)
        for sector, is_lost in zip(sectors, lost, strict=True):
            start = max(sector * SECTOR_SIZE_BYTES, len(SYNCED))
            end = min((sector + 1) * SECTOR_SIZE_BYTES, len(WHOLE))
            if is_lost:
                content[start:end] = bytes(end - start)
                first_zero = min(first_zero, start)
        whole_lines = max(0, WHOLE[len(SYNCED) : first_zero].count(b"\n") - 1)

        assert recovered_seqs(bytes(content)) == list(range(1, 3 + whole_lines)), lost
