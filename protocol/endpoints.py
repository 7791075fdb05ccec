"""Where a daemon listens when nobody says otherwise (design 5, "Endpoints"); both ends ask here.

Not here: making the folder (the daemon), looking which socket exists (the client).
"""

from collections.abc import Mapping
from typing import Final

from protocol.errors import ManifestdError

COMMANDS: Final = "commands"  # The name of the ROUTER's socket.
EVENTS: Final = "events"  # The name of the PUB socket.
SERVICE_DIRECTORY: Final = "/run/manifestd"
IPC_PATH_SIZE_MAX: Final = 107  # Bytes: sockaddr_un.sun_path has 108 (unix(7)), one is a zero.
SCHEMES: Final = ("ipc://", "tcp://")
_IPC: Final = "ipc://"


class EndpointError(ManifestdError):
    """An endpoint cannot be used. Unlike `UnavailableError` it is wrong whoever listens."""

    def __init__(self, endpoint: str, reason: str) -> None:
        super().__init__(f"endpoint {endpoint!r}: {reason}")
        self.endpoint = endpoint
        self.reason = reason


def dev_directory(environ: Mapping[str, str], uid: int, temporary: str) -> str:
    """Return the folder of the sockets of `manifestd --dev`.

    `temporary` is the directory for temporary files (`tempfile.gettempdir()`). A relative
    XDG_RUNTIME_DIR is ignored, as the XDG Base Directory Specification demands.
    """
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    if runtime.startswith("/"):
        return f"{runtime.rstrip('/')}/manifestd"
    return f"{temporary.rstrip('/')}/manifestd-{uid}"


def ipc_endpoint(directory: str, name: str) -> str:
    """Return the endpoint of the socket `name` in `directory`."""
    return f"{_IPC}{directory}/{name}"


def ipc_path(endpoint: str) -> str | None:
    """Return the path of an ipc endpoint; None for TCP and for Linux's abstract names."""
    path = endpoint.removeprefix(_IPC)
    return None if path == endpoint or path.startswith("@") else path


def check_endpoint(endpoint: str) -> None:
    """Raise `EndpointError` for what libzmq would refuse with less to say."""
    if not endpoint.startswith(SCHEMES) or endpoint in SCHEMES:
        raise EndpointError(endpoint, f"it has to begin with {' or '.join(SCHEMES)}")
    if not endpoint.isprintable():
        raise EndpointError(endpoint, "it holds a control character")
    size = len(endpoint.removeprefix(_IPC).encode())
    if endpoint.startswith(_IPC) and size > IPC_PATH_SIZE_MAX:
        reason = f"its path has {size} bytes; a socket's has at most {IPC_PATH_SIZE_MAX}"
        raise EndpointError(endpoint, reason)


def events_beside(commands: str) -> str | None:
    """Return the events endpoint in the same folder as `commands`; None where none follows."""
    folder, _, name = commands.rpartition("/")
    return f"{folder}/{EVENTS}" if commands.startswith(_IPC) and name == COMMANDS else None
