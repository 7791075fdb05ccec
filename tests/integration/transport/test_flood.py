"""One peer floods: it is told so, and whoever else asks is served in his turn."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import zmq

from tests.integration.transport.peers import MakePeer
from tests.support.daemon_process import ANSWER_S, DaemonProcess, Socket, short_folder

IN_FLIGHT = 64
FLOOD = 600
WAIT_MS = int(ANSWER_S * 1000)


@pytest.fixture(scope="module")
def daemon() -> Iterator[DaemonProcess]:
    """Run a daemon that lets few in."""
    with short_folder() as folder:
        variables = {"MANIFESTD_LIMITS__IN_FLIGHT": str(IN_FLIGHT)}
        with DaemonProcess(folder, variables=variables) as running:
            yield running.start()
            assert running.stop() == 0, running.log()


def write(op: str, manifest_id: str, **members: object) -> bytes:
    return json.dumps({"op": op, "manifest_id": manifest_id, **members}).encode()


def create(daemon: DaemonProcess, manifest_id: str) -> None:
    document = {"name": "a", "version": "1.0.0"}
    daemon.result(op="create", manifest_id=manifest_id, kind="agent", manifest=document)


def flood(dealer: Socket, manifest_id: str) -> None:
    for _ in range(FLOOD):
        dealer.send_multipart([b"", write("comment", manifest_id, text="x")])


def answers(dealer: Socket, count: int) -> list[dict[str, Any]]:
    got = []
    for _ in range(count):
        assert dealer.poll(WAIT_MS)
        got.append(json.loads(dealer.recv_multipart()[1]))
    return got


def test_who_has_too_much_under_way_is_told_when_to_come_back(daemon: DaemonProcess) -> None:
    create(daemon, "told@1")
    refused = daemon.result(op="status")["limits"]["in_flight"]["refused"]
    with daemon.socket(zmq.DEALER) as dealer:
        flood(dealer, "told@1")
        told = answers(dealer, FLOOD)

    errors = [reply["error"] for reply in told if not reply["ok"]]
    assert {error["code"] for error in errors} == {"OVERLOADED"}
    assert errors[0]["retryable"]
    assert errors[0]["details"] == {"limit": IN_FLIGHT, "retry_after_ms": 200}
    accepted = FLOOD - len(errors)
    assert daemon.result(op="get", manifest_id="told@1")["version"] == 1 + accepted
    usage = daemon.result(op="status")["limits"]["in_flight"]
    assert usage == {"used": 1, "limit": IN_FLIGHT, "refused": refused + len(errors)}


def test_another_s_command_is_carried_out_in_its_turn(
    daemon: DaemonProcess, make_peer: MakePeer
) -> None:
    """Order, not time: what was answered to the flood before the other one had its answer."""
    create(daemon, "flooded@1")
    create(daemon, "other@1")
    other = make_peer(daemon)
    assert other.whoami()
    with daemon.socket(zmq.DEALER) as dealer, daemon.socket(zmq.DEALER) as second:
        ahead: Counter[bool] = Counter()
        for _ in range(3):
            flood(dealer, "flooded@1")
            flood(second, "flooded@1")
            reply = other.order("ask", write("comment", "other@1", text="x").decode())
            assert reply["ok"], reply
            for replies in (answers(dealer, FLOOD), answers(second, FLOOD)):
                ahead.update(reply["ok"] for reply in replies)
    assert ahead[False] > 0
    assert daemon.result(op="get", manifest_id="other@1")["version"] == 4
