"""What follows from a step: history, done events, eventless transitions, raised events, timers."""

import timeit

import pytest

from protocol.lifecycle.registry import LifecycleRegistry
from protocol.statechart import kernel
from protocol.statechart.compiler import ChartError, compile_chart
from protocol.statechart.definition import Cancel, NodeType, Raise, Send, StateForm, TransitionForm
from protocol.statechart.kernel import RunawayError
from tests.support.walks import FINAL, On, Walk, history, on, parallel, state, to

# History.


def pair(name: str, *transitions: On) -> StateForm:
    """Return a compound state of two states; `next` leads from the first to the second."""
    first, second = f"{name}1", f"{name}2"
    states = {first: state(first, on("next", second)), second: state(second)}
    return state(name, *transitions, states=states)


def remembering(memory: StateForm) -> Walk:
    return Walk(
        m=state("m", on("leave", "out"), x=pair("x", on("cross", "y")), y=pair("y"), h=memory),
        out=state("out", on("resume", "h"), on("anew", "m")),
    )


@pytest.mark.parametrize("is_deep", [False, True])
def test_a_history_state_leads_to_its_default_while_nothing_is_recorded(
    is_deep: bool,  # noqa: FBT001
) -> None:
    chart = {
        "out": state("out", on("resume", "h")),
        "m": state("m", x=state("x"), y=state("y"), h=history("y", is_deep=is_deep)),
    }

    assert Walk(**chart).send("resume").leaves == "y"


def test_a_shallow_history_brings_back_the_child_and_a_deep_one_the_leaf() -> None:
    assert remembering(history("x")).send("cross", "next", "leave", "resume").leaves == "y1"
    deep = remembering(history("x", is_deep=True))
    assert deep.send("cross", "next", "leave", "resume").leaves == "y2"


def test_a_history_records_anew_each_time_and_only_when_its_parent_is_left() -> None:
    walk = remembering(history("x", is_deep=True))
    assert walk.send("next", "leave", "resume").leaves == "x2"
    assert walk.send("cross").result.history == {"h": ["x2"]}
    assert walk.send("leave", "resume").leaves == "y1"
    assert walk.send("leave", "anew").leaves == "x1"
    assert walk.send("leave", "resume").leaves == "x1"


def test_a_deep_history_of_a_parallel_state_brings_back_every_region() -> None:
    walk = Walk(
        p=parallel("p", on("leave", "out"), a=pair("a"), b=pair("b"), h=history(is_deep=True)),
        out=state("out", on("resume", "h")),
    )

    assert walk.send("next", "leave").result.history == {"h": ["a2", "b2"]}
    assert walk.send("resume").leaves == "a2 b2"
    assert walk.actions == "-out +p +a +a2 +b +b2"


def test_a_default_counts_no_longer_once_something_is_recorded() -> None:
    walk = remembering(history("y1"))

    assert walk.send("leave", "resume").actions == "-out +m +x +x1"


def test_a_parallel_state_that_is_left_for_its_own_history_is_entered_again() -> None:
    region = state("a", a1=state("a1", on("again", "h")))
    walk = Walk(p=parallel("p", a=region, h=history("a", is_deep=True)))

    assert walk.send("again").actions == "-a1 -a -p +p +a +a1"


def test_what_is_not_left_for_a_history_around_it_is_not_entered_again() -> None:
    """The states that it leads to have a nearer ancestor in common with the source than it has."""
    inner = state("x", x1=state("x1", on("other", "x2")), x2=state("x2", on("back", "h")))
    region = parallel("p", a=inner, b=pair("b"))
    walk = Walk(m=state("m", p=region, h=history("x1")))

    assert walk.send("next", "other", "back").actions == "-x2 +x1"
    assert walk.leaves == "b2 x1"


def test_an_initial_history_state_leads_to_what_it_recorded_and_enters_what_is_around() -> None:
    memory = history("x1", is_deep=True)
    inner = StateForm(
        initial=("h",), entry=("+m",), exit=("-m",), states={"x": pair("x"), "h": memory}
    )
    walk = Walk(on("leave", "out"), m=inner, out=state("out", on("back", "m")))

    assert walk.leaves == "x1"
    assert walk.send("next", "leave", "back").actions == "-out +m +x +x2"


def test_what_a_default_of_a_history_runs_runs_after_the_parents_entry_and_only_then() -> None:
    memory = StateForm(
        type=NodeType.HISTORY, default=TransitionForm(targets=("x",), actions=("at first",))
    )
    walk = Walk(
        out=state("out", on("resume", "h")),
        m=state("m", on("leave", "out"), x=state("x"), h=memory),
    )

    assert walk.send("resume").actions == "-out +m at first +x"
    assert walk.send("leave", "resume").actions == "-out +m +x"


def test_a_history_beside_a_state_that_it_may_lead_out_of_is_refused() -> None:
    region = state("a", a1=state("a1"), a2=state("a2"))
    chart = {
        "p": parallel("p", a=region, b=state("b"), h=history(is_deep=True)),
        "out": state("out", on("resume", "h", "a2")),
    }

    with pytest.raises(ChartError, match="'h' and 'a2' cannot be active at once"):
        Walk(**chart)


