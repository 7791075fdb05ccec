"""The process, or the power, ends at every single call of an archive batch.

Whatever the call: every acknowledged event is there afterwards, a manifest is what its events say,
and `events.log` has neither a gap nor a duplicate.
"""

from pathlib import Path

import pytest

from daemon.archive.layout import Layout
from daemon.errors import DaemonError
from daemon.settings import StoreSettings
from daemon.store import FileStore
from protocol.events import CommittedEvent
from protocol.snapshots import decode_snapshot, encode_snapshot, replay
from tests.conformance.event_store import Follower
from tests.support.crashes import CRASHES
from tests.support.events import Chain, committed
from tests.support.faulty_disk import FaultyDisk, only_durable
from tests.support.manual_timer import ManualTimer, until

pytestmark = (
    pytest.mark.no_cover
)  # What it runs is covered elsewhere; measured, it takes many times as long.

DATA = Path("/data")
SETTINGS = StoreSettings(reserve_size_bytes=512)
NAMES = ("a", "io.github.acme/echo@1.0.0", "b")

ENDS = CRASHES | {
    "power_cut_zeroed": lambda disk: disk.after_power_cut(_zeroed, names_survive=True)
}


def _zeroed(durable: bytes, cached: bytes) -> bytes:
    """The file got its new size, and the first of the new sectors did not get their bytes."""
    zeroes = bytes(min(512, max(0, len(cached) - len(durable))))
    return durable + zeroes + cached[len(durable) + len(zeroes) :]


async def open_store(disk: FaultyDisk, failures: list[DaemonError]) -> FileStore:
    return await FileStore.open(
        DATA, disk=disk, settings=SETTINGS, timer=ManualTimer(), on_failed=failures.append
    )


async def run_until_killed(disk: FaultyDisk, kill_at: int) -> tuple[list[CommittedEvent], bool]:
    """Commit, archive, commit more, archive again, dying at that call of the second archiving.

    Return what was acknowledged, and whether it died.
    """
    failures: list[DaemonError] = []
    store = await open_store(disk, failures)
    follower = Follower(store)
    chains = [Chain(name) for name in NAMES]
    acknowledged = [await follower.commit(chain.next()) for _ in range(2) for chain in chains[:2]]
    await store.write_behind()
    acknowledged += [await follower.commit(chain.next()) for _ in range(3) for chain in chains]
    disk.kill_at(kill_at)
    try:
        await store.write_behind()
    except DaemonError:
        assert [error.exit_status for error in failures] == [74]
    await store.close()
    return acknowledged, bool(failures)


async def start_and_archive(disk: FaultyDisk) -> bool:
    """Start on what a crash left, and archive it; return whether the process died on the way."""
    try:
        store = await open_store(disk, [])
    except DaemonError:
        return True
    try:
        await store.write_behind()
    except DaemonError:
        return True
    finally:
        await store.close()
    return False


async def check(disk: FaultyDisk, acknowledged: list[CommittedEvent]) -> None:
    failures: list[DaemonError] = []
    store = await open_store(disk, failures)
    page = await store.feed(0, 1000)
    assert [event.line for event in page.events] == [event.line for event in acknowledged]
    rows = {row.manifest_id: row.version for row in store.summaries()}
    expected = {name: _of(name, acknowledged) for name in NAMES}
    assert rows == {name: len(events) for name, events in expected.items()}
    follower = Follower(store)
    for archived in (False, True):
        for name, events in expected.items():
            state = await follower.state(name)
            state_then = replay(events)
            assert state is not None
            assert state_then is not None
            assert encode_snapshot(state) == encode_snapshot(state_then)
            history = await store.history(name, 0, 1000)
            assert [one.line for one in history] == [one.line for one in events]
        if not archived:
            await store.write_behind()
    _check_files(disk.durable_files(), expected)
    await store.close()
    assert not failures


def _check_files(files: dict[Path, bytes], expected: dict[str, list[CommittedEvent]]) -> None:
    layout = Layout(DATA)
    for name, events in expected.items():
        lines = b"".join(event.line + b"\n" for event in events)
        assert files[layout.log(name)] == lines
        assert decode_snapshot(files[layout.state(name)]).version == len(events)
    kept = [path for path in files if layout.manifests in path.parents]
    assert {path.name for path in kept} == {"events.log", "state.json"}


def _of(name: str, events: list[CommittedEvent]) -> list[CommittedEvent]:
    return [event for event in events if event.core.manifest_id == name]


@pytest.mark.parametrize("crash", ENDS)
async def test_nothing_is_lost_or_doubled_whichever_call_of_the_archive_is_the_last(
    crash: str,
) -> None:
    killed_at = 0
    died = True
    while died:
        killed_at += 1
        disk = FaultyDisk()
        acknowledged, died = await run_until_killed(disk, killed_at)
        await check(ENDS[crash](disk), acknowledged)

    assert killed_at > 20


