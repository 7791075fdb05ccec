"""Journals that must not be used as they are: recovery names the place and changes nothing."""

from zlib import crc32

import pytest

from daemon.errors import DamagedStoreError
from daemon.journal.batch import encode_batch
from daemon.journal.checkpoint import BatchEnd, write_checkpoint
from daemon.journal.clean import mark_clean
from daemon.journal.recovery import recover_journal
from daemon.journal.segment import segment_path
from tests.support.faulty_disk import FaultyDisk
from tests.unit.journal.journals import (
    DATA,
    end_of,
    event,
    events,
    journal_bytes,
    log_hash_after,
    put_segment,
    recover,
    refused,
    whole_copy,
)

SEGMENT = segment_path(DATA, 1)
TWO = journal_bytes([2, 2])


@pytest.fixture
def disk() -> FaultyDisk:
    """Return an empty data directory."""
    return FaultyDisk()


def test_a_torn_batch_of_which_a_part_was_archived_is_not_cut(disk: FaultyDisk) -> None:
    put_segment(disk, TWO[:-10])

    with pytest.raises(DamagedStoreError, match="second copy does not have them") as caught:
        recover_journal(
            disk, DATA, second_copy=lambda *_: {3: event(3).line}, archived_seq_max=None
        )

    assert caught.value.seq == 4


def test_a_torn_batch_is_not_cut_after_a_clean_shutdown(disk: FaultyDisk) -> None:
    put_segment(disk, TWO[:-10])
    mark_clean(disk, DATA, end_of(4))

    assert "it was acknowledged" in refused(disk).reason


@pytest.mark.parametrize("copy", ["damaged", "other"])
def test_a_second_copy_with_other_bytes_repairs_nothing(disk: FaultyDisk, copy: str) -> None:
    put_segment(disk, TWO[:-100] + b"~" + TWO[-99:])
    line = event(4, "otherwise").line if copy == "other" else event(4).line[:-9] + b"0" * 9
    before = disk.files()

    with pytest.raises(DamagedStoreError):
        recover_journal(disk, DATA, second_copy=lambda *_: {4: line}, archived_seq_max=None)

    assert disk.files() == before


def test_a_changed_byte_without_a_second_copy_is_refused_by_file_line_and_seq(
    disk: FaultyDisk,
) -> None:
    put_segment(disk, TWO[:-100] + b"~" + TWO[-99:])

    error = refused(disk)

    assert (error.path, error.line, error.seq) == (SEGMENT, 6, 4)
    assert f"{SEGMENT}, line 6, seq 4" in str(error)


def test_damage_with_a_later_batch_behind_it_is_refused_even_with_a_second_copy(
    disk: FaultyDisk,
) -> None:
    put_segment(disk, TWO[:300] + b"~" + TWO[301:])

    with pytest.raises(DamagedStoreError, match="a later batch stands behind it"):
        recover_journal(disk, DATA, second_copy=whole_copy, archived_seq_max=4)


def test_a_torn_batch_in_an_earlier_segment_is_refused(disk: FaultyDisk) -> None:
    put_segment(disk, TWO[:-10])
    put_segment(disk, b"", 5)

    assert refused(disk).seq == 4


@pytest.mark.parametrize(
    ("archived", "checkpoint", "clean"), [(5, 0, None), (None, 6, None), (None, 0, 6)]
)
def test_a_journal_that_ends_before_what_was_acknowledged_is_refused(
    disk: FaultyDisk, archived: int | None, checkpoint: int, clean: int | None
) -> None:
    put_segment(disk, TWO)
    if checkpoint:
        write_checkpoint(disk, DATA, end_of(checkpoint))
    if clean:
        mark_clean(disk, DATA, end_of(clean))

    error = refused(disk, archived)

    assert (error.path, error.seq) == (SEGMENT, 5)


def test_a_missing_journal_is_refused_when_something_was_archived(disk: FaultyDisk) -> None:
    disk.make_directory(DATA / "journal")

    with pytest.raises(DamagedStoreError):
        recover(disk, archived_seq_max=1)

    write_checkpoint(disk, DATA, end_of(2))
    with pytest.raises(DamagedStoreError, match="no segment holds seq 2"):
        recover(disk)


