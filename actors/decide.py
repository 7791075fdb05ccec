"""From a command to one event, a refusal, or the remark that nothing need change.

Promise:  pure: `(state, request, principal, stamp, rules) -> Decision`. One command, one event.
Assume:   idempotency was settled before: the command id is a new one.
Not here: reserving the URN and appending (`actor.py`), what an event does (`protocol.snapshots`).
"""

import hashlib
from typing import Any, Final

import msgspec

from actors.guards import GUARDS, Question
from actors.ports import Stamp
from actors.rules import Rules
from protocol.canonical import (
    canonicalize,
    canonicalize_value,
    check_value,
    document_digest,
    merge_patch,
    strict_loads,
)
from protocol.commands import (
    ABSENT,
    OP_BY_REQUEST,
    Comment,
    Create,
    Revert,
    Revise,
    Transition,
    Write,
)
from protocol.errors import (
    AlreadyExistsError,
    BadRequestError,
    CommandError,
    ImmutableError,
    InvalidTransitionError,
    NotFoundError,
    OptimisticLockError,
    OverloadedError,
)
from protocol.events import (
    GENESIS,
    EventCore,
    EventType,
    NewEvent,
    Payload,
    StateName,
    digest_hex,
    encode_payload,
    state_name,
)
from protocol.lifecycle import Lifecycle
from protocol.limits import CONTEXT_SIZE_MAX, CONTRIBUTORS_MAX
from protocol.principals import Peer, Policy, Principal, check_name, permitting_roles
from protocol.snapshots import StateSnapshot
from protocol.statechart.compiled import Transition as ChartTransition
from protocol.statechart.kernel import Step, initial_step, step

_sorted_encoder: Final = msgspec.json.Encoder(order="sorted")
_encoder: Final = msgspec.json.Encoder()


class Unchanged:
    """The command asked for what is so already: it is answered, and no event is made."""

    __slots__ = ()


Decision = NewEvent | Unchanged | CommandError
UNCHANGED: Final = Unchanged()


def resolve(peer: Peer, asserted: str | None, policy: Policy) -> Principal:
    """Return who the command is from: the peer, or whom the peer may speak for.

    Raises:
        ForbiddenError: the peer may not speak for somebody else.
    """
    if asserted is None or asserted == peer.name:
        return Principal.of(peer)
    check_name(asserted)
    if not peer.may_impersonate and not policy.assertions_count:
        needed = Principal(name=peer.name, authenticated=True, roles=frozenset())
        permitting_roles(needed, ("impersonate",), f"speak for {asserted}")
    return Principal(name=asserted, authenticated=False, roles=peer.roles, via=peer.name)


def command_digest(request: Write, principal: str) -> str:
    """Return the digest that tells a retry from another command under the same id.

    It covers op, principal and arguments; not tracing members, spelling or member order.
    """
    name = OP_BY_REQUEST[type(request)].name
    arguments: list[Any] = [name, principal, request.expected_version]
    if isinstance(request, Transition):
        arguments += (request.event, request.target, request.reason, request.context)
        arguments.append(request.digest)
    elif isinstance(request, Create):
        arguments += (request.kind, request.lifecycle, request.reason, request.context)
        arguments.append(document_digest(canonicalize(bytes(request.manifest))))
    elif isinstance(request, Revise):
        arguments += (request.reason, request.context)
        arguments += (
            None if part is ABSENT else document_digest(canonicalize(bytes(part)))
            for part in (request.manifest, request.patch)
        )
    elif isinstance(request, Revert):
        arguments.append(request.reason)
    elif isinstance(request, Comment):
        arguments.append(request.text)
    return hashlib.sha256(_sorted_encoder.encode(arguments)).hexdigest()


class Case:
    """One command in front of one state: what every decision below looks at."""

    __slots__ = ("digest", "principal", "request", "rules", "stamp", "state")

    def __init__(
        self,
        state: StateSnapshot | None,
        request: Write,
        principal: Principal,
        digest: str,
        stamp: Stamp,
        rules: Rules,
    ) -> None:
        self.state = state
        self.request = request
        self.principal = principal
        self.digest = digest
        self.stamp = stamp
        self.rules = rules

    def event(
        self,
        event_type: EventType,
        roles: list[str],
        states: StateName,
        *,
        payload: Payload,
        **members: Any,  # noqa: ANN401 (members of EventCore)
    ) -> NewEvent:
        """Return the event; members that only some types have are given by name."""
        state, request, stamp = self.state, self.request, self.stamp
        if state is not None:
            members.setdefault("digest", state.digest)
            members.setdefault("kind", state.kind)
            members.setdefault("lifecycle", state.lifecycle)
            members["states_from"] = state.state
        payload_bytes = encode_payload(payload)
        core = EventCore(
            event_id=stamp.event_id,
            manifest_id=request.manifest_id,
            version=1 if state is None else state.version + 1,
            type=event_type.value,
            states_to=states,
            at=stamp.at,
            principal=self.principal.name,
            authenticated=self.principal.authenticated,
            roles=roles,
            command_id=request.command_id or stamp.event_id,
            command_digest=self.digest,
            correlation_id=request.correlation_id or stamp.event_id,
            causation_id=request.causation_id,
            timers=[],
            via=self.principal.via,
            traceparent=request.traceparent,
            payload_digest=digest_hex(payload_bytes),
            prev=GENESIS if state is None else state.head,
            **members,
        )
        return NewEvent(core, payload, payload_bytes)


