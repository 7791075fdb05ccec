"""An XState machine becomes a lifecycle, or every reason why not is said with its path."""

import json
from typing import Any

import pytest

from protocol.lifecycle.definition import StateDefinition, TransitionDefinition
from protocol.lifecycle.xstate import XStateError
from protocol.lifecycle.xstate_import import import_xstate


def imported(state: dict[str, Any], **others: Any) -> StateDefinition:  # noqa: ANN401
    """Return the state `a` of a machine that has it, `b` and `others`."""
    states = {"a": state, "b": {}, **others}
    machine = {"id": "m", "initial": "a", "states": states}
    return import_xstate(json.dumps(machine)).states["a"]


def refused(machine: object) -> list[str]:
    """Return what is said about a machine that is none for us."""
    text = machine if isinstance(machine, str) else json.dumps(machine)
    with pytest.raises(XStateError) as error:
        import_xstate(text)
    return str(error.value).split("\n")


def refused_state(state: dict[str, Any]) -> str:
    [problem] = refused({"id": "m", "initial": "a", "states": {"a": state, "b": {}}})
    return problem


def test_a_whole_machine() -> None:
    machine = {
        "id": "door",
        "description": "A door.",
        "version": "1.0.0",
        "context": {},
        "initial": "shut",
        "states": {
            "shut": {
                "tags": "safe",
                "entry": "ring",
                "exit": [{"type": "ring"}, {"type": "raise", "event": {"type": "OPENED"}}],
                "on": {"OPEN": "open", "KNOCK": {"actions": ["ring"]}},
                "meta": {"anything": [1]},
            },
            "open": {
                "id": "wide",
                "initial": "ajar",
                "after": {"90000": {"target": "shut", "guard": {"type": "isCalm"}}},
                "onDone": "shut",
                "states": {
                    "ajar": {
                        "always": [{"target": "torn", "guard": "isStorm"}, {"target": "#wide"}]
                    },
                    "torn": {"type": "final"},
                    "memory": {"type": "history", "history": True, "target": "ajar"},
                },
            },
        },
    }

    definition = import_xstate(json.dumps(machine), version=3)

    assert (definition.id, definition.version, definition.initial) == ("door", 3, "shut")
    assert definition.states["shut"] == StateDefinition(
        tags=["safe"],
        entry=["ring"],
        exit=["ring", {"raise": "OPENED"}],
        on={"OPEN": "open", "KNOCK": TransitionDefinition(actions=["ring"])},
    )
    inside = definition.states["open"]
    assert inside.after == {"1m30s": TransitionDefinition(target="shut", guard="isCalm")}
    assert inside.onDone == "shut"
    assert inside.states["ajar"].always == [
        TransitionDefinition(target="torn", guard="isStorm"),
        TransitionDefinition(target="open"),
    ]
    assert inside.states["memory"] == StateDefinition(
        type="history", history="shallow", target="ajar"
    )


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("b", "b"),
        ("b.c", "c"),
        ("b.c.d\\.e", "d.e"),
        ("#b-id", "b"),
        ("#b-id.c", "c"),
        ("#m.b", "b"),
        ("#m.b.c", "c"),
    ],
)
def test_targets_are_found_as_xstate_finds_them(target: str, name: str) -> None:
    b = {"id": "b-id", "initial": "c", "states": {"c": {"initial": "d.e", "states": {"d.e": {}}}}}

    assert imported({"on": {"go": target}}, b=b).on == {"go": name}


INSIDE: dict[str, Any] = {"initial": "c", "states": {"c": {}, "d": {}}}


@pytest.mark.parametrize(
    ("members", "way", "expected"),
    [
        (INSIDE, ".d", TransitionDefinition(target="d", internal=True)),
        (INSIDE, {"target": ".d", "reenter": True}, "d"),
        (
            INSIDE,
            {"target": ".d", "reenter": False},
            TransitionDefinition(target="d", internal=True),
        ),
        (INSIDE, "a", TransitionDefinition(target="c", internal=True)),
        (INSIDE, {"target": "a", "reenter": True}, "a"),
        ({}, "a", TransitionDefinition()),
        ({}, {"target": "a", "reenter": True}, "a"),
        ({**INSIDE, "type": "parallel", "initial": None}, ".d", "d"),
        ({}, {"target": "b", "reenter": True}, "b"),
    ],
)
def test_a_way_into_the_own_state_leaves_it_only_with_reenter(
    members: dict[str, Any], way: object, expected: object
) -> None:
    assert imported({**members, "on": {"go": way}}).on == {"go": expected}


def test_the_most_special_descriptor_comes_first_as_xstate_asks() -> None:
    on = {"*": "b", "x": "b", "x.*": "b", "x.y.*": "b", "nothing": []}

    assert list(imported({"on": on}).on) == ["x", "x.y.*", "x.*", "*"]
    assert list(imported({"on": {"z": "b", "a": "b"}}).on) == ["z", "a"]


