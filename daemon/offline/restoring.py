"""From lines to a store in an empty directory: `manifestd restore` and `manifestd import`.

    DIR/lock            held from beginning to end
    DIR/restoring/      the store while it is built, checked there, synced there
    DIR/*               moved up from it, `store.json` last: that is when DIR is a store

Promise:  killed at any moment, DIR is either the whole store, or holds `restoring/` and no
          `store.json`: the daemon refuses it, and the next restore clears it and begins anew. A
          directory that holds anything else is refused and not touched. Nothing is moved up unless
          the input was whole and what was built was read back.
Assume:   DIR is one file system.
Not here: how a store is built (`building.py`), what the lines are (`protocol.backup`).
"""

import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

from actors.ports import LifecycleChangedError
from daemon.archive.identity import IDENTITY_NAME, RESTORING_NAME, StoreIdentity
from daemon.archive.layout import MANIFESTS_NAME
from daemon.archive.opening import LOCK_NAME
from daemon.archive.pins import LIFECYCLES_NAME
from daemon.archive.writer import NoRoomError
from daemon.errors import (
    BadInputError,
    ConfigurationError,
    DamagedStoreError,
    DiskFailedError,
    NoRoomForItError,
    StoreLockedError,
    is_unusable,
    unusable,
)
from daemon.index import INDEX_NAME
from daemon.journal.checkpoint import CHECKPOINT_NAME, BatchEnd
from daemon.journal.clean import CLEAN_NAME
from daemon.journal.disk import SURVIVABLE_ERRNOS, Disk
from daemon.journal.segment import JOURNAL_NAME, SEGMENT_SIZE_BYTES
from daemon.offline.building import StoreBuilder
from daemon.offline.marks import Anchor
from daemon.offline.verify import surveyed
from protocol.backup import BackupError, BackupHeader, BackupReader, PinnedLifecycle
from protocol.events import CommittedEvent, timestamp
from protocol.progress import ProgressReporter
from protocol.record import ReplayError

STAGES: Final = ("events", "check")
# What is moved up, in this order; the last one makes a store of the directory.
MOVE_ORDER: Final = (
    JOURNAL_NAME,
    MANIFESTS_NAME,
    INDEX_NAME,
    LIFECYCLES_NAME,
    CHECKPOINT_NAME,
    CLEAN_NAME,
    IDENTITY_NAME,
)
_NO_CONTENT: Final = frozenset({LOCK_NAME, "lost+found", RESTORING_NAME})
Readline = Callable[[int], bytes]


class Until(NamedTuple):
    """How far to restore: events up to `seq`, and to the first that is later than `at` (RFC 3339)."""

    seq: int | None = None
    at: str | None = None

    def holds(self, event: CommittedEvent) -> bool:
        """Tell whether `event` is to be restored, when those before it were."""
        if self.seq is not None and event.seq > self.seq:
            return False
        return self.at is None or event.core.at <= self.at


class Restored(NamedTuple):
    """What was made."""

    identity: StoreIdentity
    end: BatchEnd
    manifests: int
    last_seq: int  # Of the input; more than `end.seq` where it was asked for less.


