"""A timer is due: the command that says so, and what it decides.

Promise:  pure. A timer fires once: the event that it causes no longer has it among its `timers`,
          whether or not a guard let it do anything, and one that is not armed any more does nothing.
Not here: when it is due (`timers.py`), whom it is handed to (`firing.py`).
"""

from typing import Final

from actors.case import UNCHANGED, Case, Decision
from actors.course import course_of, stepped
from protocol.commands import Transition, Write
from protocol.errors import CommandError
from protocol.events import EventType
from protocol.limits import TEXT_SIZE_MAX
from protocol.principals import Peer
from protocol.snapshots import StateSnapshot
from protocol.statechart.kernel import RunawayError
from protocol.timers import Timer, without

# What such events are by. The name gives nobody anything: roles and permission are not asked for.
DAEMON: Final = Peer(name="manifestd", roles=frozenset())

CAUSE: Final = "timer"  # `cause` of the events.


class Expire(Write, kw_only=True):
    """The timer `timer_id` is due. No op: it cannot come over the wire. Its id is `command_id`."""

    timer_id: str


def expire(case: Case) -> Decision:
    """Take the timer's event, if it is still armed.

    Where its guards refuse, the event says why, and that the timer is armed no longer.

    Raises:
        InvalidTransitionError: the step would never end.
        ManifestInvalidError, TooLargeError: the step cannot be recorded.
    """
    request, state = case.request, case.state
    assert isinstance(request, Expire)
    assert state is not None
    timer = armed_timer(state, request)
    if timer is None:
        return UNCHANGED
    asked = Transition(manifest_id=state.manifest_id, event=timer.event)
    try:
        course = course_of(case, timer.event, asked, [])
        taken = course.take()
        assigned = course.context(taken)
    except CommandError as refusal:
        if isinstance(refusal.__cause__, RunawayError):
            raise
        return case.event(
            EventType.TRANSITIONED,
            [],
            state.state,
            payload=case.payload(refusal.message[:TEXT_SIZE_MAX]),
            event=timer.event,
            cause=CAUSE,
            timers=without(state.timers, timer.id),
        )
    return stepped(
        case,
        taken,
        EventType.TRANSITIONED,
        timer.event,
        [],
        case.payload(None, assigned),
        fired=timer.id,
        cause=CAUSE,
    )


def armed_timer(state: StateSnapshot, request: Write) -> Timer | None:
    """Return the timer that `request` is about, None when it is about none that is armed."""
    if not isinstance(request, Expire):
        return None
    return next((timer for timer in state.timers if timer.id == request.timer_id), None)