@pytest.mark.parametrize(
    ("guard", "expected"),
    [
        ("isValid", "isValid"),
        ({"type": "isValid"}, "isValid"),
        ({"type": "has_role", "params": {"role": "approver"}}, "has_role(approver)"),
        (
            {"type": "approvals_at_least", "params": {"role": "approver", "count": 2}},
            "approvals_at_least(2, approver)",
        ),
        ({"type": "mine", "params": {"args": [1, "x"]}}, "mine(1, x)"),
        ({"type": "cel", "params": {"expression": "now > manifest.at"}}, "now > manifest.at"),
        ({"type": "cel", "params": {"expression": "true"}}, "true"),
        ({"type": "cel", "params": {"expression": "has(x.y)"}}, "has(x.y)"),
        ({"type": "cel", "params": {"expression": "now"}}, {"cel": "now"}),
        ({"type": "and", "params": {"guards": ["x", "y"]}}, ["x", "y"]),
        (
            {"type": "or", "params": {"guards": ["x"], "because": "No."}},
            {"or": ["x"], "because": "No."},
        ),
        ({"type": "not", "params": {"guard": "x"}}, {"not": "x"}),
        ({"type": "stateIn", "params": {"state": "#m.b"}}, {"in": "b"}),
        ({"type": "stateIn", "params": {"state": "b"}}, {"in": "b"}),
    ],
)
def test_guards_are_names_with_parameters(guard: object, expected: object) -> None:
    way = imported({"on": {"go": {"target": "b", "guard": guard}}}).on["go"]

    assert way == TransitionDefinition(target="b", guard=expected)


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ("ring", "ring"),
        ({"type": "xstate.raise", "event": "E"}, {"raise": "E"}),
        ({"type": "raise", "params": {"event": {"type": "E"}}}, {"raise": "E"}),
        ({"type": "assign", "params": {"n": "1 + 1"}}, {"assign": {"n": "1 + 1"}}),
    ],
)
def test_actions_are_names_raised_events_and_assigned_members(
    action: object, expected: object
) -> None:
    assert imported({"entry": action}).entry == [expected]


CODE = "/states/a/on/go/guard: '({context}) => context.ok' is code, and no code runs here; write the name of a guard, or {type: 'cel', params: {expression: '...'}}"


