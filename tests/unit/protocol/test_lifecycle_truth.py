"""What is said about a lifecycle is true of the chart that it is compiled to.

The kernel is the judge: small lifecycles are drawn at random, checked, compiled and walked through
in every direction, with guards that hold, that do not, and that change their minds.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple, TypeAlias

import msgspec
import pytest

from protocol.lifecycle import analysis
from protocol.lifecycle.checks import check
from protocol.lifecycle.compiler import to_form
from protocol.lifecycle.definition import LifecycleDefinition
from protocol.lifecycle.outline import Outline
from protocol.lifecycle.places import PlacePath
from protocol.lifecycle.runaways import runaways
from protocol.statechart.compiled import Chart, Transition
from protocol.statechart.compiler import ChartError, compile_chart
from protocol.statechart.kernel import Macrostep, RunawayError, start, step

pytestmark = (
    pytest.mark.no_cover
)  # What it runs is covered elsewhere; measured, it takes many times as long.

SEEDS = (range(500), range(500, 3000))  # The second for the long run.
NAMES = ("A", "B", "C", "D", "E", "F")
EVENTS = ("go", "go.on", "stop", "*")
STEPS_MAX = 100

Answer: TypeAlias = Callable[[Transition], bool]


class Drawn(NamedTuple):
    """A lifecycle at random: its definition, and both views of it where its states fit together."""

    seed: int
    definition: LifecycleDefinition
    outline: Outline
    chart: Chart | None


class Draw:
    """Draws one lifecycle: a random tree of six states, and ways between them."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - a test, not a secret

    def one_in(self, count: int) -> bool:
        return not self.random.randrange(count)

    def transitions(self, *, leads: bool = False) -> list[dict[str, Any]]:
        return [self.transition(leads=leads) for _ in range(self.random.choice((1, 1, 2)))]

    def transition(self, *, leads: bool) -> dict[str, Any]:
        form: dict[str, Any] = {}
        if leads or not self.one_in(6):
            form["target"] = self.random.choice((*NAMES, "END"))
        if self.one_in(2):
            form["guard"] = self.random.choice((["urn_free"], ["reason_given"]))
        if self.one_in(5):
            form["actions"] = [{"raise": self.random.choice(("go", "go.on", "stop"))}]
        if self.one_in(6):
            form["internal"] = True
        return form

    def state(self) -> dict[str, Any]:
        form: dict[str, Any] = {"states": {}, "on": {}}
        kind = self.random.choice((None, None, None, None, "parallel", "final", "history"))
        if kind is not None:
            form["type"] = kind
        if kind not in ("final", "history"):
            for event in self.random.sample(EVENTS, self.random.choice((0, 1, 2))):
                form["on"][event] = self.transitions()
            if self.one_in(4):
                form["always"] = self.transitions(leads=True)
        return form

    def definition(self) -> LifecycleDefinition:
        forms: dict[str, dict[str, Any]] = {}
        tops: dict[str, dict[str, Any]] = {}
        for name in NAMES:
            form = self.state()
            hosts = [forms[one] for one in forms if forms[one].get("type") in (None, "parallel")]
            host = self.random.choice((None, *hosts))
            (tops if host is None else host["states"])[name] = forms[name] = form
        for form in forms.values():
            if form.get("type") == "parallel" and not form["states"]:
                del form["type"]
            if form["states"] and self.one_in(2):
                form["onDone"] = self.transitions()
        tops["END"] = {"type": "final"}
        initial = self.random.choice(list(tops))
        tree = {"id": "x", "version": 1, "initial": initial, "states": tops}
        return msgspec.convert(tree, LifecycleDefinition)


def compiled(definition: LifecycleDefinition) -> Chart | None:
    try:
        return compile_chart("x", to_form(definition).form)
    except ChartError:
        return None


@pytest.fixture(
    scope="module", params=[SEEDS[0], pytest.param(SEEDS[1], marks=pytest.mark.long)], ids=str
)
def drawn(request: pytest.FixtureRequest) -> list[Drawn]:
    """Return lifecycles at random, many of which do not fit together."""
    definitions = [(seed, Draw(seed).definition()) for seed in request.param]
    return [Drawn(seed, one, Outline(one), compiled(one)) for seed, one in definitions]


def walks(one: Drawn, *, fickle: bool = True) -> Iterator[tuple[tuple[str, ...], Macrostep]]:
    """Yield the steps that a chart can take, with the leaves before each, until one never ends."""
    assert one.chart is not None
    draw = random.Random(one.seed)  # noqa: S311
    moods: list[Answer] = [
        lambda _: True,
        lambda _: False,
        lambda transition: transition.guard == ("urn_free",),
    ]
    if fickle:
        moods.append(lambda _: draw.random() < 0.5)
    for mood in moods:
        with suppress(RunawayError):
            yield from walk(one.chart, mood)


