"""Timers of a manifest: which are armed after a step, and when they are due.

Promise:  pure and exact: due times are integers of microseconds, counted from the time that the
          event itself records, so that everybody who reads the event comes to the same ones.
Assume:   times are as `events.timestamp` writes them. They compare as text, being of one width.
          A `Send` of a lifecycle file is named as its event is (`after.STATE.N`); `Cancel` names it.
Not here: waiting (`actors.timers`), and what happens when one is due (`actors.expiry`).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Final

import msgspec

from protocol.errors import TooLargeError
from protocol.limits import TIMERS_MAX
from protocol.statechart.compiled import AFTER
from protocol.statechart.definition import Cancel, Send

_TIME: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z\Z"


class Timer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An armed timer. `id`: that of the event that armed it, a dot, and a number.

    When it is due, `event` is taken, as long as `state` has not been left. `due` is RFC 3339 in
    UTC with microseconds.
    """

    id: str
    event: str
    state: str
    due: Annotated[str, msgspec.Meta(pattern=_TIME)]


def arm(event_id: str, now: str, sends: Sequence[Send]) -> tuple[Timer, ...]:
    """Return what the event `event_id` at time `now` arms on a manifest that has no timers.

    Raises:
        TooLargeError: too many at once, or due when years have five digits.
    """
    return after_step((), sends, event_id, now)


def after_step(
    timers: Sequence[Timer], changes: Sequence[Send | Cancel], event_id: str, now: str
) -> tuple[Timer, ...]:
    """Return what is armed when the event `event_id` at time `now` has made `changes`, in order.

    Raises:
        TooLargeError: too many at once, or due when years have five digits.
    """
    armed, number = list(timers), 0
    for change in changes:
        if isinstance(change, Cancel):
            armed = [timer for timer in armed if timer.event != change.id]
        else:
            number += 1
            armed.append(_timer(f"{event_id}.{number}", now, change))
    if len(armed) > TIMERS_MAX:
        message = (
            f"{len(armed)} timers would be armed at once, at most {TIMERS_MAX} are kept for a "
            "manifest; the lifecycle has too many `after` that can run side by side"
        )
        raise TooLargeError(message, details={"limit": TIMERS_MAX})
    return tuple(armed)


def _timer(timer_id: str, now: str, send: Send) -> Timer:
    assert send.id in (None, send.event), "a lifecycle names what it sends as the event"
    state = send.event.removeprefix(AFTER).rpartition(".")[0]
    return Timer(id=timer_id, event=send.event, state=state, due=due_after(now, send.delay_ms))


def due_after(at: str, delay_ms: int) -> str:
    """Return the time `delay_ms` milliseconds after `at`, both RFC 3339.

    Raises:
        TooLargeError: that is after the year 9999, which RFC 3339 cannot say.
    """
    try:
        due = datetime.fromisoformat(at) + timedelta(milliseconds=delay_ms)
    except OverflowError as error:
        message = f"a timer of {delay_ms} ms set at {at} is due after the year 9999"
        raise TooLargeError(message) from error
    return due.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def seconds_between(earlier: str, later: str) -> float:
    """Return how long it is from one time to another; negative when they are the other way round."""
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


def without(timers: Sequence[Timer], timer_id: str) -> tuple[Timer, ...]:
    """Return `timers` but for the one with that id."""
    return tuple(timer for timer in timers if timer.id != timer_id)
