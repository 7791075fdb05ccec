"""Whatever a body holds: a request or a `CommandError`, and soon.

What is timed is the thread's CPU, not the clock on the wall. The bound is what the loop may be held
up (promise 14) at any one time; the bodies below take half of it at most, before they were refused for
what they hold they took up to seven seconds.
"""

import gc
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import codec
from protocol.canonical import canonicalize, canonicalize_value, document_digest, loads
from protocol.codec import Format, decode_request, encode_error, encode_result, format_of
from protocol.commands import OPS, Create, Request
from protocol.errors import CommandError, TooLargeError
from protocol.kinds import KindRegistry
from protocol.limits import REQUEST_SIZE_MAX, VALUES_MAX

pytestmark = pytest.mark.no_cover  # Measured, it takes several times as long.
HELD_UP_MAX_S = 0.1
KINDS = KindRegistry.builtin()
CREATE = (
    b'{"op":"create","manifest_id":"a@1","kind":"agent","manifest":{"name":"a","version":"1.0.0",'
)
STEP = b'{"op":"transition","manifest_id":"a@1","event":"x","context":{'
PACKED = b"\x83\xa2op\xa6create\xabmanifest_id\xa3a@1\xa8manifest\x81\xa1a\xdd"


def filled(
    head: bytes, unit: bytes, tail: bytes, *, by: bytes = b",", count: int = 1 << 20
) -> bytes:
    """Return `unit` as often as a request has room for it, but at most `count` times."""
    room = (REQUEST_SIZE_MAX - len(head) - len(tail)) // (len(unit) + len(by))
    return head + by.join([unit] * min(room, count)) + tail


def named(head: bytes, prefix: str, count: int, *, rotated: int = 0) -> bytes:
    """Return an object with many names in order, but the first `rotated` ones at the end."""
    names = sorted(f"{prefix}{number:x}" for number in range(count))
    names = names[rotated:] + names[:rotated]
    return head + b",".join(b'"%b":1' % name.encode() for name in names) + b"}}"


