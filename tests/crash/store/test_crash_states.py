"""A power cut at every operation of a store's life, and everything that may be left of it.

The life: several segments, batches of several events, archive and checkpoint, a drain and a second
start, and in one of two lives the oldest segments are given up. From each state that its disk may be in, start-up has to find everything acknowledged and
nothing that was not asked for; and the same again from what a crash of that start-up leaves.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random

import pytest

from daemon.archive.layout import Layout
from daemon.errors import DaemonError, DamagedStoreError
from daemon.journal.retention import Retention
from daemon.settings import StoreSettings
from daemon.store import FileStore
from protocol.errors import CorruptError, HistoryCompactedError
from protocol.events import CommittedEvent
from protocol.snapshots import decode_snapshot, encode_snapshot, replay
from tests.conformance.event_store import Follower
from tests.support.crash_states import DiskState, RecordingDisk, crash_states
from tests.support.effort import rounds, tally
from tests.support.events import Chain
from tests.support.manual_timer import ManualTimer

DATA = Path("/data")
NAMES = ("a", "io.github.acme/echo@1.0.0", "b")
SETTINGS = StoreSettings(reserve_size_bytes=512, segment_size_bytes=2600)
LIVES = {
    "everything is kept": SETTINGS,
    "old segments go": SETTINGS._replace(retention=Retention(events=4)),
}
NEW = DiskState(frozenset({DATA, *DATA.parents}), {})
STATES_OF_A_RECOVERY = 40
STATES_OF_A_ROUND = 500
RECOVERIES_OF_A_ROUND = 10


class Life:
    """What a store was asked to do, in order, and the disk that saw it."""

    def __init__(self, disk: RecordingDisk, settings: StoreSettings) -> None:
        self.disk = disk
        self.settings = settings
        self.events: list[CommittedEvent] = []
        self.chains = {name: Chain(name) for name in NAMES}
        self.failures: list[DaemonError] = []

    async def session(self, work: Callable[["Life", FileStore, Follower], Awaitable[None]]) -> None:
        store = await open_store(self.disk, self.settings, self.failures)
        follower = Follower(store)
        for name in NAMES:
            await follower.state(name)
        await work(self, store, follower)
        await store.close()
        assert not self.failures

    async def commit(self, follower: Follower, *names: str) -> None:
        """Ask for an event of each of `names` at once, and see them acknowledged in that order."""
        self.disk.note("asked", len(self.events) + len(names))
        asked = [follower.append(self.chains[name].next()) for name in names]
        committed = await asyncio.gather(*asked)
        self.events += [one for one in committed if isinstance(one, CommittedEvent)]
        assert [one.seq for one in self.events] == list(range(1, len(self.events) + 1))
        self.disk.note("acknowledged", len(self.events))


async def open_store(
    disk: RecordingDisk, settings: StoreSettings, failures: list[DaemonError]
) -> FileStore:
    return await FileStore.open(
        DATA, disk=disk, settings=settings, timer=ManualTimer(), on_failed=failures.append
    )


async def live(settings: StoreSettings = SETTINGS) -> Life:
    """Return what happened to a new disk in two sessions."""

    async def first(life: Life, store: FileStore, follower: Follower) -> None:
        for _ in range(2):
            await life.commit(follower, "a")
            await life.commit(follower, *NAMES)
            await store.write_behind()
        await life.commit(follower, "b", "a")

    async def second(life: Life, store: FileStore, follower: Follower) -> None:
        await life.commit(follower, *NAMES)
        await store.write_behind()
        await life.commit(follower, "a", "b")
        await life.commit(follower, "b")

    life = Life(RecordingDisk(NEW), settings)
    await life.session(first)
    await life.session(second)
    return life


class Judge:
    """Start-up on states of one life's disk; expectations are made once."""

    def __init__(self, life: Life) -> None:
        self._lines = [event.line for event in life.events]
        self._events = life.events
        self._settings = life.settings

    async def judge(self, state: DiskState) -> RecordingDisk:
        """Start on `state`, see that all is right, archive, drain; return the disk that saw it."""
        disk = RecordingDisk(state)
        failures: list[DaemonError] = []
        store = await open_store(disk, self._settings, failures)
        found = await self._found(store)
        assert found == self._lines[: len(found)], "the journal is no beginning of what was asked"
        assert len(found) >= state.acknowledged, f"lost: {len(found)} of {state.acknowledged}"
        assert len(found) <= state.asked, f"invented: {len(found)} of {state.asked}"
        follower = Follower(store)
        versions = {row.manifest_id: row.version for row in store.summaries()}
        expected = {name: self._of(name, len(found)) for name in NAMES}
        assert versions == {name: len(events) for name, events in expected.items() if events}
        for name, events in expected.items():
            loaded = await follower.state(name)
            replayed = replay(events)
            assert (loaded and encode_snapshot(loaded)) == (replayed and encode_snapshot(replayed))
        await store.write_behind()
        await store.close()
        assert not failures
        self._check_archive(disk, expected)
        return disk

    async def _found(self, store: FileStore) -> list[bytes]:
        """Return every event line, which all histories hold and the feed as far as it reaches."""
        histories = [await store.history(name, 0, 1000) for name in NAMES]
        events = sorted((one for some in histories for one in some), key=lambda one: one.seq)
        try:
            page = await store.feed(0, 1000)
        except HistoryCompactedError as error:
            assert not self._settings.retention.is_unlimited
            page = await store.feed(error.details["oldest_seq"] - 1, 1000)
            assert page.events
        fed = [one.line for one in page.events]
        lines = [one.line for one in events]
        assert fed == lines[len(lines) - len(fed) :]
        assert len(fed) == len(lines) or not self._settings.retention.is_unlimited
        return lines

    def _of(self, name: str, count: int) -> list[CommittedEvent]:
        return [event for event in self._events[:count] if event.core.manifest_id == name]

    def _check_archive(
        self, disk: RecordingDisk, expected: dict[str, list[CommittedEvent]]
    ) -> None:
        files, layout = disk.durable_files(), Layout(DATA)
        for name, events in expected.items():
            lines = b"".join(event.line + b"\n" for event in events)
            assert files.get(layout.log(name), b"") == lines, name
            assert not events or decode_snapshot(files[layout.state(name)]).version == len(events)


