"""Personal data leaves the files of a store: all of them, for good, and nothing else does."""

import asyncio
from pathlib import Path

import pytest

from daemon.archive.layout import Layout
from daemon.errors import DaemonError
from daemon.journal.retention import Retention
from daemon.journal.segment import segment_path
from daemon.redaction.pending import REDACTIONS_NAME, Erasure
from daemon.settings import StoreSettings
from daemon.store import FileStore
from protocol.events import read_event
from protocol.redaction import FIELDS, REASON
from protocol.snapshots import decode_snapshot, encode_snapshot, replay
from tests.conformance.event_store import Follower
from tests.support.manual_timer import until
from tests.support.redactions import SECRETS, Redactable, files_with

SETTINGS = StoreSettings(reserve_size_bytes=4096)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


async def opened(data: Path, settings: StoreSettings = SETTINGS) -> Follower:
    def failed(error: DaemonError) -> None:
        raise error

    return Follower(await FileStore.open(data, settings=settings, on_failed=failed))


async def is_done(follower: Follower) -> None:
    store = follower.store
    assert isinstance(store, FileStore)
    await until(lambda: store.redactions_pending == 0)


@pytest.mark.parametrize("fields", [FIELDS, (REASON,)], ids="+".join)
async def test_what_is_redacted_stands_in_no_file_and_the_chain_holds(
    data: Path, fields: tuple[str, ...]
) -> None:
    follower = await opened(data)
    history = Redactable("a")
    for event in history.secret_events():
        await follower.commit(event)
    await follower.commit(Redactable("b").next())
    await follower.commit(history.redaction(2, fields))

    await is_done(follower)

    gone = [secret for field, secret in SECRETS.items() if field in fields]
    kept = [secret for field, secret in SECRETS.items() if field not in fields]
    assert [files_with(data, secret) for secret in gone] == [[]] * len(gone)
    assert all(files_with(data, secret) for secret in kept)
    page = await follower.store.feed(0, 100)
    assert [event.seq for event in page.events] == list(range(1, 6))
    for one in page.events:
        assert read_event(one.line).hash == one.hash
        assert not any(secret in one.line for secret in gone)
    log = await follower.store.history("a", 0, 100)
    state = replay(log)
    assert state is not None
    assert encode_snapshot(state) == Layout(data).state("a").read_bytes()
    await follower.commit(history.next())  # The log is written on behind what was rewritten.
    await follower.store.close()
    assert not (data / REDACTIONS_NAME).exists()
    again = await opened(data)
    assert len(await again.store.history("a", 0, 100)) == 5
    assert await again.state("a") == replay(await again.store.history("a", 0, 100))
    await again.store.close()


async def test_the_feed_is_read_while_its_segments_are_exchanged(data: Path) -> None:
    follower = await opened(data)
    histories = [Redactable(f"m-{number}") for number in range(8)]
    for history in histories:
        for event in history.secret_events():
            await follower.commit(event)
    seen: set[int] = set()

    async def read_on() -> None:
        while len(seen) < len(histories) * 5:
            follower.store._recent._events.clear()  # type: ignore[attr-defined]  # noqa: SLF001
            page = await follower.store.feed(0, 100)
            seen.update(event.seq for event in page.events)
            assert [one.seq for one in page.events] == list(range(1, len(page.events) + 1))
            for event in page.events:
                read_event(event.line)

    reading = asyncio.ensure_future(read_on())
    for history in histories:
        await follower.commit(history.redaction(1))
        await follower.commit(history.redaction(2))
        await is_done(follower)
    await reading
    assert [files_with(data, secret) for secret in SECRETS.values()] == [[], [], []]
    await follower.store.close()


async def test_a_closed_store_has_carried_out_what_was_asked_for_at_last(data: Path) -> None:
    follower = await opened(data)
    history = Redactable("a")
    for event in history.secret_events():
        await follower.commit(event)
    await follower.commit(history.redaction(2))

    await follower.store.close()

    assert [files_with(data, secret) for secret in SECRETS.values()] == [[], [], []]


async def test_what_retention_removed_need_not_be_rewritten(data: Path) -> None:
    settings = SETTINGS._replace(segment_size_bytes=1000, retention=Retention(events=1))
    follower = await opened(data, settings)
    history = Redactable("a")
    for event in [*history.secret_events(), history.next(), history.next()]:
        await follower.commit(event)
    await follower.store.write_behind()
    assert not segment_path(data, 1).exists()
    assert files_with(data, SECRETS[REASON]) == [str(Layout(data).log("a").relative_to(data))]

    await follower.commit(history.redaction(2))
    await is_done(follower)

    assert files_with(data, SECRETS[REASON]) == []
    assert len(await follower.store.history("a", 0, 100)) == 6
    await follower.store.close()


async def test_a_damaged_list_of_what_is_pending_is_made_anew_from_the_archive(data: Path) -> None:
    follower = await opened(data)
    history = Redactable("a")
    for event in history.secret_events():
        await follower.commit(event)
    log = Layout(data).log("a")
    await follower.store.write_behind()
    whole = log.read_bytes()
    await follower.commit(history.redaction(2))
    await follower.store.close()
    # As if a crash had come between journal and archive, and bit rot after it.
    last = log.read_bytes().splitlines(keepends=True)[-1]
    log.write_bytes(whole + last)
    (data / REDACTIONS_NAME).write_bytes(b'{"redactions":[')

    again = await opened(data)
    assert any("redactions.json is damaged" in note for note in again.store.notes)  # type: ignore[attr-defined]
    await is_done(again)

    assert [files_with(data, secret) for secret in SECRETS.values()] == [[], [], []]
    await again.store.close()


async def test_damage_in_a_log_is_said_and_the_rest_is_done(
    data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    follower = await opened(data)
    histories = [Redactable("a"), Redactable("b")]
    for history in histories:
        for event in history.secret_events():
            await follower.commit(event)
    await follower.store.write_behind()
    log = Layout(data).log("a")
    log.write_bytes(log.read_bytes().replace(b"Ada", b"Eda"))
    for history in histories:
        await follower.commit(history.redaction(2))
    store = follower.store
    assert isinstance(store, FileStore)

    await until(lambda: store.redactions_pending == 1 and "stays until" in caplog.text)

    assert "events.log" in caplog.text
    assert store.writable
    await store.close()
    assert (data / REDACTIONS_NAME).exists()
    assert Erasure("a", 2, FIELDS).manifest_id in (data / REDACTIONS_NAME).read_text()


async def test_the_snapshot_of_before_fits_the_log_of_after(data: Path) -> None:
    """A snapshot that was not written again, whatever the reason, yields the same state."""
    follower = await opened(data)
    history = Redactable("a")
    for event in history.secret_events():
        await follower.commit(event)
    await follower.store.write_behind()
    old = Layout(data).state("a").read_bytes()
    await follower.commit(history.redaction(2))
    await is_done(follower)
    expected = Layout(data).state("a").read_bytes()
    await follower.store.close()
    Layout(data).state("a").write_bytes(old)

    again = await opened(data)
    state = await again.state("a")

    assert state is not None
    assert decode_snapshot(old).version == state.version - 1
    assert encode_snapshot(state) == expected
    await again.store.close()
