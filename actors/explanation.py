"""What may happen to a manifest now: every event of its lifecycle, for one principal.

Promise:  pure, and the same checks in the same order that a command meets.
"""

from typing import Final

from actors.course import Course
from actors.rules import Rules
from protocol.commands import Transition
from protocol.errors import CommandError
from protocol.events import state_name
from protocol.principals import Principal, permitting_roles
from protocol.replies import ExplainResult, Explanation
from protocol.snapshots import StateSnapshot

A_REASON: Final = (
    "…"  # A step that takes a reason is possible: whoever asks has not written it yet.
)


def explain(state: StateSnapshot, principal: Principal, rules: Rules, now: str) -> ExplainResult:
    """Return for each event whether `principal` may take it now, and if not what is in the way."""
    lifecycle = rules.lifecycles.get(state.lifecycle)
    would_be = Transition(manifest_id=state.manifest_id, reason=A_REASON)
    return ExplainResult(
        manifest_id=state.manifest_id,
        state=state.state,
        version=state.version,
        principal=principal.name,
        events=[
            _explanation(Course(state, event, would_be, principal, rules, now, []))
            for event in lifecycle.events
        ],
    )


def _explanation(course: Course) -> Explanation:
    event, lifecycle = course.event, course.lifecycle
    needed = lifecycle.roles_for(event)
    roles = needed or []
    try:
        if lifecycle.chart.accepts(course.state.states, event):
            course.roles = permitting_roles(course.principal, needed, event)
        target = state_name(course.take().leaves)
    except CommandError as error:
        return Explanation(
            event=event,
            allowed=False,
            target=None,
            roles=roles,
            guard=error.details.get("guard"),
            reason=str(error),
        )
    return Explanation(event=event, allowed=True, target=target, roles=roles)
