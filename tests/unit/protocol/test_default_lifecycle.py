"""manifest@1: what every event does in every state."""

import pytest

from protocol.lifecycle.guards import GuardForm, describe
from protocol.lifecycle.registry import LifecycleRegistry
from protocol.statechart.compiled import Transition
from protocol.statechart.kernel import start, step

LIFECYCLE = LifecycleRegistry.builtin().get("manifest@1")
STATES = ("DRAFT", "REVIEWED", "APPROVED", "REGISTERED")
EVENTS = ("submit_for_review", "approve", "reject", "register")

# (state, event) -> target, guards, actions. Every pair has its row.
Row = tuple[str, str, tuple[str, ...]] | None
SUBMIT: Row = ("REVIEWED", "manifest_valid", ("clear_rejection", "allow_revert"))
APPROVE: Row = (
    "APPROVED",
    "digest_matches and four_eyes",
    ("record_approval", "allow_revert"),
)
REGISTER: Row = (
    "REGISTERED",
    "content_approved and manifest_valid and urn_free",
    ("record_registration",),
)
REJECT: Row = ("DRAFT", "reason_given", ("void_approvals", "record_rejection"))


ROWS: dict[tuple[str, str], Row] = {
    ("DRAFT", "submit_for_review"): SUBMIT,
    ("DRAFT", "approve"): None,
    ("DRAFT", "reject"): None,
    ("DRAFT", "register"): None,
    ("REVIEWED", "submit_for_review"): None,
    ("REVIEWED", "approve"): APPROVE,
    ("REVIEWED", "reject"): REJECT,
    ("REVIEWED", "register"): None,
    ("APPROVED", "submit_for_review"): None,
    ("APPROVED", "approve"): None,
    ("APPROVED", "reject"): REJECT,
    ("APPROVED", "register"): REGISTER,
    ("REGISTERED", "submit_for_review"): None,
    ("REGISTERED", "approve"): None,
    ("REGISTERED", "reject"): None,
    ("REGISTERED", "register"): None,
}


def test_every_pair_of_state_and_event_has_its_row() -> None:
    chart = LIFECYCLE.chart

    assert set(ROWS) == {(state, event) for state in STATES for event in EVENTS}
    assert {node.id for node in chart.nodes.values() if node.is_leaf} == set(STATES)
    assert set(LIFECYCLE.events) == set(EVENTS)


@pytest.mark.parametrize(("state", "event"), ROWS)
def test_an_event_does_what_its_row_says(state: str, event: str) -> None:
    asked: list[Transition] = []

    def allows(transition: Transition, *_: object) -> bool:
        asked.append(transition)
        return True

    result = step(LIFECYCLE.chart, (state,), {}, event, allows)
    row = ROWS[state, event]

    if row is None:
        assert (result, asked) == (None, [])
        return
    assert result is not None
    assert asked == list(result.transitions)
    [transition] = result.transitions
    target, guards, actions = row
    assert isinstance(transition.guard, GuardForm)
    assert (result.leaves, describe(transition.guard)) == ((target,), guards)
    assert result.actions == actions


@pytest.mark.parametrize(("state", "event"), [pair for pair, row in ROWS.items() if row])
def test_a_refusing_guard_leaves_the_state(state: str, event: str) -> None:
    assert step(LIFECYCLE.chart, (state,), {}, event, lambda *_: False) is None


def test_a_manifest_begins_as_a_draft() -> None:
    first = start(LIFECYCLE.chart, lambda *_: False)

    assert (first.leaves, first.actions, first.transitions) == (("DRAFT",), (), ())


@pytest.mark.parametrize("state", STATES)
def test_allowed_events_are_those_that_have_a_row(state: str) -> None:
    allowed = sorted(event for event in EVENTS if ROWS[state, event])

    assert LIFECYCLE.allowed_events((state,)) == allowed
    assert LIFECYCLE.allowed_events((state,)) is LIFECYCLE.allowed_events((state,))


def test_only_a_draft_can_be_revised() -> None:
    assert [state for state in STATES if LIFECYCLE.is_mutable((state,))] == ["DRAFT"]


def test_a_parent_state_includes_its_children() -> None:
    chart = LIFECYCLE.chart

    assert chart.leaves_below("PENDING") == ["REVIEWED", "APPROVED"]
    assert chart.leaves_below("manifest") == list(STATES)
    assert chart.is_in(("APPROVED",), "PENDING")
    assert chart.is_in(("APPROVED",), "APPROVED")
    assert not chart.is_in(("DRAFT",), "PENDING")


def test_each_event_takes_the_roles_of_the_design() -> None:
    assert {event: LIFECYCLE.roles_for(event) for event in (*EVENTS, "other")} == {
        "submit_for_review": ["author"],
        "approve": ["approver"],
        "reject": ["reviewer", "approver"],
        "register": ["registrar"],
        "other": None,
    }