# Every call, in turn for one crash or the other; in the long run for each.
@pytest.mark.parametrize("every", [len(ENDS), pytest.param(1, marks=pytest.mark.long)])
@pytest.mark.parametrize("crash", ENDS)
async def test_a_start_up_that_is_killed_too_is_followed_by_one_that_succeeds(
    crash: str, every: int
) -> None:
    disk = FaultyDisk()
    acknowledged, died = await run_until_killed(disk, 20)
    assert died
    disk = ENDS[crash](disk)
    killed_at = list(ENDS).index(crash) % every
    while died:
        killed_at += every
        second = disk.after_kill()
        second.kill_at(killed_at)
        died = await start_and_archive(second)
        await check(ENDS[crash](second), acknowledged)

    assert killed_at > 30


class ForgetfulDisk(FaultyDisk):
    """After a failed sync of the file system the pages count as clean, as on Linux."""

    def sync_filesystem(self, path: Path) -> None:
        try:
            super().sync_filesystem(path)
        except OSError:
            for file in self._cached.files.values():
                file.dirty.clear()
            raise


@pytest.mark.parametrize(
    "call",
    ["sync_filesystem", "replace events.log", "replace state.json", "sync manifests.jsonl"],
)
async def test_a_failed_sync_or_rename_ends_the_store_and_a_restart_finds_everything(
    call: str,
) -> None:
    disk = ForgetfulDisk()
    failures: list[DaemonError] = []
    store = await open_store(disk, failures)
    follower = Follower(store)
    chain = Chain("a")
    acknowledged = [await follower.commit(chain.next()) for _ in range(3)]
    await store.write_behind()
    acknowledged += [await follower.commit(chain.next()) for _ in range(3)]
    if call == "replace events.log":  # Only a log that a crash left is renamed.
        await store.close()
        disk.remove(DATA / "clean")
        disk.remove(DATA / "checkpoint.json")
        store = await open_store(disk, failures)
    disk.fail(call)

    with pytest.raises(DaemonError):
        await store.write_behind()

    assert [error.exit_status for error in failures] == [74]
    assert not store.writable
    await store.close()
    # The page cache shows what the disk does not have: what is read after a kill must be written
    # again before the checkpoint may cover it.
    survivor = disk.after_kill()
    store = await open_store(survivor, failures)
    await store.write_behind()
    await store.close()
    rebooted = survivor.after_power_cut(only_durable)
    _check_files(rebooted.durable_files(), {"a": acknowledged})
    store = await open_store(rebooted, failures)
    assert [row.version for row in store.summaries()] == [6]
    assert store.notes == []
    await store.close()
    assert len(failures) == 1


async def test_torn_bytes_go_to_quarantine_before_they_are_replaced() -> None:
    killed_at = 0
    last_call = ""
    while not last_call.startswith("sync_filesystem"):  # All is written then, and nothing synced.
        killed_at += 1
        disk = FaultyDisk()
        acknowledged, died = await run_until_killed(disk, killed_at)
        assert died
        last_call = disk.calls[-1]
    disk = ENDS["power_cut_zeroed"](disk)
    torn = disk.files()[Layout(DATA).log("a")]

    await check(disk, acknowledged)

    kept = {
        path.name: content
        for path, content in disk.durable_files().items()
        if path.parent.name == "quarantine"
    }
    assert kept["a.events.log.5"] in torn
    assert bytes(512) in kept["a.events.log.5"]


async def test_the_beginning_of_a_torn_line_is_no_damage() -> None:
    for killed_at in range(1, 20):
        disk = FaultyDisk()
        acknowledged, died = await run_until_killed(disk, killed_at)
        assert died
        disk = ENDS["power_cut_torn"](disk)

        await check(disk, acknowledged)

        assert "quarantine" not in {path.parent.name for path in disk.files()}


async def test_a_state_json_of_another_history_is_not_what_the_tail_is_applied_to() -> None:
    disk = FaultyDisk()
    failures: list[DaemonError] = []
    store = await open_store(disk, failures)
    follower = Follower(store)
    chain, other = Chain("a"), Chain("a", document=b'{"name":"other"}')
    events = [await follower.commit(chain.next())]
    await store.write_behind()
    events += [await follower.commit(chain.next()) for _ in range(2)]
    await until(lambda: store.last_seq == 3)
    crashed = disk.after_kill()
    await store.close()
    forged = replay(committed([other.next(), other.next()]))
    assert forged is not None
    crashed.put(Layout(DATA).state("a"), encode_snapshot(forged))

    store = await open_store(crashed, failures)

    assert await Follower(store).state("a") == replay(events)
    await store.close()
    assert not failures
