"""A manifest changes over to another lifecycle, or to another version of its own.

Promise:  pure: `Case -> Decision`. A manifest that would be in a state which the new lifecycle does
          not have stays where it is, and the refusal says what to map.
Not here: which manifests (`manifestctl lifecycle migrate` asks for each).

The new states are entered without their entry actions: the record is the manifest's already. Their
timers are armed from now, those of the old states are cancelled. Approvals stay; nothing of before
can be reverted.
"""

from actors.case import UNCHANGED, Case, Decision
from actors.course import shown
from protocol.commands import OP_BY_REQUEST, Migrate
from protocol.errors import BadRequestError, InvalidTransitionError
from protocol.events import EventType, state_name
from protocol.lifecycle.lifecycle import Lifecycle
from protocol.principals import permitting_roles
from protocol.snapshots import StateSnapshot
from protocol.statechart.compiled import Node
from protocol.statechart.compiler import ChartError
from protocol.statechart.moving import place
from protocol.timers import arm


def migrate(case: Case) -> Decision:
    """Put the manifest under `request.lifecycle`, in the states that `request.states` maps its to."""
    request, state = case.request, case.state
    assert isinstance(request, Migrate)
    assert state is not None
    roles = permitting_roles(case.principal, OP_BY_REQUEST[Migrate].roles, "migrate a manifest")
    lifecycle = case.rules.lifecycles.get(request.lifecycle)
    mapping = request.states or {}
    _check_mapping(mapping, state, lifecycle)
    if lifecycle.name == state.lifecycle and not mapping:
        return UNCHANGED
    try:
        placed = place(lifecycle.chart, _targets(mapping, state, lifecycle))
    except ChartError as error:
        raise BadRequestError(f"{lifecycle.name}: {error.reason}", path="/states") from error
    return case.event(
        EventType.MIGRATED,
        roles,
        state_name(placed.leaves),
        payload=case.payload(request.reason),
        event=None,
        lifecycle=lifecycle.name,
        history={} if state.history else None,
        timers=arm(case.stamp.event_id, case.stamp.at, placed.sends),
    )


def _check_mapping(mapping: dict[str, str], state: StateSnapshot, lifecycle: Lifecycle) -> None:
    """Refuse what is mapped to nothing; what others are in is no business of this manifest."""
    for old, new in mapping.items():
        if old in state.states and not _is_state(lifecycle, new):
            message = f"{lifecycle.name} has no state {new!r} that {old} could become"
            raise BadRequestError(message, path=f"/states/{old}")


def _targets(
    mapping: dict[str, str], state: StateSnapshot, lifecycle: Lifecycle
) -> tuple[Node, ...]:
    names = dict.fromkeys(mapping.get(name, name) for name in state.states)
    missing = [name for name in names if not _is_state(lifecycle, name)]
    if missing:
        raise InvalidTransitionError(
            f"{state.manifest_id} is in {shown(state)}, and {lifecycle.name} has no "
            f"{' or '.join(missing)}; say what it becomes",
            suggestion=f"--map {missing[0]}=STATE",
            details={"state": state.state, "lifecycle": lifecycle.name, "missing": missing},
        )
    return tuple(lifecycle.chart.nodes[name] for name in names)


def _is_state(lifecycle: Lifecycle, name: str) -> bool:
    node = lifecycle.chart.nodes.get(name)
    return node is not None and node is not lifecycle.chart.root
