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
    body = msgspec.json.encode(members)[:-1]
    return body + _SEAL % hashlib.sha256(body).hexdigest().encode()


def unseal(data: bytes) -> dict[str, Any] | None:
    """Return the members of a sealed line without `sha256`; None when the seal is broken."""
    body, found = data[:-_SEAL_SIZE], data[-_SEAL_SIZE:]
    if found != _SEAL % hashlib.sha256(body).hexdigest().encode():
        return None
    try:
        members = msgspec.json.decode(body + b"}")
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return members if isinstance(members, dict) else None
