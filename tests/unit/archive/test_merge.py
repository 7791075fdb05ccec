"""What a log's end may look like after a crash, and what becomes of it."""

from pathlib import Path

import pytest

from daemon.archive.merge import merge
from daemon.errors import DamagedStoreError
from protocol.erasure import erased
from protocol.events import CommittedEvent
from protocol.redaction import FIELDS
from tests.support.events import Chain, committed

PATH = Path("/data/manifests/ca/a/events.log")


def history(count: int) -> list[CommittedEvent]:
    chain = Chain("a")
    return committed(chain.next() for _ in range(count))


def log(events: list[CommittedEvent]) -> bytes:
    return b"".join(event.line + b"\n" for event in events)


@pytest.mark.parametrize("synced", [0, 2])
@pytest.mark.parametrize(
    "cut", [0, 1, 100, -1, None], ids=["none", "one_byte", "half", "no_newline", "whole"]
)
def test_a_log_that_was_cut_short_is_completed_without_a_word(synced: int, cut: int | None) -> None:
    events = history(5)
    rest = log(events[synced:])[:cut]

    merged = merge(PATH, log(events[:synced]) + rest, events[synced:])

    assert merged == (log(events), b"")


def test_zeroed_sectors_are_replaced_and_handed_to_quarantine() -> None:
    events = history(4)
    data = log(events)
    begin = len(log(events[:2])) + 100
    torn = data[:begin] + bytes(512) + data[begin + 512 :]

    merged = merge(PATH, torn, events[2:])

    assert merged.data == data
    assert merged.damaged
    assert merged.damaged in torn


def test_another_event_in_the_place_of_ours_is_corruption() -> None:
    events = history(3)
    chain = Chain("a")
    chain.next()
    other = CommittedEvent.of(chain.next(command_id="somebody else's"), 2)

    with pytest.raises(DamagedStoreError, match=r"line 2, seq 2: it holds an event that") as caught:
        merge(PATH, log([events[0], other]), events[1:])
    assert caught.value.exit_status == 70


def test_an_event_after_the_journal_s_last_one_is_corruption() -> None:
    events = history(3)

    with pytest.raises(DamagedStoreError, match="seq 3"):
        merge(PATH, log(events), events[1:2])


@pytest.mark.parametrize("kept", [0, 1])
def test_a_log_that_lacks_what_was_synced_is_damaged(kept: int) -> None:
    events = history(4)

    with pytest.raises(DamagedStoreError, match=f"line {kept + 1}: it ends after version {kept}"):
        merge(PATH, log(events[:kept]), events[2:])


def test_a_synced_line_that_is_damaged_is_not_taken_for_a_torn_one() -> None:
    events = history(3)
    data = bytearray(log(events))
    data[len(log(events[:1])) + 20] ^= 1

    with pytest.raises(DamagedStoreError, match=r"line 2: its crc does not match its bytes"):
        merge(PATH, bytes(data), events[2:])


def test_events_of_another_chain_do_not_follow() -> None:
    events = history(3)
    other = Chain("a", document=b'{"name":"other"}')
    fork = committed([other.next(), other.next(), other.next()])

    with pytest.raises(DamagedStoreError, match="does not continue its hash chain"):
        merge(PATH, log(events[:2]), fork[2:])


@pytest.mark.parametrize("ours_is_whole", [True, False], ids=["archive_first", "journal_first"])
def test_of_two_copies_the_one_that_lost_its_payload_stays(*, ours_is_whole: bool) -> None:
    events = history(4)
    left = [events[0], erased(events[1], FIELDS), *events[2:]]
    ours, theirs = (events, left) if ours_is_whole else (left, events)

    merged = merge(PATH, log(theirs), ours[1:])

    assert merged == (log(left), b"")


@pytest.mark.parametrize("times", [1, 2])
def test_a_synced_line_that_stands_there_once_more_is_handed_to_quarantine(times: int) -> None:
    events = history(4)
    doubled = events[1].line + b"\n"

    merged = merge(PATH, log(events[:2]) + times * doubled + log(events[2:3]), events[2:])

    assert merged == (log(events), (times * doubled)[:-1])
