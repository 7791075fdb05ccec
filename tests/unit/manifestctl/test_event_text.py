"""An event on a terminal: one harmless line."""

import time
from collections.abc import Iterator

import msgspec
import pytest

from manifestctl.event_text import event_line, local_time
from manifestctl.script import ReceivedEvent, receive
from protocol.events import Payload
from tests.support import fake_feed


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def event(**changes: object) -> ReceivedEvent:
    return msgspec.structs.replace(receive(fake_feed.event_line(812)), **changes)


def test_a_step_says_from_where_to_where_by_whom_and_why() -> None:
    step = event(
        event="approve",
        states_from="REVIEWED",
        states_to=["APPROVED", "SIGNED"],
        via="gateway",
        payload=Payload(salt="", reason="fine"),
    )

    assert event_line(step, colours=False) == (
        "15:04:05 812 a REVIEWED → APPROVED+SIGNED approve by author-7 (via gateway): fine"
    )


def test_what_changes_no_state_names_its_type() -> None:
    assert event_line(event(), colours=False) == "15:04:05 812 a DRAFT commented by author-7"


def test_a_timer_and_a_redaction_are_told() -> None:
    line = event_line(event(event="expire", cause="timer", payload=None), colours=False)

    assert line == "15:04:05 812 a DRAFT expire [timer] by author-7: (redacted)"


def test_colours_are_ours_and_not_the_event_s() -> None:
    line = event_line(event(principal="\x1b[2Jx", payload=None), colours=True)

    assert line.count("\x1b") == 6
    assert "\\x1b[2Jx" in line


def test_a_time_that_is_none_is_shown_as_it_is() -> None:
    assert local_time("2026-11-23T15:04:05.123456Z") == "2026-11-23 15:04:05"
    assert local_time("soon") == "soon"