@pytest.mark.parametrize("first", [4, 6])
def test_a_gap_and_an_overlap_are_refused(disk: FaultyDisk, first: int) -> None:
    put_segment(disk, TWO)
    path = put_segment(disk, journal_bytes([1], first, log_hash_after(first - 1)), first)

    error = refused(disk)

    assert error.path == path
    assert "ends at seq 4" in error.reason


def test_a_segment_under_another_one_s_name_is_refused(disk: FaultyDisk) -> None:
    put_segment(disk, TWO)
    put_segment(disk, TWO, 5)

    assert "seq 1 where seq 5 belongs" in refused(disk).reason


@pytest.mark.parametrize(
    "name", ["1.jsonl", "x.jsonl", "00000000000000000001.jsonl.bak", f"{0:020d}.jsonl"]
)
def test_a_name_that_could_hide_a_segment_is_refused(disk: FaultyDisk, name: str) -> None:
    put_segment(disk, TWO)
    disk.put(SEGMENT.with_name(name), b"")

    assert refused(disk).path.name == name


def test_a_forged_event_with_good_checksums_is_refused(disk: FaultyDisk) -> None:
    good = encode_batch(events(3, 4), log_hash_after(2))
    forged = encode_batch([event(3, "otherwise"), event(4)], log_hash_after(2))
    lines = forged.data.partition(b"\n")[2]
    checked = b'{"batch":{"first":3,"count":2,"bytes":%d,"log_hash":"%b"' % (
        len(lines),
        good.log_hash,
    )
    header = b'%b,"crc":"%08x"}}\n' % (checked, crc32(checked))
    put_segment(disk, journal_bytes([2]) + header + lines)

    assert "no accident" in refused(disk).reason


def test_a_log_hash_that_does_not_continue_is_refused(disk: FaultyDisk) -> None:
    put_segment(disk, journal_bytes([2]) + journal_bytes([2], 3, log_hash_after(1)))

    with pytest.raises(DamagedStoreError, match="log_hash"):
        recover_journal(disk, DATA, second_copy=whole_copy, archived_seq_max=4)


def test_a_checkpoint_of_another_history_is_refused(disk: FaultyDisk) -> None:
    put_segment(disk, TWO)
    write_checkpoint(disk, DATA, BatchEnd(2, log_hash_after(1)))

    assert "checkpoint.json" in refused(disk).reason


def test_a_clean_of_another_history_is_refused(disk: FaultyDisk) -> None:
    put_segment(disk, TWO)
    mark_clean(disk, DATA, BatchEnd(4, log_hash_after(1)))

    assert "`clean`" in refused(disk).reason


def test_a_checkpoint_within_a_batch_is_refused(disk: FaultyDisk) -> None:
    put_segment(disk, TWO)
    write_checkpoint(disk, DATA, end_of(3))

    assert "within a batch" in refused(disk).reason


def test_a_torn_batch_whose_log_hash_nobody_knows_is_refused(disk: FaultyDisk) -> None:
    put_segment(disk, journal_bytes([2], 5, log_hash_after(4))[:-10], 5)

    refused(disk)


def test_an_event_in_the_place_of_another_is_refused(disk: FaultyDisk) -> None:
    two = encode_batch(events(1, 2), log_hash_after(0)).data
    header, one, _, _ = two.split(b"\n")
    put_segment(disk, b"\n".join([header, one, one, b""]))

    assert "seq 1 stands where seq 2 belongs" in refused(disk).reason


def test_a_header_that_is_another_one_is_not_made_again_from_the_lines_behind_it(
    disk: FaultyDisk,
) -> None:
    offset = len(journal_bytes([2]))
    header_size_bytes = TWO.index(b"\n", offset) - offset
    put_segment(disk, TWO[:offset] + b"x" * header_size_bytes + TWO[offset + header_size_bytes :])

    assert "no good batch header" in refused(disk).reason
