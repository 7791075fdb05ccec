"""`FileStore` on real files: what it leaves in its directory, and what it makes of damage in it."""

import asyncio
import hashlib
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from actors.ports import AppendOutcome
from daemon.archive.dirty import DirtyLimits
from daemon.archive.layout import Layout
from daemon.archive.reader import Archived
from daemon.archive.reads import StoreReads
from daemon.errors import DaemonError, DamagedStoreError, StoreLockedError
from daemon.index import index_path
from daemon.journal.retention import Retention
from daemon.settings import StoreSettings
from daemon.store import FileStore
from protocol.errors import CorruptError, HistoryCompactedError
from protocol.events import CommittedEvent
from protocol.snapshots import decode_snapshot, encode_snapshot, replay
from tests.conformance.event_store import Follower, refusal_of
from tests.support.events import Chain, committed
from tests.support.manual_timer import ManualTimer, until

SETTINGS = StoreSettings(reserve_size_bytes=4096)
NAME = "io.github.acme/echo@1.0.0"

Open = Callable[..., Awaitable[FileStore]]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def open_store(data: Path) -> Open:
    def failed(error: DaemonError) -> None:
        raise error

    async def opened(
        settings: StoreSettings = SETTINGS, timer: ManualTimer | None = None
    ) -> FileStore:
        return await FileStore.open(data, settings=settings, timer=timer, on_failed=failed)

    return opened


async def filled(open_store: Open, events: int = 3) -> list[CommittedEvent]:
    """Leave a closed store with one manifest of so many events behind, and return them."""
    follower = Follower(await open_store())
    chain = Chain(NAME)
    committed = [await follower.commit(chain.next()) for _ in range(events)]
    await follower.store.close()
    return committed


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def fingerprint(directory: Path) -> dict[Path, str]:
    return {
        path: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in directory.rglob("*")
        if path.is_file()
    }


async def test_who_opens_state_json_200_ms_after_an_ok_sees_it(
    open_store: Open, data: Path
) -> None:
    timer = ManualTimer()
    store = await open_store(timer=timer)
    follower = Follower(store)
    event = await follower.commit(Chain(NAME).next())
    layout = Layout(data)
    assert not layout.state(NAME).exists()

    timer.advance(0.2)
    await until(lambda: store.archived_seq == 1)

    assert decode_snapshot(layout.state(NAME).read_bytes()) == follower.states[NAME]
    assert layout.log(NAME).read_bytes() == event.line + b"\n"
    assert store.is_clean(NAME)
    await store.close()


async def test_a_locked_store_is_refused_and_not_touched(open_store: Open, data: Path) -> None:
    store = await open_store()
    before = fingerprint(data)

    with pytest.raises(StoreLockedError) as caught:
        await open_store()

    assert caught.value.exit_status == 75
    assert fingerprint(data) == before
    await store.close()
    await (await open_store()).close()


@pytest.mark.parametrize("place", [0, 20, -2, -40])
async def test_a_damaged_store_json_is_refused(open_store: Open, data: Path, place: int) -> None:
    await filled(open_store)
    flip(data / "store.json", place)
    before = fingerprint(data)

    with pytest.raises(DamagedStoreError, match=r"store\.json") as caught:
        await open_store()

    assert caught.value.exit_status == 70
    assert fingerprint(data) == before


async def test_a_directory_of_something_else_does_not_become_a_store(
    open_store: Open, data: Path
) -> None:
    data.mkdir()
    (data / "photo.jpg").touch()

    with pytest.raises(DamagedStoreError, match=r"not empty \(photo\.jpg\)"):
        await open_store()


async def test_a_store_keeps_its_id(open_store: Open) -> None:
    store = await open_store()
    store_id = store.store_id
    await store.close()

    store = await open_store()

    assert store.store_id == store_id
    await store.close()


