"""An `EventStore` in memory: what the actors' tests run on.

`tests/conformance/event_store.py` holds it to the same promises as the real ones. It commits what
was appended in the next turn of the loop, all in one batch, unless a test says otherwise.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from actors.ports import (
    AppendOutcome,
    AppendRefusal,
    CommittedListener,
    FeedPage,
    LifecycleChangedError,
    Loaded,
    Position,
)
from protocol.errors import OptimisticLockError, ShuttingDownError
from protocol.events import CommittedEvent, NewEvent
from protocol.replies import ManifestSummary
from protocol.snapshots import StateSnapshot, replay

Refused = Callable[[AppendRefusal], None]


@dataclass
class MemoryDisk:
    """What outlives a `MemoryStore`: give it to the next one to restart."""

    journal: list[CommittedEvent] = field(default_factory=list)
    manifests: dict[str, list[CommittedEvent]] = field(default_factory=dict)
    snapshots: dict[str, StateSnapshot] = field(default_factory=dict)
    lifecycles: dict[str, bytes] = field(default_factory=dict)


class MemoryStore:
    """The fake. `held` and `refusals` let a test decide what happens to an append, and when."""

    def __init__(self, disk: MemoryDisk | None = None) -> None:
        self.disk = MemoryDisk() if disk is None else disk
        self.held = False  # While True, nothing commits until `commit()`.
        self.refusals: list[AppendRefusal] = []  # Each answers one append, the first one first.
        self.pending: list[tuple[CommittedEvent, Refused]] = []
        self.loads = 0
        self._listener: CommittedListener | None = None
        self._closed = False
        self._urns = {row.urn: row.manifest_id for row in self.summaries() if row.urn is not None}
        self._confirmed = set(self._urns)

    def on_committed(self, listener: CommittedListener) -> None:
        """See `EventStore`."""
        assert self._listener is None
        self._listener = listener

    def append(self, event: NewEvent, expected: Position, refused: Refused) -> None:
        """See `EventStore`."""
        refusal = self._refusal(event.core.manifest_id, expected)
        if refusal is not None:
            refused(refusal)
            return
        seq = self.last_seq + len(self.pending) + 1
        self.pending.append((CommittedEvent.of(event, seq), refused))
        if len(self.pending) == 1 and not self.held:
            asyncio.get_running_loop().call_soon(self.commit)

    def commit(self) -> None:
        """Commit what is pending, in one batch."""
        batch, self.pending = [event for event, _ in self.pending], []
        if not batch:
            return
        for event in batch:
            self.disk.journal.append(event)
            self.disk.manifests.setdefault(event.core.manifest_id, []).append(event)
        assert self._listener is not None
        self._listener(batch)

    def refuse(self, refusal: AppendRefusal) -> None:
        """Refuse what is pending."""
        entries, self.pending = self.pending, []
        for _, refused in entries:
            refused(refusal)

    async def load(self, manifest_id: str) -> Loaded:
        """See `EventStore`."""
        self.loads += 1
        snapshot = self.disk.snapshots.get(manifest_id)
        version = 0 if snapshot is None else snapshot.version
        return Loaded(snapshot, self.disk.manifests.get(manifest_id, [])[version:])

    def save_snapshot(self, snapshot: StateSnapshot) -> None:
        """See `EventStore`."""
        self.disk.snapshots[snapshot.manifest_id] = snapshot

    def is_clean(self, manifest_id: str) -> bool:
        """See `EventStore`."""
        return not self._is_pending(manifest_id)

    def _is_pending(self, manifest_id: str) -> bool:
        return any(event.core.manifest_id == manifest_id for event, _ in self.pending)

    def summaries(self) -> Sequence[ManifestSummary]:
        """See `EventStore`."""
        states = [replay(events) for events in self.disk.manifests.values()]
        return [ManifestSummary.of(state) for state in states if state is not None]

    async def history(
        self, manifest_id: str, after_version: int, limit: int
    ) -> list[CommittedEvent]:
        """See `EventStore`."""
        return self.disk.manifests.get(manifest_id, [])[after_version : after_version + limit]

    async def find_command(self, manifest_id: str, command_id: str) -> CommittedEvent | None:
        """See `EventStore`."""
        events = self.disk.manifests.get(manifest_id, [])
        return next((one for one in events if one.core.command_id == command_id), None)

    async def feed(self, after_seq: int, limit: int) -> FeedPage:
        """See `EventStore`."""
        events = self.disk.journal[after_seq : after_seq + limit]
        return FeedPage(events, min(after_seq, self.last_seq) + len(events) + 1)

    @property
    def last_seq(self) -> int:
        """See `EventStore`."""
        return len(self.disk.journal)

    @property
    def log_hash(self) -> str | None:
        """See `EventStore`: this one keeps none."""
        return None

    def reserve(
        self, urn: str, manifest_id: str, version: int, answer: Callable[[str | None], None]
    ) -> None:
        """See `EventStore`."""
        del version
        owner = self._urns.setdefault(urn, manifest_id)
        answer(None if owner == manifest_id else owner)

    def confirm(self, urn: str, manifest_id: str) -> None:
        """See `EventStore`."""
        self._urns[urn] = manifest_id
        self._confirmed.add(urn)

    def release(self, urn: str, manifest_id: str) -> None:
        """See `EventStore`."""
        if self._urns.get(urn) == manifest_id and urn not in self._confirmed:
            del self._urns[urn]

    async def pin_lifecycle(self, name: str, definition: bytes) -> None:
        """See `EventStore`."""
        if self.disk.lifecycles.setdefault(name, definition) != definition:
            raise LifecycleChangedError(name)

    async def pinned_lifecycles(self) -> dict[str, bytes]:
        """See `EventStore`."""
        return dict(self.disk.lifecycles)

    async def write_behind(self) -> None:
        """See `EventStore`: nothing is written behind."""

    async def close(self) -> None:
        """See `EventStore`."""
        self.commit()
        self._closed = True

    def _refusal(self, manifest_id: str, expected: Position) -> AppendRefusal | None:
        if self._closed:
            return AppendRefusal(AppendOutcome.FULL, ShuttingDownError("closed"))
        if self.refusals:
            return self.refusals.pop(0)
        version = len(self.disk.manifests.get(manifest_id, []))
        version += sum(event.core.manifest_id == manifest_id for event, _ in self.pending)
        if version == expected.version and not self._is_pending(manifest_id):
            return None
        conflict = OptimisticLockError.at(
            manifest_id, expected=expected.version, actual=version, allowed_events=[]
        )
        return AppendRefusal(AppendOutcome.CONFLICT, conflict)
