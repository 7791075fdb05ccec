"""Clients that walk manifests through their lives at random, and remember what they were told.

    Load(daemon, seed) -> connect() -> run(acknowledgements) -> run_until_end() -> evidence

Promise:  an answer counts as seen when it was read; a write without one is in doubt. The choices
          come from the seed alone, the order in which answers arrive from the machine.
Assume:   one thread; the daemon runs with `--dev`, so that asserted names count as persons.
"""

from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

import msgspec
import zmq

from tests.support.crash_daemon import CrashDaemon
from tests.support.evidence import Evidence, Key, answer_of

CLIENTS: Final = 16
MANIFESTS_OPEN: Final = 40  # At a time: so few that the clients meet.
DRAIN_MS: Final = 100  # What the kernel still holds of a dead daemon is read within it.

# What a client that meets others may be told. Anything else is a defect.
REFUSALS: Final = frozenset(
    {
        *("VERSION_CONFLICT", "ALREADY_EXISTS", "URN_CONFLICT", "INVALID_TRANSITION"),
        *("GUARD_REJECTED", "IMMUTABLE", "OVERLOADED", "NOT_FOUND"),
    }
)

# state -> what may be tried there, with weights; "get" and "comment" are tried everywhere.
STEPS: Final[dict[str, tuple[tuple[str, int], ...]]] = {
    "DRAFT": (("submit_for_review", 6), ("revise", 3), ("register", 1)),
    "REVIEWED": (("approve", 7), ("reject", 2), ("revert", 1), ("revise", 1)),
    "APPROVED": (("register", 5), ("reject", 3), ("revert", 1), ("approve", 1)),
}
ANYWHERE: Final = (("get", 1), ("comment", 1))


@dataclass
class Known:
    """What the clients think a manifest is; `state` None: it has to be read first."""

    state: str | None = None
    version: int = 0
    exists: bool = False


@dataclass
class Sent:
    """A request that has no answer yet."""

    manifest_id: str
    key: Key | None
    known: Known = field(repr=False)