@pytest.mark.parametrize("damage", ["removed", "flipped", "emptied", "stale", "of_another"])
async def test_a_bad_state_json_is_rebuilt_and_said(
    open_store: Open, data: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    events = await filled(open_store)
    path = Layout(data).state(NAME)
    expected = replay(events)
    assert expected is not None
    match damage:
        case "removed":
            path.unlink()
        case "flipped":
            flip(path, 200)
        case "emptied":
            path.write_bytes(b"")
        case "stale":
            old = replay(events[:1])
            assert old is not None
            path.write_bytes(encode_snapshot(old))
        case _:
            other = replay([CommittedEvent.of(Chain("other").next(), 1)])
            assert other is not None
            path.write_bytes(encode_snapshot(other))
    follower = Follower(await open_store())

    state = await follower.state(NAME)

    assert state == expected
    if damage != "stale":  # A snapshot that lags is no damage: the log says the rest.
        assert "rebuilding it from events.log" in caplog.text
        await follower.store.write_behind()
        assert path.read_bytes() == encode_snapshot(expected)
    await follower.store.close()


@pytest.mark.parametrize(
    ("place", "line"), [(10, 1), (-10, 3), (-1, 3)], ids=["first", "last", "last_newline"]
)
async def test_a_damaged_log_is_corrupt_and_named(
    open_store: Open, data: Path, place: int, line: int
) -> None:
    await filled(open_store)
    path = Layout(data).log(NAME)
    flip(path, place)
    store = await open_store()

    with pytest.raises(CorruptError) as caught:
        await store.history(NAME, 0, 100)

    assert caught.value.details["file"] == str(path)
    assert caught.value.details["line"] == line
    await store.close()


async def test_a_log_that_lost_its_last_event_is_corrupt_though_state_json_has_it(
    open_store: Open, data: Path
) -> None:
    events = await filled(open_store)
    path = Layout(data).log(NAME)
    os.truncate(path, path.stat().st_size - len(events[-1].line) - 1)
    store = await open_store()

    with pytest.raises(CorruptError, match="ends after version 2"):
        await store.load(NAME)
    with pytest.raises(CorruptError, match="ends after version 2"):
        await store.find_command(NAME, "c-9")
    await store.close()


@pytest.mark.parametrize("damage", ["removed", "flipped", "cut"])
async def test_a_bad_index_is_rebuilt_from_the_archive_and_said(
    open_store: Open, data: Path, damage: str
) -> None:
    await filled(open_store)
    path = index_path(data)
    match damage:
        case "removed":
            path.unlink()
        case "flipped":
            flip(path, path.stat().st_size // 2)
        case _:
            os.truncate(path, 10)

    store = await open_store()

    assert [(row.manifest_id, row.version) for row in store.summaries()] == [(NAME, 3)]
    assert any("index" in note for note in store.notes)
    await store.close()
    store = await open_store()
    assert not store.notes
    await store.close()


async def test_an_index_from_before_the_checkpoint_is_rebuilt(open_store: Open, data: Path) -> None:
    follower = Follower(await open_store())
    chain = Chain(NAME)
    await follower.commit(chain.next())
    await follower.store.write_behind()
    old = index_path(data).read_bytes()
    await follower.commit(chain.next())
    await follower.store.close()
    index_path(data).write_bytes(old)

    store = await open_store()

    assert [row.version for row in store.summaries()] == [2]
    assert "the index ends at seq 1" in store.notes[0]
    await store.close()


async def test_a_state_json_of_another_history_is_a_contradiction(
    open_store: Open, data: Path
) -> None:
    await filled(open_store)
    other = Chain(NAME, document=b'{"name":"other"}')
    forged = replay(committed(other.next() for _ in range(3)))
    assert forged is not None
    Layout(data).state(NAME).write_bytes(encode_snapshot(forged))
    store = await open_store()

    with pytest.raises(CorruptError, match=r"not the event that state\.json stands on"):
        await store.load(NAME)
    await store.close()


async def test_an_event_that_is_committed_during_a_load_is_part_of_what_is_loaded(
    open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = await filled(open_store)
    follower = Follower(await open_store())
    await follower.state(NAME)
    chain = Chain(NAME)
    for _ in events:
        chain.next()
    original = follower.store._reads.load  # type: ignore[attr-defined]  # noqa: SLF001
    late: list[CommittedEvent] = []

    async def load_and_commit(_reads: StoreReads, manifest_id: str, version: int) -> Archived:
        archived: Archived = await original(manifest_id, version)
        if not late:
            late.append(await follower.commit(chain.next()))
        return archived

    monkeypatch.setattr("daemon.archive.reads.StoreReads.load", load_and_commit)

    state = await follower.state(NAME)

    assert state == replay([*events, *late])
    await follower.store.close()


@pytest.mark.parametrize("name", ["checkpoint.json", "clean"])
async def test_without_checkpoint_or_mark_the_store_opens_all_the_same(
    open_store: Open, data: Path, name: str
) -> None:
    events = await filled(open_store)
    (data / name).unlink()

    follower = Follower(await open_store())

    assert await follower.state(NAME) == replay(events)
    await follower.store.close()
    lines = b"".join(event.line + b"\n" for event in events)
    assert Layout(data).log(NAME).read_bytes() == lines


async def test_a_log_that_somebody_else_wrote_to_ends_the_store(
    data: Path,
) -> None:
    failures: list[DaemonError] = []
    store = await FileStore.open(data, settings=SETTINGS, on_failed=failures.append)
    follower = Follower(store)
    chain = Chain(NAME)
    await follower.commit(chain.next())
    await store.write_behind()
    with Layout(data).log(NAME).open("ab") as log:
        log.write(b"{}\n")
    await follower.commit(chain.next())

    with pytest.raises(DamagedStoreError, match="another program"):
        await store.write_behind()

    assert [error.exit_status for error in failures] == [70]
    refusal = await refusal_of(follower.append(chain.next()))
    assert (refusal.outcome, refusal.error.code) == (AppendOutcome.UNKNOWN, "UNAVAILABLE")
    with pytest.raises(DamagedStoreError):
        await store.write_behind()
    await store.close()


async def test_at_the_bound_appends_are_refused_until_the_archive_has_caught_up(
    open_store: Open,
) -> None:
    limits = DirtyLimits(manifests=2, events=100, size_bytes=1 << 20)
    store = await open_store(SETTINGS._replace(dirty=limits), ManualTimer())
    follower = Follower(store)
    outcomes = [follower.append(Chain(name).next()) for name in ("a", "b")]
    await outcomes[-1]

    refusal = await refusal_of(follower.append(Chain("c").next()))

    assert (refusal.outcome, refusal.error.code) == (AppendOutcome.FULL, "OVERLOADED")
    assert refusal.error.retry_after_ms
    await until(lambda: store.archived_seq == 2)
    assert store.writable
    await follower.commit(Chain("c").next())
    await store.close()


async def test_the_feed_begins_where_retention_ends(open_store: Open) -> None:
    settings = SETTINGS._replace(segment_size_bytes=2000, retention=Retention(events=5))
    store = await open_store(settings)
    follower = Follower(store)
    chain = Chain(NAME)
    for _ in range(30):
        await follower.commit(chain.next())
    await store.close()
    store = await open_store(settings)

    with pytest.raises(HistoryCompactedError) as caught:
        await store.feed(0, 10)

    oldest = caught.value.details["oldest_seq"]
    assert 20 < oldest <= 26
    page = await store.feed(oldest - 1, 100)
    assert [event.seq for event in page.events] == list(range(oldest, 31))
    assert len(await store.history(NAME, 0, 100)) == 30
    await store.close()


async def fill_and_reopen(open_store: Open, manifests: int) -> tuple[float, float, int]:
    """Return how long closing and opening again took, and how many manifests there are then."""
    follower = Follower(await open_store())
    for first in range(0, manifests, 500):
        names = [f"io.github.acme/m-{number}@1.0.0" for number in range(first, first + 500)]
        await asyncio.gather(*(follower.append(Chain(name).next()) for name in names))
    began = time.perf_counter()
    await follower.store.close()
    closed = time.perf_counter()
    store = await open_store()
    opened = time.perf_counter()
    count = len(store.summaries())
    await store.close()
    return closed - began, opened - closed, count


@pytest.mark.parametrize("many", [2_000, pytest.param(10_000, marks=pytest.mark.long)])
def test_thousands_of_manifests_open_again(
    open_store: Open, capsys: pytest.CaptureFixture[str], many: int
) -> None:
    closing_s, opening_s, count = asyncio.run(fill_and_reopen(open_store, many))

    assert count == many
    with capsys.disabled():
        print(f"\n{many:,} manifests: closed in {closing_s:.2f} s, opened in {opening_s:.3f} s")  # noqa: T201
