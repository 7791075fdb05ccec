"""A small store with everything in it that a store can have, on an in-memory disk.

Twenty events of four manifests, in batches of one to three, in several segments; archived, with
snapshots, index, checkpoint, kept lifecycles, and drained.
"""

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from actors.ports import FeedPage
from daemon.archive.layout import QUARANTINE_NAME
from daemon.archive.opening import LOCK_NAME
from daemon.errors import DaemonError
from daemon.journal.clean import CLEAN_NAME
from daemon.journal.reserve import RESERVE_NAME
from daemon.settings import StoreSettings
from daemon.store import FileStore
from protocol.events import CommittedEvent
from protocol.lifecycle.registry import LifecycleRegistry
from protocol.replies import ManifestSummary
from protocol.snapshots import encode_snapshot, replay
from tests.conformance.event_store import Follower
from tests.support.events import Chain
from tests.support.faulty_disk import FaultyDisk
from tests.support.manual_timer import ManualTimer, until
from tests.support.redactions import Redactable

DATA: Final = Path("/data")
SETTINGS: Final = StoreSettings(reserve_size_bytes=512, segment_size_bytes=6000)
NAMES: Final = ("a", "io.github.acme/echo@1.0.0", "b", f"long/{'x' * 190}@1")
EVENTS: Final = 20
REDACTED: Final = "redacted"  # The manifest that `make_redacted` adds, with four events.
URN: Final = "urn:proto:mcp-server:io.github.acme/echo@1.0.0"
LIFECYCLE: Final = "manifest@1"


class Contents(NamedTuple):
    """All that a store answers with, in bytes."""

    lines: tuple[bytes, ...]
    states: Mapping[str, bytes]
    lifecycles: Mapping[str, bytes]


async def open_small(disk: FaultyDisk) -> FileStore:
    """Open the store on `disk`; a failure of the disk later on is raised."""

    def failed(error: DaemonError) -> None:
        raise error

    return await FileStore.open(
        DATA, disk=disk, settings=SETTINGS, timer=ManualTimer(), on_failed=failed
    )


def _batches() -> list[list[int]]:
    """Which manifests get an event in which batch; twenty in all."""
    return [[0], [0, 1], [1], [0, 1, 2], [2], [3, 0], [1], [0, 2], [1, 2, 3], [0], [0, 1], [2]]


async def make_small(*, archived: int = 12, drained: bool = True) -> tuple[FaultyDisk, Contents]:
    """Return the store after its batches; the first `archived` of them are archived when it ends."""
    disk = FaultyDisk()
    store = await open_small(disk)
    await store.pin_lifecycle(LIFECYCLE, LifecycleRegistry.builtin().get(LIFECYCLE).to_json())
    follower = Follower(store)
    chains = [Chain(name) for name in NAMES]
    lines: list[bytes] = []
    for number, batch in enumerate(_batches()):
        moves = {"to": "REVIEWED", "urn": URN} if number == 7 else {}
        events = [chains[one].next(**moves if one == 0 else {}) for one in batch]
        outcomes = await asyncio.gather(*map(follower.append, events))
        lines += [one.line for one in outcomes if isinstance(one, CommittedEvent)]
        if number + 1 in {4, 9, archived} and number < archived:
            await store.write_behind()
    assert len(lines) == EVENTS
    left = disk.after_kill()
    await store.close()
    contents = await read_all_of(disk.after_kill())
    assert contents.lines == tuple(lines)
    return (disk if drained else left), contents


async def make_redacted(killed_at: str) -> tuple[FaultyDisk, Contents]:
    """Return a small store that was killed in a redaction, and what is in it when that is done.

    `killed_at` is the call (as `FaultyDisk.calls` names it) at whose first coming after the
    redaction's event the process ends. Every file that is written beside its target and renamed
    has a half-written one there, too, and `quarantine/` holds something.
    """
    undisturbed, calls = await redact(None)
    contents = await read_all_of(undisturbed.after_kill())
    at = next(number for number, call in enumerate(calls, 1) if call == killed_at)
    disk, _ = await redact(at)
    left = disk.after_kill()
    for path, content in left.files().items():
        temporary = path.with_name(f"{path.name}.tmp")
        if path.name not in {LOCK_NAME, RESERVE_NAME} and not path.name.endswith(".tmp"):
            left.put(temporary, left.files().get(temporary) or content[: len(content) // 2])
    left.put(DATA / f"{CLEAN_NAME}.tmp", b'{"seq":')
    left.put(DATA / QUARANTINE_NAME / "journal-00000000000000000001-0-0123456789abcdef", b"kept\n")
    return left, contents


async def redact(kill_at: int | None) -> tuple[FaultyDisk, list[str]]:
    """Add a history to the small store, archive it, and redact its second version; return calls."""
    whole, _ = await make_small()
    disk = whole.after_kill()
    store = await FileStore.open(
        DATA, disk=disk, settings=SETTINGS, timer=ManualTimer(), on_failed=lambda _: None
    )
    follower, history = Follower(store), Redactable(REDACTED)
    for event in history.secret_events():
        await follower.commit(event)
    await store.write_behind()
    before = len(disk.calls)
    if kill_at is not None:
        disk.kill_at(kill_at)
    await follower.commit(history.redaction(2))
    await settled(store)
    calls = disk.calls[before:]
    await store.close()
    return disk, calls


async def settled(store: FileStore) -> None:
    """Wait until a store has tried whatever it does by itself after its start."""
    housekeeping = store._housekeeping  # noqa: SLF001 (what damage stands in the way of stays pending)
    await until(lambda: not housekeeping._tasks)  # noqa: SLF001


async def read_all_of(disk: FaultyDisk) -> Contents:
    """Open the store on `disk`, read everything, close it."""
    store = await open_small(disk)
    try:
        await settled(store)
        return await read_all(store)
    finally:
        await store.close()


async def write_more(disk: FaultyDisk, manifest_ids: Iterable[str]) -> None:
    """Append an event to each of these manifests, close, and read everything again."""
    store = await open_small(disk)
    follower = Follower(store)
    for manifest_id in manifest_ids:
        state = await follower.state(manifest_id)
        if state is not None:
            await follower.commit(Chain.after(state).next())
    await store.close()
    await read_all_of(disk)


async def read_all(store: FileStore) -> Contents:
    """Return all that `store` says; the parts of it that contradict one another fail.

    Raises:
        CorruptError: something stored is damaged.
    """
    rows = {row.manifest_id: row for row in store.summaries()}
    states: dict[str, bytes] = {}
    lines: dict[int, bytes] = {}
    for manifest_id in sorted(rows):
        loaded = await store.load(manifest_id)
        state = replay(loaded.tail, loaded.snapshot)
        assert state is not None
        assert rows[manifest_id] == ManifestSummary.of(state)
        states[manifest_id] = encode_snapshot(state)
        history = await store.history(manifest_id, 0, 1000)
        lines |= {event.seq: event.line for event in history}
        assert history[-1].hash == state.head
    feed: list[bytes] = []
    while (page := await _page(store, len(feed))).events:
        feed += [event.line for event in page.events]
    assert feed == [lines[seq] for seq in sorted(lines)]
    lifecycles = await store.pinned_lifecycles()
    return Contents(tuple(feed), states, lifecycles)


async def _page(store: FileStore, after_seq: int) -> FeedPage:
    page = await store.feed(after_seq, 1000)
    assert not page.events or page.events[0].seq == after_seq + 1
    return page
