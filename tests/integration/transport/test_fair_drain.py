"""Whoever asks seldom is answered soon, whatever waits on other connections: counted, not timed.

The quiet connection is a plain socket, so that what it sends is with the daemon's kernel when `sendall`
returns, and nothing that a client library does meanwhile is counted.
"""

import asyncio
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
import zmq

from actors.turns import Turns
from daemon.admission import Admission, Bounds
from daemon.transport.identity import Identity
from daemon.transport.router import CommandSocket
from daemon.transport.sockets import make_context
from protocol.commands import Probe, Request
from protocol.errors import CommandError
from protocol.principals import Peer
from protocol.replies import ProbeResult
from tests.support.daemon_process import ANSWER_S, short_folder

WAITING = 5000  # Messages on the flooding connection.
QUESTIONS = range(500, WAITING - 1500, 500)  # So many of them were handled when the other one asks.
# What libzmq has taken from the flooding connection when the question comes, and what it takes while it
# gets round to it. Measured: 1 to 40.
BETWEEN_MAX = 500
FLOOD, QUIET = "f" * 16, "a" * 16
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
READY = b"\x05READY\x0bSocket-Type" + (6).to_bytes(4) + b"DEALER"


def frame(body: bytes, flags: int = 0) -> bytes:
    """Return a short frame of ZMTP 3.0 (RFC 23)."""
    return bytes([flags, len(body)]) + body


def ask(token: str) -> bytes:
    return b'{"op":"probe","token":"%b"}' % token.encode()


class Quiet:
    """A connection that asks when a test says so."""

    def __init__(self, path: Path) -> None:
        self._raw = socket.socket(socket.AF_UNIX)
        self._raw.settimeout(ANSWER_S)
        self._raw.connect(str(path))
        self._raw.sendall(GREETING + frame(READY, flags=4))
        self._received(len(GREETING))
        _, size = self._received(2)
        self._received(size)

    def _received(self, size: int) -> bytes:
        received = b""
        while len(received) < size:
            part = self._raw.recv(size - len(received))
            assert part
            received += part
        return received

    def ask(self) -> None:
        """Send one request."""
        self._raw.sendall(frame(ask(QUIET)))

    def close(self) -> None:
        """Hang up."""
        self._raw.close()


class Recorder:
    """Handles requests, has the quiet connection ask now and then, and counts until it is heard."""

    def __init__(self, quiet: Quiet) -> None:
        self.between: list[int] = []
        self.done = asyncio.get_running_loop().create_future()
        self._quiet = quiet
        self._handled = 0
        self._asked_at: int | None = None

    def handle(
        self, request: Request, _peer: Peer, answer: Callable[[msgspec.Struct | CommandError], None]
    ) -> None:
        """See `daemon.transport.router.Handler`."""
        assert isinstance(request, Probe)
        if request.token == QUIET:
            assert self._asked_at is not None
            self.between.append(self._handled - self._asked_at)
            self._asked_at = None
        else:
            self._handled += 1
            if self._handled in QUESTIONS and self._asked_at is None:
                self._asked_at = self._handled
                self._quiet.ask()
        answer(ProbeResult(token=request.token, last_seq=0))
        if self._handled == WAITING and self._asked_at is None and not self.done.done():
            self.done.set_result(None)


class Hoarder(CommandSocket):
    """A socket broken on purpose: it reads everything there is before it hands on the first."""

    def start(self) -> None:
        """See `CommandSocket`."""
        self._hoard: list[Callable[[], None]] = []
        super().start()

    def _request(self, envelope, frame) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
        self._hoard.append(lambda: CommandSocket._request(self, envelope, frame))  # noqa: SLF001
        if len(self._hoard) == 1:
            self._wait(0)

    def _wait(self, seen: int) -> None:
        if len(self._hoard) > seen:
            self._loop.call_later(0.05, self._wait, len(self._hoard))
            return
        hoard, self._hoard = self._hoard, []
        for one in hoard:
            one()


@pytest.fixture
def flooded() -> Iterator[Path]:
    with short_folder() as folder:
        yield folder / "c"


async def between(path: Path, kind: type[CommandSocket]) -> list[int]:
    """Return how many messages of the flood were handled between each question and its handling."""
    context = make_context()
    try:
        with zmq.Context() as peers, peers.socket(zmq.DEALER) as flooding:
            flooding.setsockopt(zmq.SNDHWM, 0)
            flooding.setsockopt(zmq.LINGER, 0)
            admission = Admission(Identity(), Bounds(in_flight=1 << 20))
            recorder: Recorder
            opened = kind(context, [f"ipc://{path}"], admission, Late(lambda: recorder), Turns())
            flooding.connect(f"ipc://{path}")
            for _ in range(WAITING):
                flooding.send(ask(FLOOD))
            quiet = Quiet(path)
            recorder = Recorder(quiet)
            opened.start()
            await recorder.done
            opened.close(0)
            quiet.close()
            return recorder.between
    finally:
        context.destroy(0)


class Late:
    """A handler that is made after the socket that needs it."""

    def __init__(self, handler: Callable[[], Recorder]) -> None:
        self._handler = handler

    def handle(
        self, request: Request, peer: Peer, answer: Callable[[msgspec.Struct | CommandError], None]
    ) -> None:
        """See `daemon.transport.router.Handler`."""
        self._handler().handle(request, peer, answer)


async def test_a_quiet_connection_is_heard_while_thousands_of_messages_wait(flooded: Path) -> None:
    counts = await between(flooded, CommandSocket)

    assert len(counts) == len(QUESTIONS)
    assert max(counts) <= BETWEEN_MAX


async def test_a_socket_that_hoards_is_noticed(flooded: Path) -> None:
    """The negative control."""
    assert max(await between(flooded, Hoarder)) > BETWEEN_MAX
