"""Which segments go, in what order, and what a crash midway leaves."""

from contextlib import suppress
from datetime import UTC, datetime

import pytest

from daemon.journal.retention import KEEP_EVERYTHING, Retention, SegmentRemover
from daemon.journal.segment import list_segments, segment_path
from tests.support.faulty_disk import FaultyDisk, KilledError
from tests.unit.journal.journals import (
    DATA,
    journal_bytes,
    log_hash_after,
    put_segment,
    recover,
)

FIRSTS = (1, 3, 5, 7)
AT_S = datetime(2026, 11, 23, 15, 4, 5, 123456, UTC).timestamp()
SIZE_BYTES = len(journal_bytes([2]))


def segments() -> FaultyDisk:
    """Return a journal of four segments with two events each."""
    disk = FaultyDisk()
    for first in FIRSTS:
        put_segment(disk, journal_bytes([2], first, log_hash_after(first - 1)), first)
    return disk


def remove(
    disk: FaultyDisk, retention: Retention, *, checkpoint_seq: int = 8, now_s: float = AT_S
) -> list[int]:
    return SegmentRemover(disk, DATA, retention).remove(checkpoint_seq, 8, now_s, 0.0)


def test_by_default_everything_is_kept() -> None:
    disk = segments()

    assert remove(disk, KEEP_EVERYTHING, now_s=AT_S * 2) == []
    assert disk.calls == []


@pytest.mark.parametrize(
    ("checkpoint_seq", "removed"),
    [(0, []), (1, []), (2, [1]), (3, [1]), (4, [1, 3]), (8, [1, 3, 5])],
)
def test_only_what_the_checkpoint_covers_goes_and_never_the_last(
    checkpoint_seq: int, removed: list[int]
) -> None:
    disk = segments()

    assert remove(disk, Retention(size_bytes=1), checkpoint_seq=checkpoint_seq) == removed
    left = [first for first in FIRSTS if first not in removed]
    assert list_segments(disk.after_power_cut(), DATA) == left


@pytest.mark.parametrize(
    ("events", "removed"), [(1, [1, 3, 5]), (2, [1, 3, 5]), (3, [1, 3]), (4, [1, 3]), (8, [])]
)
def test_the_last_so_many_events_stay(events: int, removed: list[int]) -> None:
    assert remove(segments(), Retention(events=events)) == removed


@pytest.mark.parametrize(("spare", "removed"), [(0, []), (-1, [1]), (-SIZE_BYTES - 1, [1, 3])])
def test_the_journal_takes_no_more_room_than_it_may(spare: int, removed: list[int]) -> None:
    assert remove(segments(), Retention(size_bytes=4 * SIZE_BYTES + spare)) == removed


def test_a_segment_is_as_old_as_its_last_event() -> None:
    assert remove(segments(), Retention(age_s=60.0), now_s=AT_S + 60) == []
    assert remove(segments(), Retention(age_s=60.0), now_s=AT_S + 60.1) == [1, 3, 5]


DAY_S = 24 * 3600.0


def test_a_clock_that_is_set_makes_nothing_old_before_an_hour_is_over() -> None:
    disk = segments()
    remover = SegmentRemover(disk, DATA, Retention(age_s=DAY_S))

    assert remover.remove(8, 8, AT_S + 3600, 0.0) == []
    later_s = AT_S + 30 * DAY_S
    for steady_s in (1.0, 1800.0, 3600.0):
        assert remover.remove(8, 8, later_s + steady_s, steady_s) == []
    latest_s = AT_S + 60 * DAY_S
    assert remover.remove(8, 8, latest_s + 3601.0, 3601.0) == []  # Set once more: another hour.
    assert remover.remove(8, 8, latest_s + 7200.0, 7200.0) == []
    assert remover.remove(8, 8, latest_s + 7201.0, 7201.0) == [1, 3, 5]


def test_a_clock_that_is_set_right_again_within_the_hour_did_no_harm() -> None:
    disk = segments()
    remover = SegmentRemover(disk, DATA, Retention(age_s=DAY_S))

    for steady_s, set_s in ((0.0, 0.0), (10.0, 90 * DAY_S), (20.0, 0.0), (9000.0, 0.0)):
        assert remover.remove(8, 8, AT_S + set_s + steady_s, steady_s) == []
    assert list_segments(disk, DATA) == list(FIRSTS)


def test_a_clock_that_drifts_is_believed_and_other_limits_know_no_clock() -> None:
    disk = segments()
    remover = SegmentRemover(disk, DATA, Retention(events=4, age_s=DAY_S))

    assert remover.remove(8, 8, AT_S, 0.0) == [1, 3]
    assert remover.remove(8, 8, AT_S + DAY_S - 50.0, DAY_S - 5.0) == []
    assert remover.remove(8, 8, AT_S + DAY_S + 50.0, DAY_S + 50.0) == [5]


def test_without_the_doubt_a_jump_would_empty_the_journal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The negative control of the two tests of clocks that are set."""
    monkeypatch.setattr("daemon.journal.retention.CLOCK_DRIFT_S_MAX", float("inf"))

    for test in (
        test_a_clock_that_is_set_makes_nothing_old_before_an_hour_is_over,
        test_a_clock_that_is_set_right_again_within_the_hour_did_no_harm,
    ):
        with pytest.raises(AssertionError):
            test()


def test_the_limit_that_is_passed_first_decides() -> None:
    assert remove(segments(), Retention(100, 4 * SIZE_BYTES - 1, 60.0)) == [1]
    assert remove(segments(), Retention(3, 100 * SIZE_BYTES, 60.0)) == [1, 3]


def test_a_segment_that_cannot_be_judged_stays() -> None:
    disk = segments()
    disk.put(segment_path(DATA, 3), b"no batch")

    assert remove(disk, Retention(age_s=60.0), now_s=AT_S * 2) == []


def test_killed_at_any_call_the_journal_has_no_gap() -> None:
    killed_at, done = 0, False
    while not done:
        killed_at += 1
        disk = segments()
        disk.kill_at(killed_at)
        with suppress(KilledError):
            done = remove(disk, Retention(events=2, size_bytes=1)) == [1, 3, 5]
        for names_survive in (False, True):
            found = disk.after_power_cut(names_survive=names_survive)
            left = list_segments(found, DATA)
            assert left == list(FIRSTS[-len(left) :])
            assert recover(found).end.seq == 8

    assert killed_at > 6