def walk(chart: Chart, answer: Answer) -> Iterator[tuple[tuple[str, ...], Macrostep]]:
    """Yield the steps that `chart` can take, with the leaves before each."""

    def allows(transition: Transition, *_: object) -> bool:
        return answer(transition)

    first = start(chart, allows)
    yield (), first
    waiting = [first]
    seen: set[object] = set()
    while waiting and len(seen) < STEPS_MAX:
        at = waiting.pop()
        key = (at.leaves, tuple((name, tuple(kept)) for name, kept in sorted(at.history.items())))
        if key in seen:
            continue
        seen.add(key)
        for event in ("go", "go.on", "stop", "other"):
            after = step(chart, at.leaves, at.history, event, allows)
            if after is not None:
                yield at.leaves, after
                waiting.append(after)


def test_what_the_compiler_refuses_has_errors_and_what_it_takes_has_none(
    drawn: list[Drawn],
) -> None:
    assert sum(one.chart is not None for one in drawn) > len(drawn) / 4
    for one in drawn:
        errors = [
            finding.said()
            for finding in check(one.definition)
            if finding.severity == "error" and "runs for ever" not in finding.message
        ]

        assert (one.chart is None) == bool(errors), (one.seed, errors)


def test_where_no_cycle_is_found_every_step_ends(drawn: list[Drawn]) -> None:
    looked_at = 0
    for one in drawn:
        if one.chart is not None and not runaways(one.outline):
            looked_at += 1
            try:
                for _ in walk(one.chart, lambda _: True):
                    pass
                for _ in walk(one.chart, lambda _: False):
                    pass
            except RunawayError as error:
                pytest.fail(f"seed {one.seed}: {error}")

    assert looked_at > 100


def test_a_cycle_that_nothing_ends_never_does(drawn: list[Drawn]) -> None:
    """Unless another region ends it: those are left out."""
    looked_at = 0
    for one in drawn:
        if one.chart is None or any(state.type == "parallel" for state in one.outline):
            continue
        endless = {runaway.path for runaway in runaways(one.outline) if runaway.is_endless}
        taken: set[Transition] = set()
        try:
            for _, after in walk(one.chart, lambda _: False):
                taken.update(after.transitions)
        except RunawayError:
            assert runaways(one.outline), one.seed
        looked_at += len(endless)
        paths = numbered(one.outline, one.chart)

        assert not any(paths[path] in taken for path in endless), one.seed
    assert looked_at > 20


def test_what_nothing_leads_to_is_never_entered(drawn: list[Drawn]) -> None:
    looked_at = 0
    for one in drawn:
        if one.chart is None:
            continue
        lost = {str(path[-1]) for path, _ in analysis.unreachable(one.outline)}
        looked_at += len(lost)
        for _, after in walks(one) if lost else ():
            assert not any(one.chart.is_in(after.leaves, name) for name in lost), one.seed
    assert looked_at > 100


def test_what_nothing_leads_out_of_is_never_left(drawn: list[Drawn]) -> None:
    looked_at = 0
    for one in drawn:
        if one.chart is None:
            continue
        traps = {str(path[-1]) for path, _ in analysis.traps(one.outline)}
        looked_at += len(traps)
        for before, after in walks(one) if traps else ():
            assert traps.intersection(before) <= set(after.leaves), one.seed
    assert looked_at > 100


def test_what_is_never_taken_is_not_taken(drawn: list[Drawn]) -> None:
    looked_at = 0
    for one in drawn:
        if one.chart is None:
            continue
        hidden = [path for path, _ in analysis.hidden_candidates(one.outline)]
        looked_at += len(hidden)
        paths = numbered(one.outline, one.chart)
        for _, after in walks(one, fickle=False) if hidden else ():
            assert not any(paths[path] in after.transitions for path in hidden), one.seed
    assert looked_at > 100


def numbered(outline: Outline, chart: Chart) -> dict[PlacePath, Transition]:
    """Return the compiled transition for the path of each candidate."""
    found: dict[PlacePath, Transition] = {}
    for state in outline:
        node = chart.nodes[state.id]
        paths = [one.path for one in state.candidates if one.member != "always"]
        found |= zip(paths, node.on, strict=True)
        paths = [one.path for one in state.candidates if one.member == "always"]
        found |= zip(paths, node.always, strict=True)
    return found
