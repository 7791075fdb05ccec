"""Carrying out what is pending: the blocking work, in worker threads, in its order.

    archive -> (journal sealed) -> journal -> redactions.json

Assume:   it is called where nothing else writes (`Archiver.alone`), after everything up to the
          `redacted` events was archived.
"""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from aiofiles.os import wrap

from daemon.archive.reads import StoreReads
from daemon.archive.work import BlockingWork
from daemon.archive.writer import NoRoomError
from daemon.errors import DiskFailedError
from daemon.journal.committer import Journal
from daemon.journal.disk import SURVIVABLE_ERRNOS, Disk
from daemon.journal.rewriting import NoRoomToRewriteError
from daemon.redaction.eraser import erase_from_archive, erase_from_journal
from daemon.redaction.pending import Erasure, PendingErasures
from daemon.redaction.quarantine import quarantine_warning

T = TypeVar("T")
log: Final = logging.getLogger(__name__)


class ErasureWork:
    """Takes personal data out of one store's files."""

    def __init__(
        self,
        disk: Disk,
        data_directory: Path,
        *,
        pending: PendingErasures,
        archiving: BlockingWork,
        journal: Journal[Any],
        reads: StoreReads,
    ) -> None:
        self.pending = pending
        self._disk = disk
        self._directory = data_directory
        self._archiving = archiving
        self._journal = journal
        self._reads = reads
        self._erase_archive = wrap(self._from_archive)
        self._erase_journal = wrap(self._from_journal)

    async def carry_out(self, erasures: Sequence[Erasure]) -> None:
        """Do them; those that damage stands in the way of stay pending, and that is said.

        Raises:
            NoRoomError: try again later.
            DiskFailedError: only a restart can tell what is there.
        """
        done = await self._erase_archive(erasures)
        end = self._journal.durable_end()
        if any(seq >= end.segment_first for seq, _ in done):
            await self._journal.seal()
        await self._erase_journal(done)

    def _from_archive(self, erasures: Sequence[Erasure]) -> list[tuple[int, Erasure]]:
        for erasure in erasures:
            self._archiving.forget(erasure.manifest_id)
        return _on_disk(lambda: erase_from_archive(self._disk, self._directory, erasures))

    def _from_journal(self, done: list[tuple[int, Erasure]]) -> None:
        fields: dict[int, set[str]] = {}
        for seq, erasure in done:
            fields.setdefault(seq, set()).update(erasure.fields)

        def work() -> list[Erasure]:
            damaged = erase_from_journal(
                self._disk, self._directory, fields, self._reads.exchange_segment
            )
            gone = [erasure for seq, erasure in done if seq not in damaged]
            self.pending.settle(gone)
            return gone

        for erasure in _on_disk(work):
            log.info("redacted version %d of %s", erasure.version, erasure.manifest_id)
        if done:
            _on_disk(self._warn_of_quarantine)

    def _warn_of_quarantine(self) -> None:
        warning = quarantine_warning(self._disk, self._directory)
        if warning is not None:
            log.warning(warning)


def _on_disk(work: Callable[[], T]) -> T:
    what = "redacting"
    try:
        return work()
    except NoRoomToRewriteError as error:
        raise NoRoomError(error.cause) from error
    except OSError as error:
        if error.errno in SURVIVABLE_ERRNOS:
            raise NoRoomError(error) from error
        raise DiskFailedError(what, error) from error
