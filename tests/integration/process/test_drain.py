"""SIGTERM under load: what was acknowledged is there afterwards, what was refused is not."""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from itertools import islice, product
from pathlib import Path
from typing import Any

import pytest
import zmq

from daemon.transport.router import BURST_MAX
from tests.support.daemon_process import ANSWER_S, STOP_S, DaemonProcess, NotifySocket, short_folder
from tests.support.held_daemon import NO_FAULT, held, program

CLIENTS = 16
WAIT_MS = int(ANSWER_S * 1000)


class Writer(threading.Thread):
    """A REQ client that creates manifests until the daemon refuses, or is gone."""

    def __init__(self, daemon: DaemonProcess, name: str) -> None:
        super().__init__(name=name)
        self.accepted: list[str] = []
        self.refused: list[str] = []
        self.unanswered: list[str] = []
        self.started = threading.Event()
        self.ending = threading.Event()
        self._request = daemon.socket(zmq.REQ)

    def run(self) -> None:
        """Write."""
        number = 0
        while not self.refused and not self.unanswered:
            manifest_id = f"{self.name}.{number}@1"
            number += 1
            document = {"name": self.name, "version": "1.0.0"}
            request = {"op": "create", "kind": "agent", "manifest": document}
            self._request.send(json.dumps(request | {"manifest_id": manifest_id}).encode())
            while not self._request.poll(100):
                if self.ending.is_set():
                    break
            if not self._request.poll(0):
                self.unanswered.append(manifest_id)
                continue
            reply = json.loads(self._request.recv())
            if reply["ok"]:
                self.accepted.append(manifest_id)
                self.started.set()
            else:
                assert reply["error"]["code"] == "SHUTTING_DOWN", reply
                self.refused.append(manifest_id)
        self._request.close()


def all_ids(daemon: DaemonProcess) -> set[str]:
    ids: set[str] = set()
    cursor: dict[str, Any] = {}
    while True:
        page = daemon.result(op="list", limit=1000, **cursor)
        ids.update(row["manifest_id"] for row in page["manifests"])
        if page["cursor"] is None:
            return ids
        cursor = {"cursor": page["cursor"]}


@pytest.mark.parametrize(
    "signals",
    [
        [signal.SIGTERM],
        [signal.SIGINT],
        [signal.SIGHUP],
        [signal.SIGTERM] * 50,
        [signal.SIGTERM, signal.SIGINT] * 10,
    ],
    ids=["SIGTERM", "SIGINT", "SIGHUP", "50 times SIGTERM", "both"],
)
def test_a_daemon_that_is_told_to_stop_under_load_keeps_its_word(
    signals: list[signal.Signals],
) -> None:
    with short_folder() as folder, DaemonProcess(folder) as daemon:
        daemon.start()
        subscriber = daemon.subscriber(b"event/", b"bye")
        writers = [Writer(daemon, f"w{number}") for number in range(CLIENTS)]
        for writer in writers:
            writer.start()
        for writer in writers:
            assert writer.started.wait(ANSWER_S)
        for number in signals:
            daemon.signal(number)
        status = daemon.wait(STOP_S)
        for writer in writers:
            writer.ending.set()
        for writer in writers:
            writer.join(ANSWER_S)
            assert not writer.is_alive()

        assert status == 0, daemon.log()
        assert (folder / "data" / "clean").exists()
        assert "Traceback" not in daemon.log()
        accepted = {one for writer in writers for one in writer.accepted}
        refused = {one for writer in writers for one in writer.refused}
        said_last, published = read_to_bye(subscriber)
        subscriber.close()

        daemon.start()
        ids = all_ids(daemon)
        assert accepted <= ids
        assert not refused & ids
        assert daemon.result(op="health")["last_seq"] == len(ids)
        assert said_last == len(ids)
        assert published == list(range(published[0], len(ids) + 1))
        assert daemon.result(op="verify")["events"] == len(ids)
        assert daemon.stop() == 0


# What a signal meets for certain: commands in hand, and commands that nobody has read.

IN_HAND = 40
UNREAD_OF_EACH = 64
EXECUTED_MAX = 4 * BURST_MAX  # Bursts that may be read before the loop comes to the signal.
ANSWERED_MS = 2000  # The process has ended: what it sent lies in the socket.
SHORT_STOP_S = 3.0  # For the daemon that never stops.


def create(name: str, number: int) -> list[bytes]:
    """Return a command whose envelope says which one it is, so that its answer does, too."""
    manifest_id = f"{name}.{number}@1"
    document = {"name": name, "version": "1.0.0"}
    body = {"op": "create", "kind": "agent", "manifest_id": manifest_id, "manifest": document}
    return [manifest_id.encode(), b"", json.dumps(body).encode()]


def answers_on(socket: zmq.Socket[bytes], wait_ms: int) -> Iterator[tuple[str, str]]:
    """Yield each command that was answered, and what it was told: `ok`, or why not."""
    while socket.poll(wait_ms):
        tag, _, body = socket.recv_multipart()
        reply = json.loads(body)
        yield tag.decode(), "ok" if reply["ok"] else reply["error"]["code"]


