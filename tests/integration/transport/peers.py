"""Peers in processes of their own, as a test drives them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Protocol

from tests.support.daemon_process import DaemonProcess, environment

NOBODY = 65534


class Peer:
    """The other end of `peer.py`."""

    def __init__(self, endpoint: str, *, uid: int | None, routing_id: bytes) -> None:
        program = str(Path(__file__).with_name("peer.py"))
        command = [sys.executable, program, endpoint, "-" if uid is None else str(uid)]
        self._process = subprocess.Popen(
            [*command, routing_id.hex()] if routing_id else command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
            cwd="/",
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def order(self, *words: str) -> Any:  # noqa: ANN401 (any JSON value)
        """Have it do one thing; return what it received."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(*words, file=self._process.stdin, flush=True)
        received = json.loads(self._process.stdout.readline())
        return None if received is None else json.loads(received)

    def whoami(self) -> Any:  # noqa: ANN401 (any JSON value)
        """Ask the daemon who this peer is; None when it does not answer."""
        reply = self.order("ask", '{"op":"whoami"}')
        return None if reply is None else reply["result"]

    def close(self) -> None:
        """End the process."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait(20)


class MakePeer(Protocol):
    """Starts a peer that ends with the test."""

    def __call__(
        self, daemon: DaemonProcess, *, uid: int | None = None, routing_id: bytes = b""
    ) -> Peer: ...
