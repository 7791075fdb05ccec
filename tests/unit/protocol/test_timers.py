"""Timers as values: what a step arms and calls off, and when it is due."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import TooLargeError
from protocol.limits import TIMERS_MAX
from protocol.statechart.definition import Cancel, Send
from protocol.timers import Timer, after_step, arm, due_after, seconds_between, without

NOW = "2026-11-23T15:04:05.123456Z"
DAY_MS = 86_400_000


def send(state: str = "PENDING", number: int = 1, delay_ms: int = DAY_MS) -> Send:
    event = f"after.{state}.{number}"
    return Send(event=event, delay_ms=delay_ms, id=event)


def test_a_timer_is_named_for_the_event_that_armed_it_and_for_what_it_leaves() -> None:
    timers = arm("e7", NOW, [send("PENDING"), send("a.b-c", 2, delay_ms=1)])

    assert timers == (
        Timer(
            id="e7.1", event="after.PENDING.1", state="PENDING", due="2026-11-24T15:04:05.123456Z"
        ),
        Timer(id="e7.2", event="after.a.b-c.2", state="a.b-c", due="2026-11-23T15:04:05.124456Z"),
    )


def test_the_bytes_of_a_timer_are_its_members_in_order() -> None:
    data = msgspec.json.encode(arm("e", NOW, [send()]))

    assert data == (
        b'[{"id":"e.1","event":"after.PENDING.1","state":"PENDING",'
        b'"due":"2026-11-24T15:04:05.123456Z"}]'
    )
    assert msgspec.json.encode(msgspec.json.decode(data, type=tuple[Timer, ...])) == data


def test_leaving_a_state_calls_off_its_timers_and_no_others() -> None:
    armed = arm("e1", NOW, [send("A"), send("A", 2), send("AB")])

    left = after_step(armed, [Cancel("after.A.1"), Cancel("after.A.2")], "e2", NOW)

    assert left == armed[2:]


def test_entering_a_state_again_arms_anew() -> None:
    armed = arm("e1", NOW, [send("A")])

    again = after_step(armed, [Cancel("after.A.1"), send("A")], "e2", NOW)

    assert [timer.id for timer in again] == ["e2.1"]


def test_what_a_step_arms_and_calls_off_itself_is_not_armed_after_it() -> None:
    changes: list[Send | Cancel] = [send("A"), Cancel("after.A.1"), send("B"), Cancel("after.C.1")]

    timers = after_step((), changes, "e", NOW)

    assert [(timer.id, timer.state) for timer in timers] == [("e.2", "B")]


def test_a_step_that_changes_no_timers_leaves_them_as_they_are() -> None:
    armed = arm("e1", NOW, [send("A")])

    assert after_step(list(armed), [], "e2", "2027-01-01T00:00:00.000000Z") == armed


def test_too_many_timers_are_refused_with_the_limit() -> None:
    sends = [send(f"S{number}") for number in range(TIMERS_MAX)]
    armed = arm("e1", NOW, sends)
    assert len(armed) == TIMERS_MAX

    with pytest.raises(TooLargeError, match=f"{TIMERS_MAX + 1} timers .* at most {TIMERS_MAX}"):
        after_step(armed, [send("one-more")], "e2", NOW)
    assert len(after_step(armed, [Cancel("after.S0.1"), send("other")], "e2", NOW)) == TIMERS_MAX


def test_a_timer_is_taken_out_by_its_id() -> None:
    armed = arm("e", NOW, [send("A"), send("B")])

    assert without(armed, "e.1") == armed[1:]
    assert without(armed, "e.3") == armed


@given(
    st.datetimes(datetime(1970, 1, 1), datetime(9000, 1, 1)),  # noqa: DTZ001 (the zone comes below)
    st.integers(0, 10 * 366 * DAY_MS),
)
def test_a_due_time_is_exact_and_as_wide_as_any(at: datetime, delay_ms: int) -> None:
    now = f"{at.isoformat(timespec='microseconds')}Z"

    due = due_after(now, delay_ms)

    assert len(due) == len(now)
    assert datetime.fromisoformat(due) - at.replace(tzinfo=UTC) == timedelta(milliseconds=delay_ms)
    assert (due > now) == (delay_ms > 0)
    assert seconds_between(now, due) == delay_ms / 1000


@pytest.mark.parametrize("delay_ms", [1, DAY_MS, 10**30])
def test_a_due_time_that_cannot_be_written_is_refused(delay_ms: int) -> None:
    last = "9999-12-31T23:59:59.999999Z"
    assert due_after(last, 0) == last

    with pytest.raises(TooLargeError, match="after the year 9999"):
        due_after(last, delay_ms)


@pytest.mark.parametrize("due", ["", "tomorrow", "2026-11-23T15:04:05Z", f"{NOW}\n", f" {NOW}"])
def test_a_due_time_of_another_shape_is_not_read(due: str) -> None:
    data = msgspec.json.encode({"id": "e.1", "event": "after.A.1", "state": "A", "due": due})

    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(data, type=Timer)
