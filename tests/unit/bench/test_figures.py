"""Figures: percentiles, bounds, and the line that is printed."""

import pytest

from bench.figures import Figure, milliseconds, percentile, timed_ns


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.001, 1), (0.0, 1)]
)
def test_a_percentile_is_the_nearest_rank(share: float, expected: int) -> None:
    assert percentile(range(1, 101), share) == expected


def test_the_percentile_of_one_value_is_that_value() -> None:
    assert percentile([7], 0.99) == percentile([7], 0.5) == 7


def test_an_upper_bound_holds_up_to_and_including_itself() -> None:
    assert Figure("append", 5.0, "ms", 5.0).holds
    assert not Figure("append", 5.1, "ms", 5.0).holds


def test_a_floor_holds_down_to_and_including_itself() -> None:
    assert Figure("throughput", 0.5, "x echo", 0.5, is_floor=True).holds
    assert not Figure("throughput", 0.49, "x echo", 0.5, is_floor=True).holds


def test_the_line_that_is_printed_says_what_was_missed_and_by_how_much() -> None:
    kept, missed = str(Figure("append", 0.5, "ms", 5.0)), str(Figure("append", 7.0, "ms", 5.0))

    assert kept.split() == ["append", "0.5", "ms", "at", "most", "5", "ok"]
    assert missed.split() == ["append", "7", "ms", "at", "most", "5", "MISSED"]


def test_a_duration_is_reported_as_the_median_with_the_99th_percentile_beside_it() -> None:
    figure = milliseconds("append", [1_000_000] * 98 + [9_000_000] * 2, 5.0, "with fsync")

    assert (figure.value, figure.unit) == (1.0, "ms")
    assert figure.note == "with fsync: median of 100; p99 9 ms"


def test_what_is_timed_is_called_as_often_as_asked() -> None:
    calls: list[None] = []

    took_ns = timed_ns(lambda: calls.append(None), 5)

    assert len(calls) == len(took_ns) == 5
    assert took_ns == sorted(took_ns)
