"""One request: what each attempt sends, where, and how it ends. No sockets, no clock."""

import msgspec
import pytest

from manifestctl.endpoints import Daemon, Route
from manifestctl.exchange import Exchange
from manifestctl.retry import RetryPolicy
from protocol.commands import Backup, Comment, Health, Recover, Request, Verify, Write
from protocol.errors import (
    NotFoundError,
    OverloadedError,
    TooLargeError,
    UnavailableError,
)

POLICY = RetryPolicy(timeout_s=10.0, attempt_timeout_s=2.0, switch_s=0.5)
ONE = [Daemon("ipc:///one", None)]
TWO = [*ONE, Daemon("ipc:///two", None)]


def exchange(daemons: list[Daemon] = ONE, command_id: str = "c-1") -> Exchange:
    request: Write = Comment(manifest_id="a", text="hi", command_id=command_id)
    return Exchange(request, POLICY, Route(daemons), now_s=100.0)


def test_an_attempt_is_cut_short_by_the_deadline_of_the_whole() -> None:
    going = exchange()

    assert going.attempt(100.0).answer_s == 2.0
    assert going.attempt(109.5).answer_s == 0.5


def test_silence_goes_on_to_the_next_endpoint_and_round_again() -> None:
    going = exchange(TWO)
    asked = []

    for now_s in (100.0, 101.0, 102.0):
        asked.append(going.attempt(now_s).commands)
        going.after_silence(now_s, lambda: 0.5, was_sent=True)

    assert asked == ["ipc:///one", "ipc:///two", "ipc:///one"]


def test_an_endpoint_gets_little_time_to_connect_where_there_is_another() -> None:
    assert exchange(TWO).attempt(100.0).connect_s == 0.5
    assert exchange(ONE).attempt(100.0).connect_s == 2.0


def test_one_silence_of_many_requests_under_way_leaves_an_endpoint_once() -> None:
    route = Route(TWO)
    both = [Exchange(Health(), POLICY, route, now_s=0.0) for _ in range(2)]
    for going in both:
        going.attempt(0.0)

    for going in both:
        going.after_silence(1.0, lambda: 0.5, was_sent=True)

    assert route.current.commands == "ipc:///two"


def test_an_overloaded_daemon_is_left_alone_as_long_as_it_asks() -> None:
    going = exchange()
    going.attempt(100.0)

    pause_s = going.after_refusal(
        100.0, lambda: 0.0, OverloadedError.full("x", limit=1, retry_after_ms=700)
    )

    assert pause_s == 0.7


def test_a_refusal_that_will_stay_is_final() -> None:
    going = exchange()
    going.attempt(100.0)
    refusal = NotFoundError.manifest("a")

    with pytest.raises(NotFoundError) as caught:
        going.after_refusal(100.0, lambda: 0.0, refusal)

    assert caught.value is refusal


def test_at_the_deadline_the_last_refusal_is_what_the_caller_learns() -> None:
    going = exchange()
    going.attempt(109.9)

    with pytest.raises(OverloadedError):
        going.after_refusal(
            109.9, lambda: 0.0, OverloadedError.full("x", limit=1, retry_after_ms=700)
        )


def test_a_write_that_was_sent_and_not_answered_names_its_command_id() -> None:
    going = exchange(command_id="c-7")
    going.attempt(109.0)

    with pytest.raises(UnavailableError, match="no answer from ipc:///one within 10 s") as caught:
        going.after_silence(111.0, lambda: 0.0, was_sent=True)

    assert caught.value.details == {
        "tried": ["ipc:///one"],
        "attempts": 1,
        "command_id": "c-7",
    }
    assert "--command-id c-7" in str(caught.value.suggestion)


def test_a_write_that_was_never_sent_says_that_nobody_listens() -> None:
    going = exchange(TWO)
    going.attempt(109.0)

    with pytest.raises(
        UnavailableError, match="nobody listens at ipc:///one, ipc:///two"
    ) as caught:
        going.after_silence(111.0, lambda: 0.0, was_sent=False)

    assert "command_id" not in caught.value.details
    assert caught.value.suggestion == "start a daemon: manifestd --dev"


def test_what_no_daemon_takes_is_not_sent() -> None:
    request = Comment(manifest_id="a", text="x" * (1 << 20))

    with pytest.raises(TooLargeError, match="at most 1048576"):
        Exchange(request, POLICY, Route(ONE), now_s=0.0)


def test_the_bytes_are_the_request() -> None:
    body = msgspec.json.decode(exchange().body)

    assert body == {"op": "comment", "manifest_id": "a", "text": "hi", "command_id": "c-1"}


@pytest.mark.parametrize(
    "request_", [Verify(), Recover(manifest_id="a"), Backup(token="ab" * 16)], ids=str
)
def test_what_takes_long_to_answer_is_asked_once_and_a_daemon_is_looked_for_as_ever(
    request_: Request,
) -> None:
    going = Exchange(request_, POLICY, Route(ONE), now_s=100.0)

    attempt = going.attempt(100.0)

    assert (attempt.connect_s, attempt.answer_s) == (2.0, POLICY.slow_s)
    with pytest.raises(UnavailableError, match="nobody listens at ipc:///one within 10 s"):
        going.after_silence(110.0, lambda: 0.0, was_sent=False)


def test_a_daemon_that_is_lost_over_it_has_as_long_to_come_back_as_any() -> None:
    going = Exchange(Verify(), POLICY, Route(ONE), now_s=100.0)
    going.attempt(100.0)

    going.after_silence(300.0, lambda: 0.0, was_sent=True)

    assert going.attempt(300.0).answer_s == POLICY.slow_s - 200.0
    with pytest.raises(UnavailableError, match="no answer from ipc:///one within 210 s"):
        going.after_silence(310.0, lambda: 0.0, was_sent=False)


def test_nobody_waits_longer_than_he_has_time_for() -> None:
    going = Exchange(Verify(), POLICY.within(5.0), Route(ONE), now_s=100.0)

    assert going.attempt(100.0).answer_s == 5.0
    with pytest.raises(UnavailableError, match="within 5 s"):
        going.after_silence(105.0, lambda: 0.0, was_sent=True)
