"""Documents as bytes: strict reading, RFC 8785 canonical form, digest.

Promise:  equal documents have equal canonical bytes and digests, in every language that follows
          RFC 8785; a canonical text is its own canonical form. What it cannot represent (NaN,
          infinities, integers beyond 2^53, duplicate members, lone surrogates, bytes) is refused
          and never silently changed.
Assume:   nothing; the input is hostile. Every step is linear in its size.
Not here: whether a document is valid for its kind (`kinds.py`).

msgspec keeps the last of two members with one name and says nothing. A colon outside a string
stands for one member, so a text that has as many of them as its canonical form has lost none.
"""

import hashlib
import json
import math
import re
from itertools import accumulate
from typing import Any, Final

import msgspec
import rfc8785

from protocol.errors import BadRequestError, TooLargeError
from protocol.limits import DEPTH_MAX, INTEGER_MAX, VALUES_MAX

_LONG_NUMBER: Final = re.compile(rb"\d{16}")
# In canonical text. A number with a point or an exponent is no integer, however long.
_LONG_INTEGER: Final = re.compile(rb"(?<![\d.e+-])-?(\d{16,})(?![\d.e])")
# UTF-8 and UTF-16 order names alike unless one of these is among them.
_ASTRAL: Final = re.compile(rb"[\xf0-\xf4]")
_NOT_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_STEP: Final = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_encoder: Final = msgspec.json.Encoder(order="sorted")
# In one object. msgspec sorts names in quadratic time when few small ones follow many in order
# (32,000: a second); Python's sort is made for that, and msgspec does nothing to its result.
MEMBERS_UNSORTED_MAX: Final = 512


class _FloatFoundError(Exception):
    """Leaves the fast path: only RFC 8785's own rules print a float the same everywhere."""


def _refuse_float(_text: str) -> float:
    raise _FloatFoundError


def _canonical_float(value: float) -> msgspec.Raw:
    # msgspec writes the same shortest digits as RFC 8785, ten times as fast as Python where the
    # exponent is extreme, and mostly in the same form.
    size = abs(value)
    if 1e-4 <= size < 1e16:  # noqa: PLR2004
        return msgspec.Raw(_encoder.encode(value).removesuffix(b".0"))
    if 1e21 <= size < math.inf:  # noqa: PLR2004
        return msgspec.Raw(_encoder.encode(value).replace(b"e", b"e+"))
    if size < 1e-6:  # noqa: PLR2004
        return msgspec.Raw(_encoder.encode(value) if size else b"0")
    return msgspec.Raw(rfc8785.dumps(value))


_decoder: Final = msgspec.json.Decoder(float_hook=_refuse_float)
_float_decoder: Final = msgspec.json.Decoder(float_hook=lambda text: _canonical_float(float(text)))


def read_float(text: str) -> float:
    """Return what msgspec would make of a number with a point or an exponent, for `float_hook`.

    Its own way takes 10 us where the exponent is extreme, and a document has room for 30,000.
    """
    value = float(text)
    if math.isinf(value):
        message = "Number out of range"
        raise ValueError(message)
    return value


_plain_decoder: Final = msgspec.json.Decoder(float_hook=read_float)


def loads(data: bytes) -> Any:  # noqa: ANN401 (any JSON value)
    """Return what `data` says, fast; a name that occurs twice keeps its last value."""
    return _plain_decoder.decode(data)


def _encode(value: object, data: bytes) -> bytes:
    """Return `value`, which `data` says, with its names in order."""
    if data.count(b":") > MEMBERS_UNSORTED_MAX:
        value = _with_sorted_names(value)
    return _encoder.encode(value)


def _with_sorted_names(value: Any) -> Any:  # noqa: ANN401 (any JSON value)
    if isinstance(value, dict):
        names = sorted(value) if len(value) > MEMBERS_UNSORTED_MAX else value
        return {name: _with_sorted_names(value[name]) for name in names}
    if isinstance(value, list):
        return [_with_sorted_names(item) for item in value]
    return value


def outside_strings(data: bytes) -> bytes:
    """Return the JSON text `data` without its strings: structure, numbers, literals."""
    if b"\\" in data:  # Pairs first: a backslash that is left belongs to what follows it.
        data = data.replace(rb"\\", b"").replace(rb"\"", b"")
    return b"".join(data.split(b'"')[::2])


