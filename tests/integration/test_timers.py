"""Timers on real files: start-up arms them from the index, a crash neither loses nor repeats one."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from actors.engine import Engine
from daemon.errors import DaemonError
from daemon.index import read_index
from daemon.journal.disk import OperatingSystemDisk
from daemon.settings import StoreSettings
from daemon.store import FileStore
from protocol.commands import Request
from protocol.replies import TransitionResult
from tests.support.engines import ALICE, Outcome, create, step
from tests.support.manual_timer import ManualTimer
from tests.support.timed import HOUR_S, pass_time, settings, timed_rules
from tests.support.virtual_clock import VirtualClock

SETTINGS = StoreSettings(reserve_size_bytes=4096)


class Home:
    """An engine on a file store, which archives nothing before it is closed."""

    def __init__(self, store: FileStore, engine: Engine) -> None:
        self.store = store
        self.engine = engine

    async def ask(self, request: Request) -> None:
        """Carry out a write; it must succeed."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.engine.handle(request, ALICE, future.set_result)
        assert isinstance(await future, TransitionResult)

    async def fired(self) -> list[str | None]:
        """Return what timers took, in order."""
        found: list[str | None] = []
        next_seq = 1
        while next_seq <= self.store.last_seq:
            page = await self.store.feed(next_seq - 1, 1000)
            found += [event.core.event for event in page.events if event.core.cause == "timer"]
            next_seq = page.next_seq
        return found

    async def submit(self) -> None:
        """Bring a manifest into review, which has two timers."""
        await self.ask(create())
        await self.ask(step("submit"))


@asynccontextmanager
async def opened(folder: Path, clock: VirtualClock) -> AsyncIterator[Home]:
    def failed(error: DaemonError) -> None:
        raise error

    store = await FileStore.open(folder, settings=SETTINGS, timer=ManualTimer(), on_failed=failed)
    try:
        engine = Engine(store, timed_rules(), **settings(clock))
        async with engine.run():
            yield Home(store, engine)
            await engine.drain()
    finally:
        await store.close()


async def test_start_up_arms_from_the_index_and_loads_a_manifest_only_when_it_is_due(
    tmp_path: Path,
) -> None:
    clock = VirtualClock()
    async with opened(tmp_path, clock) as home:
        await home.submit()

    index = read_index(OperatingSystemDisk(), tmp_path)
    assert index is not None
    assert [timer.event for timer in index.rows["m"].timers] == [
        *("after.REVIEW.1", "after.REVIEW.2")
    ]
    async with opened(tmp_path, clock) as home:
        await pass_time(home, clock, HOUR_S - 1)
        assert (home.engine.directory.active, home.engine.directory.timers.waiting) == (0, 2)
        await pass_time(home, clock, 2)
        assert await home.fired() == ["after.REVIEW.2"]
    clock.advance(14 * HOUR_S)
    async with opened(tmp_path, clock) as home:
        await pass_time(home, clock, 1)
        assert await home.fired() == ["after.REVIEW.2", "after.REVIEW.1"]
    async with opened(tmp_path, clock) as home:
        await pass_time(home, clock, HOUR_S)

        assert home.engine.directory.timers.waiting == 0
        assert await home.fired() == ["after.REVIEW.2", "after.REVIEW.1"]


async def test_a_crash_before_and_after_firing_neither_loses_nor_repeats_a_timer(
    tmp_path: Path,
) -> None:
    clock = VirtualClock()
    async with opened(tmp_path / "data", clock) as home:
        await home.submit()
        shutil.copytree(tmp_path / "data", tmp_path / "armed")
        await pass_time(home, clock, HOUR_S + 1)
        shutil.copytree(tmp_path / "data", tmp_path / "fired")
        assert await home.fired() == ["after.REVIEW.2"]

    for name in ("armed", "fired"):
        async with opened(tmp_path / name, clock) as home:
            await pass_time(home, clock, 1)
            assert await home.fired() == ["after.REVIEW.2"], name
            assert home.engine.directory.timers.waiting == 1
