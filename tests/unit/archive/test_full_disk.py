"""A store whose disk is full, or breaks: what is refused, what goes on, and what a client is told."""

import errno
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from actors.ports import AppendOutcome
from daemon.archive.archiver import DELAY_S, PAUSE_FIRST_S
from daemon.archive.dirty import DirtyLimits
from daemon.archive.layout import Layout
from daemon.errors import DaemonError
from daemon.settings import StoreSettings
from daemon.store import FileStore
from protocol.errors import StorageFullError
from tests.conformance.event_store import Follower, refusal_of
from tests.support.events import Chain
from tests.support.faulty_disk import FaultyDisk
from tests.support.manual_timer import ManualTimer, until

DATA = Path("/data")
LIMITS = DirtyLimits(manifests=4, events=100, size_bytes=1 << 20)
SETTINGS = StoreSettings(dirty=LIMITS, reserve_size_bytes=64 << 10)
FOREVER = 1 << 30


@dataclass
class House:
    """A store on a faulty disk, with its time and its failures."""

    disk: FaultyDisk
    store: FileStore = field(init=False)
    timer: ManualTimer = field(default_factory=ManualTimer)
    failures: list[DaemonError] = field(default_factory=list)

    async def open(self) -> Follower:
        self.store = await FileStore.open(
            DATA,
            disk=self.disk,
            settings=SETTINGS,
            timer=self.timer,
            on_failed=self.failures.append,
        )
        return Follower(self.store)


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS])
@pytest.mark.parametrize("write", ["write events.log", "write state.json.tmp"])
async def test_an_archive_without_room_keeps_everything_dirty_and_tries_again(
    write: str, error: int
) -> None:
    house = House(FaultyDisk())
    follower = await house.open()
    chain = Chain("a")
    await follower.commit(chain.next())
    house.disk.fail(write, error)
    house.timer.advance(DELAY_S)
    await until(lambda: not house.store.is_clean("a") and bool(house.timer.waiting))
    events = [await follower.commit(chain.next())]
    assert house.store.archived_seq == 0

    house.timer.advance(PAUSE_FIRST_S)

    await until(lambda: house.store.archived_seq == 2)
    log = house.disk.files()[Layout(DATA).log("a")]
    assert log.count(b"\n") == 2
    assert log.endswith(events[-1].line + b"\n")
    assert house.failures == []
    await house.store.close()


async def test_at_the_bound_a_full_disk_is_what_a_client_is_told() -> None:
    house = House(FaultyDisk())
    follower = await house.open()
    house.disk.fail("write state.json.tmp", errno.ENOSPC, times=FOREVER)
    await follower.commit(Chain("a").next())
    with pytest.raises(StorageFullError):
        await house.store.write_behind()
    for name in "bcd":
        await follower.commit(Chain(name).next())

    refusal = await refusal_of(follower.append(Chain("e").next()))

    assert (refusal.outcome, refusal.error.code) == (AppendOutcome.FULL, "STORAGE_FULL")
    assert not house.store.writable
    assert (await house.store.load("a")).snapshot == follower.states["a"]
    await house.store.close()
    assert house.failures == []


async def test_close_gives_the_reserve_away_to_archive_what_is_left() -> None:
    house = House(FaultyDisk())
    follower = await house.open()
    await follower.commit(Chain("a").next())
    used = sum(len(content) for content in house.disk.files().values())
    house.disk.capacity_bytes = used + 100

    await house.store.close()

    files = house.disk.after_power_cut().files()
    assert DATA / "clean" in files
    assert Layout(DATA).state("a") in files
    assert DATA / "journal" / "reserve" not in files


# Found by the simulator (seed 11315): the error left `close` as it was, so that the daemon ended
# with a traceback and status 1.
async def test_a_reserve_that_cannot_be_given_away_is_a_failed_disk() -> None:
    house = House(FaultyDisk())
    follower = await house.open()
    await follower.commit(Chain("a").next())
    used = sum(map(len, house.disk.files().values()))
    house.disk.capacity_bytes = used + 100
    house.disk.fail("sync_directory journal")

    await house.store.close()

    assert [failure.exit_status for failure in house.failures] == [74]
    assert DATA / "clean" not in house.disk.files()


async def test_a_store_that_was_closed_on_a_full_disk_opens_with_everything() -> None:
    house = House(FaultyDisk())
    follower = await house.open()
    event = await follower.commit(Chain("a").next())
    house.disk.fail("write events.log", errno.ENOSPC, times=FOREVER)
    await house.store.close()
    assert DATA / "clean" not in house.disk.files()

    house = House(house.disk.after_power_cut())
    follower = await house.open()

    state = await follower.state("a")
    assert state is not None
    assert state.head == event.hash
    assert [row.manifest_id for row in house.store.summaries()] == ["a"]
    await house.store.close()


async def test_what_the_journal_has_no_room_for_is_refused_and_seq_has_no_gap() -> None:
    house = House(FaultyDisk())
    follower = await house.open()
    await follower.commit(Chain("a").next())
    house.disk.fail("write 00000000000000000001.jsonl", errno.ENOSPC)
    outcomes = [follower.append(Chain(name).next()) for name in "bcd"]

    refusals = [await refusal_of(outcome) for outcome in outcomes]

    assert {one.outcome for one in refusals} == {AppendOutcome.FULL}
    assert {one.error.code for one in refusals} == {"STORAGE_FULL"}
    later = await refusal_of(follower.append(Chain("b").next()))
    assert later.error.code == "STORAGE_FULL"
    house.store._journal.try_resume()  # noqa: SLF001 (instead of waiting for the pause to end)
    assert (await follower.commit(Chain("b").next())).seq == 2
    await house.store.close()


async def test_after_a_failed_journal_sync_nobody_is_told_ok_and_all_is_unknown() -> None:
    house = House(FaultyDisk())
    follower = await house.open()
    chain = Chain("a")
    await follower.commit(chain.next())
    house.disk.fail("sync 00000000000000000001.jsonl")
    outcomes = [follower.append(chain.next()), follower.append(Chain("b").next())]

    refusals = [await refusal_of(outcome) for outcome in outcomes]

    assert {one.outcome for one in refusals} == {AppendOutcome.UNKNOWN}
    assert {one.error.code for one in refusals} == {"UNAVAILABLE"}
    assert [error.exit_status for error in house.failures] == [74]
    assert house.store.last_seq == 1
    assert not house.store.writable
    await house.store.close()
    assert DATA / "clean" not in house.disk.files()
