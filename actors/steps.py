"""Decisions about the lifecycle: a transition by event or by target, and one step back.

Promise:  pure: `Case -> Decision`; what is refused is raised as a `CommandError` that carries the
          events which the state does accept.
Not here: what the guards ask (`guards.py`), what the actions do (`protocol.record`).
"""

from typing import Final

from actors.builtin_guards import digest_matches
from actors.case import UNCHANGED, Case, Decision
from actors.course import Course, course_of, no_such_event, shown, stepped
from protocol.commands import Revert, Transition
from protocol.errors import BadRequestError, InvalidTransitionError
from protocol.events import EventType, state_names
from protocol.lifecycle.lifecycle import Lifecycle
from protocol.principals import permitting_roles
from protocol.record import Reversible
from protocol.snapshots import StateSnapshot
from protocol.statechart.compiled import Chart, is_reserved
from protocol.statechart.compiled import Transition as Candidate
from protocol.statechart.definition import Cancel, Send
from protocol.statechart.kernel import RunawayError, step
from protocol.statechart.moving import active_nodes
from protocol.timers import Timer, after_step

REVERT: Final = "revert"


def transition(case: Case) -> Decision:
    """Take the step that the request names by its event, or by the state it leads to."""
    request, state = case.request, case.state
    assert isinstance(request, Transition)
    assert state is not None
    lifecycle = case.rules.lifecycles.get(state.lifecycle)
    event = _event_of(lifecycle, state, request)
    if event is None:
        permitting_roles(case.principal, None, "transition")
        _check_digest(course_of(case, "", request, []))
        return UNCHANGED
    if not lifecycle.chart.accepts(state.states, event):
        raise no_such_event(lifecycle, state, event)
    roles = permitting_roles(case.principal, lifecycle.roles_for(event), event)
    course = course_of(case, event, request, roles)
    _check_digest(course)
    taken = course.take()
    if request.target is not None and taken.leaves != (request.target,):
        raise _out_of_reach(lifecycle, state, request.target, dict.fromkeys(taken.leaves, event))
    return stepped(
        case,
        taken,
        EventType.TRANSITIONED,
        event,
        roles,
        case.payload(request.reason, course.context(taken)),
    )


def _check_digest(course: Course) -> None:
    """Who names a content means that content, whatever guards the step has."""
    if course.request.digest is None:
        return
    refusal = digest_matches(course.question(course.leaves, ()))
    if refusal is not None:
        refusal.allowed_events = course.lifecycle.allowed_events(course.leaves)
        raise refusal


def _event_of(lifecycle: Lifecycle, state: StateSnapshot, request: Transition) -> str | None:
    """Return the event that is asked for, None when its target is where the manifest is."""
    target = request.target
    if request.event is not None:
        if target is not None:
            message = "transition takes either 'event' or 'target'"
            raise BadRequestError(message, path="/target")
        return request.event
    if target is None:
        message = "transition takes an 'event' or a 'target' state"
        raise BadRequestError(message, path="/event")
    if state.states == (target,):
        return None
    reachable: dict[str, str] = {}
    for candidate in lifecycle.chart.transitions:
        for leaf in _leaves_after(lifecycle, state, candidate):
            reachable.setdefault(leaf, candidate.event)
    if target not in reachable:
        raise _out_of_reach(lifecycle, state, target, reachable)
    return reachable[target]


def _leaves_after(lifecycle: Lifecycle, state: StateSnapshot, candidate: Candidate) -> list[str]:
    """Return the single leaves that `candidate` may lead to from here, whatever guards say."""
    event, chart = candidate.event, lifecycle.chart
    if not event or "*" in event or is_reserved(event) or not chart.accepts(state.states, event):
        return []
    found = []
    for goes_on in (False, True):  # With and without the eventless steps that guards may allow.

        def allows(one: Candidate, *_: object, goes_on: bool = goes_on) -> bool:
            return one is candidate or (goes_on and not one.event)

        try:
            taken = step(chart, state.states, state.history, event, allows)
        except RunawayError:
            continue  # Guards keep it from going round, or the command itself is told.
        if taken is not None and len(taken.leaves) == 1:
            found.append(taken.leaves[0])
    return found


def _out_of_reach(
    lifecycle: Lifecycle, state: StateSnapshot, target: str, reachable: dict[str, str]
) -> InvalidTransitionError:
    names = ", ".join(reachable) or "none"
    return InvalidTransitionError(
        f"{state.manifest_id} cannot go from {shown(state)} to {target} in one event; "
        f"states within reach: {names}",
        suggestion=f"manifestctl explain {state.manifest_id}",
        details={"state": state.state, "target": target, "reachable": list(reachable)},
        allowed_events=lifecycle.allowed_events(state.states),
    )


def revert(case: Case) -> Decision:
    """Go back over the last transition that was not reverted, by a compensating event."""
    request, state = case.request, case.state
    assert isinstance(request, Revert)
    assert state is not None
    lifecycle = case.rules.lifecycles.get(state.lifecycle)
    last = reversal(state, lifecycle)
    roles = permitting_roles(
        case.principal, lifecycle.roles_for(last.event), f"revert {last.event}"
    )
    return case.event(
        EventType.REVERTED,
        roles,
        last.states_from,
        payload=case.payload(request.reason),
        event=REVERT,
        reverts=last.version,
        history=None if last.history == state.history else last.history,
        timers=_timers_of(lifecycle.chart, case, state.states, state_names(last.states_from)),
    )


def reversal(state: StateSnapshot, lifecycle: Lifecycle) -> Reversible:
    """Return the transition that a `revert` would undo; `InvalidTransitionError` without one."""
    last = state.reversible[-1] if state.reversible else None
    if last is None or last.states_to != state.state or last.digest != state.digest:
        raise InvalidTransitionError(
            f"there is no step of {state.manifest_id} that could be reverted from {shown(state)}",
            suggestion=f"manifestctl history {state.manifest_id}",
            details={"state": state.state, "event": REVERT},
            allowed_events=lifecycle.allowed_events(state.states),
        )
    return last


def _timers_of(
    chart: Chart, case: Case, now: tuple[str, ...], then: tuple[str, ...]
) -> tuple[Timer, ...]:
    """Return what is armed once `then` is active again: what was left waits anew, from now on."""
    assert case.state is not None
    active, restored = active_nodes(chart, now), active_nodes(chart, then)
    changes = [one for node in active - restored for one in node.exit if isinstance(one, Cancel)]
    entered = sorted(restored - active, key=lambda node: node.order)
    sends = [one for node in entered for one in node.entry if isinstance(one, Send)]
    return after_step(case.state.timers, [*changes, *sends], case.stamp.event_id, case.stamp.at)
