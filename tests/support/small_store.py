"""A small store with everything in it that a store can have, on an in-memory disk.

Twenty events of four manifests, in batches of one to three, in several segments; archived, with
snapshots, index, checkpoint, kept lifecycles, and drained.
"""

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from actors.ports import FeedPage
from daemon.errors import DaemonError
from daemon.settings import StoreSettings
from daemon.store import FileStore
from protocol.events import CommittedEvent
from protocol.lifecycle.registry import LifecycleRegistry
from protocol.replies import ManifestSummary
from protocol.snapshots import encode_snapshot, replay
from tests.conformance.event_store import Follower
from tests.support.events import Chain
from tests.support.faulty_disk import FaultyDisk
from tests.support.manual_timer import ManualTimer

DATA: Final = Path("/data")
SETTINGS: Final = StoreSettings(reserve_size_bytes=512, segment_size_bytes=6000)
NAMES: Final = ("a", "io.github.acme/echo@1.0.0", "b", f"long/{'x' * 190}@1")
EVENTS: Final = 20
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


async def read_all_of(disk: FaultyDisk) -> Contents:
    """Open the store on `disk`, read everything, close it."""
    store = await open_small(disk)
    try:
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
