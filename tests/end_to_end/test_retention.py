"""A feed that no longer reaches back to the first event, as clients of a real daemon meet it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from manifestctl import Initial, ReceivedEvent, Subscriber, SyncClient, SyncSubscriber
from manifestctl.testing import Daemon
from protocol.errors import HistoryCompactedError
from tests.support.manifestctl_process import runner

EVENTS = 60
NAME = "m-0"


@pytest.fixture
def forgetful(tmp_path: Path) -> Iterator[Daemon]:
    """Run a daemon whose feed keeps five events, in segments of some four events each."""
    file = tmp_path / "manifestd.toml"
    file.write_text("[store]\nfeed_retention_events = 5\nsegment_bytes = 4096\n")
    daemon = Daemon(tmp_path / "store", arguments=["--config", str(file)])
    try:
        daemon.start()
        yield daemon
    finally:
        daemon.close()


def fill(client: SyncClient) -> None:
    client.create({"n": 0}, kind="agent", manifest_id=NAME, command_id="first")
    for number in range(1, EVENTS):
        client.revise(NAME, patch={"n": number})


def test_the_subscriber_takes_the_states_and_goes_on_where_the_feed_lost_what_it_needs(
    forgetful: Daemon,
) -> None:
    with (
        forgetful.client() as client,
        forgetful.client() as another,
        SyncSubscriber(another, from_seq=1, initial=True) as subscriber,
    ):
        client.create({}, kind="agent", manifest_id="m-1")
        first = subscriber.next_item(30.0)
        assert isinstance(first, ReceivedEvent)
        forgetful.stop()  # It sees nothing of what comes now,
        forgetful.start()
        fill(client)
        forgetful.restart()  # and this removes it from the journal.
        states = [subscriber.next_item(30.0) for _ in range(2)]
        client.comment(NAME, text="after")
        event = subscriber.next_item(30.0)

    assert [one.manifest.manifest_id for one in states if isinstance(one, Initial)] == [
        "m-1",
        NAME,
    ]
    assert isinstance(event, ReceivedEvent)
    assert event.seq == EVENTS + 2


async def test_a_late_subscriber_gets_the_states_first_and_every_event_after_them(
    forgetful: Daemon,
) -> None:
    with forgetful.client() as client:
        fill(client)
        forgetful.restart()
        async with (
            forgetful.async_client() as another,
            Subscriber(another, from_seq=1, initial=True) as subscriber,
        ):
            state = await anext(subscriber)
            client.comment(NAME, text="after")
            event = await anext(subscriber)

    assert isinstance(state, Initial)
    assert (state.manifest.version, state.as_of_seq) == (EVENTS, EVENTS)
    assert isinstance(event, ReceivedEvent)
    assert event.seq == EVENTS + 1


def test_who_asks_for_what_is_gone_is_told_where_the_feed_begins(forgetful: Daemon) -> None:
    with forgetful.client() as client:
        fill(client)
        forgetful.restart()

        with pytest.raises(HistoryCompactedError, match="the feed begins at seq") as raised:
            client.feed(after_seq=0)
        oldest = raised.value.details["oldest_seq"]
        assert 1 < oldest <= EVENTS - 4
        assert len(client.feed(after_seq=oldest - 1).events) == EVENTS - oldest + 1
        with pytest.raises(HistoryCompactedError), SyncSubscriber(client, from_seq=1) as late:
            next(late)


def test_a_manifests_own_history_is_whole_after_a_kill_too(forgetful: Daemon) -> None:
    with forgetful.client() as client:
        fill(client)
        forgetful.kill()
        forgetful.start()

        assert client.history(NAME, limit=1000).events[0]
        assert len(client.history(NAME, limit=1000).events) == EVENTS
        again = client.create({"n": 0}, kind="agent", manifest_id=NAME, command_id="first")
        assert (again.version, again.replayed) == (1, True)
        assert client.recover(NAME).identical
        assert client.verify().events == EVENTS
        assert client.get(NAME, as_of=1).version == 1


def test_watch_says_what_to_do(forgetful: Daemon) -> None:
    with forgetful.client() as client:
        fill(client)
    forgetful.restart()

    ended = runner(forgetful.environ)("watch", "--from-seq", "1", status=5)

    assert "the feed begins at seq" in ended.stderr
