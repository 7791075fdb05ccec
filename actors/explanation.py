"""Why not: every event of a lifecycle, seen from one manifest's state and one principal.

Promise:  pure, and the same checks in the same order that a command meets.
"""

from actors.guards import Question
from actors.rules import Rules
from actors.steps import judge
from protocol.commands import Transition
from protocol.errors import CommandError
from protocol.events import state_name
from protocol.lifecycle.lifecycle import Lifecycle
from protocol.principals import Principal, permitting_roles
from protocol.replies import ExplainResult, Explanation
from protocol.snapshots import StateSnapshot

A_REASON = "…"  # A step that takes a reason is possible: whoever asks has not written it yet.


def explain(state: StateSnapshot, principal: Principal, rules: Rules) -> ExplainResult:
    """Return for each event whether `principal` may take it now, and if not what is in the way."""
    lifecycle = rules.lifecycles.get(state.lifecycle)
    would_be = Transition(manifest_id=state.manifest_id, reason=A_REASON)
    return ExplainResult(
        manifest_id=state.manifest_id,
        state=state.state,
        version=state.version,
        principal=principal.name,
        events=[
            _explanation(lifecycle, Question(state, event, would_be, principal, rules))
            for event in lifecycle.events
        ],
    )


def _explanation(lifecycle: Lifecycle, question: Question) -> Explanation:
    event, needed = question.event, lifecycle.roles_for(question.event)
    roles = needed or []
    try:
        if event in lifecycle.allowed_events(question.state.states):
            permitting_roles(question.principal, needed, event)
        target = state_name(judge(lifecycle, question).leaves)
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
