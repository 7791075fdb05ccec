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

from protocol.canonical import check_depth, check_members, check_value, strict_loads
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


class Format(StrEnum):
    """How a body is encoded; the answer comes in the format of the request."""

    JSON = "json"
    MSGPACK = "msgpack"


_decoder: Final[msgspec.json.Decoder[AnyRequest]] = msgspec.json.Decoder(AnyRequest)
_encoder: Final = msgspec.json.Encoder()
_MSGPACK_STARTS: Final = frozenset([*range(0x80, 0x90), 0xDE, 0xDF])
_LONG_NUMBER: Final = re.compile(rb"\d{16}")
_UNKNOWN_MEMBER: Final = re.compile(r"^Object contains unknown field `(.*)`$", re.DOTALL)
_MISSING_MEMBER: Final = re.compile(r"missing required field `(.*)`", re.DOTALL)
_PLACE: Final = re.compile(r" - at `\$(.*)`$", re.DOTALL)


def format_of(body: bytes) -> Format:
    """Return the format that a reply to `body` should have; JSON where `body` is neither."""
    return Format.MSGPACK if body[:1] and body[0] in _MSGPACK_STARTS else Format.JSON


def decode_request(body: bytes) -> AnyRequest:
    """Return the request in `body`.

    Raises:
        BadRequestError: it is no request; the message says what is wrong and where.
        TooLargeError: it is over `REQUEST_SIZE_MAX` bytes.
        UnknownOpError: `op` is not in the table.
    """
    if len(body) > REQUEST_SIZE_MAX:
        message = f"the request has {len(body)} bytes; at most {REQUEST_SIZE_MAX} are taken"
        raise TooLargeError(message, details={"limit": REQUEST_SIZE_MAX, "actual": len(body)})
    if format_of(body) is Format.MSGPACK:
        body = _json_from_msgpack(body)
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
        encoded = _encoder.encode(msgspec.json.decode(body))
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
    return msgspec.msgpack.encode(msgspec.json.decode(body))


def _json_from_msgpack(body: bytes) -> bytes:
    try:
        value = msgspec.msgpack.decode(body)
        again = msgspec.msgpack.encode(value)
        as_json = _encoder.encode(value)
        # Bytes, dates, NaN and names that are no strings do not come back as they were.
        if msgspec.msgpack.encode(msgspec.json.decode(as_json)) != again:
            check_value(value)
            message = "the request is not MessagePack that JSON could say"
            raise BadRequestError(message)
    except (msgspec.MsgspecError, UnicodeError, RecursionError, TypeError) as error:
        message = f"the request is not MessagePack that JSON could say: {error}"
        raise BadRequestError(message) from error
    if again != body:
        _refuse_duplicates(body)
    return as_json


def _fixed_size(code: int) -> int:
    if code <= 0x7F or code >= 0xE0 or code in (0xC0, 0xC2, 0xC3):  # noqa: PLR2004 (small number)
        return 1
    if 0xA0 <= code <= 0xBF:  # noqa: PLR2004 (short text)
        return 1 + (code & 0x1F)
    return {0xCC: 2, 0xCD: 3, 0xCE: 5, 0xCF: 9, 0xD0: 2, 0xD1: 3, 0xD2: 5, 0xD3: 9}.get(
        code, {0xCA: 5, 0xCB: 9}.get(code, 0)
    )


# By a value's first byte (https://github.com/msgpack/msgpack/blob/master/spec.md): its whole size,
# 0 where that takes more to know; and how many bytes say how much follows.
_FIXED_SIZES: Final = tuple(map(_fixed_size, range(256)))
_LENGTH_WIDTHS: Final = {0xD9: 1, 0xDA: 2, 0xDB: 4, 0xDC: 2, 0xDD: 4, 0xDE: 2, 0xDF: 4}
_TEXTS: Final = frozenset({0xD9, 0xDA, 0xDB})
_MAPS: Final = _MSGPACK_STARTS


def _refuse_duplicates(body: bytes) -> None:
    """Raise `BadRequestError` for a map that has a name twice in `body`, valid MessagePack."""
    at, left, names = 0, 1, None  # `left` values are to come in this map or list.
    outer: list[tuple[int, set[bytes] | None]] = []
    while left or outer:
        if not left:
            left, names = outer.pop()
            continue
        code = body[at]
        start, size = at + 1, _FIXED_SIZES[code]
        if not size:
            width = _LENGTH_WIDTHS.get(code, 0)
            start += width
            length = int.from_bytes(body[at + 1 : start]) if width else code & 0xF
            if code not in _TEXTS:
                outer.append((left - 1, names))
                at = start
                is_map = code in _MAPS
                left, names = length << is_map, set() if is_map and length > 1 else None
                continue
            size = 1 + width + length
        if names is not None and not left & 1:  # Names and values take turns.
            name = body[start : at + size]
            if name in names:
                text = name.decode()[:80]
                message = f"member {text!r} occurs twice in one object; keep one of them"
                raise BadRequestError(message)
            names.add(name)
        at += size
        left -= 1
