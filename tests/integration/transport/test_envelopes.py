"""Replies go back behind the request's own envelope, whatever socket sent it (design 5)."""

import json
import time
from typing import Any

import msgspec
import zmq

from tests.support.daemon_process import ANSWER_S, DaemonProcess

HEALTH = b'{"op":"health"}'
WAIT_MS = int(ANSWER_S * 1000)


def ask(dealer: zmq.Socket[bytes], *frames: bytes) -> list[bytes]:
    dealer.send_multipart(frames)
    assert dealer.poll(WAIT_MS), frames
    return dealer.recv_multipart()


def error(body: bytes) -> Any:  # noqa: ANN401 (any JSON value)
    return json.loads(body)["error"]


def test_a_req_socket_is_answered(daemon: DaemonProcess) -> None:
    assert daemon.result(op="health")["status"] == "ok"


def test_a_req_socket_that_correlates_has_one_more_frame_and_gets_it_back(
    daemon: DaemonProcess,
) -> None:
    with daemon.socket(zmq.REQ) as request:
        request.setsockopt(zmq.REQ_CORRELATE, 1)
        request.setsockopt(zmq.REQ_RELAXED, 1)
        request.send(HEALTH)  # Given up: its answer must not be taken for the next one's.
        request.send(b'{"op":"whoami"}')
        assert request.poll(WAIT_MS)
        assert "principal" in json.loads(request.recv())["result"]


def test_a_dealer_may_send_with_and_without_a_delimiter(daemon: DaemonProcess) -> None:
    with daemon.socket(zmq.DEALER) as dealer:
        bare = ask(dealer, HEALTH)
        delimited = ask(dealer, b"", HEALTH)
        numbered = ask(dealer, b"17", b"", HEALTH)
        routed = ask(dealer, *[b"hop"] * 14, b"", HEALTH)

    assert len(bare) == 1
    assert delimited[:-1] == [b""]
    assert numbered[:-1] == [b"17", b""]
    assert routed[:-1] == [*[b"hop"] * 14, b""]
    assert {json.loads(one[-1])["result"]["status"] for one in (bare, delimited, routed)} == {"ok"}


def test_a_message_that_is_no_request_is_answered_where_the_envelope_says_whom(
    daemon: DaemonProcess,
) -> None:
    with daemon.socket(zmq.DEALER) as dealer:
        several = ask(dealer, b"", HEALTH, HEALTH)
        many = ask(dealer, b"7", b"", *[b"x"] * 200)
        no_body = ask(dealer, b"7", b"")
        nothing = ask(dealer, b"")
        two_empty = ask(dealer, b"", b"")
        undelimited = ask(dealer, b"a", HEALTH)

    assert several[:-1] == [b""]
    assert "2 frames behind the empty one" in error(several[-1])["message"]
    assert many[:-1] == [b"7", b""]
    assert "200 frames" in error(many[-1])["message"]
    assert no_body[:-1] == [b"7", b""]
    assert "0 frames" in error(no_body[-1])["message"]
    assert two_empty[:-1] == [b""]
    assert "no empty one" in error(undelimited[-1])["message"]
    assert len(undelimited) == len(nothing) == 1
    bodies = (several, many, no_body, nothing, two_empty, undelimited)
    assert {error(one[-1])["code"] for one in bodies} == {"BAD_REQUEST"}


def test_an_envelope_too_long_to_keep_is_dropped_and_counted(daemon: DaemonProcess) -> None:
    before = daemon.result(op="status")["dropped"]["malformed"]
    with daemon.socket(zmq.DEALER) as dealer:
        dealer.send_multipart([*[b"hop"] * 200, b"", HEALTH])
        assert json.loads(ask(dealer, HEALTH)[0])["ok"]  # Nothing came before this.

    assert daemon.result(op="status")["dropped"]["malformed"] == before + 1


def test_replies_to_a_peer_that_does_not_read_are_bounded_and_nobody_else_notices(
    daemon: DaemonProcess,
) -> None:
    manifest = {"name": "left", "version": "1.0.0", "text": "x" * 500_000}
    daemon.result(op="create", manifest_id="left@1", kind="agent", manifest=manifest)
    get = b'{"op":"get","manifest_id":"left@1"}'
    before = daemon.rss_bytes()
    with daemon.socket(zmq.DEALER, options={zmq.RCVHWM: 1, zmq.SNDHWM: 0}) as dealer:
        answered = daemon.result(op="status")["refusals"]
        for _ in range(800):  # 400 MB of answers; 16 fit into its queue.
            dealer.send_multipart([b"", get])
        deadline_s = time.monotonic() + ANSWER_S
        while daemon.result(op="status")["refusals"] == answered:
            assert time.monotonic() < deadline_s
            assert json.loads(daemon.ask_bytes(get))["ok"]
        assert daemon.rss_bytes() - before < 100 << 20
        codes = []
        for _ in range(800):
            assert dealer.poll(WAIT_MS)
            reply = json.loads(dealer.recv_multipart()[-1])
            codes.append("ok" if reply["ok"] else reply["error"]["code"])

    assert set(codes) == {"ok", "OVERLOADED"}


def test_replies_over_the_bound_of_the_queue_are_dropped_and_counted(
    daemon: DaemonProcess,
) -> None:
    before = daemon.result(op="status")["dropped"]["replies"]
    with daemon.socket(zmq.DEALER, options={zmq.RCVHWM: 1, zmq.SNDHWM: 0}) as dealer:
        deadline_s = time.monotonic() + ANSWER_S
        while daemon.result(op="status")["dropped"]["replies"] == before:
            assert time.monotonic() < deadline_s
            for _ in range(500):
                dealer.send_multipart([b"", b'{"op":"lifecycle"}'])

    assert daemon.result(op="health")["status"] == "ok"


def test_a_request_in_messagepack_is_answered_in_messagepack(daemon: DaemonProcess) -> None:
    reply = daemon.ask_bytes(msgspec.msgpack.encode({"op": "health"}))
    refusal = daemon.ask_bytes(msgspec.msgpack.encode({"op": "get", "manifest_id": "none@1"}))

    assert msgspec.msgpack.decode(reply)["result"]["status"] == "ok"
    assert msgspec.msgpack.decode(refusal)["error"]["code"] == "NOT_FOUND"


def test_refusals_are_counted(daemon: DaemonProcess) -> None:
    before = daemon.result(op="status")["refusals"]
    daemon.error(op="get", manifest_id="none@1")

    assert daemon.result(op="status")["refusals"] == before + 1
