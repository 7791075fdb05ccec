"""Every method of both clients, against a real daemon."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from manifestctl import NotFoundError, ReceivedEvent, SyncSubscriber
from manifestctl.testing import Daemon, DaemonError
from protocol.endpoints import EndpointError

ECHO = "echo@1.0.0"
DOCUMENT = {"name": "echo", "version": "1.0.0"}
Call = Callable[..., Any]


@pytest.fixture(params=["async", "sync"])
async def call(daemon: Daemon, request: pytest.FixtureRequest) -> AsyncIterator[Call]:
    """Yield what calls a method of the client by name; an iterator comes back as a list."""
    if request.param == "async":
        async with daemon.async_client() as client:

            async def with_async(method: str, *arguments: object, **named: object) -> Any:  # noqa: ANN401
                outcome = getattr(client, method)(*arguments, **named)
                if inspect.isasyncgen(outcome):
                    return [item async for item in outcome]
                return await outcome

            yield with_async
    else:
        with daemon.client() as blocking:

            def run(method: str, arguments: tuple[object, ...], named: dict[str, object]) -> Any:  # noqa: ANN401
                outcome = getattr(blocking, method)(*arguments, **named)
                return list(outcome) if inspect.isgenerator(outcome) else outcome

            async def with_sync(method: str, *arguments: object, **named: object) -> Any:  # noqa: ANN401
                return await asyncio.to_thread(run, method, arguments, named)

            yield with_sync


async def test_a_manifest_s_life_by_methods(call: Call) -> None:
    steps = [
        await call("create", DOCUMENT, kind="agent", principal="author-7"),
        await call("revise", ECHO, manifest={**DOCUMENT, "n": 1}),
        await call("revise", ECHO, patch='{"n": null}'),
        await call("submit", ECHO, reason="please look"),
        await call("reject", ECHO, reason="no owner"),
        await call("submit", ECHO),
        await call("comment", ECHO, text="nice"),
    ]
    digest = steps[-1].digest
    steps += [
        await call("approve", ECHO, principal="approver-3", digest=digest),
        await call("revert", ECHO, principal="approver-3"),
        await call("transition", ECHO, target="APPROVED", principal="approver-3"),
        await call("register", ECHO, expected_version=10),
    ]

    assert [step.version for step in steps] == list(range(1, 12))
    assert steps[-1].urn == "urn:proto:agent:echo@1.0.0"
    assert (await call("lookup", steps[-1].urn)).manifest_id == ECHO
    events = await call("every_event", ECHO, after_version=9)
    assert [event.version for event in events] == [10, 11]
    assert [row.manifest_id for row in await call("every_manifest", kind="agent")] == [ECHO]
    assert (await call("recover", ECHO)).identical
    assert (await call("verify")).events == 11


async def test_the_reads_about_a_manifest_and_the_daemon(call: Call) -> None:
    await call("create", DOCUMENT, kind="agent")

    assert (await call("get", ECHO, as_of=1)).state == "DRAFT"
    assert (await call("explain", ECHO, principal="bob")).principal == "bob"
    assert (await call("lifecycle", manifest_id=ECHO)).counts["DRAFT"] == 1
    assert "DRAFT" in (await call("lifecycle", "manifest@1", format="mermaid")).diagram
    assert (await call("feed")).last_seq == 1
    assert (await call("status")).manifests == 1
    assert (await call("health")).protocol == 1
    assert (await call("whoami", principal="bob")).principal == "bob"
    assert (await call("probe")).last_seq == 1
    with pytest.raises(NotFoundError):
        await call("get", "nobody")


async def test_iterators_go_over_all_pages(call: Call) -> None:
    for number in range(3):
        await call("create", {"n": number}, kind="agent", manifest_id=f"m-{number}")
    first = await call("list", limit=2)

    second = await call("list", limit=2, cursor=first.cursor)

    names = [row.manifest_id for row in (*first.manifests, *second.manifests)]
    assert names == [row.manifest_id for row in await call("every_manifest")]
    assert second.cursor is None


async def test_a_page_of_history_can_be_small(call: Call) -> None:
    await call("create", DOCUMENT, kind="agent")
    await call("comment", ECHO, text="x")

    page = await call("history", ECHO, limit=1)
    rest = await call("history", ECHO, after_version=1)

    assert (len(page.events), page.next_version) == (1, 2)
    assert (len(rest.events), rest.next_version) == (1, None)


def test_a_subscriber_needs_to_know_where_events_are(daemon: Daemon) -> None:
    with daemon.client() as client:
        client.route.daemons = (client.route.current._replace(events=None),)

        with pytest.raises(EndpointError, match="--events"), SyncSubscriber(client) as subscriber:
            subscriber.start()


def test_a_blocking_subscriber_that_only_waits_sees_what_comes(daemon: Daemon) -> None:
    with daemon.client() as client, SyncSubscriber(client) as subscriber:
        subscriber.start()
        assert subscriber.next_item(timeout_s=0) is None
        client.create(DOCUMENT, kind="agent")

        event = subscriber.next_item(timeout_s=30)

    assert isinstance(event, ReceivedEvent)
    assert event.seq == subscriber.position == 1


def test_the_fixture_says_why_a_daemon_does_not_start(daemon: Daemon) -> None:
    second = Daemon(daemon.data_dir)
    second.log_file = daemon.data_dir.with_name("second.log")

    with pytest.raises(DaemonError, match="ended with status 75"):
        second.start()

    second.close()


def test_a_killed_daemon_keeps_what_it_acknowledged(daemon: Daemon) -> None:
    with daemon.client() as client:
        client.create(DOCUMENT, kind="agent")
        before = daemon.pid
        daemon.kill()
        daemon.start()

        assert daemon.pid != before
        assert client.get(ECHO).version == 1
