"""A ROUTER that answers as a test wants it to, to see what a client makes of that.

It is a real socket in a thread of its own, so that blocking and async clients meet the same thing.
"""

import shutil
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import msgspec
import zmq

Request = dict[str, Any]
Answer = Callable[[int, Request], bytes | None]

OK_HEALTH = {"status": "ok", "protocol": 1, "version": "0", "store_id": "s", "last_seq": 0}
OK_STEP = {
    "manifest_id": "a",
    "kind": "agent",
    "state": "DRAFT",
    "version": 1,
    "seq": 1,
    "digest": "sha256:0",
    "urn": None,
    "author": "a",
    "allowed_events": [],
}


def ok(result: object) -> bytes:
    """Return the body of a reply that says ok."""
    return msgspec.json.encode({"ok": True, "result": result})


def refused(code: str, **members: object) -> bytes:
    """Return the body of a reply that refuses."""
    return msgspec.json.encode(
        {"ok": False, "error": {"code": code, "message": "refused", **members}}
    )


class FakeDaemon:
    """Answers request number n (from 1) with `answer(n, request)`; None: not at all.

    `requests` are those that came, decoded, in order.
    The answer to request number `held` is kept back until another one is due.
    """

    def __init__(self, answer: Answer, *, held: int | None = None) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="fake-"))
        self.commands = f"ipc://{self._folder}/commands"
        self.requests: list[Request] = []
        self._answer = answer
        self._held = held
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._router = self._context.socket(zmq.ROUTER)
        self._router.bind(self.commands)
        self._control = self._context.socket(zmq.PAIR)
        self._control.bind("inproc://stop")
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._control.send(b"")
        self._thread.join()
        self._context.destroy(linger=0)
        shutil.rmtree(self._folder)

    def _serve(self) -> None:
        with self._context.socket(zmq.PAIR) as stop:
            stop.connect("inproc://stop")
            self._serve_until(stop)

    def _serve_until(self, stop: zmq.Socket[bytes]) -> None:
        poller = zmq.Poller()
        poller.register(self._router, zmq.POLLIN)
        poller.register(stop, zmq.POLLIN)
        late: list[bytes] | None = None
        while stop not in dict(poller.poll()):
            *envelope, body = self._router.recv_multipart()
            self.requests.append(msgspec.json.decode(body))
            number = len(self.requests)
            answer = self._answer(number, self.requests[-1])
            if answer is None:
                continue
            if number == self._held:
                late = [*envelope, answer]
                continue
            if late is not None:  # First, so that a client that confuses them is seen.
                self._router.send_multipart(late)
                late = None
            self._router.send_multipart([*envelope, answer])
