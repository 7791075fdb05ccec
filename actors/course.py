"""The course that a manifest takes through its lifecycle on one event, and the event it becomes.

Promise:  pure. `dry_run`, `explain`, `list --can` and the command itself all come through here, so
          that what is foretold is what happens. What actions compute is in the event.
Not here: permission and targets (`steps.py`), what the guards ask (`guards.py`).
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from actors.case import Case
from actors.guards import refusal_of, say_because
from actors.question import Question
from actors.rules import Rules
from protocol.commands import Transition
from protocol.errors import (
    BadRequestError,
    CommandError,
    GuardRejectedError,
    InvalidTransitionError,
)
from protocol.events import EventType, NewEvent, Payload, state_name
from protocol.lifecycle.compiler import ASSIGN
from protocol.lifecycle.expressions import Allowance, EvaluationError
from protocol.lifecycle.lifecycle import Lifecycle
from protocol.principals import Principal
from protocol.record import Approval
from protocol.snapshots import StateSnapshot
from protocol.statechart.compiled import Transition as Candidate
from protocol.statechart.kernel import Macrostep, RunawayError, start, step
from protocol.timers import after_step, without

RECORD_APPROVAL: Final = "record_approval"
VOID_APPROVALS: Final = "void_approvals"


class Course:
    """One event in front of one state. `roles`: those that permit it, as an approval records them.

    `request` is what the guards see of the command; `now` its time (RFC 3339).
    """

    __slots__ = (
        "_allowance",
        "_first",
        "_refusals",
        "event",
        "leaves",
        "lifecycle",
        "now",
        "principal",
        "request",
        "roles",
        "rules",
        "state",
    )

    def __init__(
        self,
        state: StateSnapshot,
        event: str,
        request: Transition,
        principal: Principal,
        rules: Rules,
        now: str,
        roles: list[str],
    ) -> None:
        self.lifecycle = rules.lifecycles.get(state.lifecycle)
        self.state = state
        self.leaves = state.states
        self.event = event
        self.request = request
        self.principal = principal
        self.rules = rules
        self.now = now
        self.roles = roles
        self._refusals: list[CommandError] = []
        self._allowance = Allowance()
        self._first: Question | None = None

    def begin(self) -> Macrostep:
        """Return the step that enters the chart."""
        try:
            return start(self.lifecycle.chart, self._allows)
        except RunawayError as error:
            raise self._runaway(error) from error

    def take(self) -> Macrostep:
        """Return the step that the event takes, with every guard asked.

        Raises:
            CommandError: the first refusal of a guard.
            InvalidTransitionError: nothing in this state takes the event, or it would never end.
        """
        state = self.state
        try:
            taken = step(self.lifecycle.chart, self.leaves, state.history, self.event, self._allows)
        except RunawayError as error:
            raise self._runaway(error) from error
        if taken is not None:
            return taken
        if not self._refusals:
            raise no_such_event(self.lifecycle, state, self.event)
        refusal = self._refusals[0]
        refusal.allowed_events = self.lifecycle.allowed_events(state.states)
        raise refusal

    def assigned(self, taken: Macrostep) -> dict[str, Any]:
        """Return what the step's assignments put into the context, later ones over earlier ones.

        Raises:
            GuardRejectedError: one of them has no value here.
        """
        values: dict[str, Any] = {}
        for action in taken.actions:
            for member, expression in self.lifecycle.assignments.get(action, {}).items():
                question = self.question(self.leaves, ())
                try:
                    value = expression.evaluate(question.variables, question.allowance)
                except EvaluationError as error:
                    message = f"{member} = {expression.source} has no value: {error}"
                    raise GuardRejectedError(message, details={"action": "assign"}) from error
                values[member] = value
        return values

    def context(self, taken: Macrostep) -> dict[str, Any] | None:
        """Return what the event puts into the context: the command's, and what is assigned.

        Raises:
            BadRequestError: the command sets what only assignments of the lifecycle do.
        """
        given, lifecycle = self.request.context, self.lifecycle
        if not lifecycle.assignments:
            return given
        assigned = self.assigned(taken)
        for member in given or ():
            if member in lifecycle.assigned_members and member not in assigned:
                message = f"{lifecycle.name} computes the context's {member!r} itself; leave it out"
                raise BadRequestError(message, path=f"/context/{member}")
        return (given or {}) | assigned

    def question(self, leaves: tuple[str, ...], actions: Sequence[str]) -> Question:
        """Return what guards see when `leaves` are active and `actions` were run."""
        if not actions and leaves == self.leaves:
            if self._first is None:
                self._first = self._question(leaves, self.state.approvals)
            return self._first
        return self._question(leaves, self._approvals(actions))

    def _question(self, leaves: tuple[str, ...], approvals: tuple[Approval, ...]) -> Question:
        question = Question(
            self.state,
            self.event,
            self.request,
            self.principal,
            self.rules,
            self.now,
            leaves,
            approvals,
        )
        question.allowance = self._allowance
        return question

    def _approvals(self, actions: Sequence[str]) -> tuple[Approval, ...]:
        approvals = self.state.approvals
        for action in actions:
            if action == RECORD_APPROVAL:
                approvals = (*approvals, self._approval())
            elif action == VOID_APPROVALS:
                approvals = ()
        return approvals

    def _approval(self) -> Approval:
        """Return the approval that the event will be, as `protocol.record` reads it from there."""
        return Approval(
            principal=self.principal.name,
            event=self.event,
            version=self.state.version + 1,
            digest=self.state.digest,
            at=self.now,
            roles=self.roles,
            via=self.principal.via,
        )

    def _allows(
        self, candidate: Candidate, leaves: tuple[str, ...], actions: Sequence[str]
    ) -> bool:
        refusal = refusal_of(candidate.guard, self.question(leaves, actions))
        if refusal is None:
            return True
        if candidate.because is not None:
            say_because(refusal, candidate.because)
        self._refusals.append(refusal)
        return False

    def _runaway(self, error: RunawayError) -> InvalidTransitionError:
        return InvalidTransitionError(
            f"{self.state.manifest_id}: {error}",
            suggestion=f"manifestctl lifecycle check FILE, for {self.lifecycle.name}",
            details={"state": self.state.state, "event": self.event},
        )


def course_of(case: Case, event: str, request: Transition, roles: list[str]) -> Course:
    """Return the course of a command on a manifest that exists."""
    assert case.state is not None
    return Course(case.state, event, request, case.principal, case.rules, case.stamp.at, roles)


def stepped(
    case: Case,
    taken: Macrostep,
    event_type: EventType,
    event: str | None,
    roles: list[str],
    payload: Payload,
    *,
    fired: str | None = None,
    **members: Any,  # noqa: ANN401 (members of EventCore)
) -> NewEvent:
    """Return the event that records the step `taken`, everything that it caused included.

    `fired`: the id of the timer that is due, which is armed no longer.
    """
    state, stamp = case.state, case.stamp
    armed = () if state is None else state.timers
    if fired is not None:
        armed = without(armed, fired)
    members["timers"] = (
        after_step(armed, taken.timers, stamp.event_id, stamp.at) if taken.timers else armed
    )
    if taken.history != ({} if state is None else state.history):
        members["history"] = taken.history
    if "record_registration" in taken.actions:
        assert state is not None
        members["urn"] = case.rules.urn(state)
    return case.event(
        event_type,
        roles,
        state_name(taken.leaves),
        payload=payload,
        event=event,
        actions=list(recorded(taken.actions)),
        **members,
    )


@lru_cache(maxsize=1024)
def recorded(actions: tuple[str, ...]) -> tuple[str, ...]:
    """Return those that a replay needs: what was assigned is in the event's context."""
    return tuple(action for action in actions if not action.startswith(ASSIGN))


def no_such_event(lifecycle: Lifecycle, state: StateSnapshot, event: str) -> InvalidTransitionError:
    """Return the refusal for an event that nothing in the manifest's state takes."""
    allowed = lifecycle.allowed_events(state.states)
    known = "" if lifecycle.knows(event) else f" ({lifecycle.name} has no such event at all)"
    return InvalidTransitionError(
        f"{state.manifest_id} is in {shown(state)}, which does not accept {event}{known}; "
        f"it accepts: {', '.join(allowed) or 'nothing, it is final'}",
        suggestion=f"manifestctl explain {state.manifest_id}",
        details={"state": state.state, "event": event},
        allowed_events=allowed,
    )


def shown(state: StateSnapshot) -> str:
    """Return the active states as a person reads them."""
    return " + ".join(state.states)
