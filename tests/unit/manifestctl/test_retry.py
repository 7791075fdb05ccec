"""Pauses grow, are drawn at random in full, and are made only where asking again can help."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifestctl.retry import RetryPolicy, conflict_pause_s, is_worth_asking_again, pause_s
from protocol.errors import ERROR_CLASSES, CommandError

POLICY = RetryPolicy(pause_s_first=0.05, pause_s_max=2.0)
ATTEMPTS = st.integers(min_value=1, max_value=10_000)
FLOORS = st.floats(min_value=0, max_value=60)


@given(ATTEMPTS, st.floats(min_value=0, max_value=1), FLOORS)
def test_a_pause_lies_between_its_floor_and_its_window(
    attempt: int, drawn: float, floor_s: float
) -> None:
    window_s = min(2.0, 0.05 * 2 ** min(attempt - 1, 10))

    assert floor_s <= pause_s(POLICY, attempt, lambda: drawn, floor_s) <= floor_s + window_s


@given(ATTEMPTS, FLOORS)
def test_the_jitter_is_full(attempt: int, floor_s: float) -> None:
    assert pause_s(POLICY, attempt, lambda: 0.0, floor_s) == floor_s


def test_the_window_doubles_up_to_its_bound() -> None:
    windows_s = [pause_s(POLICY, attempt, lambda: 1.0) for attempt in range(1, 9)]

    assert windows_s == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]


def test_after_a_lost_race_the_window_is_several_rounds_wide() -> None:
    windows_s = [conflict_pause_s(POLICY, 1, lambda: 1.0, round_s=one) for one in (0.0, 0.1, 9.0)]

    assert windows_s == [0.05, 0.8, 2.0]


@pytest.mark.parametrize("error_class", ERROR_CLASSES.values(), ids=lambda one: one.code)
def test_only_what_passes_by_itself_is_asked_again(error_class: type[CommandError]) -> None:
    again = is_worth_asking_again(error_class("no"))

    assert again == (error_class.code in {"OVERLOADED", "SHUTTING_DOWN", "UNAVAILABLE"})
    assert error_class.retryable or not again
