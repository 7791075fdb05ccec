"""Which daemon to talk to: the flags, the environment, the dev path, the service path (design 5).

What somebody named is used as it is, also before a daemon listens there. What we guess is used
only where a socket exists, so that a first-time user is told at once that no daemon runs.
"""

import os
import stat
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from protocol.endpoints import (
    COMMANDS,
    SERVICE_DIRECTORY,
    EndpointError,
    check_endpoint,
    dev_directory,
    events_beside,
    ipc_endpoint,
)
from protocol.errors import UnavailableError

COMMANDS_VARIABLE: Final = "MANIFESTCTL_COMMANDS"
EVENTS_VARIABLE: Final = "MANIFESTCTL_EVENTS"


class Daemon(NamedTuple):
    """Where one daemon listens; `events` is None where nobody said."""

    commands: str
    events: str | None


class Route:
    """The daemons that may answer, best first, and which of them did last.

    A time-out moves on to the next. Client and subscriber share one, so that both follow.
    """

    def __init__(self, daemons: Sequence[Daemon]) -> None:
        assert daemons
        self.daemons = tuple(daemons)
        self._index = 0

    @property
    def current(self) -> Daemon:
        """The daemon to ask now."""
        return self.daemons[self._index]

    @property
    def has_alternatives(self) -> bool:
        """Whether there is another daemon to try."""
        return len(self.daemons) > 1

    def leave(self, commands: str) -> None:
        """Go on to the next daemon, unless somebody already left the one at `commands`."""
        if self.current.commands == commands:
            self._index = (self._index + 1) % len(self.daemons)


def find_daemons(
    commands: Sequence[str] = (),
    events: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
) -> Route:
    """Return the route to the daemons named, or to those that seem to run on this machine.

    Several endpoints in an environment variable are separated by spaces.

    Raises:
        EndpointError: an endpoint is malformed, or there are more of one sort than of the other.
        UnavailableError: none was named, and nobody listens where daemons usually do.
    """
    environ = os.environ if environ is None else environ
    commands = commands or environ.get(COMMANDS_VARIABLE, "").split()
    events = events or environ.get(EVENTS_VARIABLE, "").split()
    if commands:
        return Route(_named(commands, events))
    return Route(_guessed(events, environ))


def _named(commands: Sequence[str], events: Sequence[str]) -> list[Daemon]:
    for endpoint in (*commands, *events):
        check_endpoint(endpoint)
    if not events:
        return [Daemon(endpoint, events_beside(endpoint)) for endpoint in commands]
    if len(events) != len(commands):
        reason = f"{len(commands)} endpoints for commands and {len(events)} for events; pair them"
        raise EndpointError(events[-1], reason)
    return [Daemon(*pair) for pair in zip(commands, events, strict=True)]


def _guessed(events: Sequence[str], environ: Mapping[str, str]) -> list[Daemon]:
    directories = [
        dev_directory(environ, os.getuid(), tempfile.gettempdir()),
        SERVICE_DIRECTORY,
    ]
    found, tried = [], []
    for directory in directories:
        endpoint = ipc_endpoint(directory, COMMANDS)
        problem = _problem(directory)
        if problem is None:
            found.append(endpoint)
        else:
            tried.append(f"{endpoint} ({problem})")
    if not found:
        message = f"no daemon runs here; tried {', '.join(tried)}"
        suggestion = "start one: manifestd --dev; or say where it listens: --commands ENDPOINT"
        raise UnavailableError(message, suggestion=suggestion, details={"tried": tried})
    if events:
        return _named(found[:1], events)
    return [Daemon(endpoint, events_beside(endpoint)) for endpoint in found]


def _problem(directory: str) -> str | None:
    """Return why the daemon of `directory` is not to be asked; None when it is."""
    try:
        folder = Path(directory).stat()
        is_socket = stat.S_ISSOCK(Path(directory, COMMANDS).stat().st_mode)
    except PermissionError:
        return "permission denied; its users are in the group manifestd"
    except OSError:
        return "no socket there"
    if not is_socket:
        return "not a socket"
    # Anybody may create a folder in the temporary directory, and listen in it under our name.
    if directory != SERVICE_DIRECTORY and folder.st_uid != os.getuid():
        return f"its folder belongs to uid {folder.st_uid}"
    return None
