"""The event socket: PUB. Two frames, topic and body (design 5).

Promise:  events leave in the order in which they are given. A subscriber that is too slow loses
          messages and nobody else notices; it finds out by a gap, or by a heartbeat ahead of it.
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
EVENTS_QUEUED_MAX: Final = 20_000  # Per subscriber: about 16 MB of events, then it loses some.


class Heartbeat(msgspec.Struct, frozen=True):
    """Body of `heartbeat` and `bye`: the last seq that was published, and the time."""

    seq: int
    at: str


class EventSocket:
    """The PUB socket of a running daemon. Implements `actors.ports.Publisher`."""

    def __init__(self, context: Context, endpoints: Sequence[str]) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = open_socket(context, zmq.PUB, send_queue_max=EVENTS_QUEUED_MAX)
        for endpoint in endpoints:
            bind(self._socket, endpoint)
        self._fd = int(self._socket.get(zmq.FD))
        self._timer: asyncio.TimerHandle | None = None

    def start(self, last_seq: Callable[[], int], now_ns: Callable[[], int]) -> None:
        """Begin to take subscriptions and to send a heartbeat every second."""
        # PUB learns of subscriptions only when the socket is touched.
        self._loop.add_reader(self._fd, self._take_subscriptions)

        def beat() -> None:
            self._publish_beat(b"heartbeat", last_seq(), now_ns())
            self._timer = self._loop.call_later(HEARTBEAT_INTERVAL_S, beat)

        beat()

    def _take_subscriptions(self) -> None:
        is_readable(self._socket)

    def publish(self, topic: bytes, body: bytes) -> None:
        """See `actors.ports.Publisher`."""
        send(self._socket, topic, SNDMORE_NOBLOCK)
        send(self._socket, body, NOBLOCK)

    def _publish_beat(self, topic: bytes, seq: int, at_ns: int) -> None:
        self.publish(topic, msgspec.json.encode(Heartbeat(seq, timestamp(at_ns))))

    def close(self, last_seq: int, at_ns: int, linger_ms: int) -> None:
        """Say `bye` and close, giving what is queued `linger_ms` to leave."""
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._fd)
        self._publish_beat(b"bye", last_seq, at_ns)
        self._socket.close(linger_ms)
