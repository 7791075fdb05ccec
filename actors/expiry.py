"""A timer is due: the command that says so, and what it decides.

Promise:  pure. A timer fires once: the event that it causes no longer has it among its `timers`,
          whether or not a guard let it do anything, and one that is not armed any more does nothing.
Not here: when it is due (`timers.py`), whom it is handed to (`firing.py`).
"""

from typing import Final

from actors.case import UNCHANGED, Case, Decision
from protocol.commands import Write
from protocol.events import EventType, state_name
from protocol.principals import Peer
from protocol.snapshots import StateSnapshot
from protocol.timers import Timer, without

# What such events are by. The name gives nobody anything: roles and permission are not asked for.
DAEMON: Final = Peer(name="manifestd", roles=frozenset())


class Expire(Write, kw_only=True):
    """The timer `timer_id` is due. No op: it cannot come over the wire. Its id is `command_id`."""

    timer_id: str


def expire(case: Case) -> Decision:
    """Take the timer's event, if it is still armed; refused by its guards, it is only disarmed."""
    request, state = case.request, case.state
    assert isinstance(request, Expire)
    assert state is not None
    timer = armed_timer(state, request)
    if timer is None:
        return UNCHANGED
    return case.event(
        EventType.TRANSITIONED,
        [],
        state_name(state.states),
        payload=case.payload(None),
        event=timer.event,
        cause="timer",
        timers=without(state.timers, timer.id),
    )


def armed_timer(state: StateSnapshot, request: Write) -> Timer | None:
    """Return the timer that `request` is about, None when it is about none that is armed."""
    if not isinstance(request, Expire):
        return None
    return next((timer for timer in state.timers if timer.id == request.timer_id), None)
