"""The negative controls: ways to break the daemon, each of which the simulator has to notice.

Every row of `BREAKAGES` says what is broken, and which promises may be the first seen broken.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from math import inf
from pathlib import Path
from typing import Any, Final, NamedTuple
from unittest.mock import patch

import msgspec

from actors.memory import CommandMemory
from actors.ports import FeedPage
from daemon.archive import writer
from daemon.journal import damage, inspection
from daemon.journal.batch import encode_batch
from daemon.journal.commit_thread import CommitThread
from daemon.journal.disk import SURVIVABLE_ERRNOS, AppendFile, Disk
from daemon.journal.reader import DurableEnd
from daemon.journal.rewriting import Work
from daemon.journal.segment import segment_path
from daemon.journal.segment_writer import NoRoomError, SegmentWriter
from daemon.redaction.pending import PendingErasures
from daemon.store import FileStore
from protocol.codec import decode_request
from protocol.commands import Request, Write
from protocol.erasure import erased
from protocol.redaction import FIELDS
from protocol.snapshots import StateSnapshot, encode_snapshot
from protocol.timers import Timer
from tests.simulation.disk import SimulatedDisk
from tests.simulation.life import EndedError, Life


class Breakage(NamedTuple):
    """`promises`: the beginnings of the messages that may come first.

    `first_seed`: the seed to begin with, where the first to find it was so late that it took seconds.
    """

    promises: tuple[str, ...]
    life_type: type[Life] = Life
    patched: Callable[[], AbstractContextManager[object]] = nullcontext
    first_seed: int = 0
    seeds_max: int = 150


class DiskWithoutFileSync(SimulatedDisk):
    """fdatasync and fsync of files return at once and do nothing."""

    syncs_files = False


class DiskWithoutFolderSync(SimulatedDisk):
    """fsync of folders returns at once and does nothing."""

    syncs_folders = False


class DiskWithoutLock(SimulatedDisk):
    """It takes the lock without a look, and does not hold it."""

    def lock(self, path: Path) -> int:
        """See `SimulatedDisk`."""
        descriptor = super().lock(path)
        self.unlock(descriptor)
        return descriptor


class LifeWithoutStoreLock(Life):
    """See `DiskWithoutLock`."""

    disk_type = DiskWithoutLock


class LifeWithoutFileSync(Life):
    """See `DiskWithoutFileSync`."""

    disk_type = DiskWithoutFileSync


class LifeWithoutFolderSync(Life):
    """See `DiskWithoutFolderSync`."""

    disk_type = DiskWithoutFolderSync


class LifeWithoutLock(Life):
    """It ignores `expected_version`."""

    def decode(self, body: bytes) -> Request:
        """See `Life`."""
        request = decode_request(body)
        if isinstance(request, Write):
            request.expected_version = None
        return request


class LifeWithoutDrain(Life):
    """Told to stop, it ends at once, and says that all is well."""

    def begin_to_stop(self) -> None:
        """See `Life`."""
        self._world.after(0, lambda: self.end(EndedError("drained", 0)))


class ForgetfulMemory(CommandMemory):
    """It does not know what was executed before the manifest was loaded."""

    def __init__(self, state: StateSnapshot | None) -> None:
        del state
        super().__init__(None)


@contextmanager
def forgetting() -> Iterator[None]:
    """See `ForgetfulMemory`."""
    with patch("actors.actor.CommandMemory", ForgetfulMemory):
        yield


@contextmanager
def acknowledging_early() -> Iterator[None]:
    """Everybody is told of a batch before it is written."""

    def commit(self: CommitThread[Any], entries: list[Any]) -> None:
        events = [entry.committed for entry in entries]
        batch = encode_batch(events, self._log_hash)
        first, size = self._writer.segment_first, self._writer.durable_size_bytes
        end = DurableEnd(events[-1].seq, first, size + len(batch.data))
        self._post(self._answers.committed, entries, batch.lines_size_bytes, end, batch.log_hash)
        self._writer.commit(events[0].seq, batch.data)
        self._log_hash = batch.log_hash

    with patch.object(CommitThread, "_commit", commit):
        yield


@contextmanager
def cutting_whatever_is_bad() -> Iterator[None]:
    """Recovery takes all damage for a torn write."""
    (torn,) = (row for row in damage.DAMAGES if row.verdict is damage.Verdict.CUT)
    with patch.object(inspection, "judge", lambda _damage: torn):
        yield


@contextmanager
def trusting_the_cache() -> Iterator[None]:
    """Recovery takes what it reads for durable, and rewrites nothing that looks well."""
    carry_out = Work.carry_out

    def spare(self: Work, disk: Disk, data_directory: Path) -> None:
        kept = [] if not self.rescues else self.rewrites
        carry_out(self._replace(rewrites=kept), disk, data_directory)

    with patch.object(Work, "carry_out", spare):
        yield


@contextmanager
def carrying_on_after_a_failed_sync() -> Iterator[None]:
    """A failed sync is tried again, and believed."""
    commit = SegmentWriter.commit

    def insist(self: SegmentWriter, first_seq: int, data: bytes) -> None:
        size = self.durable_size_bytes
        try:
            commit(self, first_seq, data)
        except OSError:
            if self._file is None or self.durable_size_bytes != size:
                raise
            self._file.sync()
            self.durable_size_bytes += len(data)
            self._poisoned = False

    with patch.object(SegmentWriter, "commit", insist):
        yield


@contextmanager
def feeding_with_a_hole() -> Iterator[None]:
    """The feed leaves out every fifth event of a page."""
    feed = FileStore.feed

    async def lose(self: FileStore, after_seq: int, limit: int) -> FeedPage:
        page = await feed(self, after_seq, limit)
        return FeedPage([one for one in page.events if one.seq % 5], page.next_seq)

    with patch.object(FileStore, "feed", lose):
        yield


@contextmanager
def archiving_something_else() -> Iterator[None]:
    """A `state.json` is whole, and not the state that the events lead to."""

    def encode(snapshot: StateSnapshot) -> bytes:
        return encode_snapshot(msgspec.structs.replace(snapshot, contributors=()))

    with patch.object(writer, "encode_snapshot", encode):
        yield


def _still(timers: Sequence[Timer], _fired: str) -> tuple[Timer, ...]:
    return tuple(timers)


@contextmanager
def arming_again() -> Iterator[None]:
    """A timer that fired is armed still."""
    with patch("actors.expiry.without", _still), patch("actors.course.without", _still):
        yield


@contextmanager
def redacting_the_archive_alone() -> Iterator[None]:
    """What was redacted is taken out of the manifests' own folders, and stays in the journal."""

    def leave(*_: object) -> set[int]:
        return set()

    with patch("daemon.redaction.work.erase_from_journal", leave):
        yield


