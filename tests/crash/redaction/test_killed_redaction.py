"""The process, or the power, ends at every single call of a redaction, from its event to the end.

Whatever the call: once the event was acknowledged, the data is gone from every file after the next
start, the chain holds, and the state is what the events say. Before that, nothing is lost.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from daemon.archive.layout import Layout
from daemon.errors import DaemonError
from daemon.journal.checkpoint import CHECKPOINT_NAME
from daemon.redaction.pending import PendingErasures
from daemon.settings import StoreSettings
from daemon.store import FileStore
from protocol.events import CommittedEvent
from protocol.snapshots import encode_snapshot, replay
from tests.conformance.event_store import Follower
from tests.support.faulty_disk import FaultyDisk, everything, only_durable, torn_after
from tests.support.manual_timer import ManualTimer, until
from tests.support.redactions import SECRETS, Redactable

DATA = Path("/data")
NAMES = ("a", "b")
# Segments of about two events, so that some are sealed, some removed, one is open.
SETTINGS = StoreSettings(reserve_size_bytes=64, segment_size_bytes=2500)

CRASHES: dict[str, Callable[[FaultyDisk], FaultyDisk]] = {
    "killed": lambda disk: disk.after_kill(),
    "power_cut": lambda disk: disk.after_power_cut(only_durable),
    "power_cut_names_survive": lambda disk: disk.after_power_cut(only_durable, names_survive=True),
    "power_cut_all_survives": lambda disk: disk.after_power_cut(everything, names_survive=True),
    "power_cut_torn": lambda disk: disk.after_power_cut(torn_after(700), names_survive=True),
}


class Ran:
    """What a process did before it ended: which events it acknowledged."""

    def __init__(self) -> None:
        self.acknowledged: list[CommittedEvent] = []
        self.redacted = False
        self.died = False


async def open_store(disk: FaultyDisk, failures: list[DaemonError]) -> FileStore:
    return await FileStore.open(
        DATA, disk=disk, settings=SETTINGS, timer=ManualTimer(), on_failed=failures.append
    )


async def run_until_killed(disk: FaultyDisk, kill_at: int, *, archived: bool) -> Ran:
    """Commit two histories, then redact one version of one, dying at that call."""
    ran, failures = Ran(), list[DaemonError]()
    store = await open_store(disk, failures)
    follower = Follower(store)
    histories = [Redactable(name) for name in NAMES]
    for history in histories:
        for event in history.secret_events():
            ran.acknowledged.append(await follower.commit(event))
    if archived:
        await store.write_behind()
    disk.kill_at(kill_at)
    for history in histories:
        redaction = follower.append(history.redaction(2))
        await until(lambda redaction=redaction: redaction.done() or bool(failures))  # type: ignore[misc]
        outcome = redaction.result() if redaction.done() else None
        if isinstance(outcome, CommittedEvent):
            ran.acknowledged.append(outcome)
    await until(lambda: store.redactions_pending == 0 or bool(failures))
    await store.close()
    ran.died = bool(failures) or len(disk.calls) >= kill_at_reached(disk)
    return ran


def kill_at_reached(disk: FaultyDisk) -> int:
    """Return the call at which the process ends."""
    assert disk._kill_at is not None  # noqa: SLF001
    return disk._kill_at  # noqa: SLF001


async def check(disk: FaultyDisk, acknowledged: list[CommittedEvent]) -> None:
    """Start again, let it finish, and look at everything."""
    failures: list[DaemonError] = []
    store = await open_store(disk, failures)
    await until(lambda: store.redactions_pending == 0)
    page = await store.feed(0, 1000)
    hashes = [event.hash for event in page.events]
    assert hashes[: len(acknowledged)] == [event.hash for event in acknowledged]
    gone = {event.core.manifest_id for event in page.events if event.core.redacts is not None}
    for name in NAMES:
        log = await store.history(name, 0, 1000)
        for event in log:
            assert CommittedEvent.read(event.line).hash == event.hash
        state = await Follower.state(_Reading(store), name)  # type: ignore[arg-type]
        rebuilt = replay(log)
        assert state is not None
        assert rebuilt is not None
        assert encode_snapshot(state) == encode_snapshot(rebuilt)
    await store.close()
    assert not failures
    layout = Layout(DATA)
    owners = [name for name in NAMES if name not in gone]
    for path, content in disk.durable_files().items():
        if path.parent == layout.quarantine:
            continue  # Reported, not rewritten.
        if layout.manifests in path.parents:
            allowed = int(path.parent in {layout.folder(name) for name in owners})
        else:
            allowed = len(owners)
        for secret in SECRETS.values():
            assert content.count(secret) <= allowed, f"{secret!r} is in {path}"
    assert not [path for path in disk.durable_files() if path.name.endswith(".tmp")]


class _Reading:
    """What `Follower.state` needs, of a store that somebody may listen to already."""

    def __init__(self, store: FileStore) -> None:
        self.store = store
        self.states: dict[str, object] = {}


@pytest.mark.parametrize(
    ("crash", "archived"),
    [
        pytest.param(
            crash,
            archived,
            id=f"{crash}-{'archived' if archived else 'dirty'}",
            marks=()
            if (crash, archived) == ("power_cut_names_survive", True)
            else pytest.mark.long,
        )
        for crash in CRASHES
        for archived in (True, False)
    ],
)
async def test_whichever_call_is_the_last_the_data_is_gone_after_the_next_start(
    crash: str,
    archived: bool,  # noqa: FBT001 (a parameter of the test)
) -> None:
    killed_at, died = 0, True
    while died:
        killed_at += 1
        disk = FaultyDisk()
        ran = await run_until_killed(disk, killed_at, archived=archived)
        died = ran.died
        await check(CRASHES[crash](disk), ran.acknowledged)

    assert killed_at > 40


@pytest.mark.long
@pytest.mark.parametrize("crash", ["killed", "power_cut"])
async def test_a_start_that_is_killed_while_it_finishes_is_followed_by_one_that_does(
    crash: str,
) -> None:
    first = FaultyDisk()
    ran = await run_until_killed(first, 45, archived=True)
    assert ran.died
    killed_at, died = 0, True
    while died:
        killed_at += 1
        disk = CRASHES[crash](first)
        disk.kill_at(killed_at)
        failures: list[DaemonError] = []
        try:
            store = await open_store(disk, failures)
        except DaemonError:
            pass
        else:
            await until(lambda: store.redactions_pending == 0 or bool(failures))  # noqa: B023
            await store.close()
        died = len(disk.calls) >= kill_at_reached(disk)
        await check(CRASHES[crash](disk), ran.acknowledged)

    assert killed_at > 30


async def test_without_the_list_of_what_is_pending_data_would_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The negative control: `redactions.json` is not written before the checkpoint passes."""

    def forget(pending: PendingErasures) -> None:
        del pending

    monkeypatch.setattr(PendingErasures, "save", forget)
    left = 0
    for killed_at in range(20, 60, 3):
        disk = FaultyDisk()
        ran = await run_until_killed(disk, killed_at, archived=True)
        try:
            await check(CRASHES["killed"](disk), ran.acknowledged)
        except AssertionError:
            left += 1
    assert left > 0


@pytest.mark.long
@pytest.mark.parametrize("lost", ["checkpoint", "index"])
async def test_where_the_journal_is_read_from_its_start_both_copies_are_told_apart(
    lost: str,
) -> None:
    """One copy of an event lost its payload, the other not yet, and the checkpoint is lost, too."""
    killed_at, died = 0, True
    while died:
        killed_at += 1
        disk = FaultyDisk()
        ran = await run_until_killed(disk, killed_at, archived=True)
        died = ran.died
        survivor = disk.after_kill()
        gone = DATA / (CHECKPOINT_NAME if lost == "checkpoint" else "index/manifests.jsonl")
        survivor.remove(gone)
        await check(survivor, ran.acknowledged)
