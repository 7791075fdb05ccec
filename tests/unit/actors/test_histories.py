"""A manifest's events read back: by time, in small bites, and with every damage found."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.histories import (
    CHUNK_BYTES_MAX,
    FEED_PAGE_SIZE,
    chunks,
    log_hash_of_feed,
    rebuilt,
    utc_time,
    verified,
)
from actors.ports import FeedPage
from protocol.errors import BadRequestError, CorruptError, HistoryCompactedError
from protocol.events import GENESIS, CommittedEvent, next_log_hash, timestamp
from protocol.replies import ManifestSummary
from tests.support.events import Chain, committed
from tests.support.memory_store import MemoryStore

TIMES = [
    ("2026-11-23T15:04:05Z", "2026-11-23T15:04:05.000000Z"),
    ("2026-11-23t15:04:05.1z", "2026-11-23T15:04:05.100000Z"),
    ("2026-11-23 15:04:05.1234567891Z", "2026-11-23T15:04:05.123456Z"),
    ("2026-11-23T15:04:05+01:30", "2026-11-23T13:34:05.000000Z"),
    ("2026-11-23T15:04:05-00:00", "2026-11-23T15:04:05.000000Z"),
    ("2026-12-31T23:59:60Z", "2026-12-31T23:59:59.999999Z"),
    ("2026-12-31T23:30:00-01:00", "2027-01-01T00:30:00.000000Z"),
    ("0999-01-01T00:00:00Z", "0999-01-01T00:00:00.000000Z"),
]


@pytest.mark.parametrize(("text", "expected"), TIMES)
def test_every_spelling_of_a_time_becomes_the_one_that_events_have(
    text: str, expected: str
) -> None:
    assert utc_time(text, "/as_of") == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "3",
        "2026-11-23",
        "2026-11-23T15:04:05",
        "2026-11-23T15:04Z",
        "2026-02-30T00:00:00Z",
        "2026-11-23T24:00:00Z",
        "2026-11-23T15:04:61Z",
        "2026-11-23T15:04:05+24:00",
        "2026-11-23T15:04:05+01:60",
        "2026-11-23T15:04:05.Z",
        "2026-11-23T15:04:05Z\n",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "٢026-11-23T15:04:05Z",
        "x" * 5000,
    ],
)
def test_what_is_no_time_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(BadRequestError, match="such as 2026-11-23T15:04:05Z") as caught:
        utc_time(text, "/as_of")
    assert caught.value.path == "/as_of"
    assert len(caught.value.message) < 200


@given(st.integers(0, 4_000_000_000_000_000), st.integers(0, 4_000_000_000_000_000))
def test_times_compare_as_texts(one_us: int, other_us: int) -> None:
    one, other = (utc_time(timestamp(at * 1000), "") for at in (one_us, other_us))

    assert (one <= other) == (one_us <= other_us)


def _store(count: int, document: bytes = b'{"name":"echo"}') -> MemoryStore:
    store, chain = MemoryStore(), Chain("m", document=document)
    store.disk.manifests["m"] = committed(chain.next() for _ in range(count))
    return store


def _row(store: MemoryStore) -> ManifestSummary:
    return store.summaries()[0]


async def test_events_come_in_bites_that_are_whole_and_in_order() -> None:
    store = _store(1450)

    bites = [bite async for bite in chunks(store, "m")]

    sizes = [sum(len(event.line) for event in bite) for bite in bites]
    longest = max(len(event.line) for bite in bites for event in bite)
    assert CHUNK_BYTES_MAX <= max(sizes) < CHUNK_BYTES_MAX + longest
    versions = [event.core.version for bite in bites for event in bite]
    assert versions == list(range(1, 1451))


async def test_a_bite_is_small_in_bytes_too() -> None:
    store = _store(1, b'{"name":"%b"}' % (b"x" * (CHUNK_BYTES_MAX // 2)))
    store.disk.manifests["m"] *= 5

    bites = chunks(store, "m")

    assert [len(await anext(bites)) for _ in range(3)] == [2, 2, 1]
    await bites.aclose()  # type: ignore[attr-defined]


async def test_a_history_of_nothing_rebuilds_nothing() -> None:
    assert await rebuilt(MemoryStore(), "m") is None


async def test_a_rebuilt_state_stops_at_the_first_event_that_is_not_wanted() -> None:
    store = _store(10)

    state = await rebuilt(store, "m", lambda event: event.core.version not in (4, 5))

    assert state is not None
    assert state.version == 3


async def test_verifying_counts_what_it_checked() -> None:
    store = _store(7)

    assert await verified(store, _row(store)) == 7


def _feeding(count: int) -> MemoryStore:
    """Return a store whose feed has `count` events, too."""
    store = _store(count)
    store.disk.journal = list(store.disk.manifests["m"])
    return store


async def test_the_log_hash_of_the_feed_is_the_one_that_the_store_keeps() -> None:
    store = _feeding(7)
    log_hash = GENESIS.encode()
    for event in store.disk.journal:
        log_hash = next_log_hash(log_hash, event.seq, event.hash)

    for kept in (None, log_hash.decode()):
        assert await log_hash_of_feed(store, 7, kept) == log_hash.decode()


async def test_a_log_hash_that_the_feed_does_not_give_is_damage() -> None:
    with pytest.raises(CorruptError, match="do not give the log_hash"):
        await log_hash_of_feed(_feeding(7), 7, GENESIS)


async def test_a_gap_in_the_feed_is_damage() -> None:
    store = _feeding(7)
    del store.disk.journal[3]

    with pytest.raises(CorruptError, match="gap after seq 0"):
        await log_hash_of_feed(store, 7, None)


async def test_a_feed_that_was_compacted_has_no_log_hash() -> None:
    class Compacted(MemoryStore):
        async def feed(self, after_seq: int, limit: int) -> FeedPage:
            del after_seq, limit
            raise HistoryCompactedError(HistoryCompactedError.wording)

    assert await log_hash_of_feed(Compacted(), 7, None) is None


def _damaged(events: list[CommittedEvent], how: str) -> list[CommittedEvent]:
    line = events[2].line
    if how == "flipped":
        bad = line.replace(b'"author-7"', b'"author-8"')
        events[2] = CommittedEvent(3, bad, events[2].core, events[2].payload, events[2].hash)
    elif how == "missing":
        del events[2]
    elif how == "foreign":
        events[2] = committed([Chain("other").next()], 3)[0]
    elif how == "forged":
        forger = Chain("m")
        forged = [forger.next(), forger.next(reason="another one"), forger.next()]
        events[2] = committed(forged)[2]
    elif how == "moved":
        fresh = Chain("m")
        events[2] = committed((fresh.next() for _ in range(3)), 0)[2]
    else:
        del events[3:]
    return events


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("flipped", "version 3 is damaged: its crc"),
        ("missing", "version 4 breaks the hash chain"),
        ("foreign", "version 1 breaks the hash chain"),
        ("forged", "version 3 breaks the hash chain"),
        ("moved", "seq 2 of version 3 follows 2"),
        ("cut", "end after version 3, not 5"),
    ],
)
async def test_every_damage_is_found_and_placed(how: str, reason: str) -> None:
    store = MemoryStore()
    chain = Chain("m")
    store.disk.manifests["m"] = committed(chain.next() for _ in range(5))
    row = _row(store)
    store.disk.manifests["m"] = _damaged(store.disk.manifests["m"], how)

    with pytest.raises(CorruptError, match=reason) as caught:
        await verified(store, row)
    assert caught.value.details["manifest_id"] == "m"
    assert caught.value.details["version"] in (1, 3, 4)


@pytest.mark.parametrize("what", ["verify", "rebuild"])
async def test_reading_a_long_history_gives_the_loop_its_turn_after_every_bite(what: str) -> None:
    store = _store(3000)
    loop = asyncio.get_running_loop()
    turns, done = 0, False

    def turn() -> None:
        nonlocal turns
        turns += 1
        if not done:
            loop.call_soon(turn)

    turn()
    if what == "verify":
        assert await verified(store, _row(store)) == 3000
    else:
        state = await rebuilt(store, "m")
        assert state is not None
        assert state.version == 3000
    done = True

    assert turns >= 3000 // FEED_PAGE_SIZE
