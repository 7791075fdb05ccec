"""The index on a disk that forgets what was not synced."""

import errno
from pathlib import Path

import pytest

from daemon.errors import DiskFailedError
from daemon.index import STALE_ROWS_MIN, IndexFile, LoadedIndex, index_path, read_index
from protocol.replies import ManifestSummary
from protocol.snapshots import replay
from tests.support.events import Chain, committed
from tests.support.faulty_disk import FaultyDisk, everything, torn_after

DATA = Path("/data")


def row(name: str, version: int = 1) -> ManifestSummary:
    chain = Chain(name)
    state = replay(committed(chain.next() for _ in range(version)))
    assert state is not None
    return ManifestSummary.of(state)


def new_index(disk: FaultyDisk) -> IndexFile:
    index = IndexFile(disk, DATA, None)
    index.rewrite([], 0)
    return index


def loaded(disk: FaultyDisk) -> LoadedIndex:
    index = read_index(disk, DATA)
    assert index is not None
    return index


def test_a_new_index_is_empty_and_durable() -> None:
    disk = FaultyDisk()

    new_index(disk)

    index = loaded(disk.after_power_cut())
    assert (index.rows, index.seq, index.seq_max) == ({}, 0, 0)


def test_there_is_none_before_it_was_written() -> None:
    assert read_index(FaultyDisk(), DATA) is None


def test_the_last_row_of_a_manifest_counts_and_survives_a_power_cut() -> None:
    disk = FaultyDisk()
    index = new_index(disk)

    index.flush([row("a"), row("b")], 2)
    index.flush([row("a", version=3)], 7)

    found = loaded(disk.after_power_cut())
    assert found.rows == {"a": row("a", version=3), "b": row("b")}
    assert (found.seq, found.seq_max, found.rows_written) == (7, 3, 3)


def test_it_goes_on_where_another_process_left_it() -> None:
    disk = FaultyDisk()
    new_index(disk).flush([row("a")], 1)

    IndexFile(disk, DATA, loaded(disk)).flush([row("b")], 2)

    assert loaded(disk).rows == {"a": row("a"), "b": row("b")}


def test_its_seq_never_goes_back() -> None:
    disk = FaultyDisk()
    index = new_index(disk)
    index.flush([row("a")], 9)

    index.flush([row("b")], 4)

    assert index.seq == loaded(disk).seq == 9


@pytest.mark.parametrize("place", range(0, 1200, 7))
def test_no_changed_byte_goes_unnoticed(place: int) -> None:
    disk = FaultyDisk()
    index = new_index(disk)
    index.flush([row("a")], 1)
    index.flush([row("b")], 2)
    data = bytearray(disk.files()[index_path(DATA)])
    data[place % len(data)] ^= 0x20
    disk.put(index_path(DATA), bytes(data))

    found = read_index(disk, DATA)

    assert found is None or found.is_torn


def test_a_block_taken_out_of_the_middle_is_noticed() -> None:
    disk = FaultyDisk()
    index = new_index(disk)
    sizes = []
    for name in "abc":
        index.flush([row(name)], 1)
        sizes.append(len(disk.files()[index_path(DATA)]))
    data = disk.files()[index_path(DATA)]

    disk.put(index_path(DATA), data[: sizes[0]] + data[sizes[1] :])

    assert read_index(disk, DATA) is None


@pytest.mark.parametrize("size_bytes", [0, 1, 100, 300])
def test_a_torn_last_block_is_left_out_and_said(size_bytes: int) -> None:
    disk = FaultyDisk()
    index = new_index(disk)
    index.flush([row("a")], 1)
    disk.fail("sync")
    with pytest.raises(DiskFailedError):
        index.flush([row("b")], 2)

    found = loaded(disk.after_power_cut(torn_after(size_bytes)))

    assert (set(found.rows), found.seq, found.is_torn) == ({"a"}, 1, size_bytes > 0)


def test_a_write_without_room_leaves_it_as_it_was() -> None:
    disk = FaultyDisk()
    index = new_index(disk)
    index.flush([row("a")], 1)
    disk.fail("write", errno.ENOSPC)

    with pytest.raises(OSError, match="No space"):
        index.flush([row("b")], 2)
    assert loaded(disk).rows == {"a": row("a")}
    index.flush([row("b")], 2)

    assert loaded(disk.after_power_cut(everything)).rows == {"a": row("a"), "b": row("b")}


def test_it_is_compacted_when_most_of_it_is_stale() -> None:
    disk = FaultyDisk()
    index = new_index(disk)
    rows = [row(f"m-{number}") for number in range(1000)]
    flushes = STALE_ROWS_MIN // len(rows) + 2
    sizes = []
    for number in range(flushes):
        index.flush(rows, number + 1)
        sizes.append(len(disk.files()[index_path(DATA)]))

    found = loaded(disk.after_power_cut())

    assert sizes[-1] < sizes[-2] / 5
    assert (found.rows_written, found.seq) == (1000, flushes)
    index.flush([row("later")], 99)
    assert len(loaded(disk).rows) == 1001
