"""The reads of a running store: one hop to a worker thread each, and errors as clients see them.

Promise:  damage is `CorruptError`, with file, line and seq; a read that fails for the moment (too
          many open files, say) is `UnavailableError`. Neither ends the daemon.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from aiofiles.os import wrap

from daemon.archive.reader import Archived, ArchiveReader
from daemon.errors import DamagedStoreError
from daemon.journal.disk import Disk
from daemon.journal.reader import DurableEnd, JournalReader
from protocol.errors import CorruptError, UnavailableError
from protocol.events import CommittedEvent
from protocol.limits import PAGE_BYTES_MAX

T = TypeVar("T")


class StoreReads:
    """`ArchiveReader` and `JournalReader`, awaitable."""

    def __init__(
        self, disk: Disk, data_directory: Path, durable_end: Callable[[], DurableEnd]
    ) -> None:
        archive = ArchiveReader(disk, data_directory)
        self._load = wrap(archive.load)
        self._events = wrap(archive.events)
        self._find_command = wrap(archive.find_command)
        journal = JournalReader(disk, data_directory, durable_end)
        self._feed = wrap(journal.feed)
        self.exchange_segment = journal.exchange

    async def load(self, manifest_id: str, upto_version: int) -> Archived:
        """See `ArchiveReader.load`."""
        return await _answer(self._load(manifest_id, upto_version))

    async def events(
        self, manifest_id: str, after_version: int, upto_version: int
    ) -> list[CommittedEvent]:
        """See `ArchiveReader.events`."""
        return await _answer(self._events(manifest_id, after_version, upto_version))

    async def find_command(
        self, manifest_id: str, command_id: str, upto_version: int
    ) -> CommittedEvent | None:
        """See `ArchiveReader.find_command`."""
        return await _answer(self._find_command(manifest_id, command_id, upto_version))

    async def feed(self, after_seq: int, limit: int) -> list[CommittedEvent]:
        """Return a page of durable events after `after_seq`, within the bounds of a reply."""
        return await _answer(self._feed(after_seq, limit, PAGE_BYTES_MAX))


async def _answer(reading: Awaitable[T]) -> T:
    try:
        return await reading
    except DamagedStoreError as error:
        details = {"file": str(error.path), "line": error.line, "seq": error.seq}
        raise CorruptError(str(error), suggestion="manifestd fsck", details=details) from error
    except OSError as error:
        message = f"the store cannot be read now: {error}"
        raise UnavailableError(message) from error
