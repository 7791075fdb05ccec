"""Clients that read and write the same few manifests at once, and write down when they saw what.

    Recorder(daemon, random) -> connect -> run(count) -> crash -> connect -> ... -> operations

Promise:  an operation begins before its request leaves and ends after its answer was read. Who gets
          no answer, because he leaves or the daemon is killed, has an outcome that is not known;
          some ask again, under the same command id, and have one in the end.
Not here: whether it can be explained (`linearizability.py`).
"""

import time
from random import Random
from typing import Any, Final, NamedTuple

import msgspec
import zmq

from protocol.canonical import document_digest
from tests.support.crash_daemon import CrashDaemon
from tests.support.linearizability import Kind, Operation

CLIENTS: Final = 12
MANIFESTS: Final = 3
WAIT_MS: Final = 30_000
LEAVES: Final = 0.02  # How often a client leaves after it has sent something.
ASKS_AGAIN: Final = 0.5  # How often who was left without an answer asks again.
NOT_NOW: Final = frozenset({"OVERLOADED", "SHUTTING_DOWN"})  # It was refused, and had no effect.


class _Sent(NamedTuple):
    operation: Operation  # As it is while nobody knows the outcome.
    request: dict[str, Any]


class Recorder:
    """Twelve REQ sockets on three manifests, in one thread."""

    def __init__(self, daemon: CrashDaemon, random: Random) -> None:
        self.operations: list[Operation] = []
        self._daemon = daemon
        self._random = random
        self._names = [f"history/{random.getrandbits(32):08x}@{n}" for n in range(MANIFESTS)]
        self._known = dict.fromkeys(self._names, 0)  # The version that was last heard of.
        self._sent: dict[zmq.Socket[bytes], _Sent] = {}
        self._again: list[_Sent] = []
        self._poller = zmq.Poller()
        self._number = 0

    def connect(self) -> None:
        """Connect to the running daemon and send the first request of each client."""
        self._poller = zmq.Poller()
        self._poller.register(self._daemon.pidfd, zmq.POLLIN)
        for _ in range(CLIENTS):
            self._enter()

    def run(self, count: int) -> None:
        """Go on until so many more operations are known."""
        wanted = len(self.operations) + count
        while len(self.operations) < wanted:
            ready = dict(self._poller.poll(WAIT_MS))
            assert ready, "nobody was answered"
            assert self._daemon.pidfd not in ready, self._daemon.log
            for socket in ready:
                self._take(self._sent[socket], msgspec.json.decode(socket.recv()))
                self._send(socket)
                if self._random.random() < LEAVES:
                    self._leave(socket)
                    self._enter()

    def crash(self) -> None:
        """Kill the daemon with everything under way."""
        self._daemon.kill()
        for socket in list(self._sent):
            self._leave(socket)

    def close(self) -> None:
        """Leave; what has no answer has none."""
        for socket in list(self._sent):
            self._leave(socket)
        self.operations += [sent.operation for sent in self._again]
        self._again.clear()

    def _enter(self) -> None:
        socket = self._daemon.socket(zmq.REQ)
        self._poller.register(socket, zmq.POLLIN)
        self._send(socket)

    def _leave(self, socket: "zmq.Socket[bytes]") -> None:
        sent = self._sent.pop(socket)
        self._poller.unregister(socket)
        socket.close()
        is_write = sent.operation.kind is Kind.WRITE
        if is_write and self._random.random() < ASKS_AGAIN:
            self._again.append(sent)
        else:
            self.operations.append(sent.operation)

    def _send(self, socket: "zmq.Socket[bytes]") -> None:
        sent = self._again.pop(0) if self._again else self._new()
        self._sent[socket] = sent
        socket.send(msgspec.json.encode(sent.request))

    def _new(self) -> _Sent:
        name = self._random.choice(self._names)
        if self._random.random() < 0.4:
            read = Operation(name, Kind.READ, time.monotonic(), None)
            return _Sent(read, {"op": "get", "manifest_id": name})
        self._number += 1
        document = msgspec.json.encode({"n": self._number, "name": "history", "version": "1.0.0"})
        request: dict[str, Any] = {
            "op": "revise" if self._known[name] else "create",
            "manifest_id": name,
            "manifest": msgspec.Raw(document),
            "command_id": f"{name}-{self._number}",
        }
        expected = None
        if request["op"] == "create":
            expected = 0
            request["kind"] = "agent"
        elif self._random.random() < 0.8:
            expected = request["expected_version"] = self._known[name]
        write = Operation(name, Kind.WRITE, time.monotonic(), None, expected)
        return _Sent(write._replace(value=document_digest(document)), request)

    def _take(self, sent: _Sent, reply: dict[str, Any]) -> None:
        operation = sent.operation._replace(returned=time.monotonic())
        if reply["ok"]:
            result = reply["result"]
            operation = operation._replace(observed=result["version"])
            if operation.kind is Kind.READ:
                operation = operation._replace(value=result["digest"])
            else:
                assert result["digest"] == operation.value, reply
        else:
            code, details = reply["error"]["code"], reply["error"]["details"]
            if code in NOT_NOW:
                return
            if operation.kind is Kind.READ:
                assert code == "NOT_FOUND", reply
                operation = operation._replace(observed=0)
            else:
                assert code in {"VERSION_CONFLICT", "ALREADY_EXISTS"}, reply
                actual = details.get("actual", details.get("version"))
                operation = operation._replace(observed=actual, is_refused=True)
        assert operation.observed is not None
        self._known[operation.key] = max(self._known[operation.key], operation.observed)
        self.operations.append(operation)
