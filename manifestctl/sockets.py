"""The client's ZeroMQ sockets, and the envelope that tells answers apart.

    request := id  empty  body          answer := id  empty  body

The daemon answers behind every frame up to and including the first empty one (design 5), so `id`
comes back, and an answer to an attempt that was given up is recognised and dropped.
"""

from typing import Final, NamedTuple

import zmq

QUEUE_SIZE_MAX: Final = 1000  # Requests under way on one socket; more than a daemon would queue.
RECONNECT_MS: Final = 50  # A daemon that restarts is found again this fast,
RECONNECT_MS_MAX: Final = 1000  # and one that stays away is not hammered.
KEEPALIVE_S: Final = 30  # A peer that vanished from a TCP connection is noticed.


class Curve(NamedTuple):
    """The keys of a connection over TCP (CurveZMQ): mine, and the daemon's public one; Z85."""

    public: bytes
    secret: bytes
    server: bytes


def _connected(socket: zmq.Socket[bytes], endpoint: str, curve: Curve | None) -> None:
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, RECONNECT_MS_MAX)
    # TCP's keepalive and not ZMTP's heartbeat: where a queue is full, a heartbeat that goes unread
    # makes libzmq abort the process (measured: 4.3.5; zeromq/libzmq issue 3937).
    socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
    socket.setsockopt(zmq.TCP_KEEPALIVE_IDLE, KEEPALIVE_S)
    if curve is not None:
        socket.curve_publickey = curve.public
        socket.curve_secretkey = curve.secret
        socket.curve_serverkey = curve.server
    socket.connect(endpoint)


def open_dealer(
    context: zmq.Context[zmq.Socket[bytes]], endpoint: str, curve: Curve | None
) -> zmq.Socket[bytes]:
    """Return a DEALER that queues nothing for a daemon that is not there.

    A command given up by its caller must not be carried out when a daemon appears an hour later.
    """
    socket = context.socket(zmq.DEALER)
    socket.setsockopt(zmq.IMMEDIATE, 1)
    socket.setsockopt(zmq.SNDHWM, QUEUE_SIZE_MAX)
    socket.setsockopt(zmq.RCVHWM, QUEUE_SIZE_MAX)
    _connected(socket, endpoint, curve)
    return socket


def watch_disconnections(socket: zmq.Socket[bytes]) -> zmq.Socket[bytes]:
    """Return a socket on which a message arrives whenever a connection of `socket` ended."""
    return socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)


def open_subscription(
    context: zmq.Context[zmq.Socket[bytes]],
    endpoint: str,
    curve: Curve | None,
    *,
    topics: list[bytes],
    queue_size: int,
) -> zmq.Socket[bytes]:
    """Return a SUB socket on `topics` that holds at most `queue_size` unread messages."""
    socket = context.socket(zmq.SUB)
    socket.setsockopt(zmq.RCVHWM, queue_size)
    for topic in topics:
        socket.setsockopt(zmq.SUBSCRIBE, topic)
    _connected(socket, endpoint, curve)
    return socket


def try_receive(socket: zmq.Socket[bytes]) -> list[bytes] | None:
    """Return the next message, or None when there is none yet."""
    try:
        return socket.recv_multipart(zmq.NOBLOCK)
    except zmq.Again:
        return None


def try_send(socket: zmq.Socket[bytes], number: bytes, body: bytes) -> bool:
    """Send a request; False when nobody is connected, or the queue is full."""
    try:
        socket.send_multipart([number, b"", body], zmq.NOBLOCK)
    except zmq.Again:
        return False
    return True


def split_answer(frames: list[bytes]) -> tuple[bytes, bytes] | None:
    """Return the number and the body of an answer; None when it is none."""
    if len(frames) != 3 or frames[1]:  # noqa: PLR2004 (the drawing above)
        return None
    return frames[0], frames[2]
