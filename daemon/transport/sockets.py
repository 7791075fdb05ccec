"""What both sockets need: a context, endpoints that are really ours, and integer flags.

`zmq.Socket` computes enum flags in Python on every call, a quarter of the daemon's CPU; the
backend's `send` and `recv` take plain integers.
"""

import ctypes
import os
import socket
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

import zmq
import zmq.backend

from daemon.connections import backlog
from daemon.door import CLOSED_SUFFIX
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

    libzmq counts them up from `rand()`, and a peer that claims the next one makes it abort. What
    seeds `rand()` differs: nothing in pyzmq's wheels, where the first id is the same in every
    process; pid and time in others, when a context starts. So it is seeded after that.
    """
    context: Context = zmq.Context(io_threads=1)
    context.socket(zmq.PAIR).close()  # Starts the context.
    ctypes.CDLL(None).srand(int.from_bytes(os.urandom(4)))
    return context


def open_socket(
    context: Context,
    kind: int,
    *,
    send_queue_max: int,
    frame_size_max: int = MESSAGE_SIZE_MAX,
) -> Socket:
    """Return a socket whose queues and messages are bounded; frame sizes in bytes."""
    opened = context.socket(kind)
    opened.set(zmq.MAXMSGSIZE, frame_size_max)
    opened.set(zmq.BACKLOG, backlog())
    opened.set(zmq.SNDHWM, send_queue_max)
    opened.set(zmq.LINGER, 0)
    return opened


class Bound(NamedTuple):
    """A socket file that is ours: its path, and the device and inode it had when it was made."""

    path: Path
    file: tuple[int, int]

    def remove(self) -> None:
        """Remove the file, which libzmq leaves; not if another process has taken the name."""
        with suppress(OSError):
            if _file_at(self.path) == self.file:
                self.path.unlink()


def _file_at(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_dev, found.st_ino


def bind(opened: Socket, endpoint: str) -> Bound:
    """Bind to `endpoint`, never taking it from a process that listens there.

    Raises:
        ConfigurationError: the endpoint is unusable or in use; the message says how to go on.
    """
    path = refuse_if_taken(endpoint)
    try:
        Path(f"{path}{CLOSED_SUFFIX}").unlink(missing_ok=True)  # Of one that was killed.
        opened.bind(endpoint)
        path.chmod(SOCKET_MODE)
        return Bound(path, _file_at(path))
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
    return Path(path)


def refuse_if_taken(endpoint: str) -> Path:
    """Return the path of an endpoint on which nobody listens.

    libzmq would unlink a listener's socket and take its name. A daemon that lets nobody in just
    now (`daemon.door`) listens under another one, and wants its own back.

    Raises:
        ConfigurationError: the endpoint is unusable or in use; the message says how to go on.
    """
    path = check_endpoint(endpoint)
    if not path.parent.is_dir():  # Not sooner: the service manager makes it for the start.
        message = f"{endpoint}: the folder {path.parent} does not exist; create it, or use --dev"
        raise ConfigurationError(message)
    for name in (path, Path(f"{path}{CLOSED_SUFFIX}")):
        if _is_listened_to(name, endpoint):
            message = f"another process listens on {endpoint}; stop it, or give another endpoint"
            raise ConfigurationError(message)
    return path


def _is_listened_to(path: Path, endpoint: str) -> bool:
    try:
        found = os.open(path, os.O_PATH | os.O_NOFOLLOW)
        try:
            if not stat.S_ISSOCK(os.fstat(found).st_mode):
                message = f"{path} is a file and no socket; remove it, or give another endpoint"
                raise ConfigurationError(message)
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(0)  # A listener whose queue is full says EAGAIN at once.
                # Its own name may be too long to connect by: 107 bytes, and then the suffix.
                probe.connect(f"/proc/self/fd/{found}")
        finally:
            os.close(found)
    except (FileNotFoundError, ConnectionRefusedError):
        return False  # Nothing, or left behind by a process that ended.
    except BlockingIOError:
        return True
    except OSError as error:
        message = f"cannot look at {endpoint}: {error.strerror}; give another endpoint"
        raise ConfigurationError(message) from error
    return True
