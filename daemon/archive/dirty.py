"""What is committed and not yet archived.

Two generations: `take` turns the collected one into the one being written, and a new one collects
meanwhile. So an entry is never changed while a worker thread reads it, and the first entry of a
generation holds its lowest seq.

Promise:  `get` answers with every unarchived event of a manifest and its last snapshot, whichever
          generation they are in; `holds(1.0)` is true before memory is short.
Not here: when to write (`archiver.py`), how (`writer.py`).
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from protocol.events import CommittedEvent
from protocol.replies import Usage
from protocol.snapshots import StateSnapshot


class DirtyLimits(NamedTuple):
    """How much may wait for the archive. Below: what bounds each of them."""

    manifests: int = 16_384  # Each is written in about 100 us: close() waits 2 s at most.
    events: int = 131_072  # A crash makes start-up replay them: 10 us each.
    size_bytes: int = 128 << 20  # Event lines; documents in snapshots share their memory.


DIRTY_LIMITS: Final = DirtyLimits()


class DirtyManifest:
    """One manifest's unarchived events and its latest snapshot.

    `suspect`: the manifest was dirty when the process before this one died, so that there may be a
    log, torn, before its first event is archived.
    """

    __slots__ = ("events", "manifest_id", "snapshot", "suspect")

    def __init__(
        self,
        manifest_id: str,
        events: list[CommittedEvent],
        snapshot: StateSnapshot | None,
        *,
        suspect: bool = False,
    ) -> None:
        self.manifest_id = manifest_id
        self.events = events
        self.snapshot = snapshot
        self.suspect = suspect

    def is_current(self) -> bool:
        """Whether the snapshot is the one after the last event."""
        if self.snapshot is None:
            return False
        return not self.events or self.snapshot.version >= self.events[-1].core.version


class DirtyManifests:
    """All unarchived manifests of a store. Belongs to the event loop's thread."""

    def __init__(
        self, limits: DirtyLimits = DIRTY_LIMITS, restored: Iterable[DirtyManifest] = ()
    ) -> None:
        self._limits = limits
        self._collected: dict[str, DirtyManifest] = {}
        self._written: dict[str, DirtyManifest] = {}
        self._events = 0
        self._size_bytes = 0
        self.restore(restored)

    def __len__(self) -> int:
        """Return the number of manifests, a manifest in both generations counted twice."""
        return len(self._collected) + len(self._written)

    def __contains__(self, manifest_id: object) -> bool:
        """Whether a manifest has something that is not archived."""
        return manifest_id in self._collected or manifest_id in self._written

    def add(self, event: CommittedEvent) -> None:
        """Take a committed event."""
        entry = self._entry(event.core.manifest_id)
        if not entry.events:  # Behind those that hold a lower seq; it may have held a snapshot.
            self._collected[entry.manifest_id] = self._collected.pop(entry.manifest_id)
        entry.events.append(event)
        self._count(event, 1)

    def save(self, snapshot: StateSnapshot) -> None:
        """Take the snapshot of a manifest; one without events mends `state.json`."""
        self._entry(snapshot.manifest_id).snapshot = snapshot

    def restore(self, entries: Iterable[DirtyManifest]) -> None:
        """Take what a crash left unarchived; at start-up, in the order of their first seqs."""
        for entry in entries:
            assert entry.manifest_id not in self
            self._collected[entry.manifest_id] = entry
            for event in entry.events:
                self._count(event, 1)

    def get(self, manifest_id: str) -> DirtyManifest | None:
        """Return all that is unarchived of a manifest; a value that nobody changes later."""
        older, newer = self._written.get(manifest_id), self._collected.get(manifest_id)
        if older is None and newer is None:
            return None
        return _joined(older, newer)

    def take(self) -> Sequence[DirtyManifest]:
        """Begin to write: return what was collected, and collect anew."""
        assert not self._written
        self._written, self._collected = self._collected, {}
        return tuple(self._written.values())

    def settle(self) -> None:
        """Everything that was taken is archived and synced."""
        for entry in self._written.values():
            for event in entry.events:
                self._count(event, -1)
        self._written = {}

    def put_back(self) -> None:
        """Nothing that was taken counts as archived; the next `take` returns it again."""
        for manifest_id, newer in self._collected.items():
            self._written[manifest_id] = _joined(self._written.get(manifest_id), newer)
        by_seq = sorted(self._written.values(), key=_first_seq)
        self._collected = {entry.manifest_id: entry for entry in by_seq}
        self._written = {}

    @property
    def first_seq(self) -> int | None:
        """The lowest seq that is not archived; None when all are."""
        for generation in (self._written, self._collected):
            for entry in generation.values():
                if entry.events:
                    return entry.events[0].seq
        return None

    def holds(self, share: float) -> bool:
        """Whether `share` of a limit is used: what is asked for each event and each batch."""
        manifests, events, size_bytes = self._limits
        return (
            len(self._collected) + len(self._written) >= share * manifests
            or self._events >= share * events
            or self._size_bytes >= share * size_bytes
        )

    @property
    def usage(self) -> dict[str, Usage]:
        """How full it is, in each of its limits."""
        manifests, events, size_bytes = self._limits
        waiting = len(self._collected) + len(self._written)
        return {
            "archive_manifests": Usage(waiting, manifests),
            "archive_events": Usage(self._events, events),
            "archive_bytes": Usage(self._size_bytes, size_bytes),
        }

    def _entry(self, manifest_id: str) -> DirtyManifest:
        entry = self._collected.get(manifest_id)
        if entry is None:
            entry = self._collected[manifest_id] = DirtyManifest(manifest_id, [], None)
        return entry

    def _count(self, event: CommittedEvent, sign: int) -> None:
        self._events += sign
        self._size_bytes += sign * len(event.line)


def _first_seq(entry: DirtyManifest) -> float:
    return entry.events[0].seq if entry.events else float("inf")


def _joined(older: DirtyManifest | None, newer: DirtyManifest | None) -> DirtyManifest:
    if older is None or newer is None:
        one = older or newer
        assert one is not None
        return DirtyManifest(one.manifest_id, list(one.events), one.snapshot, suspect=one.suspect)
    return DirtyManifest(
        older.manifest_id,
        older.events + newer.events,
        older.snapshot if newer.snapshot is None else newer.snapshot,
        suspect=older.suspect or newer.suspect,
    )
