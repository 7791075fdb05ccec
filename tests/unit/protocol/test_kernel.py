"""The corners of SCXML's Appendix D, each by an example that can be read."""

import pytest

from protocol.statechart.definition import StateForm
from tests.support.walks import On, Walk, on, parallel, state, to


def two_regions(*of_p: On, a1: tuple[On, ...] = (), b1: tuple[On, ...] = ()) -> Walk:
    return Walk(
        p=parallel(
            "p",
            *of_p,
            a=state("a", a1=state("a1", *a1), a2=state("a2")),
            b=state("b", b1=state("b1", *b1), b2=state("b2")),
        ),
        out=state("out", on("back", "p"), on("both", "b2", "a2"), on("one", "b2")),
        other=state("other"),
    )


# Order.


def test_states_are_left_from_the_inside_and_entered_from_the_outside() -> None:
    walk = two_regions(on("e", "out", run=("move",)))
    assert walk.actions == "+p +a +a1 +b +b1"
    assert walk.send("e").actions == "-b1 -b -a1 -a -p move +out"
    assert walk.send("back").actions == "-out +p +a +a1 +b +b1"


def test_transitions_of_several_regions_run_in_document_order_between_exits_and_entries() -> None:
    walk = two_regions(a1=(on("e", "a2", run=("first",)),), b1=(on("e", "b2", run=("second",)),))

    assert walk.send("e").actions == "-b1 -a1 first second +a2 +b2"


def test_entry_runs_before_what_the_initial_transition_runs_and_that_before_the_child() -> None:
    inner = StateForm(
        initial=("y",),
        initial_actions=("initial",),
        entry=("+m",),
        states={"x": state("x"), "y": state("y")},
    )
    walk = Walk(out=state("out", on("default", "m"), on("named", "x")), m=inner)

    assert walk.send("default").actions == "-out +m initial +y"
    assert Walk(out=state("out", on("named", "x")), m=inner).send("named").actions == ("-out +m +x")


def test_an_initial_state_may_be_deep_and_what_is_around_it_is_entered_too() -> None:
    deep = StateForm(initial=("b2", "a2"), states={"p": two_regions_form()})

    assert Walk(m=deep).leaves == "a2 b2"


def two_regions_form() -> StateForm:
    return parallel(
        "p",
        a=state("a", a1=state("a1"), a2=state("a2")),
        b=state("b", b1=state("b1"), b2=state("b2")),
    )


def test_regions_that_no_target_names_are_entered_by_default_and_the_others_are_not() -> None:
    walk = two_regions(on("e", "out"))

    assert walk.send("e", "both").leaves == "a2 b2"
    assert walk.actions == "-out +p +a +a2 +b +b2"
    assert walk.send("e", "one").leaves == "a1 b2"


# Selection and preemption.


def test_of_candidates_the_first_in_the_document_that_is_allowed_is_taken() -> None:
    candidates = (
        ("e", to("b", guard=False)),
        ("e", to("c", guard=True)),
        ("e", to("d", guard=True)),
    )
    states = {name: state(name) for name in "bcd"}

    assert Walk(a=state("a", *candidates), **states).send("e").leaves == "c"


def test_a_descendants_transition_goes_before_its_ancestors() -> None:
    walk = two_regions(on("e", "out"), a1=(on("e", "a2"),))

    # b1 selects that of p, which would leave a too: a1 is inside p and wins.
    assert walk.send("e").leaves == "a2 b1"


def test_a_descendant_in_a_later_region_preempts_the_ancestor_that_an_earlier_one_selected() -> (
    None
):
    walk = two_regions(on("e", "out"), b1=(on("e", "b2"),))

    assert walk.send("e").leaves == "a1 b2"


def test_of_two_regions_that_both_leave_the_parallel_state_the_first_in_the_document_wins() -> None:
    walk = two_regions(a1=(on("e", "other"),), b1=(on("e", "out"),))

    assert walk.send("e").leaves == "other"


def test_a_transition_without_targets_conflicts_with_nothing() -> None:
    walk = two_regions(a1=(on("e", run=("stay",)),), b1=(on("e", "out"),))

    assert walk.send("e").actions == "-b1 -b -a1 -a -p stay +out"


def test_a_transition_selected_by_several_regions_is_taken_once() -> None:
    assert two_regions(on("e", run=("once",))).send("e").actions == "once"


def test_what_nothing_waits_for_does_nothing() -> None:
    walk = two_regions(on("e", "out"))

    assert walk.send("x").last is None
    assert walk.leaves == "a1 b1"


@pytest.mark.parametrize(
    ("descriptor", "event", "is_taken"),
    [
        ("a", "a", True),
        ("a", "a.b", True),
        ("a", "a.b.c", True),
        ("a", "ab", False),
        ("a.b", "a", False),
        ("a.b", "a.bc", False),
        ("a.*", "a", True),
        ("a.*", "a.b", True),
        ("a.*", "b", False),
        ("*", "anything", True),
        ("*", "done.state.x", True),
        ("*", "after.s.1", False),
        ("A", "a", False),
    ],
)
def test_a_descriptor_takes_the_events_that_begin_with_its_words(
    descriptor: str,
    event: str,
    is_taken: bool,  # noqa: FBT001
) -> None:
    walk = Walk(s=state("s", on(descriptor, "t")), t=state("t"))

    assert (walk.send(event).leaves == "t") is is_taken


# Internal, external, without targets.


def compound(*transitions: On) -> Walk:
    return Walk(m=state("m", *transitions, x=state("x"), y=state("y")), out=state("out"))


def test_an_external_transition_into_itself_leaves_and_enters_its_source() -> None:
    assert compound(on("e", "y")).send("e").actions == "-x -m +m +y"


def test_an_internal_transition_stays_in_its_source() -> None:
    assert compound(on("e", "y", internal=True)).send("e").actions == "-x +y"


def test_an_internal_transition_that_leads_elsewhere_or_to_its_source_is_an_external_one() -> None:
    assert compound(on("e", "out", internal=True)).send("e").actions == "-x -m +out"
    assert compound(on("e", "m", internal=True)).send("e").actions == "-x -m +m +x"


def test_an_internal_transition_of_a_parallel_state_is_an_external_one() -> None:
    walk = two_regions(on("e", "b2", internal=True))

    assert walk.send("e").actions == "-b1 -b -a1 -a -p +p +a +a1 +b +b2"


def test_a_transition_without_targets_leaves_and_enters_nothing() -> None:
    walk = compound(on("e", run=("noted",)))

    assert walk.send("e").actions == "noted"
    assert walk.leaves == "x"


def test_a_transition_of_the_root_leaves_all_that_is_active() -> None:
    walk = Walk(on("e", "b"), a=state("a"), b=state("b"))

    assert walk.send("e").actions == "-a +b"
    assert walk.send("e").actions == "-b +b"
