"""Canonical JSON against two other readers, and against input that was made to hurt."""

import json
import sys
import time
from typing import Any

import pytest
import rfc8785
from hypothesis import assume, example, given
from hypothesis import strategies as st

from protocol.canonical import (
    canonicalize,
    canonicalize_value,
    check_depth,
    check_value,
    merge_patch,
    outside_strings,
    strict_loads,
)
from protocol.errors import BadRequestError
from protocol.limits import DEPTH_MAX, INTEGER_MAX, REQUEST_SIZE_MAX

texts = st.text(
    st.characters(exclude_categories=["Cs"]) | st.sampled_from('"\\/:{}[],\U0001f600\ue000')
)
numbers = st.integers(-INTEGER_MAX, INTEGER_MAX) | st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | numbers | texts
documents = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=20
)
spellings: tuple[dict[str, Any], ...] = (
    {"separators": (",", ":")},
    {"separators": (",", ":"), "ensure_ascii": False},
    {"indent": 2, "ensure_ascii": False},
    {"separators": (" ,\t", "\r\n: ")},
)


def is_read_back_as_integer(value: object) -> bool:
    """Whether some float in `value` has a canonical form that is an integer beyond 2^53."""
    if isinstance(value, float):
        return 2**53 <= abs(value) < 1e21
    if isinstance(value, dict):
        return any(map(is_read_back_as_integer, value.values()))
    return isinstance(value, list) and any(map(is_read_back_as_integer, value))


@given(documents, st.sampled_from(spellings))
@example({"\U0001f600": 1, "\ue000": 1.5, "a": {"\ufb33": 2, "\U00010000": 3}}, spellings[1])
@example([1e16, 1e-5, 1e-7, 123456789.123], spellings[0])
def test_the_canonical_form_is_that_of_another_implementation(
    document: object, spelling: dict[str, Any]
) -> None:
    assume(not is_read_back_as_integer(document))
    expected = rfc8785.dumps(document)  # type: ignore[arg-type]

    assert canonicalize(json.dumps(document, **spelling).encode()) == expected
    assert canonicalize_value(document) == expected
    assert canonicalize(expected) == expected


@given(st.floats(allow_nan=False, allow_infinity=False))
@example(9007199254740993.0)
@example(-0.0)
@example(9.999999999999999e-5)
@example(1e-6)
@example(9.99999999999999e-7)
def test_a_float_is_written_as_rfc_8785_writes_it(number: float) -> None:
    assume(not is_read_back_as_integer(number))

    assert canonicalize(repr(number).encode()) == rfc8785.dumps(number)


@given(documents, texts, scalars, scalars, st.randoms(use_true_random=False))
def test_a_duplicate_is_always_found(
    document: object,
    name: str,
    one: object,
    other: object,
    random: Any,  # noqa: ANN401
) -> None:
    escaped = "".join(f"\\u{unit:04x}" for unit in memoryview(name.encode("utf-16-le")).cast("H"))
    assume(name not in {"0", "1", "2"})
    members = [f"{json.dumps(name)}:{json.dumps(one)}", f'"{escaped}" :{json.dumps(other)}']
    members += [f'"{index}":{json.dumps(document)}' for index in range(3)]
    random.shuffle(members)
    twice = "{" + ",".join(members) + "}"

    for text in (twice, f'[1e15,{{"inner":{twice}}}]', f"[{json.dumps(document)},{twice}]"):
        with pytest.raises(BadRequestError, match=r"twice|beyond"):
            canonicalize(text.encode())


@given(
    st.binary(max_size=60)
    | st.text('{}[]",:\\u0123dDeE.-+ntrfa \x00é', max_size=40).map(str.encode)
)
@example(b'{"a":"\\')
@example(b'"\\\\\\"":')
def test_no_bytes_bring_anything_but_our_error(data: bytes) -> None:
    try:
        canonical = canonicalize(data)
    except BadRequestError:
        return
    assert rfc8785.dumps(json.loads(data)) == canonical


