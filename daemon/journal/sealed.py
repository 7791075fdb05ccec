"""Small JSON files that carry a sha256 over their own bytes.

    sealed := body  ,"sha256":"H"}\\n        body = `{` and the members; H = sha256(body), lower case

Promise:  `unseal` returns the members only when not a single byte was changed.
Not here: what to do with a bad one (a derived file is rebuilt, `store.json` is refused).
"""

import hashlib
from typing import Any, Final

import msgspec

_SEAL: Final = b',"sha256":"%b"}\n'
_SEAL_SIZE: Final = len(_SEAL % (b"0" * 64))


def seal(members: dict[str, Any]) -> bytes:
    """Return `members` (at least one) as one sealed line of JSON."""
    assert members
    return seal_bytes(msgspec.json.encode(members))


def seal_bytes(encoded: bytes) -> bytes:
    """Return an encoded JSON object, with at least one member, as one sealed line."""
    body = encoded[:-1]
    return body + _SEAL % hashlib.sha256(body).hexdigest().encode()


def unseal_bytes(data: bytes) -> bytes | None:
    """Return what `seal_bytes` was given; None when the seal is broken."""
    body, found = data[:-_SEAL_SIZE], data[-_SEAL_SIZE:]
    intact = found == _SEAL % hashlib.sha256(body).hexdigest().encode()
    return body + b"}" if intact else None


def unseal(data: bytes) -> dict[str, Any] | None:
    """Return the members of a sealed line without `sha256`; None when the seal is broken."""
    encoded = unseal_bytes(data)
    if encoded is None:
        return None
    try:
        members = msgspec.json.decode(encoded)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return members if isinstance(members, dict) else None
