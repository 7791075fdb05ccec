"""A `MemoryStore` whose slow parts wait for the test, and that other writers can write to."""

import asyncio
from collections.abc import Callable

from actors.ports import AppendOutcome, AppendRefusal, Loaded
from protocol.errors import OptimisticLockError, UnavailableError
from protocol.events import CommittedEvent
from protocol.snapshots import StateSnapshot
from tests.support.memory_store import MemoryDisk, MemoryStore, Refused

CONFLICT = AppendRefusal(
    AppendOutcome.CONFLICT,
    OptimisticLockError.at("m", expected=1, actual=2, allowed_events=[]),
)
UNKNOWN = AppendRefusal(AppendOutcome.UNKNOWN, UnavailableError("nobody knows"))


class Gate:
    """Open until a test closes it; who comes then waits."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._open.set()
        self.waiting = 0
        self._came = asyncio.Event()

    def close(self) -> None:
        """Hold up whoever comes from now on."""
        self._open.clear()
        self._came.clear()

    def open(self) -> None:
        """Let everybody go on."""
        self._open.set()

    async def passage(self) -> None:
        """Wait until the gate is open."""
        self.waiting += 1
        self._came.set()
        await self._open.wait()
        self.waiting -= 1

    async def reached(self) -> None:
        """Return when somebody waits at the closed gate."""
        await self._came.wait()


class GatedStore(MemoryStore):
    """`loading`, `searching` and `reserving` are what a test may hold up."""

    def __init__(self, disk: MemoryDisk | None = None) -> None:
        super().__init__(disk)
        self.loading = Gate()
        self.searching = Gate()
        self.searches = 0
        self.held_reservations: list[Callable[[], None]] | None = None
        self.released: list[str] = []
        self.confirmed: list[str] = []
        self.dirty: set[str] = set()
        self.heard = self.last_seq

    def commit(self) -> None:
        """Commit what is pending, and refuse what another writer was faster with."""
        entries, self.pending = self.pending, []
        lost: list[Refused] = []
        for event, refused in entries:
            if len(self.disk.manifests.get(event.core.manifest_id, [])) == event.core.version - 1:
                self.pending.append((event, refused))
            else:
                lost.append(refused)
        self.heard += len(self.pending)
        super().commit()
        for refused in lost:
            refused(CONFLICT)

    def overhear(self) -> None:
        """Tell the listener what other writers committed on the same disk."""
        events, self.heard = self.disk.journal[self.heard :], self.last_seq
        assert self._listener is not None
        self._listener(events)

    def broadcast(self, events: list[CommittedEvent]) -> None:
        """Tell the listener of events that are not on the disk, as a store with a bug would."""
        assert self._listener is not None
        self._listener(events)

    async def load(self, manifest_id: str) -> Loaded:
        """Read at once and answer when the gate is open: what is committed meanwhile is not in it."""
        loaded = await super().load(manifest_id)
        await self.loading.passage()
        return loaded

    async def find_command(self, manifest_id: str, command_id: str) -> CommittedEvent | None:
        """See `EventStore`."""
        self.searches += 1
        await self.searching.passage()
        return await super().find_command(manifest_id, command_id)

    def reserve(
        self, urn: str, manifest_id: str, version: int, answer: Callable[[str | None], None]
    ) -> None:
        """Answer at once, or where a test set `held_reservations = []`, when it calls them."""
        if self.held_reservations is None:
            super().reserve(urn, manifest_id, version, answer)
            return
        parent = super().reserve
        self.held_reservations.append(lambda: parent(urn, manifest_id, version, answer))

    def confirm(self, urn: str, manifest_id: str) -> None:
        """See `EventStore`."""
        self.confirmed.append(urn)
        super().confirm(urn, manifest_id)

    def release(self, urn: str, manifest_id: str) -> None:
        """See `EventStore`."""
        self.released.append(urn)
        super().release(urn, manifest_id)

    def is_clean(self, manifest_id: str) -> bool:
        """See `EventStore`; `dirty` names manifests that are not written yet."""
        return manifest_id not in self.dirty and super().is_clean(manifest_id)

    def snapshot(self, manifest_id: str) -> StateSnapshot:
        """Return the snapshot that was saved last."""
        return self.disk.snapshots[manifest_id]