def check_depth(data: bytes) -> None:
    """Raise `BadRequestError` when the JSON text `data` nests deeper than `DEPTH_MAX`."""
    if data.count(b"{") + data.count(b"[") <= DEPTH_MAX:
        return
    brackets = outside_strings(data).translate(None, _NOT_BRACKETS)
    if max(accumulate(map(_STEP.__getitem__, brackets)), default=0) > DEPTH_MAX:
        message = f"nested deeper than {DEPTH_MAX} levels"
        raise BadRequestError(message)


def check_values(data: bytes) -> None:
    """Raise `TooLargeError` when the JSON text `data` may hold more than `VALUES_MAX` values.

    A value takes a byte, and a comma or an opening bracket before it, but for the first. Where
    `data` is no JSON, what precedes the error is counted right.
    """
    if len(data) > VALUES_MAX and values_at_most(outside_strings(data)) > VALUES_MAX:
        raise too_many_values()


def values_at_most(data: bytes) -> int:
    """Return how many values the JSON text `data` may hold; what looks like one in a string counts."""
    return data.count(b",") + data.count(b"[") + data.count(b"{") + 1


def too_many_values() -> TooLargeError:
    """Return the refusal of a text with more than `VALUES_MAX` values."""
    message = f"more than {VALUES_MAX} values in one document; split it, or send parts as strings"
    return TooLargeError(message, details={"limit": VALUES_MAX})


def check_members(data: bytes, encoded: bytes) -> None:
    """Raise `BadRequestError` when `encoded` lost members of the JSON text `data`.

    `encoded` is what `data` was decoded to, all of it, encoded again.
    """
    if outside_strings(data).count(b":") != outside_strings(encoded).count(b":"):
        strict_loads(data)  # Names the member.
        message = "a member occurs twice in one object; keep one of them"
        raise BadRequestError(message)


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        name = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        message = f"member {name[:80]!r} occurs twice in one object; keep one of them"
        raise BadRequestError(message)
    return members


def _refuse_constant(name: str) -> float:
    message = f"{name} is not JSON; use null or a string"
    raise BadRequestError(message)


def strict_loads(data: bytes) -> Any:  # noqa: ANN401 (any JSON value)
    """Parse the JSON text `data`, refusing what is not JSON or names a member twice.

    Slow and thorough: the way to a good message. Lone surrogates and numbers of any size pass.
    """
    check_depth(data)
    try:
        value = json.loads(
            data.decode(), object_pairs_hook=_refuse_duplicates, parse_constant=_refuse_constant
        )
    except UnicodeDecodeError as error:
        message = f"not UTF-8: {error.reason} at byte {error.start}"
        raise BadRequestError(message) from error
    except json.JSONDecodeError as error:
        message = f"not JSON: {error.msg} at line {error.lineno} column {error.colno}"
        raise BadRequestError(message) from error
    except ValueError as error:  # An integer of more than 4300 digits.
        message = f"an integer is beyond 2^53 - 1; send it as a string: {error}"
        raise BadRequestError(message) from error
    return value


def canonicalize(data: bytes) -> bytes:
    """Return the RFC 8785 form of the JSON text `data`.

    Raises:
        BadRequestError: with the reason, when the text is not JSON or cannot be represented.
    """
    check_depth(data)
    try:
        canonical = _encode(_decoder.decode(data), data)
    except (msgspec.MsgspecError, UnicodeDecodeError, _FloatFoundError):
        return _canonicalize_thoroughly(data)
    # Only a float can grow, so what is as long as before has lost nothing.
    if len(canonical) == len(data) and canonical.isascii():
        if _LONG_NUMBER.search(canonical) is not None:
            _check_integers(canonical)
        return canonical
    return _canonicalize_thoroughly(data)


def _canonicalize_thoroughly(data: bytes) -> bytes:
    try:
        value = _float_decoder.decode(data)
        canonical = _encode(value, data)
    except (msgspec.MsgspecError, UnicodeDecodeError, rfc8785.CanonicalizationError):
        return canonicalize_value(strict_loads(data))  # Says best what is wrong.
    check_members(data, canonical)
    _check_integers(canonical)
    return _in_utf16_order(canonical)


