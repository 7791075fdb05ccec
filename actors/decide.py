"""From a command to one event, a refusal, or the remark that nothing need change.

Promise:  pure: `(state, request, principal, stamp, rules) -> Decision`. One command, one event.
Assume:   idempotency was settled before: the command id is a new one.
Not here: reserving the URN and appending (`actor.py`), what an event does (`protocol.snapshots`).
"""

import hashlib
from collections.abc import Callable
from typing import Any, Final

import msgspec

from actors.case import Case, Decision
from actors.drafts import canonical, comment, create, revise
from actors.expiry import Expire, expire
from actors.migration import migrate
from actors.redaction import redact
from actors.rules import Rules
from actors.steps import revert, transition
from protocol.canonical import canonicalize_value
from protocol.commands import (
    ABSENT,
    OP_BY_REQUEST,
    Comment,
    Create,
    Migrate,
    Redact,
    Revert,
    Revise,
    Transition,
    Write,
)
from protocol.errors import (
    AlreadyExistsError,
    BadRequestError,
    CommandError,
    NotFoundError,
    OptimisticLockError,
)
from protocol.events import digest_hex
from protocol.principals import Peer, Policy, Principal, check_name, permitting_roles
from protocol.snapshots import StateSnapshot

_encoder: Final = msgspec.json.Encoder()


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
    roles = policy.roles_asserted(asserted, peer)
    return Principal(name=asserted, authenticated=False, roles=roles, via=peer.name)


def command_digest(request: Write, principal: str, document: bytes | None) -> str:
    """Return the digest that tells a retry from another command under the same id.

    It covers op, principal and arguments; not tracing members, spelling or member order.
    `document` is what `drafts.canonical_document` says of the request.

    Raises:
        BadRequestError: the context, or the patch, is nothing that JSON could say.
    """
    if isinstance(request, Expire):
        return digest_hex(_encoder.encode(("expire", principal, request.timer_id)))
    name = OP_BY_REQUEST[type(request)].name
    arguments: list[Any] = [name, principal, request.expected_version]
    if isinstance(request, Transition):
        arguments += (request.event, request.target, request.reason)
        arguments += (_context(request.context), request.digest)
    elif isinstance(request, Create):
        arguments += (request.kind, request.lifecycle, request.reason)
        arguments += (_context(request.context), _hashed(document))
    elif isinstance(request, Revise):
        patch = None if request.patch is ABSENT else canonical(request.patch, "/patch")
        arguments += (request.reason, _context(request.context), _hashed(document), _hashed(patch))
    elif isinstance(request, Revert):
        arguments.append(request.reason)
    elif isinstance(request, Migrate):
        arguments += (request.lifecycle, sorted((request.states or {}).items()), request.reason)
    elif isinstance(request, Comment):
        arguments.append(request.text)
    elif isinstance(request, Redact):
        arguments += (request.version, request.field, request.reason, request.force)
    return hashlib.sha256(_encoder.encode(arguments)).hexdigest()


def _hashed(canonical_text: bytes | None) -> str | None:
    """Return what stands for a document in a command digest."""
    return None if canonical_text is None else digest_hex(canonical_text)


def _context(context: dict[str, Any] | None) -> msgspec.Raw | None:
    if not context:
        return None
    try:
        return msgspec.Raw(canonicalize_value(context))
    except BadRequestError as error:
        error.path = error.path or "/context"
        raise


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


_HANDLERS: Final[dict[type[Write], Callable[[Case], Decision]]] = {
    Create: create,
    Revise: revise,
    Transition: transition,
    Revert: revert,
    Comment: comment,
    Migrate: migrate,
    Redact: redact,
    Expire: expire,
}
