"""What start-up makes of a journal: taken as it is, mended, or refused without a change."""

import pytest

from daemon.errors import DiskFailedError
from daemon.journal.checkpoint import CHECKPOINT_NAME, NOTHING, BatchEnd, write_checkpoint
from daemon.journal.clean import CLEAN_NAME, mark_clean
from daemon.journal.recovery import recover_journal
from daemon.journal.reserve import RESERVE_NAME, Reserve
from daemon.journal.segment import segment_path, temporary_path
from tests.support.faulty_disk import FaultyDisk
from tests.unit.journal.journals import (
    DATA,
    end_of,
    events,
    journal_bytes,
    log_hash_after,
    put_segment,
    recover,
    seqs,
    whole_copy,
)

SEGMENT = segment_path(DATA, 1)
THREE = journal_bytes([2, 2, 2])
TWO = journal_bytes([2, 2])


@pytest.fixture
def disk() -> FaultyDisk:
    """Return an empty data directory."""
    return FaultyDisk()


def quarantined(disk: FaultyDisk) -> list[bytes]:
    """Return what lies durably in quarantine."""
    files = disk.durable_files().items()
    return [content for path, content in files if path.parent == DATA / "quarantine"]


def test_a_new_store_has_a_durable_folder_and_no_events(disk: FaultyDisk) -> None:
    recovered = recover(disk)

    assert recovered.end == (0, NOTHING.log_hash, 0, 0, ())
    assert recovered == (recovered.end, NOTHING, [], [])
    assert disk.after_power_cut().list_names(DATA) == ["journal"]


def test_everything_after_the_checkpoint_comes_back(disk: FaultyDisk) -> None:
    put_segment(disk, THREE)
    write_checkpoint(disk, DATA, end_of(2))

    recovered = recover(disk)

    assert seqs(recovered.tail) == [3, 4, 5, 6]
    assert [one.line for one in recovered.tail] == [one.line for one in events(3, 6)]
    assert recovered.checkpoint == end_of(2)
    assert recovered.end == (6, log_hash_after(6), 1, len(THREE), (end_of(4), end_of(6)))
    assert recovered.notes == []


def test_segments_wholly_before_the_checkpoint_are_not_even_looked_at(disk: FaultyDisk) -> None:
    put_segment(disk, b"damaged")
    put_segment(disk, journal_bytes([2, 2], 5, log_hash_after(4)), 5)
    write_checkpoint(disk, DATA, end_of(6))

    recovered = recover(disk)

    assert seqs(recovered.tail) == [7, 8]
    assert f"read {SEGMENT.name}" not in disk.calls


def test_a_checkpoint_at_the_end_leaves_no_tail_and_rewrites_nothing(disk: FaultyDisk) -> None:
    put_segment(disk, TWO)
    write_checkpoint(disk, DATA, end_of(4))

    recovered = recover(disk)

    assert recovered.tail == []
    assert recovered.end == (4, log_hash_after(4), 1, len(TWO), ())
    assert f"replace {SEGMENT.name}" not in disk.calls


def test_without_clean_what_a_failed_sync_left_in_the_cache_is_made_durable(
    disk: FaultyDisk,
) -> None:
    put_segment(disk, journal_bytes([2]))
    disk.fail("sync")
    file = disk.open_append(SEGMENT, create=False)
    file.write(TWO[len(journal_bytes([2])) :])
    with pytest.raises(OSError, match="Input/output"):
        file.sync()
    restarted = disk.after_kill()

    recovered = recover(restarted)

    assert seqs(recovered.tail) == [1, 2, 3, 4]
    assert restarted.durable_files()[SEGMENT] == TWO
    assert recover(restarted.after_power_cut()).end == recovered.end


def test_with_clean_nothing_is_written(disk: FaultyDisk) -> None:
    put_segment(disk, TWO)
    mark_clean(disk, DATA, end_of(4))
    disk.calls.clear()

    recovered = recover(disk)

    assert seqs(recovered.tail) == [1, 2, 3, 4]
    assert {call.split(" ")[0] for call in disk.calls} == {"list_names", "read"}


@pytest.mark.parametrize("content", [b"", b"damaged"])
def test_a_clean_that_says_nothing_is_removed_and_counts_for_nothing(
    disk: FaultyDisk, content: bytes
) -> None:
    put_segment(disk, TWO)
    disk.put(DATA / CLEAN_NAME, content)

    recovered = recover(disk)

    assert any("clean" in note for note in recovered.notes)
    assert f"replace {SEGMENT.name}" in disk.calls
    assert DATA / CLEAN_NAME not in disk.durable_files()


def test_a_clean_older_than_the_journal_counts_for_nothing(disk: FaultyDisk) -> None:
    put_segment(disk, TWO)
    mark_clean(disk, DATA, end_of(2))

    assert seqs(recover(disk).tail) == [1, 2, 3, 4]
    assert f"replace {SEGMENT.name}" in disk.calls


def test_a_torn_tail_is_cut_at_its_first_damaged_line_and_kept_in_quarantine(
    disk: FaultyDisk,
) -> None:
    batch, last = journal_bytes([2]), len(TWO) - len(journal_bytes([2]))
    torn = TWO[:-10]
    put_segment(disk, torn)

    recovered = recover(disk)

    assert seqs(recovered.tail) == [1, 2, 3]
    assert quarantined(disk) == [torn[len(batch) :]]
    assert disk.durable_files()[SEGMENT] == journal_bytes([2, 1])
    assert recovered.end[:4] == (3, log_hash_after(3), 1, len(journal_bytes([2, 1])))
    note = recovered.notes[-1]
    assert "seq 4" in note
    assert f"{last - 10} bytes" in note


