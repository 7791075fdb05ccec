"""The event socket: PUB. Two frames, topic and body (design 5).

Promise:  events leave in the order in which they are given. A subscriber that is too slow loses
          messages and nobody else notices; it finds out by a gap, or by a heartbeat ahead of it.
          It is bound, and takes subscriptions, as soon as it is made: recovery reports over it.
Assume:   the loop's thread is the only one that touches the socket.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import zmq

from daemon.transport.sockets import (
    NOBLOCK,
    SNDMORE_NOBLOCK,
    Context,
    bind,
    is_readable,
    open_socket,
    send,
)
from protocol.events import timestamp

HEARTBEAT_INTERVAL_S: Final = 1.0
# Per subscriber, then it loses some; a queue's bytes are shared by all who wait for them. At the
# usual kilobyte 2 MB, at the largest document 2 GB. A subscriber that wants more keeps it itself.
EVENTS_QUEUED_MAX: Final = 2_000
SUBSCRIPTION_SIZE_MAX: Final = 4096  # Bytes. No topic is longer, so no prefix need be.


class Heartbeat(msgspec.Struct, frozen=True):
    """Body of `heartbeat` and `bye`: the last seq that was published, and the time."""

    seq: int
    at: str


class EventSocket:
    """The PUB socket of a running daemon. Implements `actors.ports.Publisher`."""

    def __init__(self, context: Context, endpoints: Sequence[str]) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = open_socket(
            context,
            zmq.PUB,
            send_queue_max=EVENTS_QUEUED_MAX,
            frame_size_max=SUBSCRIPTION_SIZE_MAX,
        )
        self._timer: asyncio.TimerHandle | None = None
        try:
            self._bound = [bind(self._socket, endpoint) for endpoint in endpoints]
        except BaseException:
            self._socket.close(0)
            raise
        self._fd = int(self._socket.get(zmq.FD))
        # PUB learns of subscriptions only when the socket is touched.
        self._loop.add_reader(self._fd, self._take_subscriptions)

    def start(self, last_seq: Callable[[], int], now_ns: Callable[[], int]) -> None:
        """Begin to send a heartbeat every second."""

        def beat() -> None:
            self._timer = self._loop.call_later(HEARTBEAT_INTERVAL_S, beat)
            self._publish_beat(b"heartbeat", last_seq(), now_ns())

        beat()

    def _take_subscriptions(self) -> None:
        is_readable(self._socket)

    def publish(self, topic: bytes, body: bytes) -> None:
        """See `actors.ports.Publisher`."""
        send(self._socket, topic, SNDMORE_NOBLOCK)
        send(self._socket, body, NOBLOCK)

    def _publish_beat(self, topic: bytes, seq: int, at_ns: int) -> None:
        self.publish(topic, msgspec.json.encode(Heartbeat(seq, timestamp(at_ns))))

    def say_bye(self, last_seq: int, at_ns: int) -> None:
        """Tell the subscribers that nothing more will come: no heartbeat follows."""
        if self._timer is not None:
            self._timer.cancel()
        self._publish_beat(b"bye", last_seq, at_ns)

    def close(self, linger_ms: int) -> None:
        """Close, giving what is queued `linger_ms` to leave."""
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._fd)
        self._socket.close(linger_ms)
        for bound in self._bound:
            bound.remove()
