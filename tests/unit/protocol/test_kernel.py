"""The kernel against a naive reading of SCXML's Appendix D, and against its own promises."""

import timeit
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.lifecycle.registry import LifecycleRegistry
from protocol.statechart import kernel
from protocol.statechart.compiled import Chart, ChartError, compile_chart
from protocol.statechart.definition import NodeType, StateDefinition, TransitionDefinition
from protocol.statechart.kernel import initial_step, step
from tests.unit.protocol.reference_statechart import ROOT, Reference

Shape = list[tuple[str, Any]]  # What is inside each state.
EVENTS = ("e", "f", "g")


def state_names_of(shape: Shape, prefix: str) -> list[str]:
    names = []
    for index, (_, children) in enumerate(shape):
        names += [f"{prefix}{index}", *state_names_of(children, f"{prefix}{index}_")]
    return names


no_shape: Shape = []
shapes: st.SearchStrategy[Shape] = st.recursive(
    st.just(no_shape),
    lambda inner: st.lists(
        st.tuples(st.sampled_from(["compound", "parallel"]), inner), min_size=1, max_size=3
    ),
    max_leaves=10,
)


@st.composite
def definitions(draw: st.DrawFn) -> StateDefinition:
    """Draw a chart of nested compound and parallel states with transitions all over it."""
    shape = draw(shapes.filter(bool))
    names = state_names_of(shape, "s")

    def transition() -> TransitionDefinition:
        targets = draw(st.lists(st.sampled_from(names), max_size=3, unique=True))
        return TransitionDefinition(
            target=targets or None,
            internal=draw(st.booleans()),
            actions=[f"t{draw(st.integers(0, 99))}"],
        )

    def build(node: Shape, kind: str, prefix: str) -> StateDefinition:
        states = {
            f"{prefix}{index}": build(children, child_kind, f"{prefix}{index}_")
            for index, (child_kind, children) in enumerate(node)
        }
        final = not states and prefix != "s" and draw(st.integers(0, 5)) == 0
        on = (
            {}
            if final
            else {
                event: [transition() for _ in range(draw(st.integers(1, 2)))]
                for event in draw(st.sets(st.sampled_from(EVENTS), max_size=2))
            }
        )
        compound = states and kind == "compound"
        return StateDefinition(
            type=NodeType.FINAL if final else NodeType(kind) if states else None,
            initial=draw(st.none() | st.sampled_from(sorted(states))) if compound else None,
            on=on,  # type: ignore[arg-type]
            entry=[f"+{prefix}"],
            exit=[f"-{prefix}"],
            states=states,
        )

    return build(shape, "compound", "s")


def without_impossible_targets(root: StateDefinition) -> tuple[StateDefinition, Chart]:
    """Take out what the compiler refuses: targets that cannot be active at once."""
    while True:
        try:
            return root, compile_chart(ROOT, root)
        except ChartError as error:
            if "cannot be active at once" not in error.reason:
                raise
            place, _, event = error.place.partition(".on.")
            state = root
            for name in place.split(".")[1:]:
                state = state.states[name]
            for candidate in state.on[event]:  # type: ignore[union-attr]
                target = candidate.target
                if isinstance(target, list):
                    del target[1:]


def assert_is_configuration(chart: Chart, leaves: tuple[str, ...]) -> None:
    active = {chart.nodes[leaf] for leaf in leaves}
    active |= {ancestor for node in active for ancestor in node.ancestors}
    assert leaves == tuple(sorted(node.id for node in active if node.is_leaf))
    for node in active:
        inside = [child for child in node.children if child in active]
        if node.type is NodeType.COMPOUND:
            assert len(inside) == 1
        elif node.type is NodeType.PARALLEL:
            assert len(inside) == len(node.children)


@settings(max_examples=300)
@given(
    definitions(),
    st.lists(st.tuples(st.sampled_from(EVENTS), st.frozensets(st.integers(0, 30))), max_size=8),
)
def test_every_step_is_that_of_appendix_d(
    drawn: StateDefinition, inputs: list[tuple[str, frozenset[int]]]
) -> None:
    definition, chart = without_impossible_targets(drawn)
    reference = Reference(definition)
    first = initial_step(chart)
    entered: set[str] = set()
    reference.add_descendants(ROOT, entered)
    assert first.entered == tuple(reference.document_order(entered))
    configuration, leaves = entered, first.leaves
    for event, refused in inputs:
        assert_is_configuration(chart, leaves)
        selected = reference.select(configuration, event, lambda order: order not in refused)  # noqa: B023
        result = step(chart, leaves, event, lambda t: t.order not in refused)  # noqa: B023
        if result is None:
            assert not selected
            continue
        exits = reference.exit_set(configuration, selected)
        entries = reference.entry_set(selected)
        assert [t.order for t in result.transitions] == [t.order for t in selected]
        assert result.exited == tuple(reversed(reference.document_order(exits)))
        assert result.entered == tuple(reference.document_order(entries))
        assert list(result.actions) == [
            *(action for state in result.exited for action in reference.forms[state].exit),
            *(action for t in selected for action in t.form.actions),
            *(action for state in result.entered for action in reference.forms[state].entry),
        ]
        configuration = (configuration - exits) | entries
        leaves = result.leaves
        assert leaves == tuple(sorted(filter(reference.is_atomic, configuration)))
    assert_is_configuration(chart, leaves)


def parallel_chart() -> Chart:
    def region(name: str) -> StateDefinition:
        return StateDefinition(
            states={f"{name}1": StateDefinition(), f"{name}2": StateDefinition()}
        )

    both = TransitionDefinition(target=["A2", "B2"])
    return compile_chart(
        "chart",
        StateDefinition(
            states={
                "OUT": StateDefinition(on={"go": both, "start": TransitionDefinition(target="B2")}),
                "P": StateDefinition(
                    type=NodeType.PARALLEL,
                    states={"A": region("A"), "B": region("B"), "C": region("C")},
                ),
            }
        ),
    )


def test_a_region_that_a_later_target_names_is_not_entered_by_default() -> None:
    result = step(parallel_chart(), ("OUT",), "go", lambda _: True)

    assert result is not None
    assert result.leaves == ("A2", "B2", "C1")


def test_a_region_that_no_target_names_is_entered_by_default() -> None:
    result = step(parallel_chart(), ("OUT",), "start", lambda _: True)

    assert result is not None
    assert result.leaves == ("A1", "B2", "C1")


def test_the_memo_is_bounded_and_gives_the_same_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "MEMO_SIZE_MAX", 1)
    chart = parallel_chart()
    one = step(chart, ("OUT",), "go", lambda _: True)
    other = step(chart, ("OUT",), "start", lambda _: True)

    assert step(chart, ("OUT",), "go", lambda _: True) is one
    assert other is not None
    again = step(chart, ("OUT",), "start", lambda _: True)
    assert again is not None
    assert (again is other, again.leaves) == (False, other.leaves)
    assert len(chart.memo) == 1


def test_a_step_of_the_default_lifecycle_costs_microseconds() -> None:
    chart = LifecycleRegistry.builtin().get("manifest@1").chart
    seconds = min(
        timeit.repeat(
            lambda: step(chart, ("APPROVED",), "reject", lambda _: True), number=1000, repeat=5
        )
    )

    assert seconds / 1000 < 50e-6  # Under 1 us without coverage; 5 us were asked for.
