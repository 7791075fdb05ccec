"""While a backup is read page by page the store goes on: events, retention, redaction.

What is in the file at the end is one store's log up to one seq, and a store that is made of it
holds nothing that its own events redact.
"""

import io
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from daemon.backup import Backups
from daemon.errors import DaemonError
from daemon.journal.disk import OperatingSystemDisk
from daemon.journal.retention import KEEP_EVERYTHING, Retention
from daemon.journal.segment import list_segments
from daemon.offline.restoring import STAGES, Restore
from daemon.settings import StoreSettings
from daemon.store import FileStore
from protocol.backup import BackupError, BackupHeader, BackupWriter
from protocol.commands import Backup
from protocol.erasure import erased, gone_from
from protocol.events import CommittedEvent
from protocol.lifecycle.registry import DEFAULT_LIFECYCLE, LifecycleRegistry
from protocol.progress import Clock, ProgressReporter
from tests.conformance.event_store import Follower
from tests.support.manual_timer import until
from tests.support.redactions import SECRETS, Redactable, files_with

NAMES = ("a", "b", "c")
CLOCK = Clock(lambda: 0, lambda: 0)


class Running(NamedTuple):
    """A store at work, its backups, and the histories in it."""

    store: FileStore
    follower: Follower
    backups: Backups
    histories: list[Redactable]
    directory: Path

    async def write(self) -> None:
        """Add an event to each history, and have all of it archived."""
        for history in self.histories:
            await self.follower.commit(history.next())
        await self.store.write_behind()

    async def redact(self) -> None:
        """Take the data out of the last history that still has it."""
        for history in reversed(self.histories):
            if all(event.core.redacts is None for event in history.events):
                await self.follower.commit(history.redaction(2))
                await until(lambda: self.store.redactions_pending == 0)
                return


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Callable[[Retention], Awaitable[Running]]]:
    def failed(error: DaemonError) -> None:
        raise error

    opened: list[FileStore] = []

    async def running(retention: Retention) -> Running:
        directory = tmp_path / "s"
        settings = StoreSettings(
            reserve_size_bytes=4096, segment_size_bytes=4000, retention=retention
        )
        store = await FileStore.open(directory, settings=settings, on_failed=failed)
        opened.append(store)
        definition = LifecycleRegistry.builtin().get(DEFAULT_LIFECYCLE).to_json()
        await store.pin_lifecycle(DEFAULT_LIFECYCLE, definition)
        follower, histories = Follower(store), [Redactable(name) for name in NAMES]
        for history in histories:
            for event in history.secret_events():
                await follower.commit(event)
        backups = Backups(store, OperatingSystemDisk(), directory, lambda _: None, CLOCK)
        found = Running(store, follower, backups, histories, directory)
        for _ in range(4):
            await found.write()
        return found

    yield running
    for store in opened:
        await store.close()


async def backed_up(running: Running, *meanwhile: Callable[[], Awaitable[None]]) -> list[bytes]:
    """Return the lines of a backup; after every page of it one of `meanwhile` happens, in turn."""
    opening = await running.backups.answer(Backup(token="0" * 16))
    assert isinstance(opening.lifecycles, dict)
    writer = BackupWriter()
    header = BackupHeader(
        store_id=opening.store_id,
        seq=opening.seq,
        log_hash=opening.log_hash or "",
        created_at="now",
        lifecycles=len(opening.lifecycles),
    )
    lines = [writer.header(header)]
    lines += [writer.lifecycle(name, bytes(one)) for name, one in opening.lifecycles.items()]
    turn = 0
    while writer.seq < opening.seq:
        request = Backup(token="0" * 16, after_seq=writer.seq, upto_seq=opening.seq, limit=2)
        lines += [
            writer.event(bytes(line)) for line in (await running.backups.answer(request)).events
        ]
        if meanwhile:
            await meanwhile[turn % len(meanwhile)]()
            turn += 1
    return [*lines, writer.end()]


def restored(lines: list[bytes], directory: Path) -> Path:
    """Make a store of a backup; it is read as a whole, as by `manifestd verify`, before it is one."""
    reporter = ProgressReporter(lambda _: None, CLOCK)
    reporter.start("restore", STAGES)
    restore = Restore(OperatingSystemDisk(), directory, reporter, source="backup")
    content = io.BytesIO(b"".join(lines))
    restore.run(content.readline, needs_header=True, keep_store_id=False)
    return directory


def events_of(lines: list[bytes]) -> list[CommittedEvent]:
    return [CommittedEvent.read(line[:-1]) for line in lines if line.startswith(b'{"seq":')]


@pytest.fixture(params=[KEEP_EVERYTHING, Retention(events=3)], ids=["all kept", "retention"])
async def running(
    request: pytest.FixtureRequest, make: Callable[[Retention], Awaitable[Running]]
) -> Running:
    return await make(request.param)


async def test_events_and_retention_meanwhile_change_nothing_in_a_backup(
    running: Running, tmp_path: Path
) -> None:
    before = list_segments(OperatingSystemDisk(), running.directory)
    undisturbed = await backed_up(running)

    lines = await backed_up(running, running.write)

    after = list_segments(OperatingSystemDisk(), running.directory)
    assert after[-1] > before[-1]
    assert (after[0] > before[0]) == (before[0] > 1)  # Where retention is, it went on.
    assert events_lines(lines) == events_lines(undisturbed)
    restored(lines, tmp_path / "r")


def events_lines(lines: list[bytes]) -> list[bytes]:
    return [event.line for event in events_of(lines)]


async def test_a_redaction_meanwhile_leaves_the_backup_one_log_up_to_its_seq(
    running: Running, tmp_path: Path
) -> None:
    """It was begun before: of what comes later in the file the data may be gone, and nothing else."""
    whole = events_of(await backed_up(running))

    lines = await backed_up(running, running.redact, running.write)

    found = events_of(lines)
    assert [event.seq for event in found] == [event.seq for event in whole]
    for event, was in zip(found, whole, strict=True):
        assert event.line == erased(was, gone_from(event.payload)).line
    assert any(event.payload is None for event in found)
    assert any(SECRETS["reason"] in event.line for event in found)
    restored(lines, tmp_path / "r")


async def test_what_was_ordered_before_a_backup_is_in_no_store_that_is_made_of_it(
    running: Running, tmp_path: Path
) -> None:
    for history in running.histories:
        await running.follower.commit(history.redaction(2))
    assert running.store.redactions_pending  # It goes on beside the backup.

    lines = await backed_up(running)

    directory = restored(lines, tmp_path / "r")
    assert [files_with(directory, secret) for secret in SECRETS.values()] == [[], [], []]


async def test_a_backup_whose_parts_are_of_two_moments_is_found_out(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: the seq of one moment, the log hash of another."""
    seq, _ = running.store.end
    await running.write()
    later = running.store.end
    monkeypatch.setattr(FileStore, "end", later._replace(seq=seq))

    with pytest.raises(BackupError, match="log_hash"):
        await backed_up(running)
