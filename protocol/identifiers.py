"""Names that travel: manifest ids, UUIDv7s, topics.

A manifest id is 1 to 512 characters of `A-Z a-z 0-9 . _ : / @ + -`; each part between slashes
begins with a letter or a digit, so no id can climb out of a directory or look like an option.
"""

import re
from typing import Final
from uuid import UUID, uuid5

from protocol.errors import BadRequestError
from protocol.limits import MANIFEST_ID_SIZE_MAX

MANIFEST_ID_PATTERN: Final = r"[A-Za-z0-9][A-Za-z0-9._:@+-]*(?:/[A-Za-z0-9][A-Za-z0-9._:@+-]*)*"
_MANIFEST_ID: Final = re.compile(MANIFEST_ID_PATTERN)
_VARIANT: Final = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
_COMMAND_NAMESPACE: Final = UUID("5c8b7d1e-3c0f-4f6f-9a57-0d1f6f0c7a11")


def is_manifest_id(text: str) -> bool:
    """Tell whether `text` may name a manifest."""
    return len(text) <= MANIFEST_ID_SIZE_MAX and _MANIFEST_ID.fullmatch(text) is not None


def check_manifest_id(text: str) -> None:
    """Raise `BadRequestError` unless `text` may name a manifest."""
    if is_manifest_id(text):
        return
    shown = text if len(text) <= 80 else f"{text[:80]}… ({len(text)} characters)"  # noqa: PLR2004
    message = (
        f"{shown!r} is not a manifest id: 1 to {MANIFEST_ID_SIZE_MAX} characters of "
        "A-Z a-z 0-9 . _ : / @ + -, each part between slashes begins with a letter or a digit"
    )
    raise BadRequestError(message, path="/manifest_id")


def uuid7(at_ms: int, randomness: bytes) -> str:
    """Return a UUIDv7 (RFC 9562, 5.7) of Unix time `at_ms` and 74 of 80 random bits."""
    digits = (at_ms.to_bytes(6) + randomness).hex()
    variant = _VARIANT[digits[16]]
    return f"{digits[:8]}-{digits[8:12]}-7{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def id_for_command(principal: str, command_id: str) -> str:
    """Return the id of a nameless document: a retried `create` has to find the first one again."""
    return str(uuid5(_COMMAND_NAMESPACE, f"{principal}\0{command_id}"))


def quote_id(manifest_id: str) -> str:
    """Return `manifest_id` percent-encoded (RFC 3986, 2.1) into one part of a topic or path."""
    quoted = manifest_id.replace("/", "%2F").replace("@", "%40")
    return quoted.replace(":", "%3A").replace("+", "%2B")  # All that an id may hold of these.


def event_topic(kind: str, manifest_id: str, states: tuple[str, ...]) -> bytes:
    """Return the PUB topic `event/<kind>/<quoted id>/<states, joined by +>`."""
    return f"event/{kind}/{quote_id(manifest_id)}/{'+'.join(states)}".encode()
