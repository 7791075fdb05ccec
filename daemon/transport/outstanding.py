"""How many bytes of large replies wait in libzmq for a peer to read them.

libzmq bounds a peer's queue by messages, and a page of events may have megabytes: a peer that asks
and never reads would fill gigabytes. Small replies are left to that bound; counting them would
cost more than they do.

Promise:  at most `PEER_BYTES_MAX` of large replies wait for one peer, and one more. What waits for
          one peer takes no room from another.
Assume:   pyzmq's tracker is done when libzmq has given a message's bytes back.
"""

from collections import deque
from typing import Final

import zmq

from daemon.transport.sockets import NOBLOCK, Socket, send

LARGE_SIZE: Final = 64 << 10  # Bytes; from there on pyzmq shares them with libzmq, and tells.
PEER_BYTES_MAX: Final = 16 << 20  # Eight pages of `feed` of the largest size.


class OutstandingReplies:
    """The large replies that were sent and perhaps not yet read."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[zmq.MessageTracker, bytes, int]] = deque()
        self._bytes: dict[bytes, int] = {}  # By routing id; peers for whom nothing waits are out.

    def has_room(self, routing_id: bytes) -> bool:
        """Tell whether one more large reply may be sent to a peer."""
        if self._bytes.get(routing_id, 0) >= PEER_BYTES_MAX:
            self._forget_read()
        return self._bytes.get(routing_id, 0) < PEER_BYTES_MAX

    def send(self, socket: Socket, routing_id: bytes, body: bytes) -> None:
        """Send `body` as the last frame of a message to a peer, and remember it."""
        while self._waiting and self._waiting[0][0].done:
            self._forget(*self._waiting.popleft())
        frame = zmq.Frame(body, track=True, copy=False)
        # Only the tracker is kept: the frame itself would hold the bytes.
        tracker = frame.tracker
        send(socket, frame, NOBLOCK, copy=False, track=True)
        assert tracker is not None
        self._waiting.append((tracker, routing_id, len(body)))
        self._bytes[routing_id] = self._bytes.get(routing_id, 0) + len(body)

    def _forget_read(self) -> None:
        waiting, self._waiting = self._waiting, deque()
        for one in waiting:
            if one[0].done:
                self._forget(*one)
            else:
                self._waiting.append(one)

    def _forget(self, _tracker: zmq.MessageTracker, routing_id: bytes, size: int) -> None:
        self._bytes[routing_id] -= size
        if not self._bytes[routing_id]:
            del self._bytes[routing_id]