@pytest.mark.parametrize(
    ("state", "problem"),
    [
        ({"on": {"go": {"guard": "({context}) => context.ok"}}}, CODE),
        ({"on": {"go": {"guard": 1}}}, "/states/a/on/go/guard: 1 is code, and"),
        ({"on": {"go": {"guard": {"type": "is it"}}}}, "/states/a/on/go/guard: 'is it' is not the"),
        ({"on": {"go": {"guard": {"params": {}}}}}, "/states/a/on/go/guard: {'params': {}} is not"),
        (
            {"on": {"go": {"guard": {"type": "x", "params": 1}}}},
            "/states/a/on/go/guard: a guard with",
        ),
        (
            {"on": {"go": {"guard": {"type": "x", "params": {"y": 1}}}}},
            "/states/a/on/go/guard/params: x takes no parameters; write numbers and names",
        ),
        (
            {"on": {"go": {"guard": {"type": "has_role", "params": {"role": "=>"}}}}},
            "/states/a/on/go/guard/params: has_role takes role; write numbers and names",
        ),
        (
            {"on": {"go": {"guard": {"type": "not", "params": {"guards": []}}}}},
            "/states/a/on/go/guard/params: not takes 'guard', and 'because', a text",
        ),
        (
            {"on": {"go": {"guard": {"type": "stateIn", "params": {"state": "c"}}}}},
            "/states/a/on/go/guard/params/state: 'c' is no state there; known: a, b",
        ),
        ({"entry": "() => ring()"}, "/states/a/entry: '() => ring()' is code"),
        ({"entry": ["x", "xstate.log"]}, "/states/a/entry/1: 'xstate.log' is not the name of an"),
        (
            {"exit": [{"type": "ring", "params": {"n": 1}}]},
            "/states/a/exit/0: the action 'ring' takes",
        ),
        ({"entry": {"type": "raise", "event": "E", "delay": 5}}, "/states/a/entry: a raised event"),
        (
            {"entry": {"type": "assign", "params": {"n": "() => 1"}}},
            "/states/a/entry: values are CEL",
        ),
        ({"invoke": {"src": "fetch"}}, "/states/a/invoke: nothing is invoked while"),
        ({"on": {"go": {"cond": "x"}}}, "/states/a/on/go/cond: that is XState v4; write 'guard'"),
        ({"on": {"go": {"internal": True}}}, "/states/a/on/go/internal: that is XState v4; in v5"),
        ({"onn": {"go": "b"}}, "/states/a/onn: there is no such member; did you mean 'on'?"),
        (
            {"type": "paralel"},
            "/states/a/type: 'paralel' is no type of state; did you mean 'parallel'?",
        ),
        ({"type": 7}, "/states/a/type: 7 is no type of state; known: atomic, compound"),
        (
            {"after": {"soon": "b"}},
            "/states/a/after/soon: a delay by name is code; write the milli",
        ),
        ({"after": {"0": "b"}}, "/states/a/after/0: a delay is from 1 ms to ten years"),
        ({"on": {"go": "bb"}}, "/states/a/on/go: 'bb' is no state there; did you mean 'b'?"),
        ({"on": {"go": "#zz"}}, "/states/a/on/go: '#zz' is no state there; known: #m, #m.a, #m.b"),
        ({"on": {"go": "#m"}}, "/states/a/on/go: '#m' is no state there"),
        ({"on": {"go": None}}, "/states/a/on/go: a transition is the name of a state, or"),
        ({"on": {"go": {"target": 1}}}, "/states/a/on/go/target: a target is the name of a state"),
        ({"on": {"go": {"reenter": "yes"}}}, "/states/a/on/go/reenter: write true or false"),
        ({"on": ["b"]}, "/states/a/on: an object is wanted"),
        ({"tags": [1]}, "/states/a/tags: tags are texts"),
        ({"description": 1}, "/states/a/description: 1 is no text; write it in quotes"),
        ({"meta": 1}, "/states/a/meta: meta, and"),
        ({"id": 1}, "/states/a/id: 1 is no text"),
        ({"id": "m.b"}, "/states/b/id: 'm.b' is the id of another state; rename one"),
        ({"states": {"b": {}}}, "/states/b: 'b' is the name of /states/a/states/b, too; names are"),
        ({"states": {"c": 1}}, "/states/a/states/c: a state is an object"),
        ({"states": 1}, "/states/a/states: states are an object"),
        ({"states": {"c": {}}, "initial": "b"}, "/states/a/initial: 'b' is no state there"),
        (
            {"states": {"c": {}}, "initial": {"target": "c", "actions": "x"}},
            "/states/a/initial: the way to the initial state has no actions here",
        ),
        ({"type": "history", "history": "wide"}, "/states/a/history: history is shallow or deep"),
        (
            {"type": "parallel", "states": {"c": {}}, "after": {"9": "b"}, "on": {"go": ".c"}},
            "/states/a/on/go: a way from a parallel state into itself leaves and enters it here",
        ),
        ({"type": "history", "target": ".b"}, "/states/a/target: '.b' is no state there"),
        (
            {"type": "parallel", "states": {"c": {}}, "entry": "x", "on": {"go": ".c"}},
            "/states/a/on/go: a way from a parallel state into itself leaves and enters it here",
        ),
        (
            {"states": {"c": {}}, "on": {"go": {"target": [".c", "a"]}}},
            "/states/a/on/go/target: a state and what is in it cannot be targets of one",
        ),
    ],
)
def test_what_a_state_cannot_say_is_named_with_its_path(
    state: dict[str, Any], problem: str
) -> None:
    assert refused_state(state).startswith(problem)


@pytest.mark.parametrize(
    ("machine", "problems"),
    [
        ("{", ["/: not JSON: "]),
        ('{"id": "a", "id": "b"}', ["/: member 'id' occurs twice"]),
        ("[" * 100_000, ["/: nested deeper than 64 levels"]),
        ('"\ud800"', ["/: "]),
        ([], ["/: a machine is a JSON object"]),
        ({}, ["/id: a lifecycle has an id", "/states: a machine without states"]),
        ({"id": "m", "states": {"a": {}}}, ["/initial: name the state to begin in"]),
        (
            {"id": "m", "initial": "a", "states": {"a": {}}, "context": {"n": 0}, "on": {"x": "a"}},
            ["/on: the machine itself has none here", "/context: a lifecycle begins without"],
        ),
        (
            {"id": "m", "type": "parallel", "states": {"a": {}}},
            ["/type: a machine is compound here", "/initial: name"],
        ),
        (
            {"id": "m", "initial": "a", "states": {"a": {}}, "meta": {"manifestd": {"rolls": 1}}},
            ["/meta/manifestd/rolls: there is no such member; did you mean 'roles'?"],
        ),
        (
            {
                "id": "m",
                "initial": "a",
                "states": {"a": {}},
                "meta": {"manifestd": {"version": "x", "roles": {"e": "author"}, "guards": []}},
            },
            [
                "/meta/manifestd/version: a version is a number from 1",
                "/meta/manifestd/roles: write {event: [role, ...]}",
                "/meta/manifestd/guards: write {name: guard}",
            ],
        ),
    ],
)
def test_what_is_no_machine_for_us_is_said_all_at_once(
    machine: object, problems: list[str]
) -> None:
    found = refused(machine)

    assert len(found) == len(problems), found
    assert all(one.startswith(start) for one, start in zip(found, problems, strict=True)), found


def test_a_name_that_stands_elsewhere_is_to_be_said_by_id() -> None:
    a = {"initial": "c", "states": {"c": {"on": {"go": "b"}}}}

    assert refused_state(a).endswith("/states/b has to be named by its id, as '#ID'")
