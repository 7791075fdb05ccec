"""Events, and journals made of them, for the tests of the journal."""

import asyncio
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from daemon.errors import DaemonError, DamagedStoreError
from daemon.journal.batch import encode_batch
from daemon.journal.checkpoint import NOTHING, BatchEnd
from daemon.journal.committer import Journal
from daemon.journal.disk import Disk
from daemon.journal.recovery import JournalEnd, RecoveredJournal, recover_journal
from daemon.journal.segment import SEGMENT_SIZE_BYTES, segment_path
from protocol.errors import CommandError
from protocol.events import (
    GENESIS,
    CommittedEvent,
    EventCore,
    NewEvent,
    Payload,
    digest_hex,
    encode_payload,
)
from tests.support.faulty_disk import FaultyDisk

DATA: Final = Path("/data")
EMPTY: Final = JournalEnd(0, NOTHING.log_hash, 0, 0, ())


@cache
def event(seq: int, reason: str = "because") -> CommittedEvent:
    """Return an event at `seq`, the same one for the same arguments."""
    payload = Payload(salt="0011", reason=reason)
    payload_bytes = encode_payload(payload)
    core = EventCore(
        event_id=f"event-{seq}",
        manifest_id=f"io.github.acme/echo-{seq}@1.0.0",
        version=1,
        type="created",
        lifecycle="manifest@1",
        event=None,
        states_from=None,
        states_to="DRAFT",
        at="2026-11-23T15:04:05.123456Z",
        principal="author-7",
        authenticated=True,
        roles=["author"],
        command_id=f"c-{seq}",
        command_digest=digest_hex(b"command"),
        correlation_id=f"c-{seq}",
        causation_id=None,
        digest=f"sha256:{digest_hex(b'document')}",
        timers=(),
        kind="agent",
        payload_digest=digest_hex(payload_bytes),
        prev=GENESIS,
    )
    return CommittedEvent.of(NewEvent(core, payload, payload_bytes), seq)


def events(first: int, last: int) -> list[CommittedEvent]:
    """Return the events from `first` to `last`."""
    return [event(seq) for seq in range(first, last + 1)]


class Entry(NamedTuple):
    """What a store appends."""

    committed: CommittedEvent


def journal_bytes(
    sizes: Iterable[int], first: int = 1, log_hash: bytes = NOTHING.log_hash
) -> bytes:
    """Return a segment of batches with `sizes` events each."""
    content = b""
    for size in sizes:
        data, log_hash, _ = encode_batch(events(first, first + size - 1), log_hash)
        content += data
        first += size
    return content


def log_hash_after(seq: int) -> bytes:
    """Return the log hash after `event(seq)`."""
    return encode_batch(events(1, seq), NOTHING.log_hash).log_hash if seq else NOTHING.log_hash


def put_segment(disk: FaultyDisk, content: bytes, first: int = 1) -> Path:
    """Lay a segment on the disk and return its path."""
    path = segment_path(DATA, first)
    disk.put(path, content)
    return path


def no_copy(_first: int, _last: int) -> dict[int, bytes]:
    """Stand for an archive that holds nothing."""
    return {}


def whole_copy(first: int, last: int) -> dict[int, bytes]:
    """Stand for an archive that holds every event there could be, up to 100."""
    return {one.seq: one.line for one in events(first, min(last, 100))}


def recover(disk: Disk, archived_seq_max: int | None = None) -> RecoveredJournal:
    """Recover the journal in `DATA`, without a second copy."""
    return recover_from(disk, DATA, archived_seq_max)


def recover_from(
    disk: Disk, data_directory: Path, archived_seq_max: int | None = None
) -> RecoveredJournal:
    """Recover a journal without a second copy."""
    return recover_journal(
        disk, data_directory, second_copy=no_copy, archived_seq_max=archived_seq_max
    )


def end_of(seq: int) -> BatchEnd:
    """Return the batch end at `seq`."""
    return BatchEnd(seq, log_hash_after(seq))


def refused(disk: FaultyDisk, archived_seq_max: int | None = None) -> DamagedStoreError:
    """Return why recovery refuses, and see that it changed nothing."""
    before = disk.files()
    with pytest.raises(DamagedStoreError) as caught:
        recover(disk, archived_seq_max)
    assert disk.files() == disk.durable_files() == before
    assert caught.value.exit_status == 70
    return caught.value


def seqs(committed: Iterable[CommittedEvent]) -> list[int]:
    """Return the seqs of events."""
    return [one.seq for one in committed]


class Running:
    """A journal at work, and everything it said."""

    def __init__(
        self,
        disk: Disk,
        end: JournalEnd = EMPTY,
        data_directory: Path = DATA,
        segment_size_bytes: int = SEGMENT_SIZE_BYTES,
    ) -> None:
        self.batches: list[list[int]] = []
        self.log_hashes: list[bytes] = []
        self.refusals: list[tuple[list[int], CommandError]] = []
        self.failures: list[DaemonError] = []
        self._changed = asyncio.Event()
        self.journal: Journal[Entry] = Journal(
            disk,
            data_directory,
            end=end,
            loop=asyncio.get_running_loop(),
            on_batch=self._on_batch,
            on_refused=self._on_refused,
            on_failed=self._on_failed,
            segment_size_bytes=segment_size_bytes,
        )

    @property
    def acknowledged(self) -> list[int]:
        """Every seq that was committed, in the order in which it was said."""
        return [seq for batch in self.batches for seq in batch]

    def append(self, *seqs_to_append: int) -> None:
        """Append the events of these seqs."""
        for seq in seqs_to_append:
            self.journal.append(Entry(event(seq)))

    async def settled(self) -> None:
        """Wait until nothing is pending, or the journal has failed."""
        while self.journal.pending_events and not self.failures:
            self._changed.clear()
            await self._changed.wait()

    async def commit(self, *seqs_to_append: int) -> None:
        """Append, and wait for what becomes of it."""
        self.append(*seqs_to_append)
        await self.settled()

    def _on_batch(self, entries: Sequence[Entry], log_hash: bytes) -> None:
        self.batches.append([entry.committed.seq for entry in entries])
        self.log_hashes.append(log_hash)
        self._changed.set()

    def _on_refused(self, entries: Sequence[Entry], error: CommandError) -> None:
        self.refusals.append(([entry.committed.seq for entry in entries], error))
        self._changed.set()

    def _on_failed(self, error: DaemonError) -> None:
        self.failures.append(error)
        self._changed.set()
