"""Taking personal data out of an event, so that its hash and its chain stay what they are.

    "payload":{"salt":"5f…","reason":"call 555-1234","context":{},"data":null}      before
    "payload":{"salt":"","reason":null,"context":{},"data":null,"redacted":["reason"]}   a part
    "payload":null                                                                  all of it

Promise:  the bytes depend on the event and the fields alone, so that every copy of a line becomes
          the same line; taking out again, or more, is no error, in any order.
Not here: the files (`daemon/redaction/`).

The salt goes with the first field: with it, and the rest, a guess at what is gone could be proven by
`payload_digest`.
"""

from collections.abc import Collection

import msgspec

from protocol.events import CommittedEvent, Payload, encode_payload, with_payload
from protocol.redaction import CONTEXT, DOCUMENT, FIELDS, REASON

NOTHING_LEFT = b"null"
_NO_DATA = msgspec.Raw(b"null")


def gone_from(payload: Payload | None) -> frozenset[str]:
    """Return which fields were taken out of a payload."""
    if payload is None:
        return frozenset(FIELDS)
    return frozenset() if payload.redacted is msgspec.UNSET else frozenset(payload.redacted)


def remainder(payload: Payload | None, fields: Collection[str]) -> Payload | None:
    """Return what is left of `payload` without `fields`; None where that is nothing."""
    gone = gone_from(payload)
    if payload is None or gone.issuperset(fields):
        return payload
    gone |= set(fields)
    if gone == set(FIELDS):
        return None
    return Payload(
        salt="",
        reason=None if REASON in gone else payload.reason,
        context={} if CONTEXT in gone else payload.context,
        data=_NO_DATA if DOCUMENT in gone else payload.data,
        redacted=sorted(gone),
    )


def remainder_bytes(payload: Payload | None, fields: Collection[str]) -> bytes:
    """Return the bytes of what is left."""
    left = remainder(payload, fields)
    return NOTHING_LEFT if left is None else encode_payload(left)


def erased(event: CommittedEvent, fields: Collection[str]) -> CommittedEvent:
    """Return `event` without `fields`; the same one where they are gone already."""
    if gone_from(event.payload).issuperset(fields):
        return event
    return CommittedEvent.read(with_payload(event.line, remainder_bytes(event.payload, fields)))


def more_redacted(one: CommittedEvent, other: CommittedEvent) -> CommittedEvent:
    """Return the one of two copies of an event (same hash) that lost more."""
    assert one.hash == other.hash
    return erased(one, gone_from(other.payload))