def decide(case: Case) -> Decision:
    """Return the one event that the command causes, or why there is none."""
    try:
        _check_version(case.state, case.request, case.rules)
        return _HANDLERS[type(case.request)](case)
    except CommandError as error:
        return error


def _check_version(state: StateSnapshot | None, request: Write, rules: Rules) -> None:
    if isinstance(request, Create):
        if state is not None:
            raise AlreadyExistsError(
                f"{request.manifest_id} exists already, at version {state.version} in {state.state}",
                suggestion=f"manifestctl apply FILE --id {request.manifest_id}",
                details={"manifest_id": request.manifest_id, "version": state.version},
            )
        if request.expected_version:
            raise NotFoundError.manifest(request.manifest_id or "")
        return
    if state is None:
        raise NotFoundError.manifest(request.manifest_id)
    if request.expected_version is not None and request.expected_version != state.version:
        raise OptimisticLockError.at(
            state.manifest_id,
            expected=request.expected_version,
            actual=state.version,
            allowed_events=rules.lifecycles.get(state.lifecycle).allowed_events(state.states),
        )


def _create(case: Case) -> Decision:
    request = case.request
    assert isinstance(request, Create)
    roles = permitting_roles(case.principal, OP_BY_REQUEST[Create].roles, "create a manifest")
    canonical = canonicalize(bytes(request.manifest))
    _check_object(canonical)
    kinds = case.rules.kinds
    kind = (
        kinds.get(request.kind)
        if request.kind is not None
        else kinds.recognise(msgspec.json.decode(canonical))
    )
    lifecycle = (
        case.rules.lifecycle_for(kind.name)
        if request.lifecycle is None
        else case.rules.lifecycles.get(request.lifecycle)
    )
    entered = initial_step(lifecycle.chart)
    return case.event(
        EventType.CREATED,
        roles,
        state_name(entered.leaves),
        payload=_payload(case, request.reason, request.context, canonical),
        digest=document_digest(canonical),
        kind=kind.name,
        lifecycle=lifecycle.name,
        event=None,
        states_from=None,
        actions=list(entered.actions),
    )


def _revise(case: Case) -> Decision:
    request, state = case.request, case.state
    assert isinstance(request, Revise)
    assert state is not None
    roles = permitting_roles(case.principal, OP_BY_REQUEST[Revise].roles, "revise a manifest")
    lifecycle = case.rules.lifecycles.get(state.lifecycle)
    if not lifecycle.is_mutable(state.states):
        raise ImmutableError(
            f"the document of {state.manifest_id} is frozen in {state.state}",
            suggestion="reject it first, or create a manifest with a new version",
            allowed_events=lifecycle.allowed_events(state.states),
        )
    if (request.manifest is ABSENT) == (request.patch is ABSENT):
        message = "revise takes either 'manifest' (the new document) or 'patch' (RFC 7396)"
        raise BadRequestError(message, path="/manifest")
    if request.patch is ABSENT:
        canonical = canonicalize(bytes(request.manifest))
    else:
        patch = strict_loads(bytes(request.patch))
        canonical = canonicalize_value(merge_patch(strict_loads(bytes(state.document)), patch))
    _check_object(canonical)
    digest = document_digest(canonical)
    if digest == state.digest:
        return UNCHANGED
    if len(state.contributors) >= CONTRIBUTORS_MAX:
        what = f"the list of who wrote {state.manifest_id}"
        raise OverloadedError.full(what, limit=CONTRIBUTORS_MAX, retry_after_ms=0)
    return case.event(
        EventType.REVISED,
        roles,
        state.state,
        payload=_payload(case, request.reason, request.context, canonical),
        digest=digest,
        event=None,
    )


