"""Builds a store from events that are there already: what `restore` and `import` have in common.

    events -> chunk -> one batch of the journal -> the manifests' folders -> ... -> index, checkpoint,
                                                                                   `clean`, store.json
Promise:  event lines go in byte for byte, but for data that a later one of them orders to go: a
          backup may be older than that work. Nothing is synced until `finish`, and everything when
          it returns; a directory without `store.json` is no store. Memory: one chunk, and one
          index row for each manifest.
Assume:   the directory is empty, nobody else looks at it, and the events were checked (`LogCheck`).
Not here: where the directory is, and what it becomes (`restoring.py`).
"""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from daemon.archive.dirty import DirtyManifest
from daemon.archive.identity import IDENTITY_NAME, StoreIdentity
from daemon.archive.pins import LifecyclePins
from daemon.archive.writer import ArchiveWriter
from daemon.index import IndexFile
from daemon.journal.batch import encode_batch
from daemon.journal.checkpoint import NOTHING, BatchEnd, write_checkpoint
from daemon.journal.clean import mark_clean
from daemon.journal.disk import Disk, OperatingSystemDisk
from daemon.journal.segment import (
    JOURNAL_NAME,
    SEGMENT_SIZE_BYTES,
    segment_path,
)
from daemon.redaction.eraser import erase_from_archive, erase_from_journal
from daemon.redaction.pending import Erasure
from protocol.erasure import gone_from
from protocol.events import CommittedEvent

if TYPE_CHECKING:
    from protocol.replies import ManifestSummary

CHUNK_EVENTS: Final = 16_384  # Each manifest in a chunk is written once: 200 us and four files.
CHUNK_SIZE_BYTES: Final = 16 << 20
BATCH_EVENTS: Final = 256  # A page of the feed reads whole batches.


class UnsyncedDisk(OperatingSystemDisk):
    """The real disk, but nothing is synced before its owner says so, for all files at once."""

    def sync_directory(self, path: Path) -> None:
        """Leave it to the end."""

    def sync_filesystem(self, path: Path) -> None:
        """Leave it to the end."""

    def write_durably(self, path: Path, data: bytes) -> None:
        """Write the file; `OperatingSystemDisk.sync_filesystem` makes it durable in the end."""
        self.write(path, data)


class StoreBuilder:
    """One store on its way. All calls block."""

    def __init__(self, directory: Path, *, segment_size_bytes: int = SEGMENT_SIZE_BYTES) -> None:
        self.end = NOTHING
        self._disk = UnsyncedDisk()
        self._directory = directory
        self._segment_size_bytes_max = segment_size_bytes
        self._pins = LifecyclePins(self._disk, directory)
        self._writer = ArchiveWriter(self._disk, directory)
        self._rows: dict[str, ManifestSummary] = {}
        self._chunk: list[CommittedEvent] = []
        self._chunk_size_bytes = 0
        self._gone: dict[tuple[str, int], frozenset[str]] = {}  # What payloads lack already.
        self._unfinished: dict[Erasure, None] = {}
        self._segment: Path | None = None
        self._segment_size_bytes = 0
        self._disk.make_directory(directory / JOURNAL_NAME)

    @property
    def manifests(self) -> int:
        """How many manifests there are in what is written."""
        return len(self._rows)

    def pin(self, name: str, definition: bytes) -> None:
        """Keep a lifecycle that events name."""
        self._pins.pin(name, definition)

    def add(self, event: CommittedEvent) -> None:
        """Take the next event.

        Raises:
            OSError, NoRoomError, DiskFailedError: it could not be written.
            ReplayError: it does not follow from the state before it.
        """
        self._note_redaction(event)
        self._chunk.append(event)
        self._chunk_size_bytes += len(event.line)
        if len(self._chunk) >= CHUNK_EVENTS or self._chunk_size_bytes >= CHUNK_SIZE_BYTES:
            self.flush()

    def finish(self, identity: StoreIdentity, disk: Disk) -> None:
        """Write what is left and sync everything by `disk`. Errors: as `add`."""
        self.flush()
        self._erase()
        IndexFile(self._disk, self._directory, None).rewrite(self._rows.values(), self.end.seq)
        if self.end.seq:
            write_checkpoint(self._disk, self._directory, self.end)
        mark_clean(self._disk, self._directory, self.end)
        self._disk.write(self._directory / IDENTITY_NAME, identity.encode())
        disk.sync_filesystem(self._directory)

    def flush(self) -> None:
        """Write what was added. Errors: as `add`."""
        events, self._chunk, self._chunk_size_bytes = self._chunk, [], 0
        if not events:
            return
        for start in range(0, len(events), BATCH_EVENTS):
            self._write_batch(events[start : start + BATCH_EVENTS])
        dirty: dict[str, DirtyManifest] = {}
        for event in events:
            manifest_id = event.core.manifest_id
            entry = dirty.setdefault(manifest_id, DirtyManifest(manifest_id, [], None))
            entry.events.append(event)
        for row in self._writer.write(tuple(dirty.values())):
            self._rows[row.manifest_id] = row

    def _note_redaction(self, event: CommittedEvent) -> None:
        subject = (event.core.manifest_id, event.core.version)
        if gone := gone_from(event.payload):
            self._gone[subject] = gone
        erasure = Erasure.of(event)
        if erasure is None:
            return
        gone = self._gone.get((erasure.manifest_id, erasure.version), frozenset())
        if not gone.issuperset(erasure.fields):
            self._unfinished[erasure] = None

    def _erase(self) -> None:
        """Carry out what was ordered, and not carried out yet when the events were read."""
        fields: dict[int, set[str]] = {}
        for seq, erasure in erase_from_archive(self._disk, self._directory, self._unfinished):
            fields.setdefault(seq, set()).update(erasure.fields)
        left = erase_from_journal(self._disk, self._directory, fields, lambda _, replace: replace())
        assert not left  # It was written just now, and is checked as a whole afterwards.

    def _write_batch(self, events: list[CommittedEvent]) -> None:
        batch = encode_batch(events, self.end.log_hash)
        over = self._segment_size_bytes + len(batch.data) > self._segment_size_bytes_max
        if self._segment is None or over:
            self._segment = segment_path(self._directory, events[0].seq)
            self._segment_size_bytes = 0
        self._disk.append(self._segment, batch.data)
        self._segment_size_bytes += len(batch.data)
        self.end = BatchEnd(events[-1].seq, batch.log_hash)
