"""A store whose process, or power, ends in the middle of a redaction, and what has to follow.

Two histories, `a` and `b`, each with a second version that holds personal data; both are redacted.
"""

from collections.abc import Collection, Mapping
from pathlib import Path

from daemon.archive.layout import Layout
from daemon.errors import DaemonError
from daemon.settings import StoreSettings
from daemon.store import FileStore
from protocol.events import CommittedEvent
from protocol.lifecycle.registry import LifecycleRegistry
from protocol.snapshots import encode_snapshot, replay
from tests.conformance.event_store import Follower
from tests.support.faulty_disk import FaultyDisk
from tests.support.manual_timer import ManualTimer, until
from tests.support.redactions import SECRETS, Redactable

DATA = Path("/data")
NAMES = ("a", "b")
LIFECYCLE = "manifest@1"
# Segments of about two events, so that some are sealed, some removed, one is open.
SETTINGS = StoreSettings(reserve_size_bytes=64, segment_size_bytes=2500)


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
    await store.pin_lifecycle(LIFECYCLE, LifecycleRegistry.builtin().get(LIFECYCLE).to_json())
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
    data_is_gone(disk.durable_files(), gone)
    assert not [path for path in disk.durable_files() if path.name.endswith(".tmp")]


def data_is_gone(files: Mapping[Path, bytes], gone: Collection[str]) -> None:
    """Check the files of a store in `DATA`: of the manifests in `gone` no data is left."""
    layout = Layout(DATA)
    owners = [name for name in NAMES if name not in gone]
    for path, content in files.items():
        if path.parent == layout.quarantine:
            continue  # Reported, not rewritten.
        if layout.manifests in path.parents:
            allowed = int(path.parent in {layout.folder(name) for name in owners})
        else:
            allowed = len(owners)
        for secret in SECRETS.values():
            assert content.count(secret) <= allowed, f"{secret!r} is in {path}"


class _Reading:
    """What `Follower.state` needs, of a store that somebody may listen to already."""

    def __init__(self, store: FileStore) -> None:
        self.store = store
        self.states: dict[str, object] = {}
