"""What a `redacted` event says: which version's payload is gone, and what is left of it.

Promise:  values only. Whoever has the event can tell, without the bytes that are gone, what they
          were part of, and that what is left is what was meant to be left.
Not here: taking the bytes out (`erasure.py`), what follows for the state (`record.py`).
"""

import hashlib
from typing import Annotated, Final

import msgspec

REASON: Final = "reason"
CONTEXT: Final = "context"
DOCUMENT: Final = "document"
FIELDS: Final = (CONTEXT, DOCUMENT, REASON)  # All that a payload holds beside its salt, sorted.


class Redaction(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The payload of `version` lost its `fields`.

    `payload_digest`: the sha256 of the payload's bytes after it (of `null` where nothing is left).
    `members`: `member_mark` of each member of the context that is gone, sorted.
    """

    version: Annotated[int, msgspec.Meta(ge=1)]
    fields: tuple[str, ...]
    payload_digest: str
    members: tuple[str, ...] = ()


def member_mark(event_id: str, name: str) -> str:
    """Return what stands for a member of the context in the `redacted` event `event_id`.

    Names can be personal data, too, so the `redacted` event must not keep them.
    """
    return hashlib.sha256(f"{event_id}\n{name}".encode()).hexdigest()