class Load:
    """Sixteen REQ sockets and one subscriber on one store, over several lives of its daemon."""

    def __init__(self, daemon: CrashDaemon, seed: int, evidence: Evidence | None = None) -> None:
        self.evidence = Evidence() if evidence is None else evidence
        self.acknowledgements = 0
        self._daemon = daemon
        self._random = Random(seed)  # noqa: S311 (repeatable, not secret)
        self._seed = seed
        self._manifests: dict[str, Known] = {}
        self._created = 0
        self._commands = 0
        self._sent: dict[zmq.Socket[bytes], Sent] = {}
        self._subscriber: zmq.Socket[bytes] | None = None
        self._poller = zmq.Poller()

    def connect(self) -> None:
        """Connect to the running daemon, subscribe, and send the first request of each client."""
        self._poller = zmq.Poller()
        self._poller.register(self._daemon.pidfd, zmq.POLLIN)
        self._subscriber = self._subscribe()
        self._poller.register(self._subscriber, zmq.POLLIN)
        for _ in range(CLIENTS):
            socket = self._daemon.socket(zmq.REQ)
            self._poller.register(socket, zmq.POLLIN)
            self._send(socket)

    def run(self, acknowledgements: int) -> None:
        """Go on until so many more writes were acknowledged."""
        wanted = self.acknowledgements + acknowledgements
        while self.acknowledgements < wanted:
            ready = dict(self._poller.poll(30_000))
            assert ready, "nobody was answered for 30 s"
            assert self._daemon.pidfd not in ready, f"the daemon ended:\n{self._daemon.log}"
            self._receive(ready)

    def run_until_end(self) -> None:
        """Go on until the daemon's process has ended, then read what was said before, and close."""
        ended = False
        while not ended:
            ready = dict(self._poller.poll(30_000))
            assert ready, "nobody was answered for 30 s"
            ended = self._daemon.pidfd in ready
            self._receive(ready)
        self._poller.unregister(self._daemon.pidfd)
        while ready := dict(self._poller.poll(DRAIN_MS)):
            self._receive(ready, go_on=False)
        self.close()

    def close(self) -> None:
        """Leave all sockets; what has no answer yet stays in doubt."""
        for sent in self._sent.values():
            sent.known.state = None
        for socket in (*self._sent, self._subscriber):
            if socket is not None:
                socket.close()
        self._sent.clear()
        self._subscriber = None

    def _subscribe(self) -> "zmq.Socket[bytes]":
        """Return a subscriber to all events that is known to be connected."""
        socket = self._daemon.socket(zmq.SUB)
        socket.rcvhwm = 0
        token = f"{self._random.getrandbits(64):016x}"
        for topic in ("event/", f"probe/{token}"):
            socket.subscribe(topic)
        while not socket.poll(20):  # A probe that came before the subscription is not heard.
            self._daemon.result(op="probe", token=token)
        while socket.poll(20):  # The probes that were too many.
            socket.recv_multipart()
        return socket

    def _receive(self, ready: dict[Any, int], *, go_on: bool = True) -> None:
        for socket in ready:
            if socket is self._subscriber:
                self._take_events()
            elif socket in self._sent:
                self._take_reply(self._sent[socket], socket.recv())
                if go_on:
                    self._send(socket)
                else:
                    del self._sent[socket]
                    socket.close()
                    self._poller.unregister(socket)

    def _take_events(self) -> None:
        assert self._subscriber is not None
        while self._subscriber.poll(0):
            _, line = self._subscriber.recv_multipart()
            seq = int(line[len(b'{"seq":') : line.index(b",")])
            assert self.evidence.published.setdefault(seq, line) == line, f"seq {seq}, two events"

    def _take_reply(self, sent: Sent, body: bytes) -> None:
        reply = msgspec.json.decode(body)
        if reply["ok"]:
            answer = answer_of(reply["result"])
            sent.known.state, sent.known.version = answer.state, answer.version
            sent.known.exists = True
            if sent.key is None:
                self.evidence.read.add(answer)
            else:
                assert not reply["result"]["replayed"], reply
                self.evidence.acknowledged[sent.key] = answer
                self.acknowledgements += 1
            return
        error = reply["error"]
        assert error["code"] in REFUSALS, error
        sent.known.state = None
        if error["code"] == "ALREADY_EXISTS":
            sent.known.exists = True
        if sent.key is not None:
            self.evidence.refused.add(sent.key)

    def _send(self, socket: "zmq.Socket[bytes]") -> None:
        manifest_id, known = self._pick()
        request = self._request(manifest_id, known)
        key = None
        if request["op"] != "get":
            self._commands += 1
            key = Key(manifest_id, f"{self._seed}-{self._commands}")
            request["command_id"] = key.command_id
            if known.exists and known.state and self._random.random() < 0.5:
                request["expected_version"] = known.version
        body = msgspec.json.encode(request)
        if key is not None:
            self.evidence.requests[key] = body
        self._sent[socket] = Sent(manifest_id, key, known)
        socket.send(body)

    def _pick(self) -> tuple[str, Known]:
        """Return one of the manifests that are on their way; a new one where there are few."""
        for manifest_id in [m for m, k in self._manifests.items() if k.state == "REGISTERED"]:
            del self._manifests[manifest_id]
        if len(self._manifests) < MANIFESTS_OPEN:
            self._created += 1
            manifest_id = f"load/{self._seed}/{self._created}@1.0.0"
            self._manifests[manifest_id] = Known()
        manifest_id = self._random.choice(list(self._manifests))
        return manifest_id, self._manifests[manifest_id]

    def _request(self, manifest_id: str, known: Known) -> dict[str, Any]:
        request: dict[str, Any] = {"manifest_id": manifest_id}
        if not known.exists:
            return request | {"op": "create", "kind": "agent"} | self._written(manifest_id)
        if known.state is None:
            return request | {"op": "get"}
        steps = (*STEPS[known.state], *ANYWHERE)
        (step,) = self._random.choices([s for s, _ in steps], [weight for _, weight in steps])
        more: dict[str, Any]
        match step:
            case "get":
                more = {"op": step}
            case "comment":
                more = {"op": step, "text": f"remark {self._random.random()}"}
            case "revise":
                more = {"op": step} | self._written(manifest_id)
            case "revert":
                more = {"op": step, "principal": "approver-1"}
            case "reject":
                more = {"op": "transition", "event": step, "reason": "not yet"}
            case _:
                more = {"op": "transition", "event": step, "principal": "approver-1"}
        return request | more

    def _written(self, manifest_id: str) -> dict[str, Any]:
        """Return a document and who wrote it; now and then one whose URN others want, too."""
        number = self._random.getrandbits(32)
        name = "wanted" if number % 50 == 0 else manifest_id.partition("@")[0].replace("/", "-")
        document = {
            "name": name,
            "version": "1.0.0",
            "number": number,
            "text": "x" * (number % 700),
        }
        return {"manifest": document, "principal": f"author-{number % 4}"}
