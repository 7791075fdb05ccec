"""Requests and replies as bytes: JSON or MessagePack, told apart by the first byte.

Promise:  a request that decodes has no unknown, duplicate or mistyped member anywhere; whatever
          does not decode becomes a `CommandError` that says where and what to do.
Assume:   nothing; the bytes are hostile.

Duplicate members cost more decoding to find. A request that encodes again to its own bytes cannot
have lost one, so our own clients never pay for it; to its own length would not do, because a float
can grow by as much as a lost member leaves.
"""

import re
from enum import StrEnum
from typing import Any, Final

import msgspec

from protocol.canonical import (
    check_depth,
    check_members,
    check_value,
    check_values,
    loads,
    read_float,
    strict_loads,
)
from protocol.commands import OPS, AnyRequest
from protocol.errors import (
    BadRequestError,
    CommandError,
    ErrorBody,
    TooLargeError,
    UnknownOpError,
    did_you_mean,
    error_from_body,
)
from protocol.limits import REQUEST_SIZE_MAX
from protocol.messagepack import MAPS, json_from_messagepack


class Format(StrEnum):
    """How a body is encoded; the answer comes in the format of the request."""

    JSON = "json"
    MSGPACK = "msgpack"


_decoder: Final[msgspec.json.Decoder[AnyRequest]] = msgspec.json.Decoder(
    AnyRequest, float_hook=read_float
)
_encoder: Final = msgspec.json.Encoder()
_LONG_NUMBER: Final = re.compile(rb"\d{16}")
_UNKNOWN_MEMBER: Final = re.compile(r"^Object contains unknown field `(.*)`$", re.DOTALL)
_MISSING_MEMBER: Final = re.compile(r"missing required field `(.*)`", re.DOTALL)
_PLACE: Final = re.compile(r" - at `\$(.*)`$", re.DOTALL)


def format_of(body: bytes) -> Format:
    """Return the format that a reply to `body` should have; JSON where `body` is neither."""
    return Format.MSGPACK if body[:1] and body[0] in MAPS else Format.JSON


def decode_request(body: bytes) -> AnyRequest:
    """Return the request in `body`.

    Raises:
        BadRequestError: it is no request; the message says what is wrong and where.
        TooLargeError: it is over `REQUEST_SIZE_MAX` bytes, or holds over `VALUES_MAX` values.
        UnknownOpError: `op` is not in the table.
    """
    if len(body) > REQUEST_SIZE_MAX:
        message = f"the request has {len(body)} bytes; at most {REQUEST_SIZE_MAX} are taken"
        raise TooLargeError(message, details={"limit": REQUEST_SIZE_MAX, "actual": len(body)})
    if format_of(body) is Format.MSGPACK:
        body = json_from_messagepack(body)
    else:
        check_values(body)
    try:
        request = _decoder.decode(body)
        # Nothing that was read is longer when written again, but for numbers in a context.
        if len(_encoder.encode(request)) == len(body) and not getattr(request, "context", None):
            check_depth(body)
        else:
            _check_whole(body)
    except msgspec.ValidationError as error:
        raise _explain(error, body) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        strict_loads(body)  # Says what is wrong better, when it finds it too.
        message = f"the request is not JSON: {error}"
        raise BadRequestError(message) from error
    context = getattr(request, "context", None)
    if context and _LONG_NUMBER.search(body):  # Else there is nothing that JSON could get wrong.
        try:
            check_value(context, depth=1)
        except BadRequestError as error:
            error.path = "/context"
            raise
    return request


def _check_whole(body: bytes) -> None:
    """Find members that occur twice, also in the documents that are not decoded yet."""
    check_depth(body)
    try:
        encoded = _encoder.encode(loads(body))
    except (msgspec.MsgspecError, UnicodeDecodeError):
        strict_loads(body)  # A document holds what only this parser takes; `canonicalize` will say.
    else:
        check_members(body, encoded)


def _explain(error: msgspec.ValidationError, body: bytes) -> CommandError:
    text = str(error)
    place = _PLACE.search(text)
    # Only `context` has more inside, and there msgspec does not say where.
    path = "" if place is None else place.group(1).partition("[")[0].replace(".", "/")
    reason = text[: place.start()] if place else text
    try:
        value = strict_loads(body)
    except BadRequestError as other:
        return other
    op = value.get("op") if isinstance(value, dict) else None
    if not isinstance(op, str) or op not in OPS:
        return _explain_op(value)
    unknown = _UNKNOWN_MEMBER.search(text)  # Whole: a name may look like a place.
    if unknown is not None:
        return _unknown_member(op, unknown.group(1))
    missing = _MISSING_MEMBER.search(reason)
    if missing is not None:
        path = f"/{missing.group(1)}"
        return BadRequestError(f"{op}: the member {missing.group(1)!r} is missing", path=path)
    where = f" ({path})" if path else ""
    return BadRequestError(f"{op}: {reason}{where}", path=path or None)


def _explain_op(value: object) -> CommandError:
    if not isinstance(value, dict):
        return BadRequestError('a request is one JSON object, such as {"op":"health"}')
    op = value.get("op")
    if op is None:
        return BadRequestError(f"the member 'op' is missing; one of: {', '.join(OPS)}", path="/op")
    if not isinstance(op, str):
        return BadRequestError("'op' is a string, such as \"health\"", path="/op")
    near = did_you_mean(op, list(OPS))
    hint = f"did you mean {near!r}?" if near else f"known: {', '.join(OPS)}"
    return UnknownOpError(f"there is no op {op[:80]!r}; {hint}", path="/op", suggestion=near)


def _unknown_member(op: str, name: str) -> CommandError:
    known = ["op", *(field.encode_name for field in msgspec.structs.fields(OPS[op].request))]
    near = did_you_mean(name, known)
    hint = f"did you mean {near!r}?" if near else f"it takes: {', '.join(known)}"
    pointer = "/" + name[:80].replace("~", "~0").replace("/", "~1")
    message = f"{op} has no member {name[:80]!r}; {hint}"
    return BadRequestError(message, path=pointer, suggestion=near)


def encode_request(request: AnyRequest) -> bytes:
    """Return `request` as JSON."""
    return _encoder.encode(request)


def encode_result(result: msgspec.Struct, form: Format = Format.JSON) -> bytes:
    """Return the body of a reply that says ok."""
    body = b'{"ok":true,"result":%b}' % _encoder.encode(result)
    return body if form is Format.JSON else _msgpack_from_json(body)


def encode_error(error: CommandError, form: Format = Format.JSON) -> bytes:
    """Return the body of a reply that refuses."""
    body = b'{"ok":false,"error":%b}' % _encoder.encode(error.body())
    return body if form is Format.JSON else _msgpack_from_json(body)


class _Reply(msgspec.Struct):
    ok: bool
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: ErrorBody | None = None


_reply_decoder: Final = msgspec.json.Decoder(_Reply)


def decode_reply(body: bytes, result_type: type[msgspec.Struct]) -> Any:  # noqa: ANN401
    """Return the `result_type` in a JSON reply.

    Raises:
        CommandError: the typed error that the daemon answered with.
        msgspec.MsgspecError: the bytes are no reply of ours.
    """
    reply = _reply_decoder.decode(body)
    if reply.error is not None:
        raise error_from_body(reply.error)
    return msgspec.json.decode(reply.result, type=result_type)


def _msgpack_from_json(body: bytes) -> bytes:
    return msgspec.msgpack.encode(loads(body))
