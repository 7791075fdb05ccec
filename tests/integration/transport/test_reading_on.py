"""A fault of ours while a message is read costs that message, and none that waits behind it."""

import asyncio
from collections.abc import Callable

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

MESSAGES = 50


class Forgetful(CommandSocket):
    """Has no memory left for the first message."""

    is_first = True

    def _request(self, envelope, frame) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
        if self.is_first:
            self.is_first = False
            raise MemoryError
        super()._request(envelope, frame)

    def has_unread(self) -> bool:
        """Wait until a message is there to be read."""
        return self._socket.poll(int(ANSWER_S * 1000)) != 0


class Collector:
    """Keeps the tokens that were asked for, and sees the last one."""

    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.done = asyncio.Event()

    def handle(
        self, request: Request, _peer: Peer, answer: Callable[[msgspec.Struct | CommandError], None]
    ) -> None:
        """See `daemon.transport.router.Handler`."""
        assert isinstance(request, Probe)
        self.tokens.append(request.token)
        answer(ProbeResult(token=request.token, last_seq=0))
        if len(self.tokens) == MESSAGES - 1:
            self.done.set()


async def test_what_waits_behind_a_message_that_failed_is_read(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tokens = [f"{number:016}" for number in range(MESSAGES)]
    context = make_context()
    collector = Collector()
    try:
        with short_folder() as folder, zmq.Context() as peers, peers.socket(zmq.DEALER) as peer:
            peer.setsockopt(zmq.LINGER, 0)
            admission = Admission(Identity(), Bounds())
            endpoint = f"ipc://{folder}/c"
            opened = Forgetful(context, [endpoint], admission, collector, Turns())
            peer.connect(endpoint)
            for token in tokens:
                peer.send_multipart([b"", b'{"op":"probe","token":"%b"}' % token.encode()])
            assert opened.has_unread()
            opened.start()
            async with asyncio.timeout(ANSWER_S):
                await collector.done.wait()
            opened.close(0)
    finally:
        context.destroy(0)

    assert collector.tokens == tokens[1:]
    assert "MemoryError" in caplog.text
