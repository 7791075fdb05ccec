"""When the archive is written; time is moved by hand."""

import asyncio
import errno
from collections.abc import Sequence

import pytest

from daemon.archive.archiver import (
    CHECKPOINT_S,
    COALESCE_S,
    DELAY_S,
    LOAD_EVENTS,
    PAUSE_FIRST_S,
    Archiver,
)
from daemon.archive.dirty import DirtyLimits, DirtyManifest, DirtyManifests
from daemon.archive.writer import NoRoomError
from daemon.errors import DaemonError, DiskFailedError
from daemon.journal.checkpoint import BatchEnd
from protocol.replies import ManifestSummary
from protocol.snapshots import replay
from tests.support.events import Chain, committed
from tests.support.manual_timer import ManualTimer, until


class Work:
    """What the archiver is told to do; `gate` holds it up, `fault` makes it fail."""

    def __init__(self) -> None:
        self.batches: list[list[tuple[str, int]]] = []
        self.checkpoints: list[tuple[list[str], int, BatchEnd | None]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.fault: Exception | None = None

    async def write(self, batch: Sequence[DirtyManifest]) -> list[ManifestSummary]:
        self.batches.append([(entry.manifest_id, len(entry.events)) for entry in batch])
        await self.gate.wait()
        if self.fault is not None:
            raise self.fault
        states = [replay(entry.events[:1]) for entry in batch]
        return [ManifestSummary.of(state) for state in states if state is not None]

    async def checkpoint(
        self, rows: list[ManifestSummary], archived_seq: int, end: BatchEnd | None
    ) -> None:
        if self.fault is not None:
            raise self.fault
        self.checkpoints.append(([row.manifest_id for row in rows], archived_seq, end))


class House:
    """An archiver and all that it needs."""

    def __init__(self, limits: DirtyLimits | None = None) -> None:
        self.timer = ManualTimer()
        self.dirty = DirtyManifests(limits or DirtyLimits())
        self.work = Work()
        self.failures: list[DaemonError] = []
        self.last_seq = 0
        self.archiver = Archiver(
            self.dirty,
            self.work,
            last_seq=lambda: self.last_seq,
            batch_end=lambda seq: BatchEnd(seq, b"h"),
            on_failed=self.failures.append,
            timer=self.timer,
        )

    def commit(self, *names: str) -> None:
        for name in names:
            (event,) = committed([Chain(name).next()], self.last_seq + 1)
            self.last_seq += 1
            self.dirty.add(event)
        self.archiver.wake()

    async def is_archived(self) -> None:
        await until(lambda: self.archiver.archived_seq == self.last_seq)


async def test_without_load_the_archive_is_written_well_within_200_ms() -> None:
    house = House()

    house.commit("a", "b")
    assert house.work.batches == []
    house.timer.advance(0.1)

    await house.is_archived()
    assert house.work.batches == [[("a", 1), ("b", 1)]]


async def test_under_load_it_waits_and_then_writes_once_what_changed_often() -> None:
    house = House()
    names = [f"m-{number}" for number in range(LOAD_EVENTS)]
    moments = 1
    house.commit(*names)
    while house.timer.waiting:  # None is set once it writes.
        house.timer.advance(DELAY_S)
        house.commit(*names)
        moments += 1
    assert moments * DELAY_S == pytest.approx(COALESCE_S, abs=3 * DELAY_S)

    await house.is_archived()

    assert house.work.batches == [[(name, moments) for name in names]]


async def test_when_the_load_ends_the_rest_is_written_at_the_next_look() -> None:
    house = House()
    house.commit(*(f"m-{number}" for number in range(LOAD_EVENTS)))
    house.timer.advance(DELAY_S)
    assert house.work.batches == []

    house.timer.advance(DELAY_S)

    await house.is_archived()


async def test_at_half_of_a_limit_it_writes_at_once() -> None:
    house = House(DirtyLimits(manifests=4, events=1000, size_bytes=1 << 20))

    house.commit("a")
    assert house.timer.waiting
    house.commit("b")

    await house.is_archived()
    assert house.work.batches == [[("a", 1), ("b", 1)]]


async def test_what_is_committed_during_a_write_is_written_after_it() -> None:
    house = House()
    house.work.gate.clear()
    house.commit("a")
    house.timer.advance(DELAY_S)
    await until(lambda: len(house.work.batches) == 1)
    house.commit("b")
    assert house.archiver.archived_seq == 0

    house.work.gate.set()
    await until(lambda: house.archiver.archived_seq == 1)
    house.timer.advance(DELAY_S)

    await house.is_archived()
    assert house.work.batches == [[("a", 1)], [("b", 1)]]


async def test_a_checkpoint_is_owed_once_a_second_and_paid_without_further_events() -> None:
    house = House()
    house.commit("a")
    house.timer.advance(DELAY_S)
    await house.is_archived()
    await until(lambda: bool(house.timer.waiting))
    assert house.work.checkpoints == []

    house.timer.advance(CHECKPOINT_S)

    await until(lambda: bool(house.work.checkpoints))
    assert house.work.checkpoints == [(["a"], 1, BatchEnd(1, b"h"))]
    await house.archiver.stop()
    assert not house.timer.waiting


async def test_what_is_committed_before_a_checkpoint_that_is_owed_does_not_wait_for_it() -> None:
    house = House()
    house.commit("a")
    house.timer.advance(DELAY_S)
    await house.is_archived()
    await until(lambda: bool(house.timer.waiting))

    house.commit("b")
    house.timer.advance(DELAY_S)

    await house.is_archived()
    assert house.work.batches == [[("a", 1)], [("b", 1)]]
    await until(lambda: bool(house.timer.waiting))
    assert house.work.checkpoints == []
    house.timer.advance(CHECKPOINT_S)
    await until(lambda: bool(house.work.checkpoints))
    await house.archiver.stop()
    assert not house.timer.waiting


async def test_archive_now_writes_everything_and_the_checkpoint() -> None:
    house = House()
    house.commit("a", "b")

    await house.archiver.archive_now()

    assert house.archiver.archived_seq == 2
    assert house.work.checkpoints == [(["a", "b"], 2, BatchEnd(2, b"h"))]
    assert not house.timer.waiting


async def test_a_cancelled_archive_now_lets_the_write_go_on_and_nobody_else_in() -> None:
    house = House()
    house.work.gate.clear()
    house.commit("a")
    cancelled = asyncio.ensure_future(house.archiver.archive_now())
    await until(lambda: len(house.work.batches) == 1)

    cancelled.cancel()
    house.commit("b")
    second = asyncio.ensure_future(house.archiver.archive_now())
    house.work.gate.set()
    await second

    assert house.work.batches == [[("a", 1)], [("b", 1)]]
    assert cancelled.cancelled()


async def test_no_room_is_tried_again_after_pauses_that_double() -> None:
    house = House()
    house.work.fault = NoRoomError(OSError(errno.ENOSPC, "full"))
    house.commit("a")
    house.timer.advance(DELAY_S)
    pause_s = PAUSE_FIRST_S
    for attempt in range(1, 4):
        await until(lambda: bool(house.timer.waiting))
        assert len(house.work.batches) == attempt
        assert house.archiver.no_room is not None
        assert house.timer.waiting[0].due == pytest.approx(house.timer.now + pause_s)
        if attempt < 3:
            house.timer.advance(pause_s)
        pause_s *= 2

    house.work.fault = None
    house.timer.advance(pause_s)

    await house.is_archived()
    assert house.archiver.no_room is None
    assert house.failures == []


async def test_what_found_no_room_when_it_was_asked_for_is_tried_again_by_itself() -> None:
    house = House()
    house.commit("a")
    house.work.fault = NoRoomError(OSError(errno.ENOSPC, "full"))
    with pytest.raises(NoRoomError):
        await house.archiver.archive_now()

    house.work.fault = None
    house.timer.advance(PAUSE_FIRST_S)

    await house.is_archived()
    assert house.archiver.no_room is None


async def test_nothing_is_tried_again_once_it_is_told_to_stop() -> None:
    house = House()
    house.commit("a")
    house.work.fault = NoRoomError(OSError(errno.ENOSPC, "full"))
    house.work.gate.clear()
    asked = asyncio.create_task(house.archiver.archive_now())
    await until(lambda: bool(house.work.batches))
    stopping = asyncio.create_task(house.archiver.stop())

    house.work.gate.set()  # Heard after that: the loop's queue is first in, first out.
    await stopping

    with pytest.raises(NoRoomError):
        await asked
    assert house.timer.waiting == []


async def test_a_checkpoint_without_room_is_written_later() -> None:
    house = House()
    house.commit("a")
    house.timer.advance(DELAY_S)
    await house.is_archived()
    house.work.fault = NoRoomError(OSError(errno.ENOSPC, "full"))

    with pytest.raises(NoRoomError):
        await house.archiver.archive_now()
    house.work.fault = None
    await house.archiver.archive_now()

    assert house.work.checkpoints == [(["a"], 1, BatchEnd(1, b"h"))]


async def test_a_failed_disk_ends_it_for_good() -> None:
    house = House()
    house.work.fault = DiskFailedError("syncing the archive", OSError(errno.EIO, "broken"))
    house.commit("a")
    house.timer.advance(DELAY_S)
    await until(lambda: bool(house.failures))

    house.commit("b")
    house.timer.advance(60)
    with pytest.raises(DiskFailedError):
        await house.archiver.archive_now()

    assert house.failures == [house.work.fault]
    assert len(house.work.batches) == 1
    assert house.archiver.archived_seq == 0


async def test_a_fault_of_ours_ends_it_too(caplog: pytest.LogCaptureFixture) -> None:
    house = House()
    house.work.fault = ZeroDivisionError("a bug")
    house.commit("a")
    house.timer.advance(DELAY_S)

    await until(lambda: bool(house.failures))

    assert house.failures[0].exit_status == 1
    assert "a bug" in caplog.text
