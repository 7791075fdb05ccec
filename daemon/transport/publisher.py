"""The event socket: PUB, spoken by an XPUB. Two frames, topic and body (design 5).

Promise:  events leave in the order in which they are given. A subscriber that is too slow loses
          messages and nobody else notices; it finds out by a gap, or by a heartbeat ahead of it.
          It is bound, and takes subscriptions, as soon as it is made: recovery reports over it.
          At most `SUBSCRIPTIONS_BYTES_MAX` of subscriptions are kept; then the process that has
          most of them is hung up on, and everybody where that does not help.
Assume:   the loop's thread is the only one that touches the socket.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import zmq

from daemon.connections import hang_up_on
from daemon.transport.sockets import (
    NOBLOCK,
    SNDMORE_NOBLOCK,
    Context,
    bind,
    open_socket,
    recv,
    send,
)
from protocol.events import timestamp

HEARTBEAT_INTERVAL_S: Final = 1.0
# Per subscriber, then it loses some; a queue's bytes are shared by all who wait for them. At the
# usual kilobyte 2 MB, at the largest document 2 GB. A subscriber that wants more keeps it itself.
EVENTS_QUEUED_MAX: Final = 2_000
# Bytes. Longer ones end the connection; who wants to see a manifest with such an id filters by himself.
SUBSCRIPTION_SIZE_MAX: Final = 1024
# Bytes, of all subscribers, each prefix once. libzmq keeps a node of 47 bytes for each byte of them.
SUBSCRIPTIONS_BYTES_MAX: Final = 512 << 10
# Per connection. libzmq takes all that is there from all connections in one go, 40 us for the longest.
SUBSCRIPTIONS_QUEUED_MAX: Final = 1
SUBSCRIPTIONS_TAKEN_MAX: Final = 128  # Then others have their turn.
TOO_MANY_S_MAX: Final = 2.0  # To end a connection, and to hear of what went with it, takes less.
EVERYBODY: Final = -1  # In place of a process.
_SUBSCRIBE, _UNSUBSCRIBE = 1, 0  # A message's first byte (RFC 29).

log: Final = logging.getLogger(__name__)


class Heartbeat(msgspec.Struct, frozen=True):
    """Body of `heartbeat` and `bye`: the last seq that was published, and the time."""

    seq: int
    at: str


class Subscriptions:
    """How many bytes of prefixes libzmq keeps for whom, by what XPUB tells: each prefix once.

    XPUB tells of the first subscriber of a prefix and of the last one's end: a prefix can be kept
    for one that nobody can name, after its owner is gone.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._too_many_since_s: float | None = None
        self._owners: dict[bytes, str] = {}
        self._bytes: Counter[str] = Counter()
        self._told = ("", 0)  # Who was named last, and how much he had then.

    def take(self, frame: zmq.Frame) -> None:
        """Take note of a message from a subscriber; what is no subscription is ignored."""
        data = frame.bytes
        prefix = data[1:]
        if data[:1] == bytes([_SUBSCRIBE]):
            owner = str(frame.get("Peer-Address"))
            self._owners[prefix] = owner
            self._bytes[owner] += len(prefix)
        elif data[:1] == bytes([_UNSUBSCRIBE]) and prefix in self._owners:
            owner = self._owners.pop(prefix)
            self._bytes[owner] -= len(prefix)
            if self._bytes[owner] <= 0:
                del self._bytes[owner]

    def too_many(self) -> int | None:
        """Return the process that has most, when all have more than there may be, in the end EVERYBODY.

        Whoever was named is named again only when he has more: to end a connection takes a moment.
        """
        if self._bytes.total() <= SUBSCRIPTIONS_BYTES_MAX:
            self._too_many_since_s = None
            self._told = ("", 0)
            return None
        now_s = self._clock()
        if self._too_many_since_s is None:
            self._too_many_since_s = now_s
        elif now_s - self._too_many_since_s > TOO_MANY_S_MAX:
            self._too_many_since_s = None
            return EVERYBODY
        owner, size_bytes = self._bytes.most_common(1)[0]
        told, told_bytes = self._told
        self._told = (owner, size_bytes)
        if owner == told and size_bytes <= told_bytes:
            return None
        return int(owner.rpartition(":")[2])


class EventSocket:
    """The PUB socket of a running daemon. Implements `actors.ports.Publisher`."""

    def __init__(self, context: Context, endpoints: Sequence[str]) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = open_socket(
            context,
            zmq.XPUB,
            send_queue_max=EVENTS_QUEUED_MAX,
            frame_size_max=SUBSCRIPTION_SIZE_MAX,
        )
        self._socket.set(zmq.RCVHWM, SUBSCRIPTIONS_QUEUED_MAX)
        self._subscriptions = Subscriptions()
        self._looking = False
        self._timer: asyncio.TimerHandle | None = None
        try:
            self._bound = [bind(self._socket, endpoint) for endpoint in endpoints]
        except BaseException:
            self._socket.close(0)
            raise
        self._fd = int(self._socket.get(zmq.FD))
        # The socket learns of subscriptions only when it is touched.
        self._loop.add_reader(self._fd, self._take_subscriptions)

    def start(self, last_seq: Callable[[], int], now_ns: Callable[[], int]) -> None:
        """Begin to send a heartbeat every second."""

        def beat() -> None:
            self._timer = self._loop.call_later(HEARTBEAT_INTERVAL_S, beat)
            self._publish_beat(b"heartbeat", last_seq(), now_ns())

        beat()

    def _take_subscriptions(self) -> None:
        self._looking = False
        if self._socket.closed:
            return
        try:
            for _ in range(SUBSCRIPTIONS_TAKEN_MAX):
                self._subscriptions.take(recv(self._socket, NOBLOCK, copy=False))
        except zmq.Again:
            pass
        else:
            self._look_later()
        greediest = self._subscriptions.too_many()
        if greediest is not None:
            self._hang_up_on(greediest)

    def _hang_up_on(self, greediest: int) -> None:
        paths = [str(bound.path) for bound in self._bound]
        if greediest == EVERYBODY:
            log.warning("there are still too many subscriptions: every subscriber is hung up on")
            hang_up_on(None, paths)
        else:
            log.warning("process %d subscribes to too much and is hung up on", greediest)
            hang_up_on(greediest, paths)

    def _look_later(self) -> None:
        """Look for subscriptions soon: to send takes them from the socket's queue, too."""
        if not self._looking:
            self._looking = True
            self._loop.call_soon(self._take_subscriptions)

    def publish(self, topic: bytes, body: bytes) -> None:
        """See `actors.ports.Publisher`."""
        send(self._socket, topic, SNDMORE_NOBLOCK)
        send(self._socket, body, NOBLOCK)
        if not self._looking:
            self._look_later()

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
