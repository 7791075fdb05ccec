"""Requests as values: what both clients send, from arguments as a person gives them.

Promise:  every write has a `command_id` and every `create` an id before the first attempt, so
          that a retry is the same command and finds what the first attempt made.
"""

import secrets
import time
from typing import Any, TypedDict, TypeVar

import msgspec

from protocol import commands
from protocol.canonical import check_value, strict_loads
from protocol.identifiers import is_manifest_id, uuid7

Document = dict[str, Any] | bytes | str  # A JSON object: as a value, or as JSON text.
R = TypeVar("R", bound=commands.Request)


class WriteOptions(TypedDict, total=False):
    """What every write takes beside its own arguments (see `protocol.commands.Write`)."""

    command_id: str | None
    expected_version: int | None
    principal: str | None
    correlation_id: str | None
    causation_id: str | None
    traceparent: str | None
    dry_run: bool


class ListFilters(TypedDict, total=False):
    """Which manifests are listed (see `protocol.commands.List`); all that hold."""

    state: str | None
    kind: str | None
    author: str | None
    lifecycle: str | None
    can: str | None
    principal: str | None


def fresh_id() -> str:
    """Return a UUIDv7 of the present moment."""
    return uuid7(time.time_ns() // 1_000_000, secrets.token_bytes(10))


def with_ids(request: R) -> R:
    """Return `request` with the ids that make a retry safe; those that it has stay."""
    changes: dict[str, str] = {}
    context = getattr(request, "context", None)
    if context is not None:
        check_value(context)  # The encoder would send NaN as null.
    if isinstance(request, commands.Write) and request.command_id is None:
        changes["command_id"] = fresh_id()
    if isinstance(request, commands.Create) and request.manifest_id is None:
        chosen = own_id(request.manifest)
        if chosen is None:
            changes["manifest_id"] = fresh_id()
    return msgspec.structs.replace(request, **changes) if changes else request


def own_id(document: msgspec.Raw) -> str | None:
    """Return `<name>@<version>` of a document, where that can be a manifest id."""
    value = msgspec.json.decode(document)
    if not isinstance(value, dict):
        return None
    name, version = value.get("name"), value.get("version")
    if not isinstance(name, str) or not isinstance(version, str):
        return None
    text = f"{name}@{version}"
    return text if is_manifest_id(text) else None


def raw_document(document: Document) -> msgspec.Raw:
    """Return `document` as JSON that can stand in a request.

    Raises:
        BadRequestError: it is not JSON, or RFC 8785 cannot represent it; said before anything is
            sent, with line and column.
    """
    if isinstance(document, dict):
        check_value(document)
        return msgspec.Raw(msgspec.json.encode(document))
    text = document.encode() if isinstance(document, str) else document
    # Text that is not exactly one value would spill into the request around it.
    strict_loads(text)
    return msgspec.Raw(text)


def decided_again(request: commands.Write, version: int) -> commands.Write:
    """Return a new decision: `request` on `version`, under a command id of its own."""
    return msgspec.structs.replace(request, expected_version=version, command_id=fresh_id())


def fresh_token() -> str:
    """Return a token for a probe."""
    return secrets.token_hex(16)
