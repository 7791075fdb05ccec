"""Decisions about the document and the record: create, revise, comment.

Promise:  pure: `Case -> Decision`; what is refused is raised as a `CommandError`.
Not here: steps of the lifecycle (`steps.py`).
"""

from typing import Final

import msgspec

from actors.case import UNCHANGED, Case, Decision
from actors.course import Course, course_of, shown, stepped
from protocol.canonical import (
    canonicalize,
    canonicalize_value,
    check_values,
    document_digest,
    loads,
    merge_patch,
    strict_loads,
)
from protocol.commands import ABSENT, OP_BY_REQUEST, Comment, Create, Revise, Transition, Write
from protocol.errors import BadRequestError, ForbiddenError, ImmutableError, TooLargeError
from protocol.events import CommittedEvent, EventType, state_name
from protocol.lifecycle.lifecycle import Lifecycle
from protocol.limits import CONTRIBUTORS_MAX, REQUEST_SIZE_MAX
from protocol.principals import permitting_roles
from protocol.record import NO_DOCUMENT
from protocol.snapshots import StateSnapshot, apply
from protocol.statechart.kernel import start
from protocol.statechart.moving import enter_chart

# Patches add up: without a bound of its own a document outgrows every message that carries it.
DOCUMENT_SIZE_MAX: Final = REQUEST_SIZE_MAX
CREATE: Final = "create"  # What guards see as the event that enters a lifecycle.
REVISE: Final = "revise"  # The event of the lifecycle that a revision takes, where there is one.


def canonical_document(request: Write) -> bytes | None:
    """Return the canonical form of the document in `request`, None when it brings none."""
    if not isinstance(request, Create | Revise) or request.manifest is ABSENT:
        return None
    return canonical(request.manifest, "/manifest")


def canonical(text: msgspec.Raw, path: str) -> bytes:
    """Return the canonical form of `text`; its `BadRequestError` points at `path`."""
    try:
        return canonicalize(bytes(text))
    except BadRequestError as error:
        error.path = error.path or path
        raise


def create(case: Case) -> Decision:
    """Make a manifest in its lifecycle's initial state."""
    request, document, rules = case.request, case.document, case.rules
    assert isinstance(request, Create)
    assert document is not None
    roles = permitting_roles(case.principal, OP_BY_REQUEST[Create].roles, "create a manifest")
    _check_document(document)
    kind = (
        rules.kinds.get(request.kind)
        if request.kind is not None
        else rules.kinds.recognise(loads(document))
    )
    lifecycle = (
        rules.lifecycle_for(kind.name)
        if request.lifecycle is None
        else rules.lifecycles.get(request.lifecycle)
    )
    members = {
        "digest": document_digest(document),
        "kind": kind.name,
        "lifecycle": lifecycle.name,
    }
    if lifecycle.chart.has_always or lifecycle.assignments:
        course = _first_course(case, lifecycle, roles, members)
        entered = course.begin()
        context = course.context(entered)
    else:  # Nothing is asked, and nothing computed.
        entered, context = start(lifecycle.chart, _anything), request.context
    payload = case.payload(request.reason, context, document)
    return stepped(case, entered, EventType.CREATED, None, roles, payload, **members)


def _anything(*_: object) -> bool:
    return True


def _first_course(
    case: Case, lifecycle: Lifecycle, roles: list[str], members: dict[str, str]
) -> Course:
    """Return the course that enters the lifecycle; its guards see the draft as it is before it."""
    request = case.request
    assert isinstance(request, Create)
    event = case.event(
        EventType.CREATED,
        roles,
        state_name(enter_chart(lifecycle.chart).leaves),
        payload=case.payload(request.reason, request.context, case.document),
        event=None,
        **members,
    )
    draft = apply(None, CommittedEvent.of(event, 0))
    asked = Transition(
        manifest_id=draft.manifest_id, reason=request.reason, context=request.context
    )
    return Course(draft, CREATE, asked, case.principal, case.rules, case.stamp.at, roles)


