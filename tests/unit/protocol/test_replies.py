"""Replies: the bytes of the design, the same in both formats, typed again at the other end."""

import json

import msgspec
import pytest

from protocol.codec import Format, decode_reply, encode_error, encode_result, format_of
from protocol.errors import OptimisticLockError
from protocol.replies import GetResult, ProbeResult, TransitionResult

RESULT = TransitionResult(
    manifest_id="a",
    kind="agent",
    state=["A", "B"],
    version=3,
    seq=812,
    digest="sha256:0",
    urn=None,
    author="x",
    allowed_events=["register"],
)


def test_a_result_is_what_the_design_shows() -> None:
    assert encode_result(RESULT) == (
        b'{"ok":true,"result":{"manifest_id":"a","kind":"agent","state":["A","B"],"version":3,'
        b'"seq":812,"digest":"sha256:0","urn":null,"author":"x","allowed_events":["register"],'
        b'"replayed":false}}'
    )
    assert decode_reply(encode_result(RESULT), TransitionResult) == RESULT


def test_a_result_in_msgpack_says_what_it_says_in_json() -> None:
    whole = GetResult(
        **{name: getattr(RESULT, name) for name in RESULT.__struct_fields__[:9]},
        lifecycle="manifest@1",
        created_at="",
        updated_at="",
        contributors=["x"],
        approvals=[],
        rejection=None,
        registered=[],
        timers=[],
        context={"f": 0.1, "n": None},
        manifest=msgspec.Raw('{"large":1e+21,"ü":[1.5,-7,"\U0001f600"]}'.encode()),
    )
    for result in (RESULT, whole, ProbeResult(token="ab", last_seq=2**53 - 1)):  # noqa: S106
        as_msgpack = encode_result(result, Format.MSGPACK)
        assert msgspec.msgpack.decode(as_msgpack) == json.loads(encode_result(result))
        assert format_of(as_msgpack) is Format.MSGPACK


def test_an_error_in_msgpack_says_what_it_says_in_json() -> None:
    error = OptimisticLockError.at("a", expected=2, actual=3, allowed_events=["register"])

    as_json = json.loads(encode_error(error))
    assert msgspec.msgpack.decode(encode_error(error, Format.MSGPACK)) == as_json
    assert as_json == {
        "ok": False,
        "error": {
            "code": "VERSION_CONFLICT",
            "message": "a is at version 3, not 2",
            "severity": "error",
            "retryable": True,
            "path": None,
            "suggestion": "manifestctl get a",
            "details": {"expected": 2, "actual": 3},
            "allowed_events": ["register"],
        },
    }
    with pytest.raises(OptimisticLockError, match="a is at version 3, not 2"):
        decode_reply(encode_error(error), TransitionResult)


def test_a_result_with_members_of_a_later_version_is_read() -> None:
    body = encode_result(RESULT).replace(b'"seq":812', b'"seq":812,"later":1')

    assert decode_reply(body, TransitionResult) == RESULT
