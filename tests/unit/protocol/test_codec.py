"""Requests that are whole, and requests that are broken in every way."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import commands
from protocol.codec import (
    Format,
    decode_request,
    encode_error,
    encode_request,
    format_of,
)
from protocol.commands import OPS, Create, Get, Revise, Transition, Write
from protocol.errors import (
    BadRequestError,
    CommandError,
    TooLargeError,
    UnknownOpError,
)
from protocol.limits import REQUEST_SIZE_MAX, TEXT_SIZE_MAX
from tests.unit.protocol.sample_requests import MEMBERS, request_of

TRANSITION = (
    b'{"op":"transition","manifest_id":"io.github.acme/echo@1.0.0","event":"approve",'
    b'"expected_version":2,"principal":"approver-3","command_id":"c-3","reason":null,"context":{}}'
)


def shown(request: object) -> bytes:
    return msgspec.json.encode(request, order="deterministic")


def refusal(body: bytes) -> CommandError:
    with pytest.raises(CommandError) as caught:
        decode_request(body)
    encode_error(caught.value)
    encode_error(caught.value, Format.MSGPACK)
    return caught.value


def test_the_examples_here_use_every_member_of_every_op() -> None:
    assert {op: {*MEMBERS[op], "v"} for op in OPS} == {
        op: {field.name for field in msgspec.structs.fields(row.request)} for op, row in OPS.items()
    }


@pytest.mark.parametrize("op", OPS)
def test_a_request_arrives_as_it_was_sent(op: str) -> None:
    request = request_of(op)

    assert decode_request(encode_request(request)) == request


@pytest.mark.parametrize("op", OPS)
def test_msgpack_and_spaced_json_say_the_same(op: str) -> None:
    request = request_of(op)
    value = json.loads(encode_request(request))

    assert shown(decode_request(msgspec.msgpack.encode(value))) == shown(request)
    spaced = decode_request(json.dumps(value, indent=1).encode())
    for name in ("manifest", "patch"):
        if hasattr(spaced, name):
            setattr(
                spaced,
                name,
                msgspec.Raw(msgspec.json.encode(json.loads(bytes(getattr(spaced, name))))),
            )
    assert shown(spaced) == shown(request)


@pytest.mark.parametrize("op", OPS)
def test_members_with_their_default_are_not_sent(op: str) -> None:
    required = {
        field.name: MEMBERS[op][field.name]
        for field in msgspec.structs.fields(OPS[op].request)
        if field.required
    }
    request = OPS[op].request(**required)

    assert set(json.loads(encode_request(request))) == {"op", *required}  # type: ignore[arg-type]


def test_a_revision_without_document_or_patch_is_sent_without_them() -> None:
    assert encode_request(Revise(manifest_id="a")) == b'{"op":"revise","manifest_id":"a"}'
    decoded = decode_request(b'{"op":"revise","manifest_id":"a"}')
    assert isinstance(decoded, Revise)
    assert decoded.manifest is commands.ABSENT
    assert decoded.patch is commands.ABSENT


def test_the_examples_of_the_design_are_understood() -> None:
    request = decode_request(TRANSITION)

    assert isinstance(request, Transition)
    assert (request.event, request.expected_version, request.context) == ("approve", 2, {})


@given(st.binary(max_size=80))
def test_random_bytes_bring_nothing_but_a_refusal(body: bytes) -> None:
    try:
        decode_request(body)
    except CommandError as error:
        encode_error(error, format_of(body))


@given(
    st.sampled_from(sorted(OPS)),
    st.booleans(),
    st.lists(
        st.tuples(st.integers(0, 500), st.integers(0, 3), st.binary(max_size=4)),
        min_size=1,
        max_size=4,
    ),
)
def test_a_mutated_request_brings_nothing_but_a_refusal(
    op: str,
    as_msgpack: bool,  # noqa: FBT001 (drawn)
    edits: list[tuple[int, int, bytes]],
) -> None:
    body = encode_request(request_of(op))
    if as_msgpack:
        body = msgspec.msgpack.encode(json.loads(body))
    for at, removed, added in edits:
        at %= len(body) + 1  # noqa: PLW2901
        body = body[:at] + added + body[at + removed :]
    try:
        request = decode_request(body)
    except CommandError as error:
        encode_error(error, format_of(body))
    else:
        assert type(request) in commands.OP_BY_REQUEST


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text()
    | st.binary(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text() | st.integers(0, 9), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(st.sampled_from(sorted(OPS)), st.data())
def test_wrong_values_bring_nothing_but_a_refusal(op: str, data: st.DataObject) -> None:
    value = json.loads(encode_request(request_of(op)))
    name = data.draw(st.sampled_from([*value, "v", "manifest_id", "nonsense"]))
    value[name] = data.draw(json_values)
    for body in (msgspec.msgpack.encode(value), json.dumps(value, default=repr).encode()):
        try:
            decode_request(body)
        except CommandError as error:
            encode_error(error, format_of(body))


@pytest.mark.parametrize(
    ("body", "path", "said"),
    [
        (b'{"op":"get","manifest_id":5}', "/manifest_id", "Expected `str`, got `int`"),
        (TRANSITION.replace(b":2,", b':"2",'), "/expected_version", "Expected `int | null`"),
        (TRANSITION.replace(b":2,", b":2.0,"), "/expected_version", "got `float`"),
        (TRANSITION.replace(b":2,", b":-1,"), "/expected_version", ">= 0"),
        (
            TRANSITION.replace(b":2,", b":9007199254740992,"),
            "/expected_version",
            "<= 9007199254740991",
        ),
        (TRANSITION.replace(b"{}", b"[]"), "/context", "Expected `object | null`, got `array`"),
        (TRANSITION.replace(b"{}", b'{"a":[9007199254740993]}'), "/context", "beyond 2^53 - 1"),
        (TRANSITION.replace(b"{}", b'{"a":1e400}'), "/context", "out of range"),
        (TRANSITION.replace(b'"c-3"', b'""'), "/command_id", "length >= 1"),
        (
            TRANSITION.replace(b"null", b'"' + b"x" * (TEXT_SIZE_MAX + 1) + b'"'),
            "/reason",
            "length <=",
        ),
        (b'{"op":"probe","token":"0123456789ABCDEF"}', "/token", "matching regex"),
        (b'{"op":"probe","token":"0123456789abcdef\\n"}', "/token", "matching regex"),
        (b'{"op":"health","v":2}', "/v", "Invalid enum value 2"),
        (b'{"op":"create"}', "/manifest", "the member 'manifest' is missing"),
        (b'{"op":"get"}', "/manifest_id", "the member 'manifest_id' is missing"),
        (b"{}", "/op", "the member 'op' is missing"),
        (b'{"op":null}', "/op", "the member 'op' is missing"),
        (b'{"op":7}', "/op", "'op' is a string"),
        (b"[]", None, "a request is one JSON object"),
        (b"5", None, "a request is one JSON object"),
        (b"", None, "not JSON"),
        (b"hello", None, "not JSON: Expecting value at line 1 column 1"),
        (b'{"op":"health"', None, "not JSON"),
        (b'{"op":"health"}\x00', None, "not JSON"),
        (b'\xef\xbb\xbf{"op":"health"}', None, "BOM"),
        (b'{"op":"he\xffalth"}', None, "not UTF-8: invalid start byte at byte 9"),
        (b'{"op":"\\ud800"}', None, "not JSON"),
        (
            b'{"op":"transition","manifest_id":"a","context":' + b"[" * 10_000,
            None,
            "nested deeper",
        ),
        (b'{"op":"create","manifest":' + b"[" * 70 + b"]" * 70 + b"}", None, "nested deeper"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(body: bytes, path: str | None, said: str) -> None:
    error = refusal(body)

    assert type(error) is BadRequestError
    assert (said in error.message, error.path) == (True, path), error.message


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("expected_versoin", "expected_version"),
        ("expectedVersion", "expected_version"),
        ("comand_id", "command_id"),
        ("Event", "event"),
        ("a/b~c", None),
        ("zzz", None),
        ("`x` - at `$.y`", None),
    ],
)
def test_an_unknown_member_is_named_with_the_nearest_known_one(name: str, near: str | None) -> None:
    value = json.loads(TRANSITION) | {name: 1}
    for body in (json.dumps(value).encode(), msgspec.msgpack.encode(value)):
        error = refusal(body)

        assert error.suggestion == near
        assert error.path == "/" + name.replace("~", "~0").replace("/", "~1")
        assert repr(name) in error.message
        assert (
            f"did you mean {near!r}?" in error.message if near else "it takes: op," in error.message
        )


def test_an_unknown_op_is_named_with_the_nearest_known_one() -> None:
    assert refusal(b'{"op":"transit","manifest_id":"a"}').message.endswith(
        "did you mean 'transition'?"
    )
    assert isinstance(refusal(b'{"op":"transit"}'), UnknownOpError)
    assert "known: create, revise" in refusal(b'{"op":"\\u0000"}').message


@pytest.mark.parametrize(
    "body",
    [
        TRANSITION.replace(b'"context"', b'"expected_version":3,"context"'),
        TRANSITION.replace(b'{"op"', b'{"op":"transition","op"'),
        TRANSITION.replace(b'"reason":null', b'"reason":null,"re\\u0061son":null'),
        TRANSITION.replace(b"{}", b'{"a":1,"a":1}'),
        TRANSITION.replace(b"{}", b'{"b":[{"a":1,"c":{"a":1},"a":1}]}'),
        b'{"op":"transition","manifest_id":"a","context":{"x":1e15,"b":1,"b":1234567}}',
        b'{"op":"transition","manifest_id":"a","context":{"x":1e15,"b":123456789,"b":1}}',
        b'{"op":"health","op":"health"}',
        b'{"op":"health","v":1,"v":1}',
        b'{"op":"create", "manifest":{"a":1,"a":2}}',
        b'{"op":"revise","manifest_id":"a","patch":{"a":1}, "patch":{"b":1}}',
    ],
)
def test_a_member_that_occurs_twice_is_refused_wherever_it_is(body: bytes) -> None:
    assert "occurs twice in one object" in refusal(body).message


def pack(*members: tuple[bytes, bytes]) -> bytes:
    return bytes([0x80 | len(members)]) + b"".join(name + value for name, value in members)


OP, ID = (b"\xa2op", b"\xaatransition"), (b"\xabmanifest_id", b"\xa1a")


@pytest.mark.parametrize(
    "body",
    [
        pack(OP, ID, ID),
        pack(OP, ID, (b"\xd9\x0bmanifest_id", b"\xa1a")),
        pack(OP, ID, (b"\xa7context", pack((b"\xa1a", b"\x01"), (b"\xa1a", b"\x01")))),
        # A float of four bytes grows by as much as the lost member leaves.
        pack(
            OP,
            ID,
            (
                b"\xa7context",
                pack((b"\xa1f", b"\xca\x3f\x80\0\0"), (b"\xa2bb", b"\x01"), (b"\xa2bb", b"\x01")),
            ),
        ),
        pack(OP, ID, (b"\xa7context", b"\xdf\0\0\0\x02\xa1a\xc0\xa1a\xd9\x01x")),
        pack(
            OP,
            ID,
            (
                b"\xa7context",
                pack(
                    (
                        b"\xa1l",
                        b"\xdd\0\0\0\x01" + pack((b"\xa1a", b"\xcc\x01"), (b"\xa1a", b"\x80")),
                    )
                ),
            ),
        ),
    ],
)
def test_a_member_that_occurs_twice_in_msgpack_is_refused(body: bytes) -> None:
    assert "occurs twice in one object" in refusal(body).message


@pytest.mark.parametrize(
    "context",
    [
        b"\x81\xa1f\xca\x3f\x80\0\0",
        b"\xde\0\x02\xa1a\xd9\x01x\xda\0\x01b\xdb\0\0\0\x01y",
        b"\x82\xa1l\xdc\0\x03\xcc\x01\xd1\xff\xff\xcf\0\0\0\0\0\0\0\x01\xa1m\x93\x80\x90\xa0",
        b"\x81\xa1o\x92\x81\xa1a\x01\x81\xa1a\x01",
        b"\x82\xa1a\x81\xa1a\xd0\x01\xa1b\xcb\x3f\xf0\0\0\0\0\0\0",
    ],
)
def test_msgpack_need_not_be_written_the_shortest_way(context: bytes) -> None:
    request = decode_request(pack(OP, ID, (b"\xa7context", context)))

    assert isinstance(request, Transition)
    assert request.context == msgspec.msgpack.decode(context)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (b"\xc4\x01x", "bytes values are not JSON"),
        (b"\xd6\xff\0\0\0\0", "datetime values are not JSON"),
        (b"\xd4\x05x", "MessagePack that JSON could say"),
        (b"\xcb\x7f\xf8\0\0\0\0\0\0", "nan is no number"),
        (b"\x81\x01\x02", "member name 1 is not a string"),
        (b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", "beyond 2^53 - 1"),
        (b"\xa2\xff\xff", "MessagePack that JSON could say"),
        (b"\xc1", "MessagePack that JSON could say"),
        (b"\x91" * 5000 + b"\xc0", "MessagePack that JSON could say"),
        (b"\x91" * 70 + b"\xc0", "nested deeper"),
        (b"\xdd\xff\xff\xff\xff", "MessagePack that JSON could say"),
        (b"\x01\x01", "MessagePack that JSON could say"),
    ],
)
def test_msgpack_that_json_cannot_say_is_refused(value: bytes, said: str) -> None:
    assert said in refusal(pack(OP, ID, (b"\xa7context", b"\x81\xa1x" + value))).message


def test_a_request_may_be_as_large_as_the_limit_and_no_larger() -> None:
    empty = len(b'{"op":"create","manifest":""}')
    body = b'{"op":"create","manifest":"%b"}' % (b"x" * (REQUEST_SIZE_MAX - empty))

    assert isinstance(decode_request(body), Create)
    with pytest.raises(TooLargeError) as caught:
        decode_request(body + b" ")
    assert caught.value.details == {"limit": REQUEST_SIZE_MAX, "actual": REQUEST_SIZE_MAX + 1}


def test_a_document_with_bad_bytes_waits_for_the_reader_of_documents() -> None:
    request = decode_request(b'{"op":"create","manifest":[1e400], "kind":"x"}')

    assert isinstance(request, Create)


def test_every_op_is_in_the_table_and_writes_where_it_says() -> None:
    assert all(row.writes == issubclass(row.request, Write) for row in OPS.values())
    assert [row.name for row in OPS.values()] == list(MEMBERS)
    assert isinstance(decode_request(b'{"op":"get","manifest_id":"a","as_of":"2026-11-23"}'), Get)