def stopped_with_unread_commands(folder: Path, fault: str, stop_s: float) -> None:
    """Stop a daemon with commands in hand and unread ones, and see that it keeps its word."""
    notify = NotifySocket(str(folder / "n"))
    with DaemonProcess(folder, program=program(folder, fault)) as daemon, notify:
        daemon.environment["NOTIFY_SOCKET"] = notify.address
        daemon.start()
        hands = daemon.socket(zmq.DEALER)
        clients = [daemon.socket(zmq.DEALER) for _ in range(CLIENTS)]
        with held(folder):
            for number in range(IN_HAND):
                hands.send_multipart(create("in-hand", number))
            while daemon.result(op="status")["limits"]["in_flight"]["used"] < IN_HAND:
                pass
            daemon.signal(signal.SIGSTOP)
            for client, number in product(clients, range(UNREAD_OF_EACH)):
                client.send_multipart(create(f"w{clients.index(client)}", number))
            daemon.signal(signal.SIGTERM)
            daemon.signal(signal.SIGCONT)
            notify.receive_until("STOPPING")
        assert daemon.wait(stop_s) == 0, daemon.log()

        in_hand = dict(islice(answers_on(hands, ANSWERED_MS), IN_HAND))
        assert list(in_hand.values()) == ["ok"] * IN_HAND, "somebody in hand was not answered"
        unread = dict(answer for client in clients for answer in answers_on(client, 0))
        daemon.start()
        executed = all_ids(daemon) - set(in_hand)
        assert len(executed) <= EXECUTED_MAX, "unread commands were executed"
        for manifest_id, answer in unread.items():
            assert answer == ("ok" if manifest_id in executed else "SHUTTING_DOWN"), manifest_id
        assert daemon.stop() == 0


def test_what_is_in_hand_is_answered_and_what_is_unread_is_not_executed() -> None:
    with short_folder() as folder:
        stopped_with_unread_commands(folder, NO_FAULT, STOP_S)


@pytest.mark.parametrize(
    ("fault", "error", "reason"),
    [
        ("executed-unread", AssertionError, "unread commands were executed"),
        ("unanswered-batch", AssertionError, "in hand was not answered"),
        ("endless-end", subprocess.TimeoutExpired, "timed out"),
    ],
)
def test_a_daemon_that_breaks_its_word_at_the_end_is_found_out(
    fault: str, error: type[Exception], reason: str
) -> None:
    """The negative controls."""
    with short_folder() as folder, pytest.raises(error, match=reason):
        stopped_with_unread_commands(
            folder, fault, SHORT_STOP_S if fault == "endless-end" else STOP_S
        )


def read_to_bye(subscriber: zmq.Socket[bytes]) -> tuple[int, list[int]]:
    """Return the seq that `bye` names and those of the events before it."""
    seqs: list[int] = []
    while True:
        assert subscriber.poll(WAIT_MS), "no bye"
        topic, body = subscriber.recv_multipart()
        if topic == b"bye":
            return int(json.loads(body)["seq"]), seqs
        seqs.append(int(json.loads(body)["seq"]))


def test_a_signal_while_the_process_ends_does_not_change_its_status() -> None:
    with short_folder() as folder, DaemonProcess(folder) as daemon:
        daemon.start()
        assert daemon.process is not None
        while daemon.process.poll() is None:
            daemon.process.send_signal(signal.SIGTERM)

        assert daemon.process.returncode == 0


def test_a_signal_during_recovery_ends_it_at_once() -> None:
    with short_folder() as folder, DaemonProcess(folder) as daemon:
        daemon.start()
        assert daemon.stop() == 0
        index = folder / "data" / "index" / "manifests.jsonl"
        index.unlink()
        os.mkfifo(index)  # Nobody will ever write: reading it never ends.
        with NotifySocket(str(folder / "n")) as notify:
            daemon.environment["NOTIFY_SOCKET"] = notify.address
            daemon.spawn()
            assert "recovery" in notify.receive()["STATUS"]
        assert daemon.process is not None
        started_s = time.monotonic()
        daemon.process.terminate()

        assert daemon.wait() == 0, daemon.log()
        assert time.monotonic() - started_s < 10
        assert "stopped while recovering" in daemon.log()
        index.unlink()
        daemon.start()
        assert daemon.stop() == 0


def test_slow_reads_do_not_hold_up_the_end() -> None:
    with short_folder() as folder, DaemonProcess(folder) as daemon:
        daemon.start()
        with daemon.socket(zmq.DEALER) as dealer:
            for number in range(500):
                document = {"name": f"n{number}", "version": "1.0.0"}
                request = {"op": "create", "kind": "agent", "manifest": document}
                dealer.send_multipart([b"", json.dumps(request).encode()])
            for _ in range(500):
                assert dealer.poll(WAIT_MS)
                dealer.recv_multipart()
            for _ in range(100):  # Each reads five hundred files.
                dealer.send_multipart([b"", b'{"op":"verify"}'])
            assert daemon.result(op="health")["status"] == "ok"
            started_s = time.monotonic()
            assert daemon.stop() == 0
        assert time.monotonic() - started_s < 10


def test_a_fresh_store_that_is_stopped_at_once_is_clean() -> None:
    with short_folder() as folder, DaemonProcess(folder) as daemon:
        daemon.start()
        assert daemon.stop() == 0
        assert (folder / "data" / "clean").exists()
        assert not (folder / "c").exists()
        assert not (folder / "e").exists()