def test_a_torn_first_batch_leaves_an_empty_segment(disk: FaultyDisk) -> None:
    put_segment(disk, TWO[:50])

    recovered = recover(disk)

    assert recovered.end == (0, NOTHING.log_hash, 1, 0, ())
    assert disk.durable_files()[SEGMENT] == b""
    assert recover(disk).end == recovered.end


def test_a_segment_that_was_only_created_is_taken_as_it_is(disk: FaultyDisk) -> None:
    put_segment(disk, TWO)
    put_segment(disk, b"", 5)

    assert recover(disk).end == (4, log_hash_after(4), 5, 0, (end_of(2), end_of(4)))


@pytest.mark.parametrize("archived", [3, 4])
def test_a_torn_batch_that_was_archived_is_repaired(disk: FaultyDisk, archived: int) -> None:
    put_segment(disk, TWO[:-10])

    recovered = recover_journal(disk, DATA, second_copy=whole_copy, archived_seq_max=archived)

    assert seqs(recovered.tail) == [1, 2, 3, 4]
    assert disk.durable_files()[SEGMENT] == TWO
    assert len(quarantined(disk)) == 1


def test_a_changed_byte_in_the_last_batch_is_repaired_from_the_second_copy(
    disk: FaultyDisk,
) -> None:
    put_segment(disk, TWO[:-100] + b"~" + TWO[-99:])

    recovered = recover_journal(disk, DATA, second_copy=whole_copy, archived_seq_max=None)

    assert seqs(recovered.tail) == [1, 2, 3, 4]
    assert disk.durable_files()[SEGMENT] == TWO


def test_a_damaged_header_is_made_again_from_its_lines(disk: FaultyDisk) -> None:
    offset = len(journal_bytes([2])) + 70
    put_segment(disk, TWO[:offset] + b"~" + TWO[offset + 1 :])

    recovered = recover(disk)

    assert seqs(recovered.tail) == [1, 2, 3, 4]
    assert disk.durable_files()[SEGMENT] == TWO


def test_a_foreign_file_is_named_and_left_alone(disk: FaultyDisk) -> None:
    put_segment(disk, TWO)
    disk.put(SEGMENT.with_name("README"), b"hands off")
    disk.put(SEGMENT.with_name(RESERVE_NAME), bytes(10))

    (note,) = recover(disk).notes[:1]

    assert "README" in note
    assert disk.files()[SEGMENT.with_name("README")] == b"hands off"


@pytest.mark.parametrize("content", [b"", b"{}\n", b'{"seq":4}'])
def test_a_damaged_checkpoint_is_done_without_and_said(disk: FaultyDisk, content: bytes) -> None:
    put_segment(disk, TWO)
    disk.put(DATA / CHECKPOINT_NAME, content)

    recovered = recover(disk, archived_seq_max=4)

    assert seqs(recovered.tail) == [1, 2, 3, 4]
    assert recovered.checkpoint == NOTHING
    assert any("checkpoint.json" in note for note in recovered.notes)


def test_without_checkpoint_and_first_segments_the_log_hash_is_taken_on_trust_and_said(
    disk: FaultyDisk,
) -> None:
    put_segment(disk, journal_bytes([2, 2], 5, log_hash_after(4)), 5)

    recovered = recover(disk)

    assert seqs(recovered.tail) == [5, 6, 7, 8]
    assert recovered.checkpoint == BatchEnd(4, b"")
    assert recovered.end.log_hash == log_hash_after(8)
    assert any("seq 5" in note for note in recovered.notes)


def test_what_a_killed_recovery_left_is_removed(disk: FaultyDisk) -> None:
    put_segment(disk, TWO)
    disk.put(temporary_path(SEGMENT), b"half")
    mark_clean(disk, DATA, end_of(4))

    recover(disk)

    assert temporary_path(SEGMENT) not in disk.files()


def test_on_a_full_disk_the_reserve_gives_recovery_its_room(disk: FaultyDisk) -> None:
    put_segment(disk, TWO)
    assert Reserve(disk, DATA, size_bytes=2 * len(TWO)).ensure()
    disk.capacity_bytes = sum(map(len, disk.files().values()))

    assert seqs(recover(disk).tail) == [1, 2, 3, 4]
    assert DATA / "journal" / RESERVE_NAME not in disk.files()


def test_without_a_reserve_a_full_disk_stops_recovery_and_harms_nothing(
    disk: FaultyDisk,
) -> None:
    put_segment(disk, TWO)
    disk.capacity_bytes = len(TWO)

    with pytest.raises(DiskFailedError):
        recover(disk)

    assert disk.files() == {SEGMENT: TWO}
    disk.capacity_bytes = None
    assert seqs(recover(disk).tail) == [1, 2, 3, 4]


def test_a_disk_that_cannot_be_read_is_no_damage(disk: FaultyDisk) -> None:
    put_segment(disk, TWO)
    disk.fail("read")

    with pytest.raises(DiskFailedError, match="reading"):
        recover(disk)


def test_a_reserve_that_is_too_small_is_spent_and_the_next_start_needs_room(
    disk: FaultyDisk,
) -> None:
    put_segment(disk, TWO)
    assert Reserve(disk, DATA, size_bytes=100).ensure()
    disk.capacity_bytes = sum(map(len, disk.files().values()))

    with pytest.raises(DiskFailedError, match="No space left"):
        recover(disk)

    assert disk.files() == {SEGMENT: TWO}


def test_a_store_that_was_closed_before_its_first_event_gets_a_durable_folder(
    disk: FaultyDisk,
) -> None:
    mark_clean(disk, DATA, NOTHING)

    assert recover(disk).end.seq == 0

    assert "journal" in disk.after_power_cut().list_names(DATA)
    assert DATA / CLEAN_NAME in disk.durable_files()