@given(documents, st.sampled_from(spellings))
def test_what_is_outside_strings_is_what_a_parser_finds_there(
    document: object, spelling: dict[str, Any]
) -> None:
    def members(value: object) -> int:
        if isinstance(value, dict):
            return len(value) + sum(map(members, value.values()))
        return sum(map(members, value)) if isinstance(value, list) else 0

    text = json.dumps(document, **spelling).encode()

    assert outside_strings(text).count(b":") == members(document)


@pytest.mark.parametrize("kind", ["[]", '{"a":}', '[{"a":}]'])
def test_the_depth_limit_is_the_same_for_text_and_values(kind: str) -> None:
    opening, closing = (kind[:-1], kind[-1]) if kind != '[{"a":}]' else ('[{"a":', "}]")
    levels = DEPTH_MAX // (2 if kind == '[{"a":}]' else 1)
    deepest = opening * levels + "1" + closing * levels

    check_depth(deepest.encode())
    check_value(json.loads(deepest))
    with pytest.raises(BadRequestError, match="nested deeper"):
        check_depth(f"[{deepest}]".encode())
    with pytest.raises(BadRequestError, match="nested deeper"):
        check_value([json.loads(deepest)])
    with pytest.raises(BadRequestError, match="nested deeper"):
        strict_loads(f"[{deepest}]".encode())


def test_many_brackets_side_by_side_are_not_deep() -> None:
    check_depth(b"[" + b"[]," * 1000 + b"[]]")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (float("nan"), "nan is no number"),
        (float("inf"), "inf is no number"),
        (2**53, "beyond 2\\^53 - 1"),
        pytest.param(-(10**5000), "beyond 2\\^53 - 1", id="5000 digits"),
        (b"x", "bytes values are not JSON"),
        ((1, 2), "tuple values are not JSON"),
        ({1: 2}, "member name 1 is not a string"),
        ("\ud800", "lone surrogate"),
        ({"\udfff": 1}, "lone surrogate"),
        (1e18, "beyond 2\\^53 - 1"),
    ],
)
def test_values_that_json_cannot_say_are_refused(value: object, reason: str) -> None:
    with pytest.raises(BadRequestError, match=reason):
        canonicalize_value([value])


# The test suite of RFC 7396, appendix A.
@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_a_merge_patch_does_what_rfc_7396_says(target: Any, patch: Any, result: Any) -> None:  # noqa: ANN401
    before = json.dumps([target, patch])

    assert merge_patch(target, patch) == result
    assert json.dumps([target, patch]) == before


def _filled(unit: str) -> bytes:
    return f"[{','.join([unit] * ((REQUEST_SIZE_MAX - 2) // (len(unit.encode()) + 1)))}]".encode()


HOSTILE = {
    "escaped quotes": b'"' + rb"\"" * 500_000 + b'"',
    "backslashes": b'"' + b"\\\\" * 500_000 + b'"',
    "an open string": b'"' + rb"\"" * 500_000,
    "empty strings": _filled('""'),
    "floats": _filled("1.5"),
    "tiny floats": _filled("1e-9"),
    "long digits": b"9" * 1_000_000,
    "long fraction": b"0." + b"3" * 1_000_000,
    "many digits": _filled("9" * 4300),
    "empty objects": _filled("{}"),
    "duplicates": _filled('{"a":1,"a":1}'),
    "open brackets": b"[" * 1_000_000,
    "nested": _filled("[" * 60 + "]" * 60),
    "emoji": _filled('"\U0001f600"'),
    "members": b"{%b}" % b",".join(b'"%d":1' % number for number in range(90_000)),
    "spaces": b"[" + b" " * 1_000_000 + b"]",
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_megabyte_costs_time_in_proportion(data: bytes) -> None:
    """Far above what it takes (0.2 s at most), far below what anything quadratic would."""
    started_s = time.process_time()
    try:
        canonicalize(data)
    except BadRequestError:
        pass
    finally:
        tracing = 10 if sys.gettrace() or "coverage" in sys.modules else 1
        assert time.process_time() - started_s < 2 * tracing
