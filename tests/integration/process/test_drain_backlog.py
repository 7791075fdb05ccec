"""SIGTERM while hundreds of commands are unread: each is answered and there, or not there at all."""

import json
import signal
from collections.abc import Iterator
from typing import Any

import pytest
import zmq

from tests.support.daemon_process import ANSWER_S, STOP_S, DaemonProcess, Socket, short_folder

CLIENTS = 16
COMMANDS = 50  # Of each client, sent without waiting for an answer.
WAIT_MS = int(ANSWER_S * 1000)


def request(client: int, number: int) -> dict[str, Any]:
    return {
        "op": "create",
        "kind": "agent",
        "manifest_id": f"w{client}.{number}@1",
        "manifest": {"name": f"w{client}", "version": "1.0.0"},
        "command_id": f"c{client}.{number}",
    }


def tagged(client: int) -> Iterator[list[bytes]]:
    """Yield messages whose envelope says which command it is, so that an answer does, too."""
    for number in range(COMMANDS):
        body = request(client, number)
        yield [body["manifest_id"].encode(), b"", json.dumps(body).encode()]


def told_of(clients: list[Socket]) -> dict[str, str]:
    """Return what each command that was answered was told: `ok`, or why not."""
    told: dict[str, str] = {}
    for client in clients:
        while client.poll(0):
            tag, _, body = client.recv_multipart()
            reply = json.loads(body)
            told[tag.decode()] = "ok" if reply["ok"] else reply["error"]["code"]
    return told


def repeated(again: Socket) -> dict[str, bool]:
    """Send every command again; return whether it had been carried out already."""
    replayed: dict[str, bool] = {}
    for client in range(CLIENTS):
        for message in tagged(client):
            again.send_multipart(message)
        for _ in range(COMMANDS):
            assert again.poll(WAIT_MS)
            tag, _, body = again.recv_multipart()
            replayed[tag.decode()] = json.loads(body)["result"]["replayed"]
    return replayed


@pytest.mark.no_cover  # What it runs is covered elsewhere; measured, it takes several times as long.
def test_every_command_under_way_at_the_end_is_wholly_done_or_not_at_all() -> None:
    with short_folder() as folder, DaemonProcess(folder) as daemon:
        daemon.start()
        clients = [daemon.socket(zmq.DEALER) for _ in range(CLIENTS)]
        for number, client in enumerate(clients):
            for message in tagged(number):
                client.send_multipart(message)
        assert clients[0].poll(WAIT_MS)
        daemon.signal(signal.SIGTERM)
        assert daemon.wait(STOP_S) == 0, daemon.log()
        told = told_of(clients)
        for client in clients:
            client.close()

        daemon.start()
        there = daemon.result(op="health")["last_seq"]
        with daemon.socket(zmq.DEALER) as again:
            replayed = repeated(again)
        for manifest_id, was_there in replayed.items():
            outcome = told.get(manifest_id)
            assert was_there or outcome != "ok", "it was acknowledged, and it is lost"
            assert not (was_there and outcome == "SHUTTING_DOWN"), "refused, and there"
            assert outcome in (None, "ok", "SHUTTING_DOWN")
        done = sum(replayed.values())
        assert done == there
        assert done == sum(outcome == "ok" for outcome in told.values())
        assert daemon.result(op="verify")["events"] == CLIENTS * COMMANDS
        assert daemon.stop() == 0
