"""The latest events in memory."""

from daemon.archive.recent import RecentEvents
from protocol.events import CommittedEvent
from protocol.redaction import FIELDS
from tests.support.events import Chain, committed


def events(count: int) -> list[CommittedEvent]:
    chain = Chain("a")
    return committed(chain.next() for _ in range(count))


def test_it_begins_empty_after_the_last_seq() -> None:
    recent = RecentEvents(41)

    assert (recent.first_seq, recent.last_seq) == (42, 41)
    assert recent.page(41, 10, 1000) == []


def test_it_forgets_the_oldest_beyond_its_number_of_events() -> None:
    recent = RecentEvents(0, events_max=3)

    for event in events(5):
        recent.add(event)

    assert (recent.first_seq, recent.last_seq) == (3, 5)
    assert [event.seq for event in recent.page(2, 10, 1 << 20)] == [3, 4, 5]


def test_it_forgets_the_oldest_beyond_its_bytes_even_the_last_one() -> None:
    first, second = events(2)
    recent = RecentEvents(0, size_bytes_max=len(second.line))

    recent.add(first)
    assert recent.first_seq == 2
    recent.add(second)

    assert recent.first_seq == 2
    assert recent.page(1, 5, 1) == [second]


def test_a_page_ends_at_its_limit_or_its_bytes_but_holds_one_event() -> None:
    recent = RecentEvents(0)
    all_events = events(4)
    for event in all_events:
        recent.add(event)

    assert recent.page(1, 2, 1 << 20) == all_events[1:3]
    assert recent.page(0, 9, len(all_events[0].line) + 1) == all_events[:1]
    assert recent.page(0, 9, 1) == all_events[:1]
    assert recent.page(99, 9, 1) == []


def test_what_is_redacted_leaves_memory_too() -> None:
    recent = RecentEvents(0, size_bytes_max=1 << 20)
    for event in events(3):
        recent.add(event)

    recent.redact("a", 1, FIELDS)

    page = recent.page(0, 10, 1 << 20)
    assert [event.payload is None for event in page] == [True, False, False]
    assert [event.hash for event in page] == [event.hash for event in events(3)]
