"""The op `backup` on a file store, also where retention took the beginning of the journal away."""

import asyncio
import re
import zlib
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

import msgspec
import pytest

from daemon.archive.identity import StoreIdentity
from daemon.archive.layout import Layout
from daemon.backup import BACKUPS_MAX, IDLE_NS, Backups
from daemon.errors import DaemonError
from daemon.journal.disk import OperatingSystemDisk
from daemon.journal.retention import Retention, SegmentRemover
from daemon.offline.building import StoreBuilder, UnsyncedDisk
from daemon.settings import StoreSettings
from daemon.store import FileStore
from protocol.commands import Backup
from protocol.errors import (
    BadRequestError,
    CorruptError,
    HistoryCompactedError,
    OverloadedError,
)
from protocol.events import CommittedEvent
from protocol.progress import Clock, ProgressEvent
from tests.support.events import Chain, committed

SETTINGS = StoreSettings(reserve_size_bytes=4096)
MANIFESTS = 5


class Kept:
    """A store with interleaved histories whose first segments are gone, and its backups."""

    def __init__(self, store: FileStore, directory: Path, committed: list[CommittedEvent]) -> None:
        self.store = store
        self.layout = Layout(directory)
        self.progress: list[ProgressEvent] = []
        ticks = count(step=100_000_000)
        self.idle_ns = 0
        clock = Clock(wall_ns=lambda: 0, monotonic_ns=lambda: next(ticks) + self.idle_ns)
        self.backups = Backups(store, OperatingSystemDisk(), directory, self.progress.append, clock)
        self.committed = committed

    async def pages(self, limit: int = 3, token: str = "0" * 16) -> AsyncIterator[list[bytes]]:
        """Yield the lines of each page of a whole backup."""
        opening = await self.backups.answer(Backup(token=token))
        after_seq = 0
        while after_seq < opening.seq:
            page = await self.backups.answer(
                Backup(token=token, after_seq=after_seq, upto_seq=opening.seq, limit=limit)
            )
            assert page.next_seq == after_seq + len(page.events) + 1
            after_seq = page.next_seq - 1
            yield [bytes(line) for line in page.events]

    async def lines(self, limit: int = 3) -> list[bytes]:
        """Return all lines of a backup."""
        return [line async for page in self.pages(limit) for line in page]


def build(directory: Path) -> list[CommittedEvent]:
    """Make a store whose journal begins in the middle, without a sync, and return its events."""
    disk = UnsyncedDisk()
    builder = StoreBuilder(directory, segment_size_bytes=4000)
    chains = [Chain(f"m{number}@1") for number in range(MANIFESTS)]
    turns = [chain for turn in range(6) for chain in chains[: 1 + turn % MANIFESTS]]
    events = committed(chain.next() for chain in turns)
    for event in events:
        builder.add(event)
        builder.flush()
    builder.finish(StoreIdentity("s", "2026-11-26T00:00:00.000000Z"), disk)
    remover = SegmentRemover(disk, directory, Retention(events=5))
    assert remover.remove(len(events), len(events), 0.0, 0.0)
    return events


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[Kept]:
    def failed(error: DaemonError) -> None:
        raise error

    directory = tmp_path / "data"
    events = build(directory)
    store = await FileStore.open(directory, settings=SETTINGS, on_failed=failed)
    with pytest.raises(HistoryCompactedError):
        await store.feed(0, 1)
    yield Kept(store, directory, events)
    await store.close()


@pytest.mark.parametrize("limit", [1, 3, 1000])
async def test_what_retention_took_out_of_the_journal_comes_from_the_archive_in_order(
    kept: Kept, limit: int
) -> None:
    assert await kept.lines(limit) == [event.line for event in kept.committed]


async def test_the_opening_says_seq_and_log_hash_of_one_moment(kept: Kept) -> None:
    opening = await kept.backups.answer(Backup(token="0" * 16))

    assert opening.seq == len(kept.committed)
    assert opening.log_hash == kept.store.end.log_hash.decode()
    assert opening.events == []


async def test_a_page_can_be_asked_for_again_and_from_anywhere(kept: Kept) -> None:
    upto_seq = len(kept.committed)

    for after_seq in (0, 0, 4, 2, 2, 5, 0):
        page = await kept.backups.answer(
            Backup(token="1" * 16, after_seq=after_seq, upto_seq=upto_seq, limit=2)
        )
        expected = kept.committed[after_seq : after_seq + 2]
        assert [bytes(line) for line in page.events] == [event.line for event in expected]


