"""`manifestd`, broken on purpose: what the checkers of the promises have to catch.

    python -m tests.support.broken_daemon FAULT --dev --data-dir DIR …

Promise:  one thing is wrong, named by FAULT, and everything else is the daemon's own.
Not here: a switch in the daemon itself. It is changed from outside, before it starts.
"""

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Timer
from typing import Any, Final

from actors import decide
from actors.queries import Queries
from actors.rules import Rules
from daemon.command_line import main
from daemon.connections import ConnectionLimit
from daemon.journal import disk
from daemon.transport.publisher import Subscriptions
from protocol.commands import Create, Write
from protocol.replies import GetResult
from protocol.snapshots import StateSnapshot

LATE_S: Final = 0.02

Sync = Callable[[Any], None]


def _replace(owner: type, name: str, function: Callable[..., Any]) -> None:
    setattr(owner, name, function)


def no_sync() -> None:
    """Say that the journal is safe, as the worst of disks does."""

    def sync(_file: object) -> None:
        """Do nothing."""

    _replace(disk._OperatingSystemFile, "sync", sync)  # noqa: SLF001 (the point of it)


def late_sync() -> None:
    """Acknowledge first and sync a little later."""
    real: Sync = disk._OperatingSystemFile.sync  # noqa: SLF001

    def sync(file: Any) -> None:  # noqa: ANN401
        """Have it done by and by."""
        Timer(LATE_S, real, [file]).start()

    _replace(disk._OperatingSystemFile, "sync", sync)  # noqa: SLF001


def retried_sync() -> None:
    """Try a failed sync again, which succeeds and has written nothing."""
    real: Sync = disk._OperatingSystemFile.sync  # noqa: SLF001

    def sync(file: Any) -> None:  # noqa: ANN401
        """Go on until it does."""
        with suppress(OSError):
            real(file)
            return
        sync(file)

    _replace(disk._OperatingSystemFile, "sync", sync)  # noqa: SLF001


def unsynced_names() -> None:
    """Sync no folder: a new segment's bytes are safe, its name is not."""

    def sync_directory(_disk: object, _path: Path) -> None:
        """Do nothing."""

    _replace(disk.OperatingSystemDisk, "sync_directory", sync_directory)


def late_write() -> None:
    """Hand a batch to the operating system when the next one comes."""
    real: Callable[[Any, bytes], None] = disk._OperatingSystemFile.write  # noqa: SLF001
    kept: dict[int, bytes] = {}

    def write(file: Any, data: bytes) -> None:  # noqa: ANN401
        """Write what was kept, and keep this."""
        real(file, kept.get(id(file), b""))
        kept[id(file)] = data

    _replace(disk._OperatingSystemFile, "write", write)  # noqa: SLF001


def lost_race() -> None:
    """Look at no expected version: of two commands on one, the later one wins."""
    real = decide._check_version  # noqa: SLF001

    def check_version(state: StateSnapshot | None, request: Write, rules: Rules) -> None:
        """Object to nothing but a manifest that is there or is not."""
        if state is None or isinstance(request, Create):
            real(state, request, rules)

    setattr(decide, "_check_version", check_version)  # noqa: B010


def stale_reads() -> None:
    """Answer `get` with what was there when it was asked the last time."""
    real: Callable[[Any, StateSnapshot], GetResult] = Queries._get_result  # noqa: SLF001
    before: dict[str, StateSnapshot] = {}

    def get_result(queries: Any, state: StateSnapshot) -> GetResult:  # noqa: ANN401
        """Remember `state` for the next one."""
        old, before[state.manifest_id] = before.get(state.manifest_id, state), state
        return real(queries, old)

    _replace(Queries, "_get_result", get_result)


def open_door() -> None:
    """Let in whoever connects, and hang up on nobody."""

    def look(_limit: object) -> float:
        """Look at nothing."""
        return 1.0

    _replace(ConnectionLimit, "look", look)


def any_subscription() -> None:
    """Keep every subscription."""

    def too_many(_subscriptions: object) -> None:
        """Find none too many."""

    _replace(Subscriptions, "too_many", too_many)


FAULTS: Final[dict[str, Callable[[], None]]] = {
    "no-sync": no_sync,
    "late-sync": late_sync,
    "retried-sync": retried_sync,
    "unsynced-names": unsynced_names,
    "late-write": late_write,
    "lost-race": lost_race,
    "stale-reads": stale_reads,
    "open-door": open_door,
    "any-subscription": any_subscription,
}


def program(fault: str) -> tuple[str, ...]:
    """Return what Python has to run for a daemon with that fault."""
    assert fault in FAULTS
    return ("-m", "tests.support.broken_daemon", fault)


if __name__ == "__main__":
    FAULTS[sys.argv.pop(1)]()
    sys.exit(main())
