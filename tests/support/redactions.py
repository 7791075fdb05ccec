"""Histories that hold personal data, and where it is found."""

from pathlib import Path
from typing import Final

import msgspec

from actors.ports import Position
from protocol.canonical import document_digest
from protocol.erasure import remainder_bytes
from protocol.events import (
    GENESIS,
    EventCore,
    EventType,
    NewEvent,
    Payload,
    digest_hex,
    encode_payload,
)
from protocol.redaction import CONTEXT, DOCUMENT, FIELDS, REASON, Redaction, member_mark
from tests.support.events import AT

SECRETS: Final = {REASON: b"Ada Lovelace", CONTEXT: b"+44 555 1234", DOCUMENT: b"12 St James"}
SECRET_DOCUMENT: Final = b'{"home":"12 St James Square","name":"echo"}'
DOCUMENT_AFTER: Final = b'{"name":"echo"}'


class Redactable:
    """One manifest's history; its second version holds `SECRETS`."""

    def __init__(self, manifest_id: str) -> None:
        self.manifest_id = manifest_id
        self.events: list[NewEvent] = []
        self._document = DOCUMENT_AFTER

    @property
    def position(self) -> Position:
        """Where the next event is expected to follow."""
        return Position(len(self.events))

    def secret_events(self) -> list[NewEvent]:
        """Return three events: created, revised with all that is secret, revised without it."""
        context = {"phone": SECRETS[CONTEXT].decode(), "kept": 1}
        return [
            self.next(),
            self.next(SECRET_DOCUMENT, reason="for Ada Lovelace", context=context),
            self.next(DOCUMENT_AFTER),
        ]

    def next(
        self,
        document: bytes | None = None,
        *,
        reason: str | None = None,
        context: dict[str, object] | None = None,
        redacts: Redaction | None = None,
    ) -> NewEvent:
        """Return the event that follows: created, revised where there is a document, commented."""
        version = len(self.events) + 1
        event_type = EventType.COMMENTED if version > 1 else EventType.CREATED
        if document is not None:
            event_type, self._document = EventType.REVISED, document
        data = self._document if version == 1 else document or b"null"
        payload = Payload(
            salt=f"{version:032x}", reason=reason, context=context or {}, data=msgspec.Raw(data)
        )
        encoded = encode_payload(payload)
        core = EventCore(
            event_id=f"0193-{self.manifest_id}-{version}",
            manifest_id=self.manifest_id,
            version=version,
            type=EventType.REDACTED if redacts else event_type,
            lifecycle="manifest@1",
            event=None,
            states_from="DRAFT" if version > 1 else None,
            states_to="DRAFT",
            at=AT,
            principal="author-7",
            authenticated=True,
            roles=["author"],
            command_id=f"c-{version}",
            command_digest=digest_hex(b"command"),
            correlation_id="correlation",
            causation_id=None,
            digest=document_digest(self._document),
            timers=(),
            kind="agent",
            redacts=redacts,
            payload_digest=digest_hex(encoded),
            prev=self.events[-1].hash if self.events else GENESIS,
        )
        self.events.append(NewEvent(core, payload, encoded))
        return self.events[-1]

    def redaction(self, version: int, fields: tuple[str, ...] = FIELDS) -> NewEvent:
        """Return the event that says that a version lost these fields."""
        payload = self.events[version - 1].payload
        event_id = f"0193-{self.manifest_id}-{len(self.events) + 1}"
        names = payload.context if CONTEXT in fields else ()
        return self.next(
            reason="they asked for it",
            redacts=Redaction(
                version=version,
                fields=fields,
                payload_digest=digest_hex(remainder_bytes(payload, fields)),
                members=tuple(sorted(member_mark(event_id, name) for name in names)),
            ),
        )


def files_with(folder: Path, secret: bytes) -> list[str]:
    """Return which files under `folder` hold `secret`, as grep would find it."""
    found = (path for path in folder.rglob("*") if path.is_file() and secret in path.read_bytes())
    return sorted(str(path.relative_to(folder)) for path in found)
