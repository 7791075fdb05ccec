"""Whatever is written to the command socket, a good client is answered afterwards."""

import json
import os
import random
import socket
from collections.abc import Iterator
from contextlib import suppress

import msgspec
import pytest
import zmq

from tests.support.daemon_process import ANSWER_S, DaemonProcess

MIB = 1 << 20
GROWTH_MAX = 50 * MIB  # One message of the largest size per thread of the way, and allocator slack.

BAD_REQUEST, TOO_LARGE, UNKNOWN_OP = "BAD_REQUEST", "TOO_LARGE", "UNKNOWN_OP"


def deep(levels: int) -> bytes:
    return b'{"op":"create","manifest_id":"a@1","manifest":' + b"[" * levels + b"]" * levels + b"}"


BODIES: dict[str, tuple[bytes, str, str]] = {
    "nothing": (b"", BAD_REQUEST, "JSON"),
    "random bytes": (random.Random(7).randbytes(5000), BAD_REQUEST, ""),  # noqa: S311
    "zeros": (bytes(100), BAD_REQUEST, "JSON"),
    "truncated": (b'{"op":"get","manifest_id":"a', BAD_REQUEST, "JSON"),
    "not UTF-8": (b'{"op":"get","manifest_id":"\xff\xfe"}', BAD_REQUEST, "UTF-8"),
    "two objects": (b'{"op":"health"}{"op":"health"}', BAD_REQUEST, "JSON"),
    "a list": (b"[]", BAD_REQUEST, "object"),
    "a string": (b'"health"', BAD_REQUEST, "object"),
    "a number": (b"1", BAD_REQUEST, "object"),
    "null": (b"null", BAD_REQUEST, "object"),
    "no op": (b"{}", BAD_REQUEST, "'op' is missing"),
    "op is no string": (b'{"op":5}', BAD_REQUEST, "op"),
    "wrong type": (b'{"op":"get","manifest_id":5}', BAD_REQUEST, "manifest_id"),
    "wrong type of a limit": (b'{"op":"list","limit":"1"}', BAD_REQUEST, "limit"),
    "limit too big": (b'{"op":"list","limit":1001}', BAD_REQUEST, "limit"),
    "NaN": (b'{"op":"feed","after_seq":NaN}', BAD_REQUEST, "NaN"),
    "NaN in a document": (
        b'{"op":"create","manifest_id":"a@1","manifest":{"x":NaN}}',
        BAD_REQUEST,
        "NaN",
    ),
    "infinity": (
        b'{"op":"create","manifest_id":"a@1","manifest":{"x":-Infinity}}',
        BAD_REQUEST,
        "Infinity",
    ),
    "too big a float": (
        b'{"op":"create","manifest_id":"a@1","manifest":{"x":1e999}}',
        BAD_REQUEST,
        "",
    ),
    "duplicate members": (b'{"op":"health","op":"status"}', BAD_REQUEST, "twice"),
    "duplicate members in a document": (
        b'{"op":"create","manifest_id":"a@1","manifest":{"x":{"y":1,"y":2}}}',
        BAD_REQUEST,
        "'y' occurs twice",
    ),
    "unknown op": (b'{"op":"creat"}', UNKNOWN_OP, "did you mean 'create'"),
    "unknown member": (
        b'{"op":"comment","manifest_id":"a@1","text":"x","expected_versoin":1}',
        BAD_REQUEST,
        "did you mean 'expected_version'",
    ),
    "64 levels and one": (deep(64), BAD_REQUEST, "64"),
    "10,000 levels": (deep(10_000), BAD_REQUEST, "64"),
    "500,000 open brackets": (b"[" * 500_000, TOO_LARGE, "16384"),
    "a path for an id": (
        b'{"op":"create","manifest_id":"../../etc/passwd","manifest":{}}',
        BAD_REQUEST,
        "manifest_id",
    ),
    "100 slashes": (
        b'{"op":"create","manifest_id":"' + b"/" * 100 + b'","manifest":{}}',
        BAD_REQUEST,
        "manifest_id",
    ),
    "too long an id": (
        b'{"op":"create","manifest_id":"' + b"a" * 513 + b'","manifest":{}}',
        BAD_REQUEST,
        "512",
    ),
    "a zero in an id": (
        b'{"op":"create","manifest_id":"a\\u0000b","manifest":{}}',
        BAD_REQUEST,
        "manifest_id",
    ),
    "an integer of 5,000 digits": (
        b'{"op":"create","manifest_id":"a@1","manifest":{"x":' + b"9" * 5000 + b"}}",
        BAD_REQUEST,
        "2^53",
    ),
    "a lone surrogate": (
        b'{"op":"create","manifest_id":"a@1","manifest":{"x":"\\ud800"}}',
        BAD_REQUEST,
        "",
    ),
    "one byte over 1 MiB": (b" " * (MIB + 1), TOO_LARGE, str(MIB)),
    "2 MB": (b'{"op":"get","manifest_id":"' + b"a" * 2_000_000 + b'"}', TOO_LARGE, str(MIB)),
    "3.9 MB": (random.Random(8).randbytes(3_900_000), TOO_LARGE, str(MIB)),  # noqa: S311
    "MessagePack: truncated": (b"\x82\xa2op", BAD_REQUEST, "MessagePack"),
    "MessagePack: no object": (b"\x80", BAD_REQUEST, "op"),
    "MessagePack: bytes": (
        msgspec.msgpack.encode({"op": "get", "manifest_id": b"\x00"}),
        BAD_REQUEST,
        "",
    ),
    "MessagePack: a number for a name": (
        msgspec.msgpack.encode({"op": "health", 5: 1}),
        BAD_REQUEST,
        "",
    ),
    "MessagePack: duplicate": (b"\x82\xa2op\xa6health\xa2op\xa6health", BAD_REQUEST, "twice"),
    "MessagePack: a map that says it has 4 billion members": (
        b"\xdf\xff\xff\xff\xff\xa1a",
        BAD_REQUEST,
        "MessagePack",
    ),
    "MessagePack: deep": (b"\x81\xa1a" * 10_000 + b"\x01", BAD_REQUEST, ""),
    "MessagePack: unknown op": (
        msgspec.msgpack.encode({"op": "helth"}),
        UNKNOWN_OP,
        "did you mean 'health'",
    ),
}