# Done events, and the end.


def ending(name: str) -> StateForm:
    """Return a compound state that ends on `end.NAME`."""
    first, end = f"{name}1", f"{name}_end"
    states = {first: state(first, on(f"end.{name}", end)), end: FINAL}
    return state(name, states=states)


def test_a_compound_state_is_done_when_a_final_child_of_its_own_is_entered() -> None:
    inner = state("x", on("done.state.x", "m_end"), x1=state("x1", on("go", "x_end")), x_end=FINAL)
    outer = (on("done.state.m", "out"), on("done.state.*", "failed"))
    walk = Walk(
        m=state("m", *outer, x=inner, m_end=FINAL), out=state("out"), failed=state("failed")
    )

    assert walk.send("go").actions == "-x1 -x -m +out"
    assert [one.event for one in walk.result.transitions] == ["go", "done.state.x", "done.state.m"]


def test_a_parallel_state_is_done_with_its_last_region_and_after_it() -> None:
    noted = [on(f"done.state.{name}", run=(f"{name} done",)) for name in ("a", "b", "p")]
    walk = Walk(p=parallel("p", *noted, a=ending("a"), b=ending("b")))

    assert walk.send("end.b").actions == "-b1 b done"
    assert walk.send("end.a").actions == "-a1 a done p done"
    assert not walk.result.is_done


def test_done_events_come_in_the_order_in_which_the_final_states_were_entered() -> None:
    noted = [on(f"done.state.{name}", run=(f"{name} done",)) for name in ("p", "b", "a")]
    walk = Walk(
        out=state("out", on("go", "b_end", "a_end")),
        p=parallel("p", *noted, a=ending("a"), b=ending("b")),
    )

    assert walk.send("go").actions == "-out +p +a +b a done b done p done"


@pytest.mark.parametrize("order", ["c a b", "a b c"])
def test_a_parallel_state_is_done_when_a_parallel_state_in_it_is_the_last_to_end(
    order: str,
) -> None:
    noted = [on(f"done.state.{name}", run=(f"{name} done",)) for name in ("inner", "outer")]
    inner = parallel("inner", a=ending("a"), b=ending("b"))
    walk = Walk(outer=parallel("outer", *noted, inner=inner, c=ending("c")))

    *others, last = order.split()
    walk.send(*(f"end.{name}" for name in others))
    assert "outer done" not in walk.actions
    assert walk.send(f"end.{last}").actions.endswith("outer done")


def test_a_final_child_of_the_root_is_the_end_and_drops_what_was_raised() -> None:
    walk = Walk(
        on("*", "a"),
        a=state("a", on("go", "end", run=(Raise("more"),))),
        end=StateForm(type=NodeType.FINAL, entry=("+end", Raise("more"))),
    )

    assert walk.send("go").actions == "-a +end"
    assert walk.result.is_done
    assert walk.send("go", "anything").last is None
    assert walk.leaves == "end"


def test_nothing_follows_the_end_not_even_what_the_root_does_without_events() -> None:
    form = StateForm(
        always=(to("a", guard="end"),), states={"a": state("a", on("go", "end")), "end": FINAL}
    )
    chart = compile_chart("chart", form)

    result = kernel.step(chart, ("a",), {}, "go", lambda _, leaves, __: leaves == ("end",))

    assert result is not None
    assert result.is_done


def test_a_final_state_that_would_be_a_region_is_refused() -> None:
    with pytest.raises(ChartError, match="'end' would end one region alone"):
        Walk(p=parallel("p", a=state("a"), end=FINAL))


# Eventless transitions and raised events.


def test_eventless_transitions_go_before_raised_events_and_those_in_their_order() -> None:
    walk = Walk(
        a=state("a", on("go", "b", run=(Raise("one"), Raise("two")))),
        b=StateForm(always=(to("c"),), on=(on("one", "failed"),)),
        c=StateForm(on=(on("two", "failed"), on("one", "d"))),
        d=StateForm(on=(on("two", "e"),)),
        e=state("e"),
        failed=state("failed"),
    )

    assert walk.send("go").leaves == "e"


def test_a_raised_event_that_nothing_waits_for_is_gone() -> None:
    walk = Walk(a=state("a", on("go", "b", run=(Raise("x"),))), b=state("b", on("y", "a")))

    assert walk.send("go").leaves == "b"


def test_a_guard_is_told_what_is_active_and_what_has_run_in_this_step() -> None:
    region = state("b", on("go", run=("agreed",)))
    walk = Walk(
        p=parallel("p", a=StateForm(always=(to("out", guard="agreed"),)), b=region),
        out=StateForm(always=(to("p", guard="p"), to("end", guard="out"))),
        end=state("end", on("go", "p")),
    )

    assert walk.leaves == "a b"
    assert walk.send("go").leaves == "end"
    assert walk.send("go").leaves == "a b"  # It has not run in this step.


