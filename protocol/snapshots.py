"""The state of one manifest, and how events make it.

Promise:  `apply` is pure and uses only what the event recorded: no guard, action, schema or clock.
          The same events give the same snapshot, bytes included, on every machine.
Assume:   the events were checked (`read_event`) and come in order; `apply` checks version and
          chain all the same, because a gap here is a lost acknowledgement.
Not here: whether an event was allowed (`actors.decide`).
"""

import hashlib
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from protocol.canonical import read_float
from protocol.errors import ManifestdError
from protocol.events import (
    GENESIS,
    CommittedEvent,
    EventCore,
    EventType,
    Payload,
    StateName,
)
from protocol.limits import REMEMBERED_COMMANDS_MAX
from protocol.record import (
    BY_TYPE,
    NO_DOCUMENT,
    Approval,
    Record,
    Registration,
    Rejection,
    ReplayError,
    Reversible,
    run_actions,
    unknown,
    with_people,
)
from protocol.timers import Timer

_SEAL_SIZE: Final = len(',"sha256":""}') + 64


class DamagedSnapshotError(ManifestdError):
    """A snapshot's bytes are not what was written; it can be rebuilt from the events."""


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
    """One manifest after its last event. `document` is canonical JSON (RFC 8785).

    `document_version` and `context_versions` say which versions the document and each member of the
    context come from: those whose redaction takes them away.
    """

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
    registered: tuple[Registration, ...]
    history: dict[str, list[str]]
    timers: tuple[Timer, ...]
    context: dict[str, Any]
    context_versions: dict[str, int]
    head: str
    commands: tuple[RememberedCommand, ...]
    document_version: int
    document: msgspec.Raw

    @property
    def states(self) -> tuple[str, ...]:
        """The active leaf states, sorted."""
        state = self.state
        return (state,) if isinstance(state, str) else tuple(state)


_encoder: Final = msgspec.json.Encoder(order="deterministic")
_decoder: Final = msgspec.json.Decoder(StateSnapshot, float_hook=read_float)


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
        raise ReplayError(f"an event of {core.manifest_id} in the history of {state.manifest_id}")
    change = BY_TYPE.get(core.type)
    if change is None:
        raise unknown(core, f"type {core.type!r}")
    record = _record_of(state)
    change(record, core, payload)
    _go_on(record, core, payload)
    urn = state.urn if core.urn is None else core.urn
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
        registered=record.registered,
        history=state.history if core.history is None else core.history,
        timers=tuple(core.timers),
        context=record.context,
        context_versions=record.context_versions,
        head=committed.hash,
        commands=(*state.commands[1 - REMEMBERED_COMMANDS_MAX :], _remembered(committed, urn)),
        document_version=record.document_version,
        document=record.document,
    )


def _go_on(record: Record, core: EventCore, payload: Payload | None) -> None:
    """Do what an event does whatever its type is."""
    if core.actions:
        run_actions(record, core, payload)
    if payload is not None and payload.context:
        record.add_context(core, payload.context)


def _record_of(state: StateSnapshot) -> Record:
    record = Record(
        state.contributors,
        state.document,
        state.digest,
        state.approvals,
        state.rejection,
        state.reversible,
        state.registered,
        state.history,
    )
    record.document_version = state.document_version
    record.context = state.context
    record.context_versions = state.context_versions
    return record


def _created(committed: CommittedEvent) -> StateSnapshot:
    core, payload = committed.core, committed.payload
    if core.version != 1 or core.prev != GENESIS:
        raise _gap(core, 0)
    if core.type != EventType.CREATED:
        raise unknown(core, f"type {core.type!r} as a first event")
    document = NO_DOCUMENT if payload is None else payload.data
    record = Record(with_people((), core), document, core.digest)
    _go_on(record, core, payload)
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
        registered=record.registered,
        history=core.history or {},
        timers=tuple(core.timers),
        context=record.context,
        context_versions=record.context_versions,
        head=committed.hash,
        commands=(_remembered(committed, core.urn),),
        document_version=record.document_version,
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