async def judge_all(
    life: Life,
    random: Random,
    *,
    states: int,
    at_one_moment: int,
    recoveries: int,
    seen: set[int] | None = None,
) -> tuple[int, int]:
    """Judge `states` of a life's states and of `recoveries` their own; return how many those were.

    Those that were `seen` are left out, and those that are judged added to it.
    """
    judge = Judge(life)
    seen = set() if seen is None else seen
    found = list(crash_states(life.disk, NEW, random=random, states_max=at_one_moment))
    outer = inner = 0
    for state in random.sample(found, min(states, len(found))):
        if state.key in seen:
            continue
        seen.add(state.key)
        outer += 1
        disk = await judge.judge(state)
        tally("crash states")
        if outer <= recoveries:
            later = list(crash_states(disk, state, random=random, states_max=6))
            for again in random.sample(later, min(STATES_OF_A_RECOVERY, len(later))):
                await judge.judge(again)
                tally("crash states of a recovery")
                inner += 1
    return outer, inner


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Leave what start-up says of thousands of damaged disks unsaid: it costs more than the test."""
    caplog.set_level("ERROR")


@pytest.mark.parametrize("name", LIVES)
async def test_whatever_a_power_cut_leaves_start_up_finds_what_was_acknowledged(name: str) -> None:
    life = await live(LIVES[name])
    made = {one.path for one in life.disk.operations if one.kind == "create"}
    kept = {path for path in life.disk.files() if path.parent == DATA / "journal"}
    assert len({path for path in made if path.parent == DATA / "journal"}) > 5
    assert (len(kept) > 5) == (name == "everything is kept")

    for random in rounds(1):
        outer, inner = await judge_all(life, random, states=150, at_one_moment=20, recoveries=3)

        assert outer == 150
        assert inner >= 60


@pytest.mark.long
async def test_from_thousands_of_disks_start_up_finds_what_was_acknowledged() -> None:
    lives = [await live(settings) for settings in LIVES.values()]
    seen: list[set[int]] = [set() for _ in lives]
    for random in rounds(4):
        for life, known in zip(lives, seen, strict=True):
            outer, inner = await judge_all(
                life,
                random,
                states=STATES_OF_A_ROUND,
                at_one_moment=100,
                recoveries=RECOVERIES_OF_A_ROUND,
                seen=known,
            )

            assert outer > STATES_OF_A_ROUND // 4
            assert inner > RECOVERIES_OF_A_ROUND * STATES_OF_A_RECOVERY // 4


@pytest.mark.parametrize("kind", ["sync", "sync_directory", "sync_filesystem"])
async def test_without_one_sort_of_sync_there_is_a_disk_that_start_up_fails_on(kind: str) -> None:
    """The negative control: what such a call kept is free to vanish."""
    life = await live()
    life.disk.operations = [one for one in life.disk.operations if one.kind != kind]

    with pytest.raises((AssertionError, DamagedStoreError, CorruptError)):
        await judge_all(life, Random(1), states=10_000, at_one_moment=10, recoveries=0)  # noqa: S311