def _check_integers(canonical: bytes) -> None:
    for match in _LONG_INTEGER.finditer(outside_strings(canonical)):
        digits = match.group(1)
        if len(digits) > 16 or int(digits) > INTEGER_MAX:  # noqa: PLR2004 (digits of 2^53)
            raise _beyond_integers(match.group().decode())


def _beyond_integers(text: str) -> BadRequestError:
    return BadRequestError(f"the integer {text[:40]} is beyond 2^53 - 1; send it as a string")


def _in_utf16_order(canonical: bytes) -> bytes:
    if canonical.isascii() or _ASTRAL.search(canonical) is None:
        return canonical
    return msgspec.json.encode(_sorted_by_utf16(_number_keeping_decoder.decode(canonical)))


_number_keeping_decoder: Final = msgspec.json.Decoder(
    float_hook=lambda text: msgspec.Raw(text.encode())
)


def _sorted_by_utf16(value: Any) -> Any:  # noqa: ANN401 (any JSON value)
    if isinstance(value, dict):
        names = list(value)
        if len(value) > 1:
            names = sorted(value, key=lambda name: name.encode("utf-16-be"))
        return {name: _sorted_by_utf16(value[name]) for name in names}
    if isinstance(value, list):
        return [_sorted_by_utf16(item) for item in value]
    return value


def canonicalize_value(value: Any) -> bytes:  # noqa: ANN401 (any JSON value)
    """Return the RFC 8785 form of a value made of dict, list, str, int, float, bool and None."""
    check_value(value)
    try:
        canonical = _encoder.encode(_with_canonical_floats(value))
    except UnicodeEncodeError as error:
        message = f"a lone surrogate is no character: {error}"
        raise BadRequestError(message) from error
    _check_integers(canonical)
    return _in_utf16_order(canonical)


def _with_canonical_floats(value: Any) -> Any:  # noqa: ANN401 (any JSON value)
    if isinstance(value, float):
        return _canonical_float(value)
    if isinstance(value, dict):
        names = sorted(value) if len(value) > MEMBERS_UNSORTED_MAX else value
        return {name: _with_canonical_floats(value[name]) for name in names}
    if isinstance(value, list):
        return [_with_canonical_floats(item) for item in value]
    return value


def check_value(value: Any, depth: int = 0) -> None:  # noqa: ANN401 (any JSON value)
    """Raise `BadRequestError` for what JSON, or RFC 8785, cannot represent in `value`.

    `depth` is the number of lists and dicts that `value` is in. Lone surrogates are left to the
    encoder, which meets every character anyway.
    """
    if isinstance(value, dict | list):
        _check_container(value, depth)
    elif isinstance(value, int):
        if abs(value) > INTEGER_MAX:
            # str() refuses integers of more than 4300 digits.
            shown = str(value) if value.bit_length() < 100 else f"{value:#x}"  # noqa: PLR2004
            raise _beyond_integers(shown)
    elif isinstance(value, float):
        if not math.isfinite(value):
            message = f"{value} is no number that JSON has; use null or a string"
            raise BadRequestError(message)
    elif value is not None and not isinstance(value, str):
        message = f"{type(value).__name__} values are not JSON; encode them as a string"
        raise BadRequestError(message)


def _check_container(value: dict[Any, Any] | list[Any], depth: int) -> None:
    if depth >= DEPTH_MAX:
        message = f"nested deeper than {DEPTH_MAX} levels"
        raise BadRequestError(message)
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                message = f"member name {key!r} is not a string"
                raise BadRequestError(message)
    for item in value.values() if isinstance(value, dict) else value:
        check_value(item, depth + 1)


def document_digest(canonical: bytes) -> str:
    """Return `sha256:` and the hex digest of a canonical document: the name of its content."""
    return f"sha256:{hashlib.sha256(canonical).hexdigest()}"


def merge_patch(target: Any, patch: Any) -> Any:  # noqa: ANN401 (any JSON value)
    """Apply a JSON merge patch (RFC 7396) and return the result; the arguments stay as they are."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged
