"""Decisions about the lifecycle: a transition by event or by target, and one step back.

Promise:  pure: `Case -> Decision`; what is refused is raised as a `CommandError` that carries the
          events which the state does accept.
Not here: what the guards ask (`guards.py`), what the actions do (`protocol.snapshots`).
"""

from typing import Any

from actors.case import UNCHANGED, Case, Decision
from actors.guards import GUARDS, Question, digest_matches
from protocol.commands import Revert, Transition
from protocol.errors import BadRequestError, CommandError, InvalidTransitionError
from protocol.events import EventType, state_name
from protocol.lifecycle.lifecycle import Lifecycle
from protocol.principals import permitting_roles
from protocol.snapshots import StateSnapshot
from protocol.statechart.compiled import Transition as ChartTransition
from protocol.statechart.kernel import Step, step


def transition(case: Case) -> Decision:
    """Take the step that the request names by its event, or by the state it leads to."""
    request, state = case.request, case.state
    assert isinstance(request, Transition)
    assert state is not None
    lifecycle = case.rules.lifecycles.get(state.lifecycle)
    event = _event_of(lifecycle, state, request)
    question = Question(state, event or "", request, case.principal, case.rules)
    if event is None:
        permitting_roles(case.principal, None, "transition")
        _check_digest(lifecycle, question)
        return UNCHANGED
    if event not in lifecycle.allowed_events(state.states):
        raise _no_such_event(lifecycle, state, event)
    roles = permitting_roles(case.principal, lifecycle.roles_for(event), event)
    _check_digest(lifecycle, question)
    taken = judge(lifecycle, question)
    if request.target is not None and taken.leaves != (request.target,):
        raise _out_of_reach(lifecycle, state, request.target, dict.fromkeys(taken.leaves, event))
    members: dict[str, Any] = {}
    if "record_registration" in taken.actions:
        members["urn"] = case.rules.urn(state)
    return case.event(
        EventType.TRANSITIONED,
        roles,
        state_name(taken.leaves),
        payload=case.payload(request.reason, request.context),
        event=event,
        actions=list(taken.actions),
        **members,
    )


def judge(lifecycle: Lifecycle, question: Question) -> Step:
    """Return the step that the event takes, with every guard asked; raise the first refusal."""
    refusals: list[CommandError] = []

    def allows(candidate: ChartTransition) -> bool:
        for name in candidate.guards:
            refusal = GUARDS[name](question)
            if refusal is not None:
                if candidate.because is not None:
                    _say_because(refusal, candidate.because)
                refusals.append(refusal)
                return False
        return True

    states = question.state.states
    taken = step(lifecycle.chart, states, question.event, allows)
    if taken is None:
        if not refusals:
            raise _no_such_event(lifecycle, question.state, question.event)
        refusals[0].allowed_events = lifecycle.allowed_events(states)
        raise refusals[0]
    return taken


def _say_because(refusal: CommandError, because: str) -> None:
    """Tell the caller what the lifecycle's author wants him told, and then what the guard saw."""
    refusal.details["because"] = because
    refusal.message = f"{because} ({refusal.message})"
    refusal.args = (refusal.message,)


def _check_digest(lifecycle: Lifecycle, question: Question) -> None:
    """Who names a content means that content, whatever guards the step has."""
    if question.request.digest is None:
        return
    refusal = digest_matches(question)
    if refusal is not None:
        refusal.allowed_events = lifecycle.allowed_events(question.state.states)
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
        leaf = _leaf_after(lifecycle, state, candidate)
        if leaf is not None:
            reachable.setdefault(leaf, candidate.event)
    if target not in reachable:
        raise _out_of_reach(lifecycle, state, target, reachable)
    return reachable[target]


def _leaf_after(
    lifecycle: Lifecycle, state: StateSnapshot, candidate: ChartTransition
) -> str | None:
    """Return the leaf that `candidate` leads to from here, None when it leads to none or several."""
    if candidate.event not in lifecycle.allowed_events(state.states):
        return None
    taken = step(lifecycle.chart, state.states, candidate.event, lambda one: one is candidate)
    return taken.leaves[0] if taken is not None and len(taken.leaves) == 1 else None


def _out_of_reach(
    lifecycle: Lifecycle, state: StateSnapshot, target: str, reachable: dict[str, str]
) -> InvalidTransitionError:
    names = ", ".join(reachable) or "none"
    return InvalidTransitionError(
        f"{state.manifest_id} cannot go from {state.state} to {target} in one event; "
        f"states within reach: {names}",
        suggestion=f"manifestctl explain {state.manifest_id}",
        details={"state": state.state, "target": target, "reachable": list(reachable)},
        allowed_events=lifecycle.allowed_events(state.states),
    )


def _no_such_event(lifecycle: Lifecycle, state: StateSnapshot, event: str) -> CommandError:
    allowed = lifecycle.allowed_events(state.states)
    known = "" if event in lifecycle.events else f" ({lifecycle.name} has no such event at all)"
    return InvalidTransitionError(
        f"{state.manifest_id} is in {state.state}, which does not accept {event}{known}; "
        f"it accepts: {', '.join(allowed) or 'nothing, it is final'}",
        suggestion=f"manifestctl explain {state.manifest_id}",
        details={"state": state.state, "event": event},
        allowed_events=allowed,
    )


def revert(case: Case) -> Decision:
    """Go back over the last transition that was not reverted, by a compensating event."""
    request, state = case.request, case.state
    assert isinstance(request, Revert)
    assert state is not None
    lifecycle = case.rules.lifecycles.get(state.lifecycle)
    last = state.reversible[-1] if state.reversible else None
    if last is None or last.states_to != state.state or last.digest != state.digest:
        raise InvalidTransitionError(
            f"there is no step of {state.manifest_id} that could be reverted from {state.state}",
            suggestion=f"manifestctl history {state.manifest_id}",
            details={"state": state.state, "event": "revert"},
            allowed_events=lifecycle.allowed_events(state.states),
        )
    roles = permitting_roles(
        case.principal, lifecycle.roles_for(last.event), f"revert {last.event}"
    )
    return case.event(
        EventType.REVERTED,
        roles,
        last.states_from,
        payload=case.payload(request.reason),
        event="revert",
        reverts=last.version,
    )
