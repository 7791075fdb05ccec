"""One command in front of one state: what a decision looks at, and the event that it makes.

Promise:  pure. Everything that chance or the clock decides comes in with the stamp.
Not here: which event a command makes (`drafts.py`, `steps.py`).
"""

from typing import Any, Final

import msgspec

from actors.ports import Stamp
from actors.rules import Rules
from protocol.commands import Write
from protocol.errors import BadRequestError, CommandError
from protocol.events import (
    GENESIS,
    CommittedEvent,
    EventCore,
    EventType,
    NewEvent,
    Payload,
    StateName,
    digest_hex,
    encode_payload,
)
from protocol.limits import CONTEXT_SIZE_MAX
from protocol.principals import Principal
from protocol.snapshots import StateSnapshot

NO_DATA: Final = msgspec.Raw(b"null")
_encoder: Final = msgspec.json.Encoder()


class Unchanged:
    """The command asked for what is so already: it is answered, and no event is made."""

    __slots__ = ()


Decision = NewEvent | Unchanged | CommandError
UNCHANGED: Final = Unchanged()


class Case:
    """What every decision looks at.

    `document` is the canonical form of the request's, if any; `subject` the event that it is about,
    where it is about one.
    """

    __slots__ = (
        "digest",
        "document",
        "principal",
        "request",
        "rules",
        "stamp",
        "state",
        "subject",
    )

    def __init__(
        self,
        state: StateSnapshot | None,
        request: Write,
        principal: Principal,
        digest: str,
        stamp: Stamp,
        rules: Rules,
        document: bytes | None = None,
        subject: CommittedEvent | None = None,
    ) -> None:
        self.state = state
        self.request = request
        self.principal = principal
        self.digest = digest
        self.stamp = stamp
        self.rules = rules
        self.document = document
        self.subject = subject

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
        state, request, stamp, principal = self.state, self.request, self.stamp, self.principal
        if state is None:
            version, prev, states_from = 1, GENESIS, None
        else:
            version, prev, states_from = state.version + 1, state.head, state.state
            if "digest" not in members:
                members["digest"] = state.digest
            members["kind"] = state.kind
            members.setdefault("lifecycle", state.lifecycle)
        if "timers" not in members:
            members["timers"] = ()
        payload_bytes = encode_payload(payload)
        core = EventCore(
            event_id=stamp.event_id,
            manifest_id=request.manifest_id,
            version=version,
            type=event_type.value,
            states_from=states_from,
            states_to=states,
            at=stamp.at,
            principal=principal.name,
            authenticated=principal.authenticated,
            roles=roles,
            command_id=request.command_id or stamp.event_id,
            command_digest=self.digest,
            correlation_id=request.correlation_id or stamp.event_id,
            causation_id=request.causation_id,
            via=principal.via,
            traceparent=request.traceparent,
            payload_digest=digest_hex(payload_bytes),
            prev=prev,
            **members,
        )
        return NewEvent(core, payload, payload_bytes)

    def payload(
        self,
        reason: str | None,
        context: dict[str, Any] | None = None,
        document: bytes | None = None,
    ) -> Payload:
        """Return the part of the event that can be redacted.

        Raises:
            BadRequestError: the context would outgrow what a snapshot carries.
        """
        if context:
            self._check_context(context)
        return Payload(
            salt=self.stamp.salt,
            reason=reason,
            context=context or {},
            data=NO_DATA if document is None else msgspec.Raw(document),
        )

    def _check_context(self, context: dict[str, Any]) -> None:
        """Contexts add up in the snapshot, so the sum is what is bounded."""
        kept = context if self.state is None else self.state.context | context
        size = len(_encoder.encode(kept))
        if size > CONTEXT_SIZE_MAX:
            message = (
                f"with this context the manifest's has {size} bytes; at most {CONTEXT_SIZE_MAX} "
                "are kept; give the same members new values, or keep it elsewhere"
            )
            raise BadRequestError(message, path="/context")
