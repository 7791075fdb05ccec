"""Personal data is taken out of one event of the past, and an event says so.

Promise:  pure: `Case -> Decision`. Nothing that somebody still stands on goes unless he who asks
          says `force`.
Assume:   `case.subject` is the event of the version that the request names, as the store has it now;
          None where there is no such version.
Not here: the bytes in the files (`daemon/redaction/`), what the state loses (`protocol.record`).
"""

from actors.case import UNCHANGED, Case, Decision
from protocol.commands import OP_BY_REQUEST, Redact
from protocol.erasure import gone_from, remainder_bytes
from protocol.errors import BadRequestError, ImmutableError
from protocol.events import CommittedEvent, EventType, Payload, digest_hex
from protocol.principals import permitting_roles
from protocol.redaction import CONTEXT, DOCUMENT, FIELDS, REASON, Redaction, member_mark
from protocol.snapshots import StateSnapshot


def redact(case: Case) -> Decision:
    """Take the request's field, or all of them, out of the version that it names."""
    request, state = case.request, case.state
    assert isinstance(request, Redact)
    assert state is not None
    case.rules.lifecycles.get(state.lifecycle)  # The answer will say what it allows.
    roles = permitting_roles(case.principal, OP_BY_REQUEST[Redact].roles, "redact")
    subject = case.subject
    if subject is None:
        message = f"{state.manifest_id} has no version {request.version}; it is at {state.version}"
        raise BadRequestError(message, path="/version")
    fields = FIELDS if request.field == "all" else (request.field,)
    if subject.payload is None or gone_from(subject.payload).issuperset(fields):
        return UNCHANGED
    if request.field != "all" and not _has(subject.payload, request.field):
        message = f"version {request.version} of {state.manifest_id} has no {request.field}"
        raise BadRequestError(message, path="/field")
    if DOCUMENT in fields and not request.force:
        _check_unused(state, subject)
    names = subject.payload.context if CONTEXT in fields else ()
    return case.event(
        EventType.REDACTED,
        roles,
        state.state,
        payload=case.payload(request.reason),
        event=None,
        timers=state.timers,
        redacts=Redaction(
            version=request.version,
            fields=fields,
            payload_digest=digest_hex(remainder_bytes(subject.payload, fields)),
            members=tuple(sorted(member_mark(case.stamp.event_id, name) for name in names)),
        ),
    )


def _has(payload: Payload, field: str) -> bool:
    if field == REASON:
        return payload.reason is not None
    return bool(payload.context) if field == CONTEXT else bytes(payload.data) != b"null"


def _check_unused(state: StateSnapshot, subject: CommittedEvent) -> None:
    """Refuse to take away the document that the manifest, or what `lookup` finds, stands on.

    A withdrawn registration needs its document no more, and so does a manifest whose document is
    that of withdrawn registrations alone.
    """
    version = subject.core.version
    assert subject.payload is not None
    if not _has(subject.payload, DOCUMENT):
        return
    standing = [one for one in state.registered if one.document_version == version]
    if any(not one.withdrawn for one in standing):
        what = "a registered document that lookup finds"
        suggestion = "withdraw it first, or say --force"
    elif state.document_version == version and not standing:
        what = "the document that the manifest is about"
        suggestion = "revise it first, or say --force"
    else:
        return
    raise ImmutableError(
        f"version {version} of {state.manifest_id} made {what}",
        suggestion=suggestion,
        details={"version": version, "field": DOCUMENT},
    )