def test_a_run_of_eventless_transitions_that_never_ends_is_reported_with_its_event() -> None:
    chart = {
        "a": state("a", on("go", "b")),
        "b": StateForm(always=(to("c"),)),
        "c": StateForm(always=(to("b"),)),
    }
    walk = Walk(**chart)

    with pytest.raises(
        RunawayError, match=f"go is still not finished in [bc] after {kernel.MICROSTEPS_MAX}"
    ):
        walk.send("go")


def test_events_that_raise_each_other_for_ever_are_reported() -> None:
    walk = Walk(a=state("a", on("ping", run=(Raise("pong"),)), on("pong", run=(Raise("ping"),))))

    with pytest.raises(RunawayError, match="'raise'"):
        walk.send("ping")


def test_the_longest_run_that_is_allowed_is_no_runaway() -> None:
    count = kernel.MICROSTEPS_MAX
    states = {
        f"s{number}": StateForm(always=(to(f"s{number + 1}"),)) for number in range(1, count + 1)
    }
    walk = Walk(s0=state("s0", on("go", "s1")), **states, **{f"s{count + 1}": state("last")})

    assert walk.send("go").leaves == f"s{count + 1}"


# Timers.


def test_a_state_arms_a_timer_for_each_delay_and_disarms_them_when_it_is_left() -> None:
    waiting = StateForm(
        after=((10, to("b", guard=False)), (20, to("c")), (10, to("d"))),
        on=(on("go", "c"), on("*", "failed")),
    )
    walk = Walk(a=waiting, b=state("b"), c=state("c"), d=state("d"), failed=state("failed"))
    assert list(walk.result.timers) == [
        Send("after.a.1", 10, "after.a.1"),
        Send("after.a.2", 20, "after.a.2"),
    ]

    assert walk.send("after.a.1").leaves == "d"  # The second candidate of the first delay.
    assert list(walk.result.timers) == [Cancel("after.a.1"), Cancel("after.a.2")]


def test_a_timers_event_is_nobodys_but_its_own_states() -> None:
    walk = Walk(
        a=StateForm(after=((10, to("b")),), on=(on("*", "failed"),)),
        b=StateForm(after=((10, to("a")),), on=(on("*", "failed"),)),
        failed=state("failed"),
    )

    assert walk.send("after.a.1", "after.a.1").leaves == "b"
    assert walk.send("after.b").leaves == "b"


def test_timers_that_actions_arm_come_in_the_order_of_their_actions() -> None:
    first, second = Send("x", 0, "one"), Send("x", 5, None)
    walk = Walk(
        a=state("a", on("go", "b", run=(first, Cancel("one")))), b=state("b", run=(second,))
    )

    assert walk.send("go").result.timers == (first, Cancel("one"), second)


# The memo.


def test_the_memo_is_bounded_and_gives_the_same_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "MEMO_SIZE_MAX", 1)
    states = {"a": state("a", on("go", "b"), on("stay", "a")), "b": state("b")}
    chart = compile_chart("chart", StateForm(states=states))

    def step(event: str) -> kernel.Macrostep:
        result = kernel.step(chart, ("a",), {}, event, lambda *_: True)
        assert result is not None
        return result

    one, other = step("go"), step("stay")
    assert step("go") is one
    assert step("stay") is not other
    assert step("stay").actions == other.actions
    assert len(chart.memo) == 1


def test_a_step_is_not_remembered_where_a_guard_was_asked_on_the_way() -> None:
    chart = compile_chart(
        "chart",
        StateForm(
            states={
                "a": state("a", on("go", "b")),
                "b": state("b", on("more", "c"), run=(Raise("more"),)),
                "c": state("c"),
                "d": StateForm(on=(("more", to("a", guard="asked")),)),
            }
        ),
    )

    for _ in range(2):
        result = kernel.step(chart, ("a",), {}, "go", lambda *_: True)
        assert result is not None
        assert result.leaves == ("c",)
    assert not chart.memo


def test_a_step_is_not_remembered_where_an_eventless_transition_may_follow() -> None:
    states = {
        "a": state("a", on("go", "b")),
        "b": StateForm(always=(to("c", guard="asked"),)),
        "c": state("c"),
    }
    chart = compile_chart("chart", StateForm(states=states))

    for answer, leaf in ((False, "b"), (True, "c")):
        result = kernel.step(chart, ("a",), {}, "go", lambda *_: answer)  # noqa: B023
        assert result is not None
        assert result.leaves == (leaf,)


def test_a_step_of_the_default_lifecycle_costs_microseconds() -> None:
    chart = LifecycleRegistry.builtin().get("manifest@1").chart
    seconds = min(
        timeit.repeat(
            lambda: kernel.step(chart, ("APPROVED",), {}, "reject", lambda *_: True),
            number=1000,
            repeat=5,
        )
    )

    assert seconds / 1000 < 50e-6  # Under 1 us without coverage; 5 us were asked for.