@contextmanager
def forgetting_redactions() -> Iterator[None]:
    """What is to be redacted is not written down before the checkpoint passes it."""
    with patch.object(PendingErasures, "save", lambda _: None):
        yield


@contextmanager
def redacting_too_much() -> Iterator[None]:
    """All of a payload goes, whatever was ordered."""
    with patch("daemon.redaction.eraser.erased", lambda event, _: erased(event, FIELDS)):
        yield


@contextmanager
def refusing_for_ever() -> Iterator[None]:
    """Once there was no room, it takes no write any more."""
    with patch("daemon.journal.committer.PAUSE_AFTER_REFUSAL_S", inf):
        yield


@contextmanager
def leaving_what_was_refused() -> Iterator[None]:
    """What a write without room left in the file is not cut off."""

    def write(self: SegmentWriter, file: AppendFile, data: bytes) -> None:
        try:
            file.write(data)
        except OSError as error:
            if error.errno not in SURVIVABLE_ERRNOS:
                raise
            path = segment_path(self._data_directory, self.segment_first)
            raise NoRoomError(path, error) from error

    with patch.object(SegmentWriter, "_write", write):
        yield


BREAKAGES: Final[dict[str, Breakage]] = {
    "fdatasync taken out": Breakage(("1:", "11:"), LifeWithoutFileSync),
    "directory sync taken out": Breakage(("1:", "11:"), LifeWithoutFolderSync, first_seed=30),
    "acknowledging before the sync": Breakage(("1:", "11:"), patched=acknowledging_early),
    "bad tails cut without a look": Breakage(("1:",), patched=cutting_whatever_is_bad),
    "recovery trusts the page cache": Breakage(("1:", "11:"), patched=trusting_the_cache),
    "a failed sync tried again": Breakage(("1:", "11:"), patched=carrying_on_after_a_failed_sync),
    "idempotency forgotten at a restart": Breakage(("4:", "7:"), patched=forgetting, first_seed=12),
    "expected_version ignored": Breakage(("8:",), LifeWithoutLock),
    "a feed with a hole": Breakage(("5:", "6:"), patched=feeding_with_a_hole),
    "snapshots of another state": Breakage(("15:",), patched=archiving_something_else),
    "redacted events left in the journal": Breakage(
        ("redact:",), patched=redacting_the_archive_alone
    ),
    "redactions forgotten in a crash": Breakage(
        ("redact:", "15:"), patched=forgetting_redactions, first_seed=46, seeds_max=600
    ),
    "more redacted than was asked for": Breakage(("1:", "15:"), patched=redacting_too_much),
    "commands dropped when it stops": Breakage(("15:", "17:"), LifeWithoutDrain),
    "a store without a lock": Breakage(("12:",), LifeWithoutStoreLock),
    "a full disk never forgiven": Breakage(("6:", "10:"), patched=refusing_for_ever, first_seed=25),
    "refused writes left in the file": Breakage(
        ("1:", "11:", "15:"), patched=leaving_what_was_refused, first_seed=25
    ),
    "a timer armed again after firing": Breakage(("timers:",), patched=arming_again),
}