async def test_two_requests_for_one_page_at_once_are_both_answered(kept: Kept) -> None:
    request = Backup(token="1" * 16, upto_seq=len(kept.committed), limit=2)

    pages = await asyncio.gather(*(kept.backups.answer(request) for _ in range(3)))

    assert [page.events for page in pages] == [pages[0].events] * 3


async def test_a_log_in_which_a_line_was_redacted_meanwhile_is_read_on(kept: Kept) -> None:
    path = kept.layout.log("m0@1")
    lines: list[bytes] = []

    async for page in kept.pages(limit=2):
        lines += page
        if len(lines) == 2:  # The second line of m0@1 comes next.
            path.write_bytes(redacted_first(path.read_bytes()))

    assert lines == [event.line for event in kept.committed]


def redacted_first(log: bytes) -> bytes:
    line, _, rest = log.partition(b"\n")
    checked = re.sub(rb'"payload":.*,"crc":.*', b'"payload":null', line)
    return b'%b,"crc":"%08x"}\n%b' % (checked, zlib.crc32(checked), rest)


async def test_a_damaged_log_ends_the_backup_and_is_named(kept: Kept) -> None:
    path = kept.layout.log("m1@1")
    path.write_bytes(path.read_bytes().replace(b"author-7", b"author-8", 1))

    with pytest.raises(CorruptError) as caught:
        await kept.lines()

    assert caught.value.details["file"] == str(path)
    assert caught.value.details["line"] == 1
    assert kept.progress[-1].type == "error"


async def test_a_log_that_lost_its_last_line_ends_the_backup(kept: Kept) -> None:
    path = kept.layout.log("m0@1")
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:1]))

    with pytest.raises(CorruptError, match="seq"):
        await kept.lines()


async def test_progress_begins_and_ends_once_and_never_goes_back(kept: Kept) -> None:
    await kept.lines()

    types = [event.type.value for event in kept.progress]
    assert types[0] == "start"
    assert types.count("complete") == 1
    assert types[-1] == "complete"
    done = [event.overall_progress for event in kept.progress]
    assert done == sorted(done)
    assert {event.operation for event in kept.progress} == {"backup"}


async def test_one_backup_too_many_has_to_wait_until_one_ends(kept: Kept) -> None:
    for number in range(BACKUPS_MAX):
        await kept.backups.answer(Backup(token=f"{number:016x}"))
    late = Backup(token="f" * 16)
    with pytest.raises(OverloadedError):
        await kept.backups.answer(late)
    with pytest.raises(OverloadedError):  # A page of one that was never begun here, too.
        await kept.backups.answer(Backup(token="e" * 16, upto_seq=4))

    first = await kept.backups.answer(Backup(token="0" * 16, upto_seq=4, limit=9))

    assert len(first.events) == 4
    assert (await kept.backups.answer(late)).seq


async def test_a_backup_that_nobody_goes_on_with_loses_its_place(kept: Kept) -> None:
    for number in range(BACKUPS_MAX):
        await kept.backups.answer(Backup(token=f"{number:016x}"))
    kept.idle_ns = IDLE_NS
    used = Backup(token="0" * 16, after_seq=0, upto_seq=8, limit=1)
    await kept.backups.answer(used)

    for number in range(1, BACKUPS_MAX):
        await kept.backups.answer(Backup(token=f"{number:016d}f"))

    with pytest.raises(OverloadedError):
        await kept.backups.answer(Backup(token="e" * 16))
    assert (await kept.backups.answer(used)).events
    assert [one.type.value for one in kept.progress].count("error") == BACKUPS_MAX - 1


async def test_a_backup_of_what_is_not_there_yet_is_refused(kept: Kept) -> None:
    with pytest.raises(BadRequestError, match="last event"):
        await kept.backups.answer(Backup(token="0" * 16, upto_seq=1000))


async def test_lifecycles_are_the_pinned_bytes(kept: Kept) -> None:
    definition = b'{"id":"x","version":1,"ratio":1.50}'
    await kept.store.pin_lifecycle("x@1", definition)

    opening = await kept.backups.answer(Backup(token="0" * 16))

    assert opening.lifecycles == {"x@1": msgspec.Raw(definition)}
