"""Events as bytes: one JSON line each, chained per manifest by hash.

    line   := {"seq":N,  core  ,"hash":"H","payload":  payload  ,"crc":"C"}      no newline inside
    core   := "event_id":…,…,"prev":"P"          H = sha256(core), 64 lower-case hex digits
    C      =  crc32 of every byte before the comma of `,"crc"`, 8 lower-case hex digits

Promise:  an event is encoded once; the journal, the archive, subscribers and replies carry those
          bytes. `seq` is outside the hash, so the chain is the same in every store. Whatever
          happens to a line by accident, `read_event` refuses it. A payload, or a part of it, can
          be taken out afterwards (`erasure.py`): only `payload` and `crc` change.
Assume:   `prev` is the hash of the manifest's event before it, 64 zeros for the first.
Not here: what an event does to a manifest (`snapshots.py`); batches and `log_hash` (the journal).
"""

import hashlib
import re
import zlib
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, Self

import msgspec

from protocol.canonical import read_float
from protocol.errors import ManifestdError
from protocol.redaction import CONTEXT, DOCUMENT, FIELDS, REASON, Redaction
from protocol.timers import Timer

GENESIS: Final = "0" * 64  # `prev` of a manifest's first event, and `log_hash` before seq 1.
_CRC_SIZE: Final = len(b',"crc":"00000000"}')
_TAIL: Final = re.compile(rb',"hash":"([0-9a-f]{64})","payload":')
_HEAD: Final = re.compile(rb'\{"seq":([1-9][0-9]{0,18}),(?="event_id":)')


class DamagedEventError(ManifestdError):
    """A line is not what was written. Unlike a torn batch this says nothing about its place."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class EventType(StrEnum):
    """What happened, in the past tense."""

    CREATED = "created"
    REVISED = "revised"
    TRANSITIONED = "transitioned"
    REVERTED = "reverted"
    COMMENTED = "commented"
    MIGRATED = "migrated"
    REDACTED = "redacted"


# What an active configuration is called on the wire: the leaf's name, or a sorted list of them.
StateName = str | list[str]


class Payload(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The part of an event that can be redacted; bound by `payload_digest`.

    `data` is the document. `redacted` names the fields that were taken out, sorted; where it is
    there, the salt is gone too, and `payload_digest` is that of what was there before.
    """

    salt: str
    reason: str | None = None
    context: dict[str, Any] = msgspec.field(default_factory=dict)
    data: msgspec.Raw = msgspec.Raw(b"null")
    redacted: list[str] | msgspec.UnsetType = msgspec.UNSET


