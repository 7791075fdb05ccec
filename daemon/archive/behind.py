"""What works behind a running store, put together: the archiver, and who keeps house beside it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from daemon.archive.archiver import Archiver, Timer
from daemon.archive.dirty import DirtyManifests
from daemon.archive.housekeeping import Housekeeping
from daemon.archive.opening import OpenedStore
from daemon.archive.reads import StoreReads
from daemon.archive.work import BlockingWork
from daemon.errors import DaemonError
from daemon.journal.committer import Journal
from daemon.journal.disk import Disk
from daemon.journal.retention import Retention
from daemon.redaction.pending import PendingErasures
from daemon.redaction.work import ErasureWork


class StoreParts(NamedTuple):
    """What they share with the store in front of them."""

    dirty: DirtyManifests
    journal: Journal[Any]
    reads: StoreReads


def start_behind(
    disk: Disk,
    data_directory: Path,
    opened: OpenedStore,
    parts: StoreParts,
    *,
    retention: Retention,
    timer: Timer,
    last_seq: Callable[[], int],
    on_failed: Callable[[DaemonError], None],
) -> tuple[Archiver, Housekeeping]:
    """Start both on an opened store; they do what start-up left to do, soon."""
    pending = PendingErasures(disk, data_directory, opened.erasures)
    work = BlockingWork(
        disk, data_directory, opened.index_file, opened.checkpoint_seq, retention, pending
    )
    archiver = Archiver(
        parts.dirty,
        work,
        last_seq=last_seq,
        batch_end=parts.journal.checkpoint_at,
        on_failed=on_failed,
        timer=timer,
    )
    erasing = ErasureWork(
        disk,
        data_directory,
        pending=pending,
        archiving=work,
        journal=parts.journal,
        reads=parts.reads,
    )
    housekeeping = Housekeeping(archiver, work, erasing, timer)
    archiver.wake()
    housekeeping.start()
    return archiver, housekeeping