class Restore:
    """One restore of `source` (for messages) into `directory`."""

    def __init__(
        self,
        disk: Disk,
        directory: Path,
        reporter: ProgressReporter,
        *,
        source: str,
        until: Until | None = None,
        segment_size_bytes: int = SEGMENT_SIZE_BYTES,
    ) -> None:
        self._disk = disk
        self._directory = directory
        self._staging = directory / RESTORING_NAME
        self._reporter = reporter
        self._source = source
        self._until = until or Until()
        self._segment_size_bytes = segment_size_bytes

    def run(self, readline: Readline, *, needs_header: bool, keep_store_id: bool) -> Restored:
        """Build the store from the lines that `readline` gives, and return what it is.

        Raises:
            ConfigurationError: the directory is not empty.
            StoreLockedError: somebody works on it.
            BadInputError: the lines are damaged or incomplete; there is no store.
            DiskFailedError: a write failed; there is no store.
        """
        with self._locked():
            try:
                with self._disk_errors():
                    return self._run(readline, needs_header, keep_store_id)
            except (BadInputError, NoRoomForItError):
                with suppress(OSError):  # Else the next restore does it.
                    self._clear()
                raise

    def _run(self, readline: Readline, needs_header: bool, keep_store_id: bool) -> Restored:  # noqa: FBT001
        self._clear()
        self._disk.make_directory(self._staging)
        self._disk.sync_directory(self._directory)
        builder = StoreBuilder(self._staging, segment_size_bytes=self._segment_size_bytes)
        reader = BackupReader(needs_header=needs_header)
        self._reporter.stage(STAGES[0])
        self._build(builder, reader, readline)
        identity = self._identity(builder, reader, keep_store_id=keep_store_id)
        builder.finish(identity, self._disk)
        self._reporter.stage(STAGES[1])
        self._check(builder.end)
        self._move_up()
        return Restored(identity, builder.end, builder.manifests, reader.log.seq)

    def _build(self, builder: StoreBuilder, reader: BackupReader, readline: Readline) -> None:
        is_wanted = True
        try:
            for item in reader.items(readline):
                if isinstance(item, BackupHeader):
                    self._check_target(item.seq)
                elif isinstance(item, PinnedLifecycle):
                    builder.pin(item.lifecycle, bytes(item.definition))
                elif isinstance(item, CommittedEvent):
                    is_wanted = is_wanted and self._until.holds(item)
                    if is_wanted:
                        builder.add(item)
                    last_seq = item.seq if reader.header is None else reader.header.seq
                    self._reporter.progress(item.seq / last_seq, seq=item.seq)
            builder.flush()
        except BackupError as error:
            raise self._bad(str(error)) from error
        except LifecycleChangedError as error:
            reason = (
                f"line {reader.line}: the lifecycle {error.name} is there twice, with two contents"
            )
            raise self._bad(reason) from error
        except ReplayError as error:
            raise self._bad(f"line {reader.line} or before it: {error}") from error
        self._check_target(reader.log.seq)

    def _check_target(self, last_seq: int) -> None:
        if self._until.seq is not None and self._until.seq > last_seq:
            raise self._bad(
                f"it ends at seq {last_seq}, and --to-seq asks for {self._until.seq}; take a later "
                "backup, or leave --to-seq out"
            )

    def _identity(
        self, builder: StoreBuilder, reader: BackupReader, *, keep_store_id: bool
    ) -> StoreIdentity:
        now, header = timestamp(time.time_ns()), reader.header
        origin = {
            "store_id": None if header is None else header.store_id,
            "seq": builder.end.seq,
            "at": now,
        }
        store_id = str(uuid.uuid4())
        if keep_store_id and header is not None:
            store_id = header.store_id
        return StoreIdentity(store_id, now, restored_from=origin)

    def _check(self, end: BatchEnd) -> None:
        """Read what was built from its first byte to its last, as `manifestd verify` does."""
        findings = surveyed(self._disk, self._staging, Anchor(*end)).report.findings
        if not findings:
            return
        if all(finding.file.startswith(f"{LIFECYCLES_NAME}/") for finding in findings):
            raise self._bad(
                f"of its lifecycles {findings[0].text()}; export the store anew, and leave no "
                "line out"
            )
        reason = f"what was just written is not there: {findings[0].text()}"
        raise DamagedStoreError(self._staging, reason)

    def _move_up(self) -> None:
        """Make the directory a store."""
        disk, directory = self._disk, self._directory
        there = set(disk.list_names(self._staging))
        for name in MOVE_ORDER:
            if name == MOVE_ORDER[-1]:
                disk.sync_directory(directory)
            if name in there:
                disk.replace(self._staging / name, directory / name)
        disk.sync_directory(directory)
        self._staging.rmdir()
        disk.sync_directory(directory)

    def _clear(self) -> None:
        """Refuse a directory that holds anything; clear what a killed restore left."""
        if not self._is_unfinished():
            return
        # Last the folder that says that the rest is ours.
        for name in (*MOVE_ORDER, RESTORING_NAME):
            path = self._directory / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                self._disk.remove(path)
            self._disk.sync_directory(self._directory)

    def _is_unfinished(self) -> bool:
        """Tell whether a restore was killed here; refuse a directory that holds anything else."""
        names = set(self._disk.list_names(self._directory))
        is_unfinished = RESTORING_NAME in names and IDENTITY_NAME not in names
        found = sorted(names - _NO_CONTENT - set(MOVE_ORDER if is_unfinished else ()))
        if found or (RESTORING_NAME in names and not is_unfinished):
            message = (
                f"{self._directory} is not empty ({', '.join(found[:3])}); nothing was touched. "
                "Restore into a new directory"
            )
            raise ConfigurationError(message)
        return is_unfinished

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._disk_errors():
            try:
                if LOCK_NAME not in self._disk.list_names(self._directory):
                    self._is_unfinished()  # Not even a lock is made beside what is not ours.
                self._disk.make_directory(self._directory)
                lock = self._disk.lock(self._directory / LOCK_NAME)
            except BlockingIOError as error:
                raise StoreLockedError(self._directory) from error
        try:
            yield
        finally:
            self._disk.unlock(lock)

    @contextmanager
    def _disk_errors(self) -> Iterator[None]:
        what = f"restoring into {self._directory}"
        try:
            yield
        except (OSError, NoRoomError, DiskFailedError) as error:
            cause = error if isinstance(error, OSError) else error.cause
            if cause.errno in SURVIVABLE_ERRNOS:
                outcome = (
                    "no store was made. Free some room and run the same command again, or give "
                    "another --data-dir"
                )
                raise NoRoomForItError(f"for {what}", cause, outcome) from error
            if is_unusable(cause):
                raise unusable(self._directory, cause) from error
            raise DiskFailedError(what, cause) from error

    def _bad(self, reason: str) -> BadInputError:
        return BadInputError(f"{self._source}, {reason}")
