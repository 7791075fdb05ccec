"""MessagePack as far as JSON could say the same: turned into JSON, or refused.

Promise:  what comes out is JSON that says the same. Maps with a name twice, bytes, dates and names that are
          no strings are refused; more than `VALUES_MAX` values before they are decoded.
Assume:   nothing; the bytes are hostile.
Not here: what the JSON means (`codec.py`).
"""

from typing import Final

import msgspec

from protocol.canonical import check_value, loads, too_many_values
from protocol.errors import BadRequestError
from protocol.limits import VALUES_MAX

MAPS: Final = frozenset([*range(0x80, 0x90), 0xDE, 0xDF])  # First bytes of a map.
_encoder: Final = msgspec.json.Encoder()


def json_from_messagepack(body: bytes) -> bytes:
    """Return the JSON that says what the MessagePack in `body` says.

    Raises:
        BadRequestError: there is none.
        TooLargeError: it has more than `VALUES_MAX` values.
    """
    if len(body) > VALUES_MAX:
        _check_values(body)
    try:
        value = msgspec.msgpack.decode(body)
        again = msgspec.msgpack.encode(value)
        as_json = _encoder.encode(value)
        # Bytes, dates, NaN and names that are no strings do not come back as they were.
        if msgspec.msgpack.encode(loads(as_json)) != again:
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
# How many bytes follow: a length, and what it counts; or a type, and so many bytes of it.
_BYTES_WIDTHS: Final = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xC7: 1, 0xC8: 2, 0xC9: 4}
_EXTENSION_SIZES: Final = {0xD4: 3, 0xD5: 4, 0xD6: 6, 0xD7: 10, 0xD8: 18}


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
                is_map = code in MAPS
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


def _check_values(body: bytes) -> None:
    """Raise `TooLargeError` for more than `VALUES_MAX` values, also where an error follows them."""
    at, left, count, size = 0, 1, 0, len(body)
    while left and at < size:
        count += 1
        left -= 1
        if count > 2 * VALUES_MAX:  # Names are values here.
            raise too_many_values()
        code = body[at]
        whole = _FIXED_SIZES[code] or _EXTENSION_SIZES.get(code, 0)
        if whole:
            at += whole
            continue
        width = _LENGTH_WIDTHS.get(code) or _BYTES_WIDTHS.get(code, 0)
        length = int.from_bytes(body[at + 1 : at + 1 + width]) if width else code & 0xF
        at += 1 + width
        if code in _TEXTS:
            at += length
        elif code in _BYTES_WIDTHS:
            at += length + (code >= 0xC7)  # noqa: PLR2004 (extensions have a type, too)
        else:
            left += length << (code in MAPS)
