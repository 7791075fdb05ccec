"""A lifecycle becomes an XState machine, and comes back from it."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings

from protocol.lifecycle.definition import (
    LifecycleDefinition,
    StateDefinition,
    TransitionDefinition,
)
from protocol.lifecycle.reader import read_lifecycle
from protocol.lifecycle.xstate import XStateError
from protocol.lifecycle.xstate_export import export_xstate
from protocol.lifecycle.xstate_import import import_xstate
from tests.support.definitions import definitions

pytestmark = (
    pytest.mark.no_cover
)  # What it runs is covered elsewhere; measured, it takes many times as long.

VALID = Path(__file__).parents[3] / "fixtures" / "lifecycles" / "valid"
BUILTIN = files("protocol").joinpath("lifecycles")
BUILTINS = sorted(one.name for one in BUILTIN.iterdir() if one.name.endswith(".toml"))


@settings(max_examples=30)
@given(definitions())
def test_what_is_exported_is_imported_as_it_was(definition: LifecycleDefinition) -> None:
    machine = export_xstate(definition)

    assert msgspec.json.encode(import_xstate(machine)) == msgspec.json.encode(definition)


@pytest.mark.parametrize("name", BUILTINS)
def test_a_built_in_lifecycle_comes_back_from_xstate(name: str) -> None:
    definition = read_lifecycle(BUILTIN.joinpath(name).read_text(), name)

    assert import_xstate(export_xstate(definition)) == definition
    assert import_xstate(export_xstate(definition), version=7).version == 7


# What comes back from XState in other words than it was written in.
REWORDED = {
    "events.json": "an own done event is an onDone",
    "timers.toml": "an expression that cannot be taken for a name needs no table",
}


@pytest.mark.parametrize("path", sorted(VALID.iterdir()), ids=lambda path: path.name)
def test_a_valid_lifecycle_comes_back_from_xstate(path: Path) -> None:
    definition = read_lifecycle(path.read_bytes(), path.name)

    found = import_xstate(export_xstate(definition))

    assert (found == definition) == (path.name not in REWORDED)
    assert import_xstate(export_xstate(found)) == found


def test_the_end_of_the_own_regions_is_its_ondone() -> None:
    state = StateDefinition(on={"done.state.A": "A", "x": "A"}, states={"B": StateDefinition()})

    found = machine(("A", state))["states"]["A"]

    assert found["onDone"] == {"target": "A", "reenter": True}
    assert list(found["on"]) == ["x"]


def machine(*states: tuple[str, StateDefinition]) -> dict[str, Any]:
    definition = LifecycleDefinition(id="m", version=1, initial=states[0][0], states=dict(states))
    found = json.loads(export_xstate(definition))
    assert isinstance(found, dict)
    return found


def test_targets_are_named_the_short_way_and_by_id_where_there_is_none() -> None:
    inner = StateDefinition(on={"up": "B", "over": "D.1"})
    found = machine(
        ("A", StateDefinition(on={"in": "C", "next": "B"}, states={"C": inner})),
        ("B", StateDefinition()),
        ("D.1", StateDefinition()),
    )

    assert found["states"]["A"]["on"] == {"in": {"target": ".C", "reenter": True}, "next": "B"}
    assert found["states"]["A"]["states"]["C"]["on"] == {"up": "#B", "over": "#D\\.1"}
    assert found["states"]["B"] == {"id": "B"}
    assert found["states"]["D.1"] == {"id": "D.1"}
    assert "id" not in found["states"]["A"]


def test_a_way_that_stays_inside_says_nothing_and_one_that_cannot_says_so_to_us() -> None:
    way = TransitionDefinition(target="C", internal=True)
    inside = StateDefinition(on={"in": way}, states={"C": StateDefinition()})
    outside = StateDefinition(on={"out": way})

    found = machine(("A", inside), ("B", outside))

    assert found["states"]["A"]["on"] == {"in": {"target": ".C"}}
    assert found["states"]["B"]["on"] == {
        "out": {"target": "#C", "meta": {"manifestd": {"internal": True}}}
    }


def test_guards_become_names_with_parameters() -> None:
    guard = [
        "four_eyes",
        "approvals_at_least(2, approver)",
        "mine(1, x)",
        "size(approvals) > 1",
        {"not": {"in": "A"}, "because": "No."},
    ]
    found = machine(("A", StateDefinition(on={"go": TransitionDefinition(guard=guard)})))

    assert found["states"]["A"]["on"]["go"]["guard"] == {
        "type": "and",
        "params": {
            "guards": [
                "four_eyes",
                {"type": "approvals_at_least", "params": {"count": 2, "role": "approver"}},
                {"type": "mine", "params": {"args": [1, "x"]}},
                {"type": "cel", "params": {"expression": "size(approvals) > 1"}},
                {
                    "type": "not",
                    "params": {
                        "guard": {"type": "stateIn", "params": {"state": "#A"}},
                        "because": "No.",
                    },
                },
            ]
        },
    }


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (
            StateDefinition(on={"*": "A", "go": "A"}),
            "A.on.*: XState asks for 'go' before '*'; write them in this order",
        ),
        (StateDefinition(on={"go": "B"}), "A.on.go: target 'B' is no state of this lifecycle"),
        (
            StateDefinition(
                initial="D", states={"C": StateDefinition(states={"D": StateDefinition()})}
            ),
            "A.initial: 'D' is no child; XState begins in a child, whose 'initial' goes on",
        ),
        (
            StateDefinition(on={"go": TransitionDefinition(guard={"nor": []})}),
            "A.on.go: {'nor': []} is no guard",
        ),
        (
            StateDefinition(on={"done.state.B": "A"}),
            "A.on.done.state.B: XState gives the end of a state another name; write 'onDone' there",
        ),
        (StateDefinition(after={"soon": "A"}), "A.after.soon: a delay is written in days"),
    ],
)
def test_what_xstate_would_do_otherwise_is_refused(state: StateDefinition, message: str) -> None:
    with pytest.raises(XStateError) as refused:
        machine(("A", state))

    assert str(refused.value).startswith(message)
