"""What may happen to a manifest now: every event of its lifecycle, for one principal.

Promise:  pure, and the same checks in the same order that a command meets.
Assume:   whoever asks would give a reason, and no other argument.
"""

from typing import Final

from actors.course import Course, recorded
from actors.drafts import REVISE, frozen, revising_roles
from actors.rules import Rules
from actors.steps import REVERT, reversal
from protocol.commands import Transition
from protocol.errors import CommandError
from protocol.events import StateName, state_name
from protocol.principals import Principal, permitting_roles
from protocol.replies import ExplainResult, Explanation
from protocol.snapshots import StateSnapshot

A_REASON: Final = (
    "…"  # A step that takes a reason is possible: whoever asks has not written it yet.
)


def explain(state: StateSnapshot, principal: Principal, rules: Rules, now: str) -> ExplainResult:
    """Return for each event whether `principal` may take it now, and if not what is in the way.

    After the events of the lifecycle come `revise`, unless it is one of them, and `revert`.
    """
    lifecycle = rules.lifecycles.get(state.lifecycle)
    events = dict.fromkeys((*lifecycle.events, REVISE, REVERT))
    return ExplainResult(
        manifest_id=state.manifest_id,
        state=state.state,
        version=state.version,
        principal=principal.name,
        events=[explain_event(state, event, principal, rules, now) for event in events],
    )


def explain_event(
    state: StateSnapshot, event: str, principal: Principal, rules: Rules, now: str
) -> Explanation:
    """Return whether `principal` may take `event` now, what it would do, and if not why not."""
    looked = _Look(state, event, principal, rules, now)
    try:
        target = looked.ahead()
    except CommandError as error:
        return Explanation(
            event=event,
            allowed=False,
            target=None,
            roles=looked.roles,
            guard=error.details.get("guard"),
            reason=str(error),
        )
    return Explanation(
        event=event,
        allowed=True,
        target=target,
        roles=looked.roles,
        actions=looked.actions,
    )


class _Look:
    """A look ahead; `needed` and `actions` are told as far as it went."""

    def __init__(
        self, state: StateSnapshot, event: str, principal: Principal, rules: Rules, now: str
    ) -> None:
        would_be = Transition(manifest_id=state.manifest_id, reason=A_REASON)
        self.course = Course(state, event, would_be, principal, rules, now, [])
        self.needed: list[str] | None = None
        self.actions: list[str] = []

    @property
    def roles(self) -> list[str]:
        """The roles that permit it, any one of them; none: every role does."""
        return [] if self.needed is None else self.needed or ["admin"]

    def ahead(self) -> StateName:
        """Return the state that the event would lead to; raise what would refuse it."""
        course = self.course
        event, state, lifecycle = course.event, course.state, course.lifecycle
        if event in (REVISE, REVERT):  # Ops, unless the state means them.
            accepts = lifecycle.takes_by_name(state.states, event)
        else:
            accepts = lifecycle.chart.accepts(state.states, event)
        self.needed = lifecycle.roles_for(event)
        if event == REVISE:
            self.needed = revising_roles(lifecycle, is_step=accepts)
        if event == REVISE and not accepts:
            permitting_roles(course.principal, self.needed, "revise a manifest")
            if not lifecycle.is_mutable(state.states):
                raise frozen(state, lifecycle)
            return state.state
        if event == REVERT and not accepts:
            last = reversal(state, lifecycle)
            self.needed = lifecycle.roles_for(last.event)
            permitting_roles(course.principal, self.needed, f"revert {last.event}")
            return last.states_from
        if accepts:
            course.roles = permitting_roles(course.principal, self.needed, event)
        taken = course.take()
        self.actions = list(recorded(taken.actions))
        course.assigned(taken)  # It refuses where an assignment has no value.
        return state_name(taken.leaves)
