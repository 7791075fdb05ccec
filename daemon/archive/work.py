"""The archiver's two pieces of work, each one function in a worker thread (design 3)."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from aiofiles.os import wrap

from daemon.archive.dirty import DirtyManifest
from daemon.archive.writer import ArchiveWriter, NoRoomError
from daemon.errors import DiskFailedError
from daemon.index import IndexFile
from daemon.journal.checkpoint import BatchEnd, write_checkpoint
from daemon.journal.disk import SURVIVABLE_ERRNOS, Disk
from daemon.journal.segment import remove_segments_below
from protocol.replies import ManifestSummary


class BlockingWork:
    """`ArchiveWork` on a real disk."""

    def __init__(
        self,
        disk: Disk,
        data_directory: Path,
        index: IndexFile,
        feed_retention_events: int | None,
    ) -> None:
        self._disk = disk
        self._directory = data_directory
        self._index = index
        self._retention = feed_retention_events
        self._write: Callable[[Sequence[DirtyManifest]], Awaitable[list[ManifestSummary]]] = wrap(
            ArchiveWriter(disk, data_directory).write
        )
        self._checkpoint = wrap(self._write_checkpoint)

    async def write(self, batch: Sequence[DirtyManifest]) -> list[ManifestSummary]:
        """Archive a batch."""
        return await self._write(batch)

    async def checkpoint(
        self, rows: list[ManifestSummary], archived_seq: int, end: BatchEnd | None
    ) -> None:
        """Add `rows` to the index, then write the checkpoint `end`, then drop old segments."""
        await self._checkpoint(rows, archived_seq, end)

    def _write_checkpoint(
        self, rows: list[ManifestSummary], archived_seq: int, end: BatchEnd | None
    ) -> None:
        try:
            self._index.flush(rows, archived_seq)
            if end is None:
                return
            assert end.seq <= archived_seq <= self._index.seq
            write_checkpoint(self._disk, self._directory, end)
            if self._retention is not None:
                oldest_kept = min(end.seq, archived_seq - self._retention) + 1
                remove_segments_below(self._disk, self._directory, oldest_kept)
        except OSError as error:
            # A checkpoint that found no room left the one before it as it was.
            if error.errno in SURVIVABLE_ERRNOS:
                raise NoRoomError(error) from error
            what = "writing index and checkpoint"
            raise DiskFailedError(what, error) from error
