"""Token buckets: what fits through, what is told to whom does not, and what is remembered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.rate_limit import (
    NS_PER_MS,
    PRINCIPALS_MAX,
    ROOM,
    Allowance,
    RateError,
    RateLimit,
)
from protocol.errors import OverloadedError

SECOND_NS = 10**9


class Clock:
    def __init__(self) -> None:
        self.now_ns = 5 * SECOND_NS

    def __call__(self) -> int:
        return self.now_ns


def taken(limit: RateLimit, principal: str, attempts: int) -> int:
    """Return how many of so many attempts at one moment got through."""
    through = 0
    for _ in range(attempts):
        try:
            limit.take(principal)
        except OverloadedError:
            continue
        through += 1
    return through


@pytest.mark.parametrize(
    ("rate", "burst", "expected"),
    [
        ("100/s", None, Allowance(10_000_000, 200)),
        ("100/s", 5, Allowance(10_000_000, 5)),
        ("1/s", None, Allowance(SECOND_NS, 2)),
        ("30/min", None, Allowance(2 * SECOND_NS, 1)),
        ("1/h", None, Allowance(3600 * SECOND_NS, 1)),
    ],
)
def test_a_rate_is_read(rate: str, burst: int | None, expected: Allowance) -> None:
    assert Allowance.of(rate, burst) == expected


@pytest.mark.parametrize(
    "rate", ["", "100", "100/d", "0/s", "-1/s", "1.5/s", "100 / s", "1\uff11/s"]
)
def test_what_is_no_rate_is_refused_with_an_example(rate: str) -> None:
    with pytest.raises(RateError, match="100/s"):
        Allowance.of(rate)


def test_a_burst_gets_through_at_once_and_then_one_in_each_interval() -> None:
    clock = Clock()
    limit = RateLimit(Allowance.of("10/s", 3), {}, clock)

    assert taken(limit, "ci", 10) == 3
    clock.now_ns += 100 * NS_PER_MS
    assert taken(limit, "ci", 10) == 1
    clock.now_ns += 3600 * SECOND_NS
    assert taken(limit, "ci", 10) == 3
    assert limit.refused == 7 + 9 + 7


def test_who_is_refused_is_told_when_the_next_one_is_free() -> None:
    clock = Clock()
    limit = RateLimit(Allowance.of("10/s", 1), {}, clock)
    limit.take("ci")
    clock.now_ns += 30 * NS_PER_MS + 1

    with pytest.raises(OverloadedError) as raised:
        limit.take("ci")

    assert raised.value.details == {"limit": 1, "retry_after_ms": 70}
    assert "ci writes faster than allowed (10 per second, 1 at once)" in str(raised.value)
    clock.now_ns += 70 * NS_PER_MS
    limit.take("ci")


def test_everybody_has_a_bucket_of_his_own_and_some_have_another_rate() -> None:
    overrides = {"ci": Allowance.of("10/s", 5), "root": None}
    limit = RateLimit(Allowance.of("10/s", 2), overrides, Clock())

    assert taken(limit, "ci", 10) == 5
    assert taken(limit, "alice", 10) == 2
    assert taken(limit, "bob", 10) == 2
    assert taken(limit, "root", 1000) == 1000


def test_a_bounded_number_of_names_is_remembered_and_forgetting_refuses_nobody() -> None:
    clock = Clock()
    limit = RateLimit(Allowance.of("10/s", 1), {}, clock)
    most = 0
    for number in range(3 * PRINCIPALS_MAX):
        limit.take(f"p{number}")
        most = max(most, limit.principals)
    assert most == PRINCIPALS_MAX
    clock.now_ns += SECOND_NS
    for number in range(PRINCIPALS_MAX):
        limit.take(f"q{number}")
    assert limit.principals == PRINCIPALS_MAX  # Of the others none is left.
    assert limit.refused == 0


def test_who_owes_much_is_not_forgiven_for_those_who_owe_nothing_any_more() -> None:
    clock = Clock()
    limit = RateLimit(Allowance.of("10/s", 1), {"slow": Allowance.of("1/h", 1)}, clock)
    limit.take("slow")
    for number in range(3 * PRINCIPALS_MAX):
        clock.now_ns += NS_PER_MS
        limit.take(f"p{number}")

    assert taken(limit, "slow", 1) == 0


def test_where_all_owe_something_those_are_forgiven_who_owe_the_least() -> None:
    limit = RateLimit(Allowance.of("10/s", 3), {}, Clock())
    assert taken(limit, "greedy", 10) == 3
    for number in range(3 * PRINCIPALS_MAX):
        limit.take(f"p{number}")

    assert taken(limit, "greedy", 1) == 0


def test_room_is_made_for_many_at_once() -> None:
    limit = RateLimit(Allowance.of("10/s", 1), {}, Clock())
    for number in range(PRINCIPALS_MAX + 1):
        limit.take(f"p{number}")

    assert limit.principals == PRINCIPALS_MAX - ROOM + 1


@given(
    st.integers(1, 50),
    st.integers(1, 20),
    st.lists(st.tuples(st.integers(0, 300), st.integers(1, 30)), max_size=20),
)
def test_no_stretch_of_time_holds_more_than_burst_and_rate(
    per_s: int, burst: int, arrivals: list[tuple[int, int]]
) -> None:
    clock = Clock()
    limit = RateLimit(Allowance.of(f"{per_s}/s", burst), {}, clock)
    through: list[int] = []
    for pause_ms, attempts in arrivals:
        clock.now_ns += pause_ms * NS_PER_MS
        through += [clock.now_ns] * taken(limit, "ci", attempts)

    for first in range(len(through)):
        for last in range(first, len(through)):
            stretch_ns = through[last] - through[first]
            allowed = burst + stretch_ns * per_s // SECOND_NS + 1
            assert last - first + 1 <= allowed
