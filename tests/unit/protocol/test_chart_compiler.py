"""What the compiler refuses, with the place and the mend; what it accepts can be stepped."""

import pytest

from protocol.statechart.compiler import (
    ACTIVE_MAX,
    DEPTH_MAX,
    STATES_MAX,
    TRANSITIONS_MAX,
    ChartError,
    compile_chart,
)
from protocol.statechart.definition import Action, NodeType, Raise, Send, StateForm, TransitionForm
from tests.support.walks import FINAL, history, on, parallel, state, to

LEAF = StateForm()
PAIR = {"a": StateForm(states={"a1": LEAF, "a2": LEAF}), "b": StateForm(states={"b1": LEAF})}


def chart(**states: StateForm) -> StateForm:
    return StateForm(states=states)


def nested(depth: int) -> StateForm:
    inner = LEAF
    for level in range(depth):
        inner = StateForm(states={f"s{level}": inner})
    return inner


def regions(count: int) -> StateForm:
    states = {f"r{number}": LEAF for number in range(count)}
    return chart(p=StateForm(type=NodeType.PARALLEL, states=states))


def leading(*targets: str) -> StateForm:
    """Return a chart with a transition to `targets`."""
    inside = {
        **PAIR,
        "h": history(is_deep=True),
        "c": StateForm(states={"hc": history("c1"), "c1": LEAF}),
    }
    return chart(out=state("out", on("e", *targets)), p=parallel("p", **inside))