def _transition(case: Case) -> Decision:
    request, state = case.request, case.state
    assert isinstance(request, Transition)
    assert state is not None
    lifecycle = case.rules.lifecycles.get(state.lifecycle)
    event = request.event
    if event is None:
        event = _event_for_target(lifecycle, state, request)
        if event is None:
            permitting_roles(case.principal, None, "transition")
            return UNCHANGED
    elif request.target is not None:
        message = "transition takes either 'event' or 'target'"
        raise BadRequestError(message, path="/target")
    if event not in lifecycle.allowed_events(state.states):
        raise _no_such_event(lifecycle, state, event)
    roles = permitting_roles(case.principal, lifecycle.roles_for(event), event)
    taken = judge(lifecycle, event, Question(state, request, case.principal, case.rules))
    members: dict[str, Any] = {}
    if "record_registration" in taken.actions:
        kind = case.rules.kinds.get(state.kind)
        members["urn"] = kind.urn(case.rules.document_of(state))
    return case.event(
        EventType.TRANSITIONED,
        roles,
        state_name(taken.leaves),
        payload=_payload(case, request.reason, request.context, None),
        event=event,
        actions=list(taken.actions),
        **members,
    )


def judge(lifecycle: Lifecycle, event: str, question: Question) -> Step:
    """Return the step that `event` takes, with every guard asked; raise the first refusal."""
    refusals: list[CommandError] = []

    def allows(transition: ChartTransition) -> bool:
        for name in transition.guards:
            refusal = GUARDS[name](question)
            if refusal is not None:
                if transition.because is not None:
                    refusal.details["because"] = transition.because
                refusals.append(refusal)
                return False
        return True

    states = question.state.states
    taken = step(lifecycle.chart, states, event, allows)
    if taken is None:
        error = refusals[0] if refusals else _no_such_event(lifecycle, question.state, event)
        error.allowed_events = lifecycle.allowed_events(states)
        raise error
    return taken


def _event_for_target(
    lifecycle: Lifecycle, state: StateSnapshot, request: Transition
) -> str | None:
    """Return the event that leads to `request.target`, None when the manifest is there."""
    target = request.target
    if target is None:
        message = "transition takes an 'event' or a 'target' state"
        raise BadRequestError(message, path="/event")
    if state.states == (target,):
        return None
    reachable: dict[str, str] = {}
    for event in lifecycle.events:
        if event in lifecycle.allowed_events(state.states):
            taken = step(lifecycle.chart, state.states, event, lambda _: True)
            if taken is not None and len(taken.leaves) == 1:
                reachable.setdefault(taken.leaves[0], event)
    if target in reachable:
        return reachable[target]
    names = ", ".join(reachable) or "none"
    raise InvalidTransitionError(
        f"{state.manifest_id} cannot go from {state.state} to {target} in one event; "
        f"states within reach: {names}",
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


def _revert(case: Case) -> Decision:
    request, state = case.request, case.state
    assert isinstance(request, Revert)
    assert state is not None
    lifecycle = case.rules.lifecycles.get(state.lifecycle)
    last = state.reversible[-1] if state.reversible else None
    if last is None or last.states_to != state.state or last.digest != state.digest:
        raise InvalidTransitionError(
            f"there is no step of {state.manifest_id} that could be reverted from {state.state}",
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
        payload=_payload(case, request.reason, None, None),
        event="revert",
        reverts=last.version,
    )


def _comment(case: Case) -> Decision:
    request, state = case.request, case.state
    assert isinstance(request, Comment)
    assert state is not None
    roles = permitting_roles(case.principal, OP_BY_REQUEST[Comment].roles, "comment")
    return case.event(
        EventType.COMMENTED,
        roles,
        state.state,
        payload=_payload(case, request.text, None, None),
        event=None,
        timers=state.timers,
    )


def _payload(
    case: Case, reason: str | None, context: dict[str, Any] | None, data: bytes | None
) -> Payload:
    if context:
        check_value(context)
        size = len(_encoder.encode(context))
        if size > CONTEXT_SIZE_MAX:
            message = f"the context has {size} bytes; at most {CONTEXT_SIZE_MAX} are taken"
            raise BadRequestError(message, path="/context")
    return Payload(
        salt=case.stamp.salt,
        reason=reason,
        context=context or {},
        data=_NULL if data is None else msgspec.Raw(data),
    )


_NULL: Final = msgspec.Raw(b"null")


def _check_object(canonical: bytes) -> None:
    if not canonical.startswith(b"{"):
        message = 'a manifest is a JSON object, such as {"name":"echo","version":"1.0.0"}'
        raise BadRequestError(message, path="/manifest")


_HANDLERS: Final = {
    Create: _create,
    Revise: _revise,
    Transition: _transition,
    Revert: _revert,
    Comment: _comment,
}
