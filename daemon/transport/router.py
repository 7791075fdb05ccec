"""The command socket: ROUTER, drained in bounded bursts, answered when the engine says so.

    request  := routing id, envelope, body        envelope := frames up to the first empty one
    request  := routing id, body                  (a DEALER without a delimiter)
    reply    := routing id, envelope, body

Promise:  every request that can be answered is, once, behind its own envelope; what cannot is
          dropped and counted. Sending never waits: a reply to a full or gone peer is dropped.
          After `stop_acknowledging` nobody is told "ok" any more.
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

from actors.turns import Turns
from daemon.admission import Account, Admission
from daemon.transport.outstanding import LARGE_SIZE, PEER_BYTES_MAX, OutstandingReplies
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
from protocol.errors import (
    BadRequestError,
    CommandError,
    InternalError,
    OverloadedError,
    TooLargeError,
)
from protocol.limits import REQUEST_SIZE_MAX
from protocol.principals import Peer

log: Final = logging.getLogger(__name__)

BURST_MAX: Final = 128  # Messages per wake-up, fewer where they are large or hard (`actors.turns`).
REPLIES_QUEUED_MAX: Final = 1000  # Per peer; REQ has one, a pipelining DEALER may have more.
# Unread, per peer. libzmq's 1000 would let one peer fill 4 GB with messages of the largest size.
REQUESTS_QUEUED_MAX: Final = 16
RETRY_AFTER_MS: Final = 100  # A peer that reads has read most of its queue by then.
FRAMES_MAX: Final = 16  # Of an envelope; more is no client of ours.


class Handler(Protocol):
    """What the socket hands requests to."""

    def handle(
        self, request: Request, peer: Peer, answer: Callable[[msgspec.Struct | CommandError], None]
    ) -> None:
        """Carry out a request; `answer` is called once, now or later."""


class _Answer:
    """Sends one reply behind its request's envelope."""

    __slots__ = ("_account", "_envelope", "_form", "_router", "_size")

    def __init__(
        self,
        router: "CommandSocket",
        envelope: Sequence[bytes],
        form: Format,
        account: Account,
        size: int,
    ) -> None:
        self._router = router
        self._envelope = envelope
        self._form = form
        self._account: Account | None = account
        self._size = size

    def __call__(self, outcome: msgspec.Struct | CommandError) -> None:
        account, router = self._account, self._router
        if account is not None:  # Else it was answered, and whoever answered it crashed then.
            self._account = None
            router.admission.settle(account, self._size)
        router.send_reply(self._envelope, self._form, outcome)


