"""Valid events, chained per manifest, for tests that need a store and no lifecycle."""

from collections.abc import Iterable
from typing import Self

import msgspec

from actors.ports import Position
from protocol.canonical import document_digest
from protocol.events import (
    GENESIS,
    CommittedEvent,
    EventCore,
    EventType,
    NewEvent,
    Payload,
    digest_hex,
    encode_payload,
)
from protocol.snapshots import StateSnapshot
from protocol.timers import Timer

DOCUMENT = b'{"name":"echo","version":"1.0.0"}'
AT = "2026-11-23T15:04:05.123456Z"


class Chain:
    """One manifest's history, written down event by event; `timers` are armed all the time."""

    def __init__(
        self, manifest_id: str, *, document: bytes = DOCUMENT, timers: tuple[Timer, ...] = ()
    ) -> None:
        self.manifest_id = manifest_id
        self.version = 0
        self.head = GENESIS
        self.state = "DRAFT"
        self._document = document
        self._timers = timers

    @classmethod
    def after(cls, state: StateSnapshot) -> Self:
        """Return the history that goes on from `state`."""
        chain = cls(state.manifest_id, document=bytes(state.document), timers=state.timers)
        chain.version, chain.head, chain.state = state.version, state.head, state.states[0]
        return chain

    @property
    def position(self) -> Position:
        """Where the next event is expected to follow."""
        return Position(self.version)

    def next(
        self,
        *,
        command_id: str | None = None,
        to: str | None = None,
        urn: str | None = None,
        reason: str | None = None,
    ) -> NewEvent:
        """Return the event that follows: `created` first, then comments, or transitions to `to`."""
        created = self.version == 0
        self.version += 1
        payload = Payload(
            salt=f"{self.version:032x}",
            reason=reason,
            data=msgspec.Raw(self._document if created else b"null"),
        )
        payload_bytes = encode_payload(payload)
        before, self.state = self.state, to or self.state
        core = EventCore(
            event_id=f"0193-{self.manifest_id}-{self.version}",
            manifest_id=self.manifest_id,
            version=self.version,
            type=_type(created=created, moves=to is not None),
            lifecycle="manifest@1",
            event="move" if to else None,
            states_from=None if created else before,
            states_to=self.state,
            at=AT,
            principal="author-7",
            authenticated=True,
            roles=["author"],
            command_id=command_id or f"c-{self.version}",
            command_digest=digest_hex(b"command"),
            correlation_id="correlation",
            causation_id=None,
            digest=document_digest(self._document),
            timers=self._timers,
            kind="mcp-server",
            actions=[] if urn is None else ["record_registration"],
            urn=urn,
            payload_digest=digest_hex(payload_bytes),
            prev=self.head,
        )
        event = NewEvent(core, payload, payload_bytes)
        self.head = event.hash
        return event


def _type(*, created: bool, moves: bool) -> str:
    if created:
        return EventType.CREATED
    return EventType.TRANSITIONED if moves else EventType.COMMENTED


def committed(events: Iterable[NewEvent], first_seq: int = 1) -> list[CommittedEvent]:
    """Return `events` in places that follow one another."""
    return [CommittedEvent.of(event, seq) for seq, event in enumerate(events, first_seq)]
