"""Lifecycle files: what is wrong in one is said with its place and a way to mend it."""

import pytest

from protocol.errors import NotFoundError
from protocol.lifecycle.findings import LifecycleError
from protocol.lifecycle.lifecycle import Lifecycle
from protocol.lifecycle.reader import read_lifecycle
from protocol.lifecycle.registry import LifecycleRegistry
from protocol.statechart.compiler import STATES_MAX, ChartError, compile_chart
from protocol.statechart.definition import NodeType, StateForm, TransitionForm

HEAD = 'id = "x"\nversion = 1\ninitial = "A"\n'
REGIONS = '[states.P]\ntype = "parallel"\nstates.R.states.R1 = {}\nstates.S.states.S1 = {}\n'


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        (HEAD + '[states.A.on.go]\ntarget = "BB"\n[states.B]', ["x.A.on.go", "did you mean 'B'?"]),
        (
            HEAD + '[states.A.on.go]\ntarget = "zzz"\n',
            ["x.A.on.go", "'zzz' is no state", "known: A"],
        ),
        (HEAD + '[states.A.on.go]\ntarget = "x"\n', ["x.A.on.go", "'x' is no state"]),
        ('id = "x"\nversion = 1\ninitial = "Aa"\n[states.A]', ["x.initial", "did you mean 'A'?"]),
        (HEAD + '[states.A]\ninitial = "B"\n[states.A.states.C]', ["x.A.initial", "known: C"]),
        (
            HEAD + '[states.A]\ninitial = "B"',
            ["x.A", "atomic states have no 'initial'; leave it out"],
        ),
        (HEAD + "[states.A.states.B]\n[states.B]", ["x.B", "used twice", "rename"]),
        (HEAD + "[states.A.states.x]", ["x.A.x", "the chart's own", "rename"]),
        (HEAD + '[states.A]\ntype = "final"\n[states.A.on.go]', ["x.A", "leave 'on' out"]),
        (HEAD + '[states.A]\ntype = "parallel"', ["x.A", "add 'states'"]),
        (HEAD + '[states.A]\ntype = "atomic"\n[states.A.states.B]', ["x.A", "leave them out"]),
        (HEAD + "states = {}", ["x", "add one"]),
        (
            HEAD + '[states.A.on.go]\ntarget = ["B", "C"]\n[states.B]\n[states.C]',
            ["x.A.on.go", "at once"],
        ),
        (HEAD + '[states.A.on.go]\ntarget = ["P", "R1"]\n' + REGIONS, ["x.A.on.go", "at once"]),
        (HEAD + '[states.A.on.go]\ntarget = ["R", "R1"]\n' + REGIONS, ["x.A.on.go", "at once"]),
        (HEAD + '[states.A.on.go]\ntarget = ["R1", "R1"]\n' + REGIONS, ["x.A.on.go", "at once"]),
        (
            HEAD + '[states.A.on.go]\nguard = ["four_eye"]',
            ["A.on.go", "guard", "did you mean 'four_eyes'?"],
        ),
        (
            HEAD + '[states.A.on.go]\nactions = ["zzz"]',
            ["A.on.go", "action", "known: record_approval"],
        ),
        (HEAD + '[states.A]\nentry = ["record_aproval"]', ["A", "did you mean 'record_approval'?"]),
        (HEAD + '[states.A]\nexit = ["zzz"]', ["A", "there is no action 'zzz'"]),
        (HEAD + '[roles]\ngo = ["author"]\n[states.A.on.goo]', ["roles", "did you mean 'goo'?"]),
        (HEAD + "[states.A]\ntype = 'history'", ["history states"]),
    ],
)
def test_a_wrong_definition_is_refused_with_place_and_mend_wherever_it_comes_from(
    toml: str, said: list[str]
) -> None:
    with pytest.raises(LifecycleError) as caught:
        Lifecycle(read_lifecycle(toml, "x.toml"))

    assert all(part in str(caught.value) for part in said), str(caught.value)


def test_a_wrong_file_is_refused_with_all_its_errors_and_without_the_doubts() -> None:
    text = HEAD + '[states.A.on]\ngo = "B"\nstop = { target = "C", actions = ["zzz"] }\n'
    with pytest.raises(LifecycleError) as caught:
        Lifecycle.read(text, "x.toml")

    assert [finding.line for finding in caught.value.findings] == [5, 6, 6]
    assert str(caught.value).startswith("x.toml:5: states.A.on.go: there is no state 'B'")
    assert Lifecycle.read(HEAD + "[states.A]\n", "x.toml").events == ()  # It has no way out.


def test_targets_in_different_regions_are_fine() -> None:
    toml = HEAD + '[states.A.on.go]\ntarget = ["R1", "S1"]\n' + REGIONS

    assert Lifecycle.read(toml, "x.toml").events == ("go",)


def test_depth_and_number_of_states_are_bounded() -> None:
    deep = StateForm()
    for level in range(20):
        deep = StateForm(states={f"s{level}": deep})
    with pytest.raises(ChartError, match="nested deeper"):
        compile_chart("x", deep)
    wide = StateForm(states={f"s{index}": StateForm() for index in range(STATES_MAX + 1)})
    with pytest.raises(ChartError, match="at most"):
        compile_chart("x", wide)


def test_a_root_cannot_be_parallel() -> None:
    with pytest.raises(ChartError, match="the root is compound"):
        compile_chart("x", StateForm(type=NodeType.PARALLEL, states={"A": StateForm()}))


def test_a_root_may_have_transitions_of_its_own() -> None:
    root = StateForm(states={"A": StateForm()}, on=(("go", TransitionForm(targets=("A",))),))

    assert compile_chart("x", root).events(("A",)) == ["go"]


def test_the_registry_names_what_it_knows() -> None:
    registry = LifecycleRegistry.builtin()

    assert registry.get("manifest@1").name == "manifest@1"
    with pytest.raises(NotFoundError, match=r"'manifest@9'; known: .*manifest@1") as caught:
        registry.get("manifest@9")
    assert caught.value.path == "/lifecycle"


def test_a_definition_is_kept_in_the_same_bytes_each_time() -> None:
    lifecycle = LifecycleRegistry.builtin().get("manifest@1")

    assert lifecycle.to_json() == Lifecycle(lifecycle.definition).to_json()
    assert lifecycle.to_json().startswith(b'{"id":"manifest","version":1,"initial":"DRAFT"')
