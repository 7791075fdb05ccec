"""What both sockets need: a context, endpoints that are really ours, and integer flags.

`zmq.Socket` computes enum flags in Python on every call, a quarter of the daemon's CPU; the
backend's `send` and `recv` take plain integers.
"""

import ctypes
import os
import socket
import stat
from pathlib import Path
from typing import Final

import zmq
import zmq.backend

from daemon.errors import ConfigurationError
from protocol import endpoints
from protocol.limits import MESSAGE_SIZE_MAX

Context = zmq.Context[zmq.Socket[bytes]]
Socket = zmq.Socket[bytes]

NOBLOCK: Final = int(zmq.NOBLOCK)
SNDMORE_NOBLOCK: Final = int(zmq.SNDMORE | zmq.NOBLOCK)
EVENTS: Final = int(zmq.EVENTS)
POLLIN: Final = int(zmq.POLLIN)

recv = zmq.backend.Socket.recv
send = zmq.backend.Socket.send


def is_readable(opened: Socket) -> bool:
    """Tell whether a message waits, by `ZMQ_EVENTS`; asking also lets libzmq do its chores."""
    return bool(int(zmq.backend.Socket.get(opened, EVENTS)) & POLLIN)


SOCKET_MODE: Final = 0o660  # Its group may connect: that is who may talk to the daemon.


def make_context() -> Context:
    """Return a context in which no peer can foresee the routing ids that ROUTER makes up.

    libzmq counts them up from `rand()`, which it seeds with pid and time when a context starts. A
    peer that claims the next one makes libzmq abort, so the seed is replaced before ROUTER exists.
    """
    context: Context = zmq.Context(io_threads=1)
    context.socket(zmq.PAIR).close()  # Starts the context's threads, and with them its seeding.
    ctypes.CDLL(None).srand(int.from_bytes(os.urandom(4)))
    return context


def open_socket(context: Context, kind: int, *, send_queue_max: int) -> Socket:
    """Return a socket whose queues and messages are bounded."""
    opened = context.socket(kind)
    opened.set(zmq.MAXMSGSIZE, MESSAGE_SIZE_MAX)
    opened.set(zmq.SNDHWM, send_queue_max)
    opened.set(zmq.LINGER, 0)
    return opened


def bind(opened: Socket, endpoint: str) -> None:
    """Bind to `endpoint`, never taking it from a process that listens there.

    Raises:
        ConfigurationError: the endpoint is unusable or in use; the message says how to go on.
    """
    path = check_endpoint(endpoint)
    _refuse_if_listening(path)
    try:
        opened.bind(endpoint)
        path.chmod(SOCKET_MODE)
    except (zmq.ZMQError, OSError) as error:
        message = f"cannot listen on {endpoint}: {error}; give another endpoint"
        raise ConfigurationError(message) from error


def check_endpoint(endpoint: str) -> Path:
    """Return the path of an ipc endpoint; `ConfigurationError` for what is not served."""
    try:
        endpoints.check_endpoint(endpoint)
    except endpoints.EndpointError as error:
        raise ConfigurationError(str(error)) from error
    path = endpoints.ipc_path(endpoint)
    if path is None or not path.startswith("/"):
        message = f"{endpoint!r} is not served; use ipc:///absolute/path"
        raise ConfigurationError(message)
    folder = Path(path).parent
    if not folder.is_dir():
        message = f"{endpoint}: the folder {folder} does not exist; create it, or use --dev"
        raise ConfigurationError(message)
    return Path(path)


def _refuse_if_listening(path: Path) -> None:
    """Raise when somebody listens: libzmq would unlink his socket and take the name."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            message = f"{path} is a file and no socket; remove it, or give another endpoint"
            raise ConfigurationError(message)
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return  # Left behind by a process that ended.
    message = f"another process listens on ipc://{path}; stop it, or give another endpoint"
    raise ConfigurationError(message)
