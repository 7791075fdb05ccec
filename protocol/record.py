"""The record of one manifest: approvals, rejection, registrations, and how events change them.

Promise:  pure; uses only what the event recorded, so that replay runs no guard and no action.
Not here: the state itself, the hash chain, the snapshot (`snapshots.py`).
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from protocol.errors import ManifestdError
from protocol.events import EventCore, EventType, Payload, StateName
from protocol.redaction import DOCUMENT, REASON, member_mark

NO_DOCUMENT: Final = msgspec.Raw(b"null")  # What is left of a redacted one.
SAME_DOCUMENT: Final = msgspec.Raw(b"")  # A registration's, while it is the manifest's own.


class ReplayError(ManifestdError):
    """An event does not follow from the state before it: the log has a gap, or was forged."""


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


class Reversible(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A transition that `revert` can still undo; `history`: what history states held before."""

    event: str
    version: int
    digest: str
    states_from: StateName = msgspec.field(name="from")
    states_to: StateName = msgspec.field(name="to")
    history: dict[str, list[str]] = msgspec.field(default_factory=dict)


class Registration(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Content that was registered under a URN, at which version of the manifest.

    `document_version` made its document; `document` is there once the manifest's own is another
    one. What is `withdrawn` is not found any more, and keeps its URN all the same.
    """

    urn: str
    version: int
    digest: str
    at: str
    document_version: int
    withdrawn: bool = False
    document: msgspec.Raw = SAME_DOCUMENT


class Record:
    """What events do to a manifest beyond its state: the members that the rows below change."""

    __slots__ = (
        "approvals",
        "context",
        "context_versions",
        "contributors",
        "digest",
        "document",
        "document_version",
        "history",
        "registered",
        "rejection",
        "reversible",
    )

    def __init__(
        self,
        contributors: tuple[str, ...],
        document: msgspec.Raw,
        digest: str,
        approvals: tuple[Approval, ...] = (),
        rejection: Rejection | None = None,
        reversible: tuple[Reversible, ...] = (),
        registered: tuple[Registration, ...] = (),
        history: dict[str, list[str]] | None = None,
    ) -> None:
        self.contributors = contributors
        self.document = document
        self.digest = digest  # Of the document, before the event.
        self.approvals = approvals
        self.rejection = rejection
        self.reversible = reversible
        self.registered = registered
        self.history = history or {}
        self.document_version = 1
        self.context: dict[str, Any] = {}
        self.context_versions: dict[str, int] = {}  # Which version set each member.

    def add_context(self, core: EventCore, context: dict[str, Any]) -> None:
        """Let the members of `context` take the place of those of the same name."""
        self.context = self.context | context
        self.context_versions = self.context_versions | dict.fromkeys(context, core.version)


def run_actions(record: Record, core: EventCore, payload: Payload | None) -> None:
    """Do to `record` what the event's actions say, in order."""
    for action in core.actions:
        row = _BY_ACTION.get(action)
        if row is None:
            raise unknown(core, f"action {action!r}")
        row(record, core, payload)


def with_people(contributors: tuple[str, ...], core: EventCore) -> tuple[str, ...]:
    """Return `contributors` and whoever the event is from, sorted."""
    people = {core.principal} if core.via is None else {core.principal, core.via}
    if people <= set(contributors):
        return contributors
    return tuple(sorted(people | set(contributors)))


_Row = Callable[[Record, EventCore, Payload | None], None]


def _replace_document(record: Record, core: EventCore, payload: Payload | None) -> None:
    record.registered = tuple(_kept_apart(one, record) for one in record.registered)
    record.document = NO_DOCUMENT if payload is None else payload.data
    record.document_version = core.version
    record.contributors = with_people(record.contributors, core)
    record.approvals = ()
    record.reversible = ()


def _kept_apart(one: Registration, record: Record) -> Registration:
    """Return a registration that no longer leans on the manifest's own document."""
    if one.document is not SAME_DOCUMENT or one.digest != record.digest:
        return one
    return msgspec.structs.replace(one, document=record.document)


def _keep_reversible(record: Record, core: EventCore, _payload: Payload | None) -> None:
    if "allow_revert" not in core.actions and not _did_nothing(core):
        record.reversible = ()


def _did_nothing(core: EventCore) -> bool:
    """Tell whether a timer's guards refused: only the timer is gone."""
    return core.cause == "timer" and core.states_from == core.states_to and not core.actions


def _undo(record: Record, core: EventCore, _payload: Payload | None) -> None:
    undone = core.reverts or 0
    record.approvals = tuple(one for one in record.approvals if one.version < undone)
    record.reversible = tuple(one for one in record.reversible if one.version < undone)


def _forget_reversible(record: Record, _core: EventCore, _payload: Payload | None) -> None:
    record.reversible = ()


def _nothing(_record: Record, _core: EventCore, _payload: Payload | None) -> None:
    """Leave the record as it is."""


def _record_approval(record: Record, core: EventCore, _payload: Payload | None) -> None:
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


def _void_approvals(record: Record, _core: EventCore, _payload: Payload | None) -> None:
    record.approvals = ()


def _record_rejection(record: Record, core: EventCore, payload: Payload | None) -> None:
    record.rejection = Rejection(
        principal=core.principal,
        reason=None if payload is None else payload.reason,
        version=core.version,
        at=core.at,
    )


def _clear_rejection(record: Record, _core: EventCore, _payload: Payload | None) -> None:
    record.rejection = None


def _record_registration(record: Record, core: EventCore, _payload: Payload | None) -> None:
    record.contributors = ()  # Four eyes look at what changed since the last registration.
    if core.urn is None:
        message = f"{core.manifest_id}: version {core.version} registers no URN"
        raise ReplayError(message)
    new = Registration(
        urn=core.urn,
        version=core.version,
        digest=core.digest,
        at=core.at,
        document_version=record.document_version,
    )
    record.registered = (*(one for one in record.registered if one.urn != core.urn), new)


def _record_withdrawal(record: Record, _core: EventCore, _payload: Payload | None) -> None:
    record.registered = tuple(_withdrawn(one, withdrawn=True) for one in record.registered)


def _record_restoration(record: Record, _core: EventCore, _payload: Payload | None) -> None:
    record.registered = tuple(_withdrawn(one, withdrawn=False) for one in record.registered)


def _withdrawn(one: Registration, *, withdrawn: bool) -> Registration:
    return msgspec.structs.replace(one, withdrawn=withdrawn)


def _allow_revert(record: Record, core: EventCore, _payload: Payload | None) -> None:
    if core.states_from is None:
        message = f"{core.manifest_id}: version {core.version} comes from no state"
        raise ReplayError(message)
    undoable = Reversible(
        event=core.event or "",
        version=core.version,
        digest=core.digest,
        states_from=core.states_from,
        states_to=core.states_to,
        history=record.history,
    )
    record.reversible = (*record.reversible, undoable)


def _redact(record: Record, core: EventCore, _payload: Payload | None) -> None:
    """Take out what came from the redacted version: also where its event is whole still.

    So the state after this event is the same, whether the payload was there when the events before
    were replayed or not. A member of the context that the redacted version set is gone even where
    an earlier one had set it: what was replaced does not come back.
    """
    redaction = core.redacts
    if redaction is None or redaction.version >= core.version:
        message = f"{core.manifest_id}: version {core.version} redacts no version before it"
        raise ReplayError(message)
    version, fields = redaction.version, redaction.fields
    if REASON in fields and record.rejection is not None and record.rejection.version == version:
        record.rejection = msgspec.structs.replace(record.rejection, reason=None)
    if DOCUMENT in fields:
        if record.document_version == version:
            record.document = NO_DOCUMENT
        record.registered = tuple(_without_document(one, version) for one in record.registered)
    if redaction.members:
        set_at = record.context_versions
        gone = {
            name
            for name in record.context
            if set_at[name] <= version and member_mark(core.event_id, name) in redaction.members
        }
        record.context = {k: v for k, v in record.context.items() if k not in gone}
        record.context_versions = {k: v for k, v in set_at.items() if k not in gone}


def _without_document(one: Registration, version: int) -> Registration:
    if one.document_version != version or one.document is SAME_DOCUMENT:
        return one
    return msgspec.structs.replace(one, document=NO_DOCUMENT)


# What each type of event does to the record; then, in order, what its actions do.
BY_TYPE: Final[dict[str, _Row]] = {
    EventType.REVISED.value: _replace_document,
    EventType.TRANSITIONED.value: _keep_reversible,
    EventType.REVERTED.value: _undo,
    EventType.COMMENTED.value: _nothing,
    EventType.MIGRATED.value: _forget_reversible,  # The old lifecycle's states may be gone.
    EventType.REDACTED.value: _redact,
}
_BY_ACTION: Final[dict[str, _Row]] = {
    "record_approval": _record_approval,
    "void_approvals": _void_approvals,
    "record_rejection": _record_rejection,
    "clear_rejection": _clear_rejection,
    "record_registration": _record_registration,
    "record_withdrawal": _record_withdrawal,
    "record_restoration": _record_restoration,
    "allow_revert": _allow_revert,
}
# The names that a lifecycle may use.
ACTIONS: Final = tuple(_BY_ACTION)


def unknown(core: EventCore, what: str) -> ReplayError:
    """Return the error for an event that says something not known here."""
    return ReplayError(
        f"{core.manifest_id}: version {core.version} has the {what}, which this manifestd does "
        "not know; was it written by a newer one?"
    )
