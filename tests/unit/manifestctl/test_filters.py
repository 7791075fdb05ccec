"""A filter accepts what meets every condition, and without conditions everything."""

import pytest

from manifestctl.filters import EventFilter
from manifestctl.script import receive
from tests.support.fake_feed import event_line

EVENT = receive(event_line(1, "acme/echo@1", kind="agent", to="DRAFT"))


@pytest.mark.parametrize(
    ("wanted", "accepts"),
    [
        (EventFilter(), True),
        (EventFilter(kind="agent", manifest_id="acme/", state="DRAFT", types=["commented"]), True),
        (EventFilter(kind="mcp-server"), False),
        (EventFilter(manifest_id="echo"), False),
        (EventFilter(state="REVIEWED"), False),
        (EventFilter(types=["created", "revised"]), False),
    ],
)
def test_a_filter_on_an_event(wanted: EventFilter, *, accepts: bool) -> None:
    assert wanted.accepts(EVENT) == accepts
