"""What an accepted command is answered, the first time and when it is asked again."""

from protocol.errors import CommandIdReusedError
from protocol.events import state_names
from protocol.lifecycle.lifecycle import Lifecycle
from protocol.replies import UNSET, TransitionResult
from protocol.snapshots import RememberedCommand, StateSnapshot


def result_of(
    state: StateSnapshot, lifecycle: Lifecycle, *, changed: bool = True, dry_run: bool = False
) -> TransitionResult:
    """Return the answer to a command that led to `state`."""
    return TransitionResult(
        manifest_id=state.manifest_id,
        kind=state.kind,
        state=state.state,
        version=state.version,
        seq=state.seq,
        digest=state.digest,
        urn=state.urn,
        author=state.author,
        allowed_events=lifecycle.allowed_events(state.states),
        changed=UNSET if changed else False,
        dry_run=True if dry_run else UNSET,
    )


def repeated(
    state: StateSnapshot, known: RememberedCommand, command_digest: str, lifecycle: Lifecycle
) -> TransitionResult:
    """Return what the command `known` was answered, for the client that asks again.

    Where it led to a state of a lifecycle that the manifest has left since, no event is allowed there.

    Raises:
        CommandIdReusedError: `command_digest` says that it asks for something else.
    """
    if known.command_digest != command_digest:
        message = (
            f"{state.manifest_id}: the command id {known.command_id!r} belongs to another "
            f"command, which made version {known.version}; use a new id"
        )
        raise CommandIdReusedError(
            message, details={"command_id": known.command_id, "version": known.version}
        )
    states = state_names(known.state)
    is_known = all(name in lifecycle.chart.nodes for name in states)
    return TransitionResult(
        manifest_id=state.manifest_id,
        kind=state.kind,
        state=known.state,
        version=known.version,
        seq=known.seq,
        digest=known.digest,
        urn=known.urn,
        author=state.author,
        allowed_events=lifecycle.allowed_events(states) if is_known else [],
        replayed=True,
    )