class CommandSocket:
    """The ROUTER socket of a running daemon."""

    def __init__(
        self,
        context: Context,
        endpoints: Sequence[str],
        admission: Admission,
        handler: Handler,
        turns: Turns,
    ) -> None:
        self.admission = admission
        self._turns = turns
        self._unread = turns.lane()
        self._handler = handler
        self._loop = asyncio.get_running_loop()
        self._socket = open_socket(context, zmq.ROUTER, send_queue_max=REPLIES_QUEUED_MAX)
        self._socket.set(zmq.RCVHWM, REQUESTS_QUEUED_MAX)
        self._socket.set(zmq.ROUTER_MANDATORY, 1)
        self._outstanding = OutstandingReplies()
        self._reading = False
        self._checking = False
        # An attribute, so that the hot path need not ask whether the disk failed meanwhile.
        self.send_reply = self.reply
        self.refused = 0
        self.dropped = 0  # Replies to peers that are full or gone.
        self.malformed = 0  # Messages that could not be answered.
        try:
            self._bound = [bind(self._socket, endpoint) for endpoint in endpoints]
        except BaseException:
            self._socket.close(0)
            raise
        self._fd = int(self._socket.get(zmq.FD))

    def start(self) -> None:
        """Begin to read."""
        self._reading = True
        self._loop.add_reader(self._fd, self._drain_soon)
        self._check_later()

    def stop(self) -> None:
        """Stop reading: what is not read is not carried out. Replies can still be sent."""
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._fd)

    def stop_acknowledging(self) -> None:
        """Stop reading, and from now on send refusals only: the store has failed."""
        self.stop()
        self.send_reply = self._reply_unless_ok

    def read_rest(self) -> None:
        """Read once more, so that who waits is told of the end, and no more after that."""
        if self._reading:
            self._drain()
        self.stop()

    @property
    def figures(self) -> dict[str, int]:
        """How many requests were refused, replies dropped, and messages not answerable."""
        return {"refused": self.refused, "replies": self.dropped, "malformed": self.malformed}

    def close(self, linger_ms: int) -> None:
        """Close, giving replies that are queued `linger_ms` to leave."""
        self.stop()
        self._socket.close(linger_ms)
        for bound in self._bound:
            bound.remove()

    def _check_later(self) -> None:
        if not self._checking:
            self._checking = True
            self._loop.call_soon(self._check)

    def _check(self) -> None:
        self._checking = False
        if self._reading and is_readable(self._socket):
            self._drain_soon()

    def _drain_soon(self) -> None:
        if not self._unread:
            self._unread.begin(self._drain)

    def _drain(self) -> None:
        if not self._reading:
            return  # It was stopped before its turn came.
        socket, is_over = self._socket, self._turns.is_over
        is_drained = False
        try:
            for count in range(BURST_MAX):
                if count and is_over():
                    break
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
            is_drained = True
        finally:
            if not is_drained:
                self._check_later()

    def _unusual(self, head: list[bytes], frame: zmq.Frame) -> None:
        """Read the rest of a message that is not what REQ sends."""
        frames = [*head, frame.bytes]
        count = len(frames)
        is_delimited = b"" in frames[1:]
        while frame.more:
            frame = recv(self._socket, NOBLOCK, copy=False)
            count += 1
            is_delimited = is_delimited or not len(frame)
            if count <= FRAMES_MAX:
                frames.append(frame.bytes)
        if b"" in frames[1:]:
            envelope = frames[: frames.index(b"", 1) + 1]
            behind = count - len(envelope)
            if behind == 1:
                self._request(envelope, frame)
                return
            found = f"the message has {behind} frames behind the empty one"
        elif is_delimited:  # Behind an envelope that is too long to keep.
            self.malformed += 1
            return
        else:
            envelope, found = frames[:1], f"the message has {count - 1} frames and no empty one"
        error = BadRequestError(f"{found}; send the request as one frame")
        self.send_reply(envelope, Format.JSON, error)

    def _request(self, envelope: Sequence[bytes], frame: zmq.Frame) -> None:
        if len(frame) > REQUEST_SIZE_MAX:  # Not copied: there may be many of them.
            form = format_of(bytes(frame.buffer[:1]))
            self.send_reply(envelope, form, _too_large(len(frame)))
            return
        form = Format.JSON
        answer: Callable[[msgspec.Struct | CommandError], None] | None = None
        refusal: CommandError
        try:
            body = frame.bytes
            form = format_of(body)
            account = self.admission.account(_address(frame))
            request = decode_request(body)
            self.admission.admit(request, account, len(body))
            answer = _Answer(self, envelope, form, account, len(body))
            self._handler.handle(request, account.peer, answer)
        except CommandError as error:
            refusal = error
        except Exception:
            log.exception("a request of %d bytes crashed the daemon's reading of it", len(frame))
            refusal = InternalError("the request failed inside the daemon; its log says how")
        else:
            return
        if answer is None:
            self.send_reply(envelope, form, refusal)
        else:
            answer(refusal)

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
        is_large = len(body) >= LARGE_SIZE
        if is_large and not self._outstanding.has_room(envelope[0]):
            is_large = False
            self.refused += 1
            body = encode_error(_unread(), form)
        try:
            for frame in envelope:
                send(socket, frame, SNDMORE_NOBLOCK)
            if is_large:
                self._outstanding.send(socket, envelope[0], body)
            else:
                send(socket, body, NOBLOCK)
        except zmq.ZMQError as error:
            self.dropped += 1
            log.debug("a reply was dropped: %s", error)
        self._check_later()

    def _reply_unless_ok(
        self, envelope: Sequence[bytes], form: Format, outcome: msgspec.Struct | CommandError
    ) -> None:
        if isinstance(outcome, CommandError):
            self.reply(envelope, form, outcome)
        else:
            self.dropped += 1


def _unread() -> OverloadedError:
    return OverloadedError.full(
        "your connection's queue of large replies; read them,",
        limit=PEER_BYTES_MAX,
        retry_after_ms=RETRY_AFTER_MS,
    )


def _too_large(size: int) -> TooLargeError:
    message = f"the request has {size} bytes; at most {REQUEST_SIZE_MAX} are taken"
    return TooLargeError(message, details={"limit": REQUEST_SIZE_MAX, "actual": size})


def _address(frame: zmq.Frame) -> str | None:
    try:
        return str(frame.get("Peer-Address"))
    except zmq.ZMQError:
        return None
