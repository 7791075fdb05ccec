"""The state of one manifest, and how events make it.

Promise:  `apply` is pure and uses only what the event recorded: no guard, action, schema or clock.
          The same events give the same snapshot, bytes included, on every machine.
Assume:   the events were checked (`read_event`) and come in order; `apply` checks version and
          chain all the same, because a gap here is a lost acknowledgement.
Not here: whether an event was allowed (`actors.decide`).
"""

import hashlib
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from protocol.errors import ManifestdError
from protocol.events import (
    GENESIS,
    CommittedEvent,
    EventCore,
    EventType,
    Payload,
    StateName,
    state_names,
)
from protocol.limits import REMEMBERED_COMMANDS_MAX
from protocol.timers import Timer

_NO_DOCUMENT: Final = msgspec.Raw(b"null")  # What is left of a redacted one.
_SEAL_SIZE: Final = len(',"sha256":""}') + 64


class ReplayError(ManifestdError):
    """An event does not follow from the state before it: the log has a gap, or was forged."""


class DamagedSnapshotError(ManifestdError):
    """A snapshot's bytes are not what was written; it can be rebuilt from the events."""


class Approval(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Who approved which content, when, at which version of the manifest."""

    principal: str
    event: str
    version: int
    digest: str
    at: str
    roles: list[str]
    via: str | None = None


class Rejection(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Who sent the manifest back, and why."""

    principal: str
    reason: str | None
    version: int
    at: str


class Reversible(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A transition that `revert` can still undo."""

    event: str
    version: int
    digest: str
    states_from: StateName = msgspec.field(name="from")
    states_to: StateName = msgspec.field(name="to")


class RememberedCommand(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What an accepted command was answered, for the client that asks again."""

    command_id: str
    command_digest: str
    version: int
    seq: int
    state: StateName
    digest: str
    urn: str | None


class StateSnapshot(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One manifest after its last event. `document` is canonical JSON (RFC 8785)."""

    manifest_id: str
    kind: str
    lifecycle: str
    state: StateName
    version: int
    seq: int
    digest: str
    urn: str | None
    author: str
    created_seq: int
    created_at: str
    updated_at: str
    contributors: tuple[str, ...]
    approvals: tuple[Approval, ...]
    rejection: Rejection | None
    reversible: tuple[Reversible, ...]
    history: dict[str, list[str]]
    timers: tuple[Timer, ...]
    context: dict[str, Any]
    head: str
    commands: tuple[RememberedCommand, ...]
    document: msgspec.Raw

    @property
    def states(self) -> tuple[str, ...]:
        """The active leaf states, sorted."""
        return state_names(self.state)


_encoder: Final = msgspec.json.Encoder(order="deterministic")
_decoder: Final = msgspec.json.Decoder(StateSnapshot)


def encode_snapshot(snapshot: StateSnapshot) -> bytes:
    """Return the bytes of `state.json`: one line, sealed with a sha256 over what is before it."""
    body = _encoder.encode(snapshot)[:-1]
    return b'%b,"sha256":"%b"}\n' % (body, hashlib.sha256(body).hexdigest().encode())


def decode_snapshot(data: bytes) -> StateSnapshot:
    """Check the seal and return the snapshot; `DamagedSnapshotError` says what is wrong."""
    body, seal = data[: -_SEAL_SIZE - 1], data[-_SEAL_SIZE - 1 :]
    if seal != b',"sha256":"%b"}\n' % hashlib.sha256(body).hexdigest().encode():
        message = "its sha256 does not match its bytes"
        raise DamagedSnapshotError(message)
    try:
        return _decoder.decode(body + b"}")
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        message = f"it is no snapshot: {error}"
        raise DamagedSnapshotError(message) from error


class _Record:
    """What events do to a manifest beyond its state: the members that the rows below change."""

    __slots__ = ("approvals", "contributors", "document", "rejection", "reversible")

    def __init__(
        self,
        contributors: tuple[str, ...],
        document: msgspec.Raw,
        approvals: tuple[Approval, ...],
        rejection: Rejection | None,
        reversible: tuple[Reversible, ...],
    ) -> None:
        self.contributors = contributors
        self.document = document
        self.approvals = approvals
        self.rejection = rejection
        self.reversible = reversible


def _run_actions(record: _Record, core: EventCore, payload: Payload | None) -> None:
    for action in core.actions:
        row = _BY_ACTION.get(action)
        if row is None:
            raise _unknown(core, f"action {action!r}")
        row(record, core, payload)


def _with_people(contributors: tuple[str, ...], core: EventCore) -> tuple[str, ...]:
    people = {core.principal} if core.via is None else {core.principal, core.via}
    if people <= set(contributors):
        return contributors
    return tuple(sorted(people | set(contributors)))


_Row = Callable[[_Record, EventCore, Payload | None], None]


def _replace_document(record: _Record, core: EventCore, payload: Payload | None) -> None:
    record.document = _NO_DOCUMENT if payload is None else payload.data
    record.contributors = _with_people(record.contributors, core)
    record.approvals = ()
    record.reversible = ()


def _keep_reversible(record: _Record, core: EventCore, _payload: Payload | None) -> None:
    if "allow_revert" not in core.actions:
        record.reversible = ()


def _undo(record: _Record, core: EventCore, _payload: Payload | None) -> None:
    undone = core.reverts or 0
    record.approvals = tuple(one for one in record.approvals if one.version < undone)
    record.reversible = tuple(one for one in record.reversible if one.version < undone)


def _forget_reversible(record: _Record, _core: EventCore, _payload: Payload | None) -> None:
    record.reversible = ()


def _nothing(_record: _Record, _core: EventCore, _payload: Payload | None) -> None:
    """Leave the record as it is."""


def _record_approval(record: _Record, core: EventCore, _payload: Payload | None) -> None:
    approval = Approval(
        principal=core.principal,
        event=core.event or "",
        version=core.version,
        digest=core.digest,
        at=core.at,
        roles=core.roles,
        via=core.via,
    )
    record.approvals = (*record.approvals, approval)


def _void_approvals(record: _Record, _core: EventCore, _payload: Payload | None) -> None:
    record.approvals = ()


def _record_rejection(record: _Record, core: EventCore, payload: Payload | None) -> None:
    record.rejection = Rejection(
        principal=core.principal,
        reason=None if payload is None else payload.reason,
        version=core.version,
        at=core.at,
    )


def _clear_rejection(record: _Record, _core: EventCore, _payload: Payload | None) -> None:
    record.rejection = None


def _record_registration(record: _Record, _core: EventCore, _payload: Payload | None) -> None:
    record.contributors = ()  # Four eyes look at what changed since the last registration.


def _allow_revert(record: _Record, core: EventCore, _payload: Payload | None) -> None:
    if core.states_from is None:
        message = f"{core.manifest_id}: version {core.version} comes from no state"
        raise ReplayError(message)
    undoable = Reversible(
        event=core.event or "",
        version=core.version,
        digest=core.digest,
        states_from=core.states_from,
        states_to=core.states_to,
    )
    record.reversible = (*record.reversible, undoable)


# What each type of event does to the record; then, in order, what its actions do.
_BY_TYPE: Final[dict[str, _Row]] = {
    EventType.REVISED.value: _replace_document,
    EventType.TRANSITIONED.value: _keep_reversible,
    EventType.REVERTED.value: _undo,
    EventType.COMMENTED.value: _nothing,
    EventType.MIGRATED.value: _forget_reversible,  # The old lifecycle's states may be gone.
    EventType.REDACTED.value: _nothing,
}
_BY_ACTION: Final[dict[str, _Row]] = {
    "record_approval": _record_approval,
    "void_approvals": _void_approvals,
    "record_rejection": _record_rejection,
    "clear_rejection": _clear_rejection,
    "record_registration": _record_registration,
    "allow_revert": _allow_revert,
}
# The names that a lifecycle may use.
ACTIONS: Final = tuple(_BY_ACTION)


def apply(state: StateSnapshot | None, committed: CommittedEvent) -> StateSnapshot:
    """Return the state after `committed`.

    Raises:
        ReplayError: the event does not follow from `state`, or is of a sort not known here.
    """
    core, payload = committed.core, committed.payload
    if state is None:
        return _created(committed)
    if core.version != state.version + 1 or core.prev != state.head:
        raise _gap(core, state.version)
    if core.manifest_id != state.manifest_id:
        message = f"an event of {core.manifest_id} in the history of {state.manifest_id}"
        raise ReplayError(message)
    change = _BY_TYPE.get(core.type)
    if change is None:
        raise _unknown(core, f"type {core.type!r}")
    record = _Record(
        state.contributors, state.document, state.approvals, state.rejection, state.reversible
    )
    change(record, core, payload)
    if core.actions:
        _run_actions(record, core, payload)
    urn = state.urn if core.urn is None else core.urn
    context = state.context
    return StateSnapshot(
        manifest_id=core.manifest_id,
        kind=core.kind,
        lifecycle=core.lifecycle,
        state=core.states_to,
        version=core.version,
        seq=committed.seq,
        digest=core.digest,
        urn=urn,
        author=state.author,
        created_seq=state.created_seq,
        created_at=state.created_at,
        updated_at=core.at,
        contributors=record.contributors,
        approvals=record.approvals,
        rejection=record.rejection,
        reversible=record.reversible,
        history=state.history if core.history is None else core.history,
        timers=tuple(core.timers),
        context=context if payload is None or not payload.context else context | payload.context,
        head=committed.hash,
        commands=(*state.commands[1 - REMEMBERED_COMMANDS_MAX :], _remembered(committed, urn)),
        document=record.document,
    )


def _created(committed: CommittedEvent) -> StateSnapshot:
    core, payload = committed.core, committed.payload
    if core.version != 1 or core.prev != GENESIS:
        raise _gap(core, 0)
    if core.type != EventType.CREATED:
        raise _unknown(core, f"type {core.type!r} as a first event")
    document = _NO_DOCUMENT if payload is None else payload.data
    record = _Record(_with_people((), core), document, (), None, ())
    if core.actions:
        _run_actions(record, core, payload)
    return StateSnapshot(
        manifest_id=core.manifest_id,
        kind=core.kind,
        lifecycle=core.lifecycle,
        state=core.states_to,
        version=core.version,
        seq=committed.seq,
        digest=core.digest,
        urn=core.urn,
        author=core.principal,
        created_seq=committed.seq,
        created_at=core.at,
        updated_at=core.at,
        contributors=record.contributors,
        approvals=record.approvals,
        rejection=record.rejection,
        reversible=record.reversible,
        history=core.history or {},
        timers=tuple(core.timers),
        context={} if payload is None else payload.context,
        head=committed.hash,
        commands=(_remembered(committed, core.urn),),
        document=record.document,
    )


def replay(
    events: Iterable[CommittedEvent], state: StateSnapshot | None = None
) -> StateSnapshot | None:
    """Return the state after `events`, applied to `state` in order; None when there are none."""
    for event in events:
        state = apply(state, event)
    return state


def _remembered(committed: CommittedEvent, urn: str | None) -> RememberedCommand:
    core = committed.core
    return RememberedCommand(
        core.command_id,
        core.command_digest,
        core.version,
        committed.seq,
        core.states_to,
        core.digest,
        urn,
    )


def _gap(core: EventCore, version: int) -> ReplayError:
    if core.version != version + 1:
        return ReplayError(f"{core.manifest_id}: version {core.version} follows version {version}")
    return ReplayError(
        f"{core.manifest_id}: version {core.version} does not continue the hash chain"
    )


def _unknown(core: EventCore, what: str) -> ReplayError:
    return ReplayError(
        f"{core.manifest_id}: version {core.version} has the {what}, which this manifestd does "
        "not know; was it written by a newer one?"
    )
