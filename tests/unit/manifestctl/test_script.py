"""The subscriber's promise, held against every way in which PUB and the daemon can break it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifestctl.filters import EventFilter
from manifestctl.script import Initial, Lost, Ready, ReceivedEvent, Subscription, receive
from protocol.commands import Feed, Probe
from protocol.errors import (
    BadRequestError,
    CorruptError,
    HistoryCompactedError,
    OverloadedError,
    ShuttingDownError,
    UnavailableError,
)
from protocol.events import DamagedEventError
from tests.support.fake_feed import FakeDriver, FakeFeed, event_line


def subscription(
    from_seq: int | None = None, *, initial: bool = False, wanted: EventFilter | None = None
) -> Subscription:
    return Subscription(from_seq=from_seq, initial=initial, wanted=wanted or EventFilter())


def seqs(driver: FakeDriver) -> list[int]:
    return [item.seq for item in driver.until_idle() if isinstance(item, ReceivedEvent)]


@given(
    st.lists(st.sampled_from(["event", "lost", "heartbeat", "bye", "run", "silence"]), max_size=60),
    st.integers(min_value=1, max_value=5),
    st.integers(min_value=0, max_value=7),
)
def test_whatever_is_lost_every_event_is_told_once_and_in_order(
    story: list[str], from_seq: int, before: int
) -> None:
    feed = FakeFeed()
    for _ in range(before):
        feed.happen(is_lost=True)
    if before < from_seq - 1:
        from_seq = before + 1
    driver = FakeDriver(subscription(from_seq), feed)
    told = seqs(driver)
    happen = {
        "event": feed.happen,
        "lost": lambda: feed.happen(is_lost=True),
        "heartbeat": feed.beat,
        "bye": feed.say_goodbye,
        "run": lambda: told.extend(seqs(driver)),
        "silence": driver.silence,
    }

    for step in story:
        if step == "silence":
            told += seqs(driver)
        happen[step]()
    feed.beat()
    told += seqs(driver)

    assert told == list(range(from_seq, feed.last_seq + 1))


def test_without_a_seq_it_tells_what_happens_from_now_on() -> None:
    feed = FakeFeed()
    feed.happen()
    driver = FakeDriver(subscription(), feed)
    assert list(driver.until_idle()) == [Ready(1)]

    feed.happen()

    assert seqs(driver) == [2]


def test_lost_probes_are_repeated_and_at_last_another_socket_is_tried() -> None:
    feed = FakeFeed()
    feed.probes_lost = 7
    driver = FakeDriver(subscription(), feed)

    assert list(driver.until_idle()) == [Ready(0)]

    tokens = {request.token for request in feed.asked if isinstance(request, Probe)}
    assert len(tokens) == 1
    assert driver.opened == 2


def test_live_events_do_not_need_the_feed() -> None:
    feed = FakeFeed()
    driver = FakeDriver(subscription(), feed)
    list(driver.until_idle())
    for _ in range(5):
        feed.happen()
    feed.beat()

    assert seqs(driver) == [1, 2, 3, 4, 5]
    assert not any(isinstance(request, Feed) for request in feed.asked)


def test_a_damaged_message_is_a_lost_one() -> None:
    feed = FakeFeed()
    driver = FakeDriver(subscription(), feed)
    list(driver.until_idle())
    feed.happen(is_lost=True)
    feed.messages.append((b"event/agent/a/DRAFT", event_line(1).replace(b"author-7", b"author-8")))
    feed.happen()

    assert seqs(driver) == [1, 2]


def test_the_daemon_s_absence_is_told_and_survived() -> None:
    feed = FakeFeed()
    driver = FakeDriver(subscription(), feed)
    list(driver.until_idle())
    feed.say_goodbye()
    feed.errors.extend(
        [UnavailableError("gone"), ShuttingDownError("going"), OverloadedError("busy")]
    )
    for _ in range(4):
        feed.happen(is_lost=True)

    items = list(driver.until_idle())

    assert items[0] == Lost("the daemon said goodbye")
    assert items[-1] == Ready(4)
    assert [item.seq for item in items if isinstance(item, ReceivedEvent)] == [1, 2, 3, 4]


def test_a_feed_that_fails_midway_is_asked_again_at_the_next_heartbeat() -> None:
    feed = FakeFeed()
    driver = FakeDriver(subscription(), feed)
    list(driver.until_idle())
    feed.happen(is_lost=True)
    feed.beat()
    feed.errors.append(UnavailableError("gone"))
    assert seqs(driver) == []

    feed.beat()

    assert seqs(driver) == [1]


def test_without_any_daemon_the_first_connection_fails() -> None:
    feed = FakeFeed()
    feed.errors.append(UnavailableError("gone"))

    with pytest.raises(UnavailableError):
        list(FakeDriver(subscription(), feed).until_idle())


def test_states_come_first_where_they_are_asked_for() -> None:
    feed = FakeFeed()
    feed.happen()
    driver = FakeDriver(subscription(initial=True), feed)

    items = list(driver.until_idle())

    names = [item.manifest.manifest_id for item in items if isinstance(item, Initial)]
    assert names == ["m-0", "m-1"]
    assert items[-1] == Ready(1)


def test_states_come_again_where_the_feed_no_longer_reaches_back() -> None:
    feed = FakeFeed()
    for _ in range(5):
        feed.happen(is_lost=True)
    feed.oldest = 4
    driver = FakeDriver(subscription(1, initial=True), feed)

    items = list(driver.until_idle())

    assert [type(item) for item in items] == [Initial, Initial, Ready]
    feed.happen()
    assert seqs(driver) == [6]


def test_without_states_a_compacted_feed_is_an_error() -> None:
    feed = FakeFeed()
    feed.happen()
    feed.oldest = 4

    with pytest.raises(HistoryCompactedError):
        list(FakeDriver(subscription(1), feed).until_idle())


def test_a_store_that_lost_events_is_an_alarm() -> None:
    feed = FakeFeed()
    feed.happen()
    feed.happen()
    driver = FakeDriver(subscription(1), feed)
    list(driver.until_idle())
    feed.lines.pop()
    feed.beat()

    with pytest.raises(CorruptError, match="end at 1, before 2"):
        list(driver.until_idle())


def test_another_store_at_the_same_endpoint_is_an_alarm() -> None:
    feed = FakeFeed()
    driver = FakeDriver(subscription(), feed)
    list(driver.until_idle())
    feed.store_id = "another"
    feed.say_goodbye()

    with pytest.raises(CorruptError, match="not those seen before"):
        list(driver.until_idle())


def test_an_old_heartbeat_that_was_queued_is_no_alarm() -> None:
    feed = FakeFeed()
    driver = FakeDriver(subscription(), feed)
    list(driver.until_idle())
    feed.beat()
    for _ in range(3):
        feed.happen(is_lost=True)
    feed.messages.rotate(1)
    feed.beat()
    feed.messages.append((b"heartbeat", b'{"seq":1}'))

    assert seqs(driver) == [1, 2, 3]


def test_a_feed_with_a_hole_or_damage_is_corrupt() -> None:
    for bad in (event_line(2), event_line(1)[:-3]):
        feed = FakeFeed()
        feed.lines.append(bad)

        with pytest.raises(CorruptError, match="feed"):
            list(FakeDriver(subscription(1), feed).until_idle())


def test_a_seq_below_the_first_is_refused() -> None:
    with pytest.raises(BadRequestError, match="first event has seq 1"):
        subscription(0)


def test_what_is_filtered_out_still_counts() -> None:
    feed = FakeFeed()
    feed.happen()
    feed.happen(manifest_id="b")
    wanted = subscription(1, wanted=EventFilter(manifest_id="b"))
    driver = FakeDriver(wanted, feed)

    assert seqs(driver) == [2]
    feed.happen()
    assert seqs(driver) == []
    assert wanted.position == 3


def test_an_event_carries_its_bytes() -> None:
    line = event_line(7)

    event = receive(line)

    assert event.line == line
    assert (event.seq, event.principal) == (7, "author-7")
    with pytest.raises(DamagedEventError):
        receive(line[:-1])


def test_an_event_cannot_claim_other_bytes() -> None:
    """A member named `line` is not one of ours, and is ignored like any that is unknown."""
    assert receive(event_line(7, manifest_id="line")).line == event_line(7, manifest_id="line")