REFUSED: dict[str, tuple[StateForm, str]] = {
    "nothing in it": (StateForm(), "x: a chart without states"),
    "a parallel root": (
        StateForm(type=NodeType.PARALLEL, states={"a": LEAF}),
        "x: the root is compound",
    ),
    "a root that does something": (
        StateForm(entry=("greet",), states={"a": LEAF}),
        "x: the root is never entered",
    ),
    "a name with a space": (chart(**{"a b": LEAF}), "x.a b: a state's id is 1 to 64"),
    "a name twice": (chart(a=chart(b=LEAF), b=LEAF), "x.b: the id 'b' is used twice"),
    "the chart's own name": (chart(x=LEAF), "x.x: the id 'x' is the chart's own"),
    "too deep": (nested(DEPTH_MAX + 1), f"nested deeper than {DEPTH_MAX}"),
    "too many states": (
        chart(**{f"s{number}": LEAF for number in range(STATES_MAX)}),
        f"at most {STATES_MAX} states",
    ),
    "too many transitions": (
        chart(a=state("a", *[on("e")] * (TRANSITIONS_MAX + 1))),
        f"x.a.on.e: a chart has at most {TRANSITIONS_MAX} transitions",
    ),
    "too many regions": (
        regions(ACTIVE_MAX + 1),
        f"x: {ACTIVE_MAX + 1} states could be active at once, {ACTIVE_MAX} may",
    ),
    "too many targets": (leading(*["a1"] * (ACTIVE_MAX + 1)), "x.out.on.e: 65 states at once"),
    "an empty compound state": (
        chart(a=StateForm(type=NodeType.COMPOUND)),
        "x.a: compound states have states in them",
    ),
    "an empty parallel state": (
        chart(a=StateForm(type=NodeType.PARALLEL)),
        "x.a: parallel states have states in them",
    ),
    "a final state with states": (
        chart(a=StateForm(type=NodeType.FINAL, states={"b": LEAF})),
        "x.a: final states have no states in them",
    ),
    "a final state with a way out": (
        chart(a=StateForm(type=NodeType.FINAL, always=(to("b"),)), b=LEAF),
        "x.a: a final state is the end",
    ),
    "a final region": (
        chart(p=parallel("p", a=LEAF, end=FINAL)),
        "x.p: 'end' would end one region alone",
    ),
    "an initial state of a parallel one": (
        chart(p=StateForm(type=NodeType.PARALLEL, initial=("a",), states=PAIR)),
        "x.p: parallel states have no 'initial'",
    ),
    "an initial state elsewhere": (
        chart(a=StateForm(initial=("c",), states={"b": LEAF}), c=LEAF),
        "x.a.initial: initial 'c' is no state there; known: b",
    ),
    "a misspelt target": (
        chart(DRAFT=state("DRAFT", on("e", "DARFT"))),
        "x.DRAFT.on.e: target 'DARFT' is no state there; did you mean 'DRAFT'",
    ),
    "the root as a target": (chart(a=state("a", on("e", "x"))), "x.a.on.e: target 'x' is no state"),
    "a state of history alone": (
        chart(m=chart(h=history("a")), a=LEAF),
        "x.m: it has only history",
    ),
    "a history that is entered": (
        chart(h=StateForm(type=NodeType.HISTORY, entry=("greet",)), a=LEAF),
        "x.h: a history state is never active",
    ),
    "a history that leads out": (
        chart(m=chart(h=history("a"), b=LEAF), a=LEAF),
        "x.m.h: 'a' is where it would lead",
    ),
    "a history that leads to a history": (
        chart(m=chart(h=history("i"), i=history("b"), b=LEAF)),
        "x.m.h: 'i' is where it would lead",
    ),
    "depth without history": (chart(a=StateForm(is_deep=True)), "x.a: only history states have"),
    "a descriptor that begins with a star": (
        chart(a=state("a", on("*.e"))),
        "x.a.on.*.e: an event's name is",
    ),
    "a timer's event, taken": (chart(a=state("a", on("after.a.1"))), "'after.' is for timers"),
    "a timer's event, raised": (
        chart(a=state("a", run=(Raise("after.a.1"),))),
        "x.a: 'after.a.1' cannot be raised",
    ),
    "a raised event that is no name": (
        chart(a=state("a", on("e", run=(Raise(""),)))),
        "x.a.on.e: '' cannot be raised",
    ),
    "no delay": (chart(a=StateForm(after=((0, to("a")),))), "x.a: a delay is more than nothing"),
    "two states of one region": (leading("a1", "a2"), "'a1' and 'a2' cannot be active at once"),
    "one state twice": (leading("a1", "a1"), "'a1' and 'a1' cannot be active at once"),
    "a state and what is in it": (leading("a", "a1"), "'a' and 'a1' cannot be active at once"),
    "two states side by side": (leading("out", "p"), "'out' and 'p' cannot be active at once"),
    "a history and what it may lead to": (leading("h", "a2"), "'h' and 'a2' cannot be active"),
    "a history of one region and a state of it": (leading("c1", "hc"), "'c1' and 'hc' cannot be"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_wrong_is_refused_with_its_place(name: str) -> None:
    form, message = REFUSED[name]

    with pytest.raises(ChartError) as caught:
        compile_chart("x", form)

    assert message in str(caught.value)


@pytest.mark.parametrize("targets", [("a2", "b1"), ("a2",), ("p",), ("h",), ("hc", "a2"), ()])
def test_what_can_be_active_at_once_is_a_target(targets: tuple[str, ...]) -> None:
    compiled = compile_chart("x", leading(*targets))

    assert [node.id for node in compiled.transitions[0].targets] == list(targets)


def test_a_chart_may_be_as_large_as_the_limits_say() -> None:
    assert compile_chart("x", nested(DEPTH_MAX)).nodes
    assert compile_chart("x", regions(ACTIVE_MAX)).nodes
    states = {f"s{number}": LEAF for number in range(STATES_MAX - 1)}
    assert len(compile_chart("x", StateForm(states=states)).nodes) == STATES_MAX


def test_timers_of_one_delay_are_one_and_of_different_states_are_different() -> None:
    waiting = StateForm(after=((10, to()), (20, to()), (10, to())))
    compiled = compile_chart("x", chart(**{"a": waiting, "a.1": waiting}))

    events = [one.event for one in compiled.transitions]
    assert events[:3] == ["after.a.1", "after.a.2", "after.a.1"]
    assert events[3:] == ["after.a.1.1", "after.a.1.2", "after.a.1.1"]
    sends: list[Action] = [Send("after.a.1", 10, "after.a.1"), Send("after.a.2", 20, "after.a.2")]
    assert list(compiled.nodes["a"].entry) == sends


def test_a_transition_keeps_what_its_form_says() -> None:
    form = TransitionForm(guard="g", because="why", actions=("do",), internal=True)
    compiled = compile_chart("x", chart(a=StateForm(on=(("e", form),))))
    (one,) = compiled.transitions

    assert (one.source.id, one.event, one.guard, one.because) == ("a", "e", "g", "why")
    assert (one.actions, one.internal, one.targets) == (("do",), True, ())