def is_messagepack(body: bytes) -> bool:
    return body[:1] != b"" and (0x80 <= body[0] <= 0x8F or body[0] in (0xDE, 0xDF))


@pytest.fixture(scope="module", autouse=True)
def memory_stays(daemon: DaemonProcess) -> Iterator[None]:
    """Hold the whole battery against one bound."""
    daemon.ask(op="status")
    before = daemon.rss_bytes()
    yield
    assert daemon.rss_bytes() - before < GROWTH_MAX


@pytest.mark.parametrize("name", BODIES)
def test_garbage_gets_a_helpful_refusal_in_its_own_format(daemon: DaemonProcess, name: str) -> None:
    body, code, said = BODIES[name]

    answer = daemon.ask_bytes(body)

    decode = msgspec.msgpack.decode if is_messagepack(body) else msgspec.json.decode
    reply = decode(answer)
    assert not reply["ok"]
    assert reply["error"]["code"] == code
    assert said in reply["error"]["message"] + str(reply["error"]["path"])
    assert len(answer) < 4096
    assert daemon.result(op="health")["status"] == "ok"


def test_random_requests_never_crash_the_daemon(daemon: DaemonProcess) -> None:
    generator = random.Random(20261123)  # noqa: S311
    good = b'{"op":"create","manifest_id":"a@1","kind":"agent","manifest":{"n":[1,2.5,"x"]}}'
    with daemon.socket(zmq.DEALER) as dealer:
        for _ in range(2000):
            body = bytearray(good)
            for _ in range(generator.randint(1, 6)):
                body[generator.randrange(len(body))] = generator.randrange(256)
            dealer.send_multipart([b"", bytes(body)])
            assert dealer.poll(int(ANSWER_S * 1000)), bytes(body)
            _, answer = dealer.recv_multipart()
            form = msgspec.msgpack if is_messagepack(bytes(body)) else msgspec.json
            assert form.decode(answer)["ok"] in (True, False)


def test_messages_just_under_the_limit_again_and_again_leave_the_memory_alone(
    daemon: DaemonProcess,
) -> None:
    """A peer that does not wait for answers fills its own queues, not the daemon."""
    before = daemon.rss_bytes()
    highest = before
    with daemon.socket(zmq.DEALER, options={zmq.SNDHWM: 4}) as dealer:
        for number in range(300):
            dealer.send_multipart([b"", b"x" + os.urandom(1024) * 3800], copy=False)
            if number % 20 == 0:
                highest = max(highest, daemon.rss_bytes())
        for _ in range(300):
            assert dealer.poll(int(ANSWER_S * 1000))
            assert json.loads(dealer.recv_multipart()[-1])["error"]["code"] == TOO_LARGE

    # While they come, at most REQUESTS_QUEUED_MAX of them wait to be refused.
    assert highest - before < 100 * MIB
    assert daemon.rss_bytes() - before < GROWTH_MAX


@pytest.mark.parametrize("size", [5_000_000, 100_000_000])
def test_a_message_over_the_size_of_a_frame_costs_its_sender_the_connection(
    daemon: DaemonProcess, size: int
) -> None:
    before = daemon.rss_bytes()
    with daemon.socket(zmq.DEALER) as dealer, dealer.get_monitor_socket() as monitor:
        dealer.send_multipart([b"", bytes(size)])
        events = set()
        while zmq.Event.DISCONNECTED.value not in events:
            assert monitor.poll(int(ANSWER_S * 1000))
            events.add(int.from_bytes(monitor.recv_multipart()[0][:2], "little"))
        dealer.disable_monitor()

    assert daemon.result(op="health")["status"] == "ok"
    assert daemon.rss_bytes() - before < GROWTH_MAX


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        bytes(1000),
        b"\xff" * 1000,
        b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x03\x00NULL" + bytes(44) + b"\x04\x05WRONG",
        b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x03\x00PLAIN" + bytes(43),
        random.Random(9).randbytes(100_000),  # noqa: S311
    ],
    ids=["HTTP", "zeros", "ones", "a wrong command", "another mechanism", "random bytes"],
)
def test_bytes_that_are_no_zmtp_are_dropped(daemon: DaemonProcess, data: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(ANSWER_S)
        raw.connect(daemon.commands.removeprefix("ipc://"))
        with suppress(BrokenPipeError, ConnectionResetError):  # Dropped before it was all sent.
            raw.sendall(data)
        assert daemon.result(op="health")["status"] == "ok"


def test_a_hundred_connections_that_say_nothing_keep_nobody_out(daemon: DaemonProcess) -> None:
    raws = [socket.socket(socket.AF_UNIX) for _ in range(100)]
    try:
        for raw in raws:
            raw.connect(daemon.commands.removeprefix("ipc://"))
        assert daemon.result(op="health")["status"] == "ok"
    finally:
        for raw in raws:
            raw.close()