class EventCore(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The hashed members, in the order in which they are written.

    `states_from` and `states_to` are leaf state names; `actions` names what the transition did to
    the record (see `snapshots.ACTIONS`), `timers` are all that are armed after it. Members with a default are left out when they have it.
    """

    event_id: str
    manifest_id: str
    version: int
    type: str
    lifecycle: str
    event: str | None
    states_from: StateName | None = msgspec.field(name="from")
    states_to: StateName = msgspec.field(name="to")
    at: str
    principal: str
    authenticated: bool
    roles: list[str]
    command_id: str
    command_digest: str
    correlation_id: str
    causation_id: str | None
    digest: str
    timers: tuple[Timer, ...]
    kind: str
    actions: list[str] = msgspec.field(default_factory=list)
    history: dict[str, list[str]] | None = None
    urn: str | None = None
    reverts: int | None = None
    redacts: Redaction | None = None
    cause: str | None = None
    via: str | None = None
    traceparent: str | None = None
    payload_digest: str
    prev: str


class Event(EventCore, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A whole event as read back. `payload` is None where it was redacted."""

    seq: int
    hash: str
    payload: Payload | None
    crc: str


_core_encoder: Final = msgspec.json.Encoder()
_event_decoder: Final = msgspec.json.Decoder(Event, float_hook=read_float)


def encode_payload(payload: Payload) -> bytes:
    """Return the bytes that `payload_digest` is taken over."""
    return _core_encoder.encode(payload)


def digest_hex(data: bytes) -> str:
    """Return the sha256 of `data` as 64 lower-case hex digits."""
    return hashlib.sha256(data).hexdigest()


class NewEvent:
    """An event that was decided and has no place in the journal yet.

    A store gives it its `seq` by `line(seq)`; everything else is fixed.
    """

    __slots__ = ("_encoded", "_payload_bytes", "core", "hash", "payload")

    def __init__(self, core: EventCore, payload: Payload, payload_bytes: bytes) -> None:
        encoded = _core_encoder.encode(core)[1:-1]
        self.core = core
        self.payload = payload
        self.hash = hashlib.sha256(encoded).hexdigest()
        self._encoded = encoded
        self._payload_bytes = payload_bytes

    def line(self, seq: int) -> bytes:
        """Return the event's line at place `seq`, without a newline."""
        checked = b'{"seq":%d,%b,"hash":"%b","payload":%b' % (
            seq,
            self._encoded,
            self.hash.encode(),
            self._payload_bytes,
        )
        return b'%b,"crc":"%08x"}' % (checked, zlib.crc32(checked))


class CommittedEvent:
    """An event in its place: what every reader of a store gets. Treat it as immutable.

    `line` is the event's bytes without a newline; `payload` is None where it was redacted.
    """

    __slots__ = ("core", "hash", "line", "payload", "seq")

    def __init__(
        self, seq: int, line: bytes, core: EventCore, payload: Payload | None, event_hash: str
    ) -> None:
        self.seq = seq
        self.line = line
        self.core = core
        self.payload = payload
        self.hash = event_hash

    @classmethod
    def of(cls, event: NewEvent, seq: int) -> Self:
        """Return `event` at place `seq`."""
        return cls(seq, event.line(seq), event.core, event.payload, event.hash)

    @classmethod
    def read(cls, line: bytes) -> Self:
        """Check `line` and return its event; `DamagedEventError` says what is wrong with it."""
        event = read_event(line)
        return cls(event.seq, line, event, event.payload, event.hash)


def read_event(line: bytes) -> Event:
    """Check `line` (no newline) and return its event.

    Raises:
        DamagedEventError: crc, hash, payload digest or form are not what the writer makes.
    """
    checked, tail = line[:-_CRC_SIZE], line[-_CRC_SIZE:]
    if tail != b',"crc":"%08x"}' % zlib.crc32(checked):
        reason = "its crc does not match its bytes"
        raise DamagedEventError(reason)
    try:
        event = _event_decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        reason = f"it is no event: {error}"
        raise DamagedEventError(reason) from error
    head, split = _HEAD.match(checked), _TAIL.search(checked)
    if head is None or split is None or int(head.group(1)) != event.seq:
        reason = "its members are not in the writer's order"
        raise DamagedEventError(reason)
    if not split.group(1).decode() == event.hash == digest_hex(checked[head.end() : split.start()]):
        reason = "its hash does not match its bytes"
        raise DamagedEventError(reason)
    payload = checked[split.end() :]
    if (
        payload != b"null"
        and digest_hex(payload) != event.payload_digest
        and not _is_remainder(event.payload, payload)
    ):
        reason = "its payload does not match payload_digest"
        raise DamagedEventError(reason)
    return event


def _is_remainder(payload: Payload | None, payload_bytes: bytes) -> bool:
    """Tell whether a payload says of itself that fields were taken out, and lacks them.

    That it is what was to be left only the `redacted` event of the same manifest knows.
    """
    if payload is None or payload.redacted is msgspec.UNSET:
        return False
    gone = payload.redacted
    return (
        0 < len(gone) < len(FIELDS)
        and gone == [one for one in FIELDS if one in gone]
        and payload.salt == ""
        and not (REASON in gone and payload.reason is not None)
        and not (CONTEXT in gone and payload.context)
        and not (DOCUMENT in gone and bytes(payload.data) != b"null")
        and encode_payload(payload) == payload_bytes
    )


def with_payload(line: bytes, payload: bytes) -> bytes:
    """Return the event `line` with the payload's bytes replaced and the crc made anew."""
    split = _TAIL.search(line)
    assert split is not None
    checked = line[: split.end()] + payload
    return b'%b,"crc":"%08x"}' % (checked, zlib.crc32(checked))


def next_log_hash(log_hash: bytes, seq: int, event_hash: str) -> bytes:
    """Return `log_hash[n]` = sha256(`log_hash[n-1]` | seq as decimal text | hash[n]), as hex."""
    return hashlib.sha256(b"%b|%d|%b" % (log_hash, seq, event_hash.encode())).hexdigest().encode()


@lru_cache(maxsize=4)
def _second(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def timestamp(at_ns: int) -> str:
    """Return Unix time `at_ns` in nanoseconds as RFC 3339 in UTC with microseconds."""
    at_s, rest = divmod(at_ns, 1_000_000_000)
    return f"{_second(at_s)}.{rest // 1000:06d}Z"


def state_name(states: tuple[str, ...]) -> StateName:
    """Return leaf states as the wire names them: one name, or a sorted list of several."""
    return states[0] if len(states) == 1 else list(states)


def state_names(state: StateName) -> tuple[str, ...]:
    """Return the leaf states behind the wire's `state`, sorted."""
    return (state,) if isinstance(state, str) else tuple(state)