ROOM = VALUES_MAX - 10
LISTS = {
    "numbers": (b"1", ROOM),
    "long integers": (b"1234567890123456", ROOM),
    "floats": (b"1.5", ROOM),
    "exponents": (b"1e22", ROOM),
    "the smallest floats": (b"2.2250738585072011e-308", ROOM),
    "the largest floats": (b"1.7976931348623157e308", ROOM),
    "numbers too large": (b"1e999", ROOM),
    "objects": (b"{}", ROOM // 2),
    "lists": (b"[]", ROOM // 2),
    "members": (b'{"a":1}', ROOM // 3),
    "members twice": (b'{"a":1,"a":2}', ROOM // 3),
    "nested": (b"[" * 55 + b"]" * 55, ROOM // 56),
    "names beyond UTF-16": ('{"\U0001f600":1,"\uff00":1}'.encode(), ROOM // 4),
    "texts": (b'""', ROOM),
}
# Made when they are needed, and not when the tests are collected: most have a megabyte.
BODIES: dict[str, bytes | Callable[[], bytes]] = {
    **{
        f"{many} {name}": partial(filled, head + b'"a":[', unit, b"]}}", count=count)
        for name, (unit, room) in LISTS.items()
        for many, count in (("too many", 1 << 20), ("many", room))
        for head in (CREATE,)
    },
    **{
        f"a context of {many} {name}": partial(filled, STEP + b'"a":[', unit, b"]}}", count=count)
        for name, (unit, room) in LISTS.items()
        for many, count in (("too many", 1 << 20), ("many", room))
    },
    "many names": partial(named, CREATE, "n", ROOM),
    "many names but one in order": partial(named, CREATE, "n", ROOM, rotated=1),
    "many names beyond UTF-16 but one in order": partial(
        named, CREATE, "\U0001f600", ROOM, rotated=1
    ),
    "too many names": partial(named, CREATE, "", 100_000),
    "a context of too many names": partial(named, STEP, "", 100_000),
    "unknown members": lambda: named(b'{"op":"get","x":{', "", 100_000)[:-1] + b",1:}",
    "escapes": partial(filled, CREATE + b'"a":"', rb"\u0041", b'"}}', by=b""),
    "backslashes": partial(filled, CREATE + b'"a":"', rb"\\", b'"}}', by=b""),
    "quotes": partial(filled, CREATE + b'"a":"', rb"\"", b'"}}', by=b""),
    "surrogates": partial(filled, CREATE + b'"a":"', rb"\ud83d\ude00", b'"}}', by=b""),
    "one integer": partial(filled, CREATE + b'"a":', b"9", b"}}", by=b""),
    "one float": partial(filled, CREATE + b'"a":0.', b"9", b"}}", by=b""),
    "spaces": partial(filled, CREATE + b'"a":1', b" ", b"}}", by=b""),
    "an error at the end": partial(filled, CREATE + b'"a":[', b"{}", b"]}"),
    "a long op": partial(filled, b'{"op":"', b"a", b'"}', by=b""),
    "a long member": partial(filled, b'{"op":"get","', b"a", b'":1}', by=b""),
    "a long id": partial(filled, b'{"op":"get","manifest_id":"', b"a", b'"}', by=b""),
    "a name for every pattern": partial(filled, CREATE[:-28] + b'"name":"', b"a/", b'"}}', by=b""),
    "quotes without end": b'"' * REQUEST_SIZE_MAX,
    "packed lists": PACKED + (1 << 20).to_bytes(4) + (b"\x91" * 59 + b"\x90") * 17_000,
    "packed objects": PACKED + (1 << 20).to_bytes(4) + b"\x80" * 1_000_000,
    "packed objects, one number longer than needed": PACKED
    + (900_001).to_bytes(4)
    + b"\xcc\x01"
    + b"\x80" * 900_000,
    "packed bytes and many lists": PACKED + (900_001).to_bytes(4) + b"\xc4\x00" + b"\x90" * 900_000,
    "packed extension and many lists": PACKED
    + (900_001).to_bytes(4)
    + b"\xc7\x00\x05"
    + b"\x90" * 900_000,
    "packed members twice": PACKED
    + (ROOM // 3).to_bytes(4)
    + b"\x82\xa1a\x01\xa1a\x01" * (ROOM // 3),
    "packed names": b"\xdf" + (1 << 20).to_bytes(4) + b"\xa0\x01" * 500_000,
}


def carried_out(body: bytes) -> Request:
    """Do with a request what the daemon does before it decides."""
    request = decode_request(body)
    if isinstance(request, Create):
        document_digest(canonicalize(bytes(request.manifest)))
    context = getattr(request, "context", None)
    if context:
        canonicalize_value(context)
    return request


def judged(document: bytes, kind: str) -> None:
    """Do with a document what the daemon does when it is submitted, another command."""
    KINDS.get(kind).problems(loads(document))


def answered(document: bytes) -> None:
    """Put a document into an answer, in the format that takes longer."""
    encode_result(_Answer(msgspec.Raw(document)), Format.MSGPACK)


class _Answer(msgspec.Struct):
    manifest: msgspec.Raw


def pieces(body: bytes) -> Iterator[Callable[[], object]]:
    """Yield what is done because of a body, each in a turn of the loop of its own."""
    yield lambda: outcome(body)
    request = outcome(body)
    if isinstance(request, Create):
        with suppress(CommandError):
            document = canonicalize(bytes(request.manifest))
            yield from (partial(judged, document, kind) for kind in KINDS.names())
            yield partial(answered, document)


@pytest.fixture(autouse=True)
def frozen() -> None:
    """Look for no garbage among what the other tests left, as the daemon does not at what it imported."""
    gc.collect()
    gc.freeze()  # For good: to thaw it would have every later look go through all of it.


def cpu_s(action: Callable[[], object]) -> float:
    begun_s = time.thread_time()
    action()
    return time.thread_time() - begun_s


def outcome(body: bytes, how: Callable[[bytes], Request] = carried_out) -> Request | CommandError:
    try:
        return how(body)
    except CommandError as error:
        return error


@pytest.mark.parametrize("name", BODIES)
def test_no_megabyte_holds_the_others_up(name: str) -> None:
    made = BODIES[name]
    body = made if isinstance(made, bytes) else made()
    assert len(body) <= REQUEST_SIZE_MAX

    for piece in pieces(body):
        # Three times where need be: what else the machine does is not the body's fault.
        assert any(cpu_s(piece) < HELD_UP_MAX_S for _ in range(3))


def test_without_a_bound_on_values_one_would(monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: a decoder that takes as many values as a megabyte has room for."""
    monkeypatch.setattr(codec, "check_values", lambda _: None)
    made = BODIES["too many nested"]
    body = made if isinstance(made, bytes) else made()

    assert any(cpu_s(piece) > HELD_UP_MAX_S for piece in pieces(body))


@pytest.mark.parametrize("form", Format)
def test_a_request_holds_a_bounded_number_of_values(form: Format) -> None:
    def body(values: int) -> bytes:
        request = {"op": "create", "manifest_id": "a@1", "manifest": {"a": [1] * values}}
        packed = msgspec.msgpack.encode(request)
        return msgspec.json.encode(request) if form is Format.JSON else packed

    assert isinstance(decode_request(body(VALUES_MAX // 2)), Create)
    with pytest.raises(TooLargeError, match=f"more than {VALUES_MAX} values") as raised:
        decode_request(body(3 * VALUES_MAX))
    assert raised.value.details["limit"] == VALUES_MAX


def test_a_megabyte_of_text_is_no_large_number_of_values() -> None:
    text = ",[{" * 100_000
    request = {"op": "create", "manifest_id": "a@1", "manifest": {"a": text}}

    for encode in (msgspec.json.encode, msgspec.msgpack.encode):
        decoded = decode_request(encode(request))
        assert isinstance(decoded, Create)
        assert msgspec.json.decode(decoded.manifest) == {"a": text}


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
VALUES = st.recursive(
    SCALARS,
    lambda of: st.lists(of, max_size=4) | st.dictionaries(st.text(max_size=6), of, max_size=4),
)
MEMBERS = st.sampled_from(
    sorted({name for op in OPS.values() for name in op.request.__annotations__})
)


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    """Draw what is nearly a request: members of any op with values of any type."""
    op = draw(st.sampled_from([*OPS, "creat"]) | SCALARS)
    members: Mapping[str, Any] = draw(
        st.dictionaries(MEMBERS | st.text(max_size=5), VALUES, max_size=6)
    )
    return {"op": op, "manifest_id": draw(st.just("a@1") | VALUES), **members}


def written(value: object, encode: Callable[[object], bytes] = msgspec.json.encode) -> bytes:
    """Return `value` as bytes; nothing where there are none."""
    try:
        return encode(value)
    except (ValueError, TypeError, OverflowError):
        return b""


@st.composite
def mutilated(draw: st.DrawFn, bodies: st.SearchStrategy[bytes]) -> bytes:
    """Draw a body with a few bytes changed, put in, or left out."""
    body = bytearray(draw(bodies))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(body)))
        body[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(body)


def packed(value: object) -> bytes:
    """Return `value` as MessagePack; nothing where there is none."""
    return written(value, msgspec.msgpack.encode)


BODY = st.one_of(
    st.binary(max_size=200),
    mutilated(requests().map(written)),
    mutilated(requests().map(packed)),
)


def check_body(body: bytes) -> None:
    """See that a body ends as a request or as a refusal, and that both can be told."""
    result = outcome(body)
    if isinstance(result, CommandError):
        reply = encode_error(result, format_of(body))
        decode = (
            msgspec.msgpack.decode if format_of(body) is Format.MSGPACK else msgspec.json.decode
        )
        assert decode(reply)["error"]["code"] == result.code
        assert len(reply) < 8192
    else:
        assert encode_result(result)


@settings(max_examples=100)
@given(BODY)
def test_any_body_is_a_request_or_a_refusal(body: bytes) -> None:
    check_body(body)


@pytest.mark.long
@settings(max_examples=100_000, deadline=None)
@given(BODY)
def test_very_many_bodies_are_requests_or_refusals(body: bytes) -> None:
    check_body(body)
