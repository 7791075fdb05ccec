"""The archiver's pieces of work, each one function in a worker thread (design 3)."""

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from aiofiles.os import wrap

from daemon.archive.dirty import DirtyManifest
from daemon.archive.writer import ArchiveWriter, NoRoomError
from daemon.errors import DiskFailedError
from daemon.index import IndexFile
from daemon.journal.checkpoint import BatchEnd, write_checkpoint
from daemon.journal.disk import SURVIVABLE_ERRNOS, Disk
from daemon.journal.retention import Retention, SegmentRemover
from daemon.redaction.pending import PendingErasures
from protocol.replies import ManifestSummary

log = logging.getLogger(__name__)


class BlockingWork:
    """`ArchiveWork` on a real disk."""

    def __init__(
        self,
        disk: Disk,
        data_directory: Path,
        index: IndexFile,
        checkpoint_seq: int,
        retention: Retention,
        pending: PendingErasures,
    ) -> None:
        self._disk = disk
        self._directory = data_directory
        self._index = index
        self._checkpoint_seq = checkpoint_seq
        self.removes_by_age = retention.age_s is not None
        self._remover = SegmentRemover(disk, data_directory, retention)
        self._pending = pending
        self._writer = ArchiveWriter(disk, data_directory)
        self._write: Callable[[Sequence[DirtyManifest]], Awaitable[list[ManifestSummary]]] = wrap(
            self._writer.write
        )
        self._checkpoint = wrap(self._write_checkpoint)
        self._sweep = wrap(self._remove_segments)

    async def write(self, batch: Sequence[DirtyManifest]) -> list[ManifestSummary]:
        """Archive a batch."""
        return await self._write(batch)

    async def checkpoint(
        self, rows: list[ManifestSummary], archived_seq: int, end: BatchEnd | None
    ) -> None:
        """Add `rows` to the index, then write the checkpoint `end`, then drop old segments."""
        await self._checkpoint(rows, archived_seq, end)

    def forget(self, manifest_id: str) -> None:
        """Look anew where the manifest's log ends: it was written by somebody else."""
        self._writer.forget(manifest_id)

    async def sweep(self) -> None:
        """Drop the segments that have grown too old since the last checkpoint."""
        await self._sweep()

    def _write_checkpoint(
        self, rows: list[ManifestSummary], archived_seq: int, end: BatchEnd | None
    ) -> None:
        try:
            self._index.flush(rows, archived_seq)
            if end is None:
                return
            assert end.seq <= archived_seq <= self._index.seq
            self._pending.save()  # Start-up does not read what is below the checkpoint.
            write_checkpoint(self._disk, self._directory, end)
            self._checkpoint_seq = end.seq
        except OSError as error:
            # A checkpoint that found no room left the one before it as it was.
            if error.errno in SURVIVABLE_ERRNOS:
                raise NoRoomError(error) from error
            what = "writing index and checkpoint"
            raise DiskFailedError(what, error) from error
        self._remove_segments()

    def _remove_segments(self) -> None:
        try:
            removed = self._remover.remove(
                self._checkpoint_seq, self._index.seq, time.time(), time.monotonic()
            )
        except OSError as error:
            what = "removing old segments of the journal"
            raise DiskFailedError(what, error) from error
        if removed:
            log.info("removed %d segments of the journal, from seq %d on", len(removed), removed[0])