def revise(case: Case) -> Decision:
    """Replace the document, or merge a patch into it, where the state lets it change.

    Where the state takes the event `revise`, the revision is a step too: of a registered manifest
    it opens the next one. A state that takes any event (`*`) did not mean its document by that.
    """
    request, state = case.request, case.state
    assert isinstance(request, Revise)
    assert state is not None
    lifecycle = case.rules.lifecycles.get(state.lifecycle)
    is_step = lifecycle.takes_by_name(state.states, REVISE)
    needed = revising_roles(lifecycle, is_step=is_step)
    roles = permitting_roles(case.principal, needed, "revise a manifest")
    if not is_step and not lifecycle.is_mutable(state.states):
        raise frozen(state, lifecycle)
    document = _revised(request, case.document, state)
    _check_document(document)
    digest = document_digest(document)
    if digest == state.digest and state.document != NO_DOCUMENT:  # Redacted, it may come again.
        return UNCHANGED
    if len(state.contributors) >= CONTRIBUTORS_MAX and not _is_contributor(case, state):
        message = f"{CONTRIBUTORS_MAX} people wrote {state.manifest_id}; only they may go on"
        raise ForbiddenError(message, details={"limit": CONTRIBUTORS_MAX})
    if is_step:
        as_step = Transition(
            manifest_id=state.manifest_id, reason=request.reason, context=request.context
        )
        course = course_of(case, REVISE, as_step, roles)
        taken = course.take()
        payload = case.payload(request.reason, course.context(taken), document)
        return stepped(case, taken, EventType.REVISED, REVISE, roles, payload, digest=digest)
    return case.event(
        EventType.REVISED,
        roles,
        state.state,
        payload=case.payload(request.reason, request.context, document),
        digest=digest,
        event=None,
        timers=state.timers,
    )


def revising_roles(lifecycle: Lifecycle, *, is_step: bool) -> list[str]:
    """Return the roles that permit a revision, which `is_step` of the lifecycle or none."""
    needed = lifecycle.roles_for(REVISE) if is_step else None
    return list(OP_BY_REQUEST[Revise].roles or ()) if needed is None else needed


def frozen(state: StateSnapshot, lifecycle: Lifecycle) -> ImmutableError:
    """Return the refusal to change the document in the state that the manifest is in."""
    return ImmutableError(
        f"the document of {state.manifest_id} is frozen in {shown(state)}",
        suggestion="reject it first, or create a manifest with a new version",
        allowed_events=lifecycle.allowed_events(state.states),
    )


def _revised(request: Revise, replacement: bytes | None, state: StateSnapshot) -> bytes:
    if (replacement is None) == (request.patch is ABSENT):
        message = "revise takes either 'manifest' (the new document) or 'patch' (RFC 7396)"
        raise BadRequestError(message, path="/manifest")
    if replacement is not None:
        return replacement
    patch = strict_loads(bytes(request.patch))
    return canonicalize_value(merge_patch(strict_loads(bytes(state.document)), patch))


def _is_contributor(case: Case, state: StateSnapshot) -> bool:
    return {case.principal.name, case.principal.via or case.principal.name} <= {*state.contributors}


def _check_document(canonical_text: bytes) -> None:
    if not canonical_text.startswith(b"{"):
        message = 'a manifest is a JSON object, such as {"name":"echo","version":"1.0.0"}'
        raise BadRequestError(message, path="/manifest")
    if len(canonical_text) > DOCUMENT_SIZE_MAX:
        size = len(canonical_text)
        message = f"the document would have {size} bytes; at most {DOCUMENT_SIZE_MAX} are taken"
        raise TooLargeError(message, details={"limit": DOCUMENT_SIZE_MAX, "actual": size})
    check_values(canonical_text)


def comment(case: Case) -> Decision:
    """Write a remark down; nothing but the version changes."""
    request, state = case.request, case.state
    assert isinstance(request, Comment)
    assert state is not None
    case.rules.lifecycles.get(state.lifecycle)  # The answer will say what it allows.
    needed = [*(OP_BY_REQUEST[Comment].roles or ()), *case.rules.lifecycles.own_roles()]
    roles = permitting_roles(case.principal, needed, "comment")
    return case.event(
        EventType.COMMENTED,
        roles,
        state.state,
        payload=case.payload(request.text),
        event=None,
        timers=state.timers,
    )
