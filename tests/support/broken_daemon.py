"""`manifestd`, broken on purpose: what the checkers of the promises have to catch.

    python -m tests.support.broken_daemon FAULT --dev --data-dir DIR …

Promise:  one thing is wrong, named by FAULT, and everything else is the daemon's own.
Not here: a switch in the daemon itself. It is changed from outside, before it starts.
"""

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

from actors import decide
from actors.engine import Engine
from actors.ports import FeedPage
from actors.queries import Queries
from actors.rules import Rules
from actors.timers import Scheduler
from daemon import application
from daemon.backup import Backups
from daemon.command_line import main
from daemon.connections import ConnectionLimit
from daemon.journal import disk
from daemon.journal.batches import read_batches, read_from
from daemon.journal.segment import list_segments, segment_path
from daemon.store import FileStore
from daemon.transport.publisher import Subscriptions
from protocol.commands import Create, Write
from protocol.replies import GetResult
from protocol.snapshots import StateSnapshot
from protocol.timers import Timer

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
        threading.Timer(LATE_S, real, [file]).start()

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


def executed_unread() -> None:
    """Take every command that is still read after SIGTERM, as if nobody had asked for an end."""

    async def drain(engine: Any) -> None:  # noqa: ANN401
        """Wait for what was accepted, and refuse nothing."""
        await engine.directory.settle()

    _replace(Engine, "drain", drain)


def unanswered_batch() -> None:
    """End at once on SIGTERM: what is being synced is finished, and nobody is told."""

    async def drain(running: Any, *_: object) -> None:  # noqa: ANN401
        """Leave as if everything were done."""
        running._manager.stopping("draining")  # noqa: SLF001
        raise application._StoppedError  # noqa: SLF001

    _replace(application.Application, "_drain", drain)


def endless_end() -> None:
    """Do not come to an end on SIGTERM."""

    async def close(_store: object) -> None:
        """Wait for something that does not come."""
        await asyncio.Event().wait()

    _replace(FileStore, "close", close)


def unlocked() -> None:
    """Open the lock's file and lock nothing."""

    def lock(_disk: object, path: Path) -> int:
        """Look at nobody."""
        return os.open(path, os.O_RDWR | os.O_CREAT)

    _replace(disk.OperatingSystemDisk, "lock", lock)


def written_before_locked() -> None:
    """Note the process in the directory before it is known to be free."""
    real: Callable[[Any, Path], int] = disk.OperatingSystemDisk.lock

    def lock(one: Any, path: Path) -> int:  # noqa: ANN401
        """Leave a trace, then lock."""
        (path.parent / "pid").write_text(str(os.getpid()))
        return real(one, path)

    _replace(disk.OperatingSystemDisk, "lock", lock)


def lock_that_stays() -> None:
    """Lock by a file that somebody has to remove, which a killed process does not."""

    def lock(_disk: object, path: Path) -> int:
        """Make the file."""
        try:
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        except FileExistsError as error:
            raise BlockingIOError from error

    def unlock(_disk: object, descriptor: int) -> None:
        """Remove it."""
        Path(f"/proc/self/fd/{descriptor}").readlink().unlink()
        os.close(descriptor)

    _replace(disk.OperatingSystemDisk, "lock", lock)
    _replace(disk.OperatingSystemDisk, "unlock", unlock)


def ordered_by_clock() -> None:
    """Hand the feed out in the order of timestamps."""
    real = FileStore.feed

    async def feed(store: FileStore, after_seq: int, limit: int) -> FeedPage:
        """Sort a page."""
        page = await real(store, after_seq, limit)
        return page._replace(events=sorted(page.events, key=attrgetter("core.at")))

    _replace(FileStore, "feed", feed)


def timers_that_expire() -> None:
    """Forget a timer that is overdue when it is set: it is too late for it, the clock says."""
    real = Scheduler.set

    def set_timers(scheduler: Any, manifest_id: str, timers: Sequence[Timer]) -> None:  # noqa: ANN401
        """Set those that are still to come."""
        now = scheduler._clock()  # noqa: SLF001
        real(scheduler, manifest_id, [timer for timer in timers if timer.due > now])

    _replace(Scheduler, "set", set_timers)


def blocking_backup() -> None:
    """Read the whole journal, and check every event in it, before a page is answered; on the loop."""
    real = Backups.answer

    async def answer(backups: Any, request: Any) -> Any:  # noqa: ANN401
        """Read it as often as it takes to be noticed in a small store, too."""
        directory = backups._directory  # noqa: SLF001
        for first in list_segments(backups._disk, directory) * 20:  # noqa: SLF001
            path = segment_path(directory, first)
            segment = path.read_bytes()
            read = read_from(segment)
            for batch in read_batches(read, path, offset=0, end_offset=len(segment), seq=first):
                list(batch.events())
        return await real(backups, request)

    _replace(Backups, "answer", answer)


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
    "blocking-backup": blocking_backup,
    "ordered-by-clock": ordered_by_clock,
    "timers-that-expire": timers_that_expire,
    "unlocked": unlocked,
    "written-before-locked": written_before_locked,
    "lock-that-stays": lock_that_stays,
    "executed-unread": executed_unread,
    "unanswered-batch": unanswered_batch,
    "endless-end": endless_end,
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
