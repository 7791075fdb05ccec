"""The command socket: ROUTER, drained in bounded bursts, answered when the engine says so.

    request  := routing id, envelope, body        envelope := frames up to the first empty one
    request  := routing id, body                  (a DEALER without a delimiter)
    reply    := routing id, envelope, body

Promise:  every request that can be answered is, once, behind its own envelope; what cannot is
          dropped and counted. Sending never waits: a reply to a full or gone peer is dropped.
Assume:   the loop's thread is the only one that touches the socket.
Not here: what a request means (`actors.engine`); who may what (`identity.py`).

The socket's FD is edge-triggered (zmq_getsockopt(3), ZMQ_FD): after each burst, and after replies
were sent, `ZMQ_EVENTS` is looked at again, or messages would lie unread.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import msgspec
import zmq

from daemon.transport.identity import Identity
from daemon.transport.sockets import (
    NOBLOCK,
    SNDMORE_NOBLOCK,
    Context,
    bind,
    is_readable,
    open_socket,
    recv,
    send,
)
from protocol.codec import Format, decode_request, encode_error, encode_result, format_of
from protocol.commands import Request
from protocol.errors import BadRequestError, CommandError, InternalError
from protocol.principals import Peer

log: Final = logging.getLogger(__name__)

BURST_MAX: Final = 128  # Messages per wake-up: then timers and commits get their turn.
REPLIES_QUEUED_MAX: Final = 1000  # Per peer; REQ has one, a pipelining DEALER may have more.
FRAMES_MAX: Final = 16  # Of an envelope; more is no client of ours.


class Handler(Protocol):
    """What the socket hands requests to."""

    def handle(
        self, request: Request, peer: Peer, answer: Callable[[msgspec.Struct | CommandError], None]
    ) -> None:
        """Carry out a request; `answer` is called once, now or later."""


class _Answer:
    """Sends one reply behind its request's envelope."""

    __slots__ = ("_envelope", "_form", "_router")

    def __init__(self, router: "CommandSocket", envelope: Sequence[bytes], form: Format) -> None:
        self._router = router
        self._envelope = envelope
        self._form = form

    def __call__(self, outcome: msgspec.Struct | CommandError) -> None:
        self._router.reply(self._envelope, self._form, outcome)


class CommandSocket:
    """The ROUTER socket of a running daemon."""

    def __init__(
        self,
        context: Context,
        endpoints: Sequence[str],
        identity: Identity,
        handler: Handler,
    ) -> None:
        self._identity = identity
        self._handler = handler
        self._loop = asyncio.get_running_loop()
        self._socket = open_socket(context, zmq.ROUTER, send_queue_max=REPLIES_QUEUED_MAX)
        self._socket.set(zmq.ROUTER_MANDATORY, 1)
        self._checking = False
        self.refused = 0
        self.dropped = 0  # Replies to peers that are full or gone.
        self.malformed = 0  # Messages that could not be answered.
        for endpoint in endpoints:
            bind(self._socket, endpoint)
        self._fd = int(self._socket.get(zmq.FD))

    def start(self) -> None:
        """Begin to read."""
        self._loop.add_reader(self._fd, self._drain)
        self._check_later()

    def stop(self) -> None:
        """Stop reading; replies can still be sent."""
        self._loop.remove_reader(self._fd)

    def close(self, linger_ms: int) -> None:
        """Close, giving replies that are queued `linger_ms` to leave."""
        self._loop.remove_reader(self._fd)
        self._socket.close(linger_ms)

    def _check_later(self) -> None:
        if not self._checking:
            self._checking = True
            self._loop.call_soon(self._check)

    def _check(self) -> None:
        self._checking = False
        if not self._socket.closed and is_readable(self._socket):
            self._drain()

    def _drain(self) -> None:
        socket = self._socket
        try:
            for _ in range(BURST_MAX):
                routing_id = recv(socket, NOBLOCK)
                frame = recv(socket, NOBLOCK, copy=False)
                if frame.more and not len(frame):
                    body = recv(socket, NOBLOCK, copy=False)
                    if not body.more:
                        self._request((routing_id, b""), body)
                        continue
                    self._unusual([routing_id, b""], body)
                elif frame.more:
                    self._unusual([routing_id], frame)
                else:
                    self._request((routing_id,), frame)
        except zmq.Again:
            return
        self._check_later()

    def _unusual(self, head: list[bytes], frame: zmq.Frame) -> None:
        """Read the rest of a message that is not what REQ sends."""
        frames = [*head, frame.bytes]
        count = len(frames)
        while frame.more:
            frame = recv(self._socket, NOBLOCK, copy=False)
            count += 1
            if count <= FRAMES_MAX:
                frames.append(frame.bytes)
        delimiter = frames.index(b"", 1) if b"" in frames[1:] else 0
        envelope = frames[: delimiter + 1]
        if delimiter and count == delimiter + 2:
            self._request(envelope, frame)
        elif delimiter and count <= FRAMES_MAX:
            message = (
                f"the message has {count - delimiter - 1} frames behind the empty one; "
                "send the request as one frame"
            )
            self.reply(envelope, Format.JSON, BadRequestError(message))
        else:
            self.malformed += 1

    def _request(self, envelope: Sequence[bytes], frame: zmq.Frame) -> None:
        form = Format.JSON
        try:
            peer = self._identity.peer(_address(frame))
            body = frame.bytes
            form = format_of(body)
            request = decode_request(body)
        except CommandError as error:
            self.reply(envelope, form, error)
            return
        except Exception:
            log.exception("a request of %d bytes crashed the decoder", len(frame))
            message = "the request crashed the decoder; the daemon's log says how"
            self.reply(envelope, form, InternalError(message))
            return
        self._handler.handle(request, peer, _Answer(self, envelope, form))

    def reply(
        self, envelope: Sequence[bytes], form: Format, outcome: msgspec.Struct | CommandError
    ) -> None:
        """Send `outcome` behind `envelope`; dropped and counted when the peer is full or gone."""
        if isinstance(outcome, CommandError):
            self.refused += 1
            body = encode_error(outcome, form)
        else:
            body = encode_result(outcome, form)
        socket = self._socket
        try:
            for frame in envelope:
                send(socket, frame, SNDMORE_NOBLOCK)
            send(socket, body, NOBLOCK)
        except zmq.ZMQError as error:
            self.dropped += 1
            log.debug("a reply was dropped: %s", error)
        self._check_later()


def _address(frame: zmq.Frame) -> str | None:
    try:
        return str(frame.get("Peer-Address"))
    except zmq.ZMQError:
        return None
