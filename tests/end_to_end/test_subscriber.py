"""Subscribers of a real daemon: whatever happens to them, each tells the whole story, once."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from daemon.transport.publisher import EVENTS_QUEUED_MAX
from manifestctl import (
    Client,
    Initial,
    ReceivedEvent,
    RetryPolicy,
    Subscriber,
    SyncClient,
    SyncSubscriber,
)
from manifestctl.filters import EventFilter
from manifestctl.script import Lost, Ready
from manifestctl.testing import Daemon
from tests.support.flood import flood

PATIENT = RetryPolicy(timeout_s=30.0)
WRITERS = 32
PATIENCE_S = 30.0  # Without an event for so long, a test has failed.
# More than PUB queues for one subscriber, its socket and the kernel's buffers together.
FLOOD = 2 * EVENTS_QUEUED_MAX + 2000


@pytest.fixture
async def client(daemon: Daemon) -> AsyncIterator[Client]:
    async with daemon.async_client(retry=PATIENT) as connected:
        yield connected


async def create(client: Client, names: int = WRITERS) -> None:
    for number in range(names):
        await client.create({"n": 0}, kind="agent", manifest_id=f"m-{number}")


async def revise(client: Client, events: int) -> None:
    """Let `events` events happen, on several manifests at once."""

    async def write(own: int) -> None:
        for number in range(own, events, WRITERS):
            await client.revise(f"m-{own}", patch={"n": number + 1_000_000})

    async with asyncio.TaskGroup() as group:
        for own in range(WRITERS):
            group.create_task(write(own))


async def take(subscriber: Subscriber, last_seq: int) -> list[bytes]:
    """Return the lines of the events up to `last_seq`."""
    lines = []
    async for event in subscriber:
        assert isinstance(event, ReceivedEvent)
        lines.append(event.line)
        if event.seq >= last_seq:
            break
    return lines


def take_blocking(subscriber: SyncSubscriber, last_seq: int) -> list[bytes]:
    """Return the lines of the events up to `last_seq`."""
    lines: list[bytes] = []
    while (subscriber.position or 0) < last_seq:
        event = subscriber.next_item(PATIENCE_S)
        assert isinstance(event, ReceivedEvent), f"nothing came after {len(lines)} events"
        lines.append(event.line)
    return lines


async def stored(client: Client) -> list[bytes]:
    """Return the lines that the daemon holds."""
    lines: list[bytes] = []
    while True:
        page = await client.feed(after_seq=len(lines), limit=1000)
        if not page.events:
            return lines
        lines += [bytes(line) for line in page.events]


def test_connected_throughout_paused_and_late_tell_the_same(daemon: Daemon) -> None:
    last_seq = WRITERS + FLOOD
    names = [f"m-{number}" for number in range(WRITERS)]
    with (
        daemon.client(retry=PATIENT) as client,
        daemon.client(retry=PATIENT) as another,
        SyncSubscriber(client, from_seq=1) as connected,
        SyncSubscriber(another, from_seq=1, queue_size=10) as paused,
        ThreadPoolExecutor(1) as thread,
    ):
        connected.start()
        paused.start()
        following = thread.submit(take_blocking, connected, last_seq)
        for name in names:
            another.create({}, kind="agent", manifest_id=name)
        flood(daemon.commands, names, FLOOD)

        live = following.result()
        asked = another.status().commands
        caught_up = take_blocking(paused, last_seq)
        asked = another.status().commands - asked
        with SyncSubscriber(another, from_seq=1) as late:
            replayed = take_blocking(late, last_seq)

    assert len(live) == last_seq
    assert caught_up == live
    assert replayed == live
    assert asked > 1  # It had to read the feed: PUB had dropped something.


@pytest.mark.parametrize("end", [Daemon.stop, Daemon.kill], ids=["stopped", "killed"])
async def test_a_subscriber_survives_a_restart_of_the_daemon(
    daemon: Daemon, client: Client, end: Callable[[Daemon], None]
) -> None:
    changes: list[Ready | Lost] = []
    async with Subscriber(client, from_seq=1, on_change=changes.append) as subscriber:
        await create(client)
        first = await take(subscriber, WRITERS)

        await asyncio.to_thread(end, daemon)
        following = asyncio.create_task(take(subscriber, WRITERS + 50))
        await asyncio.to_thread(daemon.start)
        await revise(client, 50)

        assert first + await following == await stored(client)
    assert isinstance(changes[0], Ready)


async def test_writes_that_meet_a_restart_happen_once(daemon: Daemon, client: Client) -> None:
    await create(client)
    writing = asyncio.create_task(revise(client, 640))

    async with Subscriber(client, from_seq=WRITERS + 1) as subscriber:
        await take(subscriber, WRITERS + 100)
        await asyncio.to_thread(daemon.kill)
        await asyncio.to_thread(daemon.start)
        await writing
        rest = await take(subscriber, WRITERS + 640)

    assert len(await stored(client)) == WRITERS + 640
    assert rest


async def test_states_come_first_and_events_follow(client: Client) -> None:
    await create(client, 3)

    async with Subscriber(client, initial=True) as subscriber:
        initial = [await anext(subscriber) for _ in range(3)]
        await client.revise("m-1", patch={"n": 1})
        event = await anext(subscriber)

    assert [one.manifest.manifest_id for one in initial if isinstance(one, Initial)] == [
        "m-0",
        "m-1",
        "m-2",
    ]
    assert isinstance(event, ReceivedEvent)
    assert (event.manifest_id, event.seq) == ("m-1", 4)


async def test_only_what_is_wanted_is_told(client: Client) -> None:
    await create(client, 12)

    async with Subscriber(client, from_seq=1, wanted=EventFilter(manifest_id="m-1")) as subscriber:
        told = [await anext(subscriber) for _ in range(3)]

    assert [event.seq for event in told if isinstance(event, ReceivedEvent)] == [2, 11, 12]


async def test_a_cancelled_wait_loses_nothing(client: Client) -> None:
    await create(client, 1)
    async with Subscriber(client) as subscriber:
        await subscriber.start()
        for number in range(3):
            waiting = asyncio.ensure_future(anext(subscriber))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await waiting
            await client.revise("m-0", patch={"n": number + 1})
            event = await anext(subscriber)
            assert isinstance(event, ReceivedEvent)
            assert event.seq == number + 2


def test_the_blocking_subscriber_tells_the_same(daemon: Daemon) -> None:
    with daemon.client() as client, SyncSubscriber(client, from_seq=1) as subscriber:
        assert subscriber.next_item(timeout_s=0.1) is None
        for number in range(20):
            client.create({"n": number}, kind="agent", manifest_id=f"m-{number}")
        before = [next(subscriber) for _ in range(20)]

        daemon.restart()
        client.revise("m-0", patch={"n": 100})

        after = _next(subscriber, client)
    seqs = [event.seq for event in [*before, after] if isinstance(event, ReceivedEvent)]
    assert seqs == list(range(1, 22))


def _next(subscriber: SyncSubscriber, client: SyncClient) -> ReceivedEvent:
    assert client.health().last_seq == 21
    event = next(subscriber)
    assert isinstance(event, ReceivedEvent)
    return event
