"""The kernel against the pseudo-code of SCXML's Appendix D, on charts drawn at random."""

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol.statechart import kernel
from protocol.statechart.compiled import Chart, Transition, is_reserved
from protocol.statechart.compiler import compile_chart
from protocol.statechart.definition import StateForm, TransitionForm
from protocol.statechart.kernel import Allows, Macrostep, RunawayError
from tests.support.random_charts import Guard, events_for, forms, is_configuration
from tests.support.reference_statechart import ROOT, Reference, ReferenceRunawayError

pytestmark = (
    pytest.mark.no_cover
)  # What it runs is covered elsewhere; measured, it takes many times as long.

MICROSTEPS_MAX = 30  # Enough for what ends; what does not is found sooner.
charts_and_events = forms().flatmap(lambda form: st.tuples(st.just(form), events_for(form)))


@pytest.fixture(autouse=True, scope="module")
def few_microsteps() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernel, "MICROSTEPS_MAX", MICROSTEPS_MAX)
        yield


def reference_of(form: StateForm) -> Reference:
    def condition(guard: object, configuration: set[str], actions: list[str]) -> bool:
        return not isinstance(guard, Guard) or guard.holds(guard.name in configuration, actions)

    return Reference(form, condition, MICROSTEPS_MAX)


def answers_for(chart: Chart) -> Allows:
    def allows(one: Transition, leaves: tuple[str, ...], actions: Sequence[str]) -> bool:
        guard = one.guard
        return not isinstance(guard, Guard) or guard.holds(chart.is_in(leaves, guard.name), actions)

    return allows


def history_of(result: Macrostep) -> dict[str, list[str]]:
    return {name: sorted(states) for name, states in result.history.items()}


def assert_same(chart: Chart, result: Macrostep, reference: Reference) -> None:
    """Everything that a macrostep tells is what the reference did."""
    assert is_configuration(chart, result.leaves)
    active = {node.id for leaf in result.leaves for node in chart.nodes[leaf].line()}
    assert active - {ROOT} == reference.configuration
    assert history_of(result) == {
        name: sorted(states) for name, states in reference.history_value.items()
    }
    assert [(one.source.id, one.event) for one in result.transitions] == [
        (one.source, one.event) for one in reference.taken
    ]
    assert list(result.actions) == reference.actions
    assert list(result.timers) == reference.timers
    assert result.is_done is not reference.running


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(charts_and_events)
def test_every_macrostep_is_that_of_appendix_d(drawn: tuple[StateForm, list[str]]) -> None:
    form, events = drawn
    chart, reference = compile_chart(ROOT, form), reference_of(form)
    allows = answers_for(chart)
    try:
        reference.start()
    except ReferenceRunawayError:
        with pytest.raises(RunawayError):
            kernel.start(chart, allows)
        return
    now = kernel.start(chart, allows)
    assert_same(chart, now, reference)
    for event in events:
        try:
            moved = reference.step(event)
        except ReferenceRunawayError:
            with pytest.raises(RunawayError):
                kernel.step(chart, now.leaves, now.history, event, allows)
            return
        after = kernel.step(chart, now.leaves, now.history, event, allows)
        assert (after is not None) is moved
        if after is not None:
            assert is_reserved(event) or chart.accepts(now.leaves, event)
            assert_same(chart, after, reference)
            now = after


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(charts_and_events)
def test_a_macrostep_depends_on_nothing_but_its_arguments(
    drawn: tuple[StateForm, list[str]],
) -> None:
    form, events = drawn
    chart = compile_chart(ROOT, form)
    allows = answers_for(chart)
    try:
        now = kernel.start(chart, allows)
        for event in events:
            history = {name: list(states) for name, states in now.history.items()}
            first = kernel.step(chart, now.leaves, now.history, event, allows)
            again = kernel.step(chart, now.leaves, history, event, allows)
            anew = compile_chart(ROOT, form)
            other = kernel.step(anew, now.leaves, history, event, answers_for(anew))
            assert told(first) == told(again) == told(other)
            assert now.history == history  # Nothing that it was given has changed.
            now = first or now
    except RunawayError:
        return


def told(result: Macrostep | None) -> object:
    return result and (
        result.leaves,
        result.history,
        [one.order for one in result.transitions],
        result.actions,
        result.timers,
        result.is_done,
    )


def test_eventless_transitions_that_never_end_are_reported() -> None:
    def to(target: str) -> StateForm:
        return StateForm(always=(TransitionForm(targets=(target,)),))

    chart = compile_chart(
        ROOT,
        StateForm(
            states={
                "OUT": StateForm(on=(("go", TransitionForm(targets=("A",))),)),
                "A": to("B"),
                "B": to("A"),
            }
        ),
    )
    allows = answers_for(chart)
    first = kernel.start(chart, allows)

    with pytest.raises(RunawayError, match=str(MICROSTEPS_MAX)):
        kernel.step(chart, first.leaves, first.history, "go", allows)
