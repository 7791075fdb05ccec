"""After the archive's disk failed nothing is acknowledged, whatever the journal still makes durable."""

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from actors.ports import AppendOutcome, AppendRefusal, Position
from daemon.archive.archiver import DELAY_S
from daemon.journal.disk import AppendFile
from daemon.store import FileStore
from protocol.events import CommittedEvent
from tests.support.events import Chain
from tests.support.faulty_disk import FaultyDisk
from tests.support.manual_timer import ManualTimer, until

if TYPE_CHECKING:
    from daemon.errors import DaemonError

DATA = Path("/data")


class SlowDisk(FaultyDisk):
    """A sync of the journal waits for the gate, one of the file system for the other gate."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.gate.set()
        self.synced = 0
        self.archive_gate = threading.Event()
        self.archive_gate.set()
        self.is_at_archive_gate = False

    def sync_filesystem(self, path: Path) -> None:
        """See `Disk`."""
        self.is_at_archive_gate = True
        self.archive_gate.wait()
        super().sync_filesystem(path)

    def open_append(self, path: Path, *, create: bool) -> AppendFile:
        """See `Disk`."""
        return _SlowFile(self, super().open_append(path, create=create))


class _SlowFile:
    def __init__(self, disk: SlowDisk, file: AppendFile) -> None:
        self._disk, self._file = disk, file
        self.write, self.truncate, self.close = file.write, file.truncate, file.close

    def sync(self) -> None:
        self._disk.gate.wait()
        self._file.sync()
        self._disk.synced += 1


async def test_a_batch_that_becomes_durable_later_is_told_to_nobody() -> None:
    disk, timer = SlowDisk(), ManualTimer()
    failures: list[DaemonError] = []
    refusals: list[AppendRefusal] = []
    told: list[CommittedEvent] = []

    def committed(events: Sequence[CommittedEvent]) -> None:
        told.extend(events)

    store = await FileStore.open(DATA, disk=disk, timer=timer, on_failed=failures.append)
    store.on_committed(committed)
    store.append(Chain("a").next(), Position(0, None), refusals.append)
    await until(lambda: bool(told))
    disk.gate.clear()
    store.append(Chain("b").next(), Position(0, None), refusals.append)
    disk.fail("sync_filesystem")
    timer.advance(DELAY_S)
    await until(lambda: bool(failures))
    syncs = disk.synced

    disk.gate.set()
    await until(lambda: disk.synced > syncs)
    await store.close()

    assert [error.exit_status for error in failures] == [74]
    assert [event.core.manifest_id for event in told] == ["a"]
    assert [refusal.outcome for refusal in refusals] == [AppendOutcome.UNKNOWN]
    assert store.last_seq == 1


async def test_the_end_is_not_called_clean_where_the_archive_failed_meanwhile() -> None:
    disk, timer = SlowDisk(), ManualTimer()
    failures: list[DaemonError] = []
    store = await FileStore.open(DATA, disk=disk, timer=timer, on_failed=failures.append)
    told: list[CommittedEvent] = []
    store.on_committed(told.extend)
    store.append(Chain("a").next(), Position(0, None), lambda _: None)
    await until(lambda: bool(told))
    disk.archive_gate.clear()
    disk.fail("sync_filesystem")
    timer.advance(DELAY_S)
    await until(lambda: disk.is_at_archive_gate)

    closing = asyncio.create_task(store.close())
    await until(lambda: store._archiver._draining is not None)  # noqa: SLF001 (it waits for the gate)
    disk.archive_gate.set()
    await closing

    assert [error.exit_status for error in failures] == [74]
    assert DATA / "clean" not in disk.files()
