"""Statecharts by the vectors of others: SCION's test framework and W3C's report plan.

The data is not part of the project (shared/data/README.md); where it is absent this is skipped.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.vectors import load, main, run

ROOT = Path(__file__).parents[2]
FILE = ROOT.parent / "shared" / "data" / "statecharts" / "vectors.jsonl"
VECTORS = (
    [json.loads(line) for line in FILE.read_text().splitlines()]
    if FILE.is_file()
    else [pytest.param({"id": "absent"}, marks=pytest.mark.skip(f"{FILE} is not there to run"))]
)


def id_of(vector: dict[str, Any]) -> str:
    return str(vector["id"])


@pytest.mark.parametrize("vector", VECTORS, ids=id_of)
def test_a_vector_of_others_passes(vector: dict[str, Any]) -> None:
    assert run(vector) is None


def state(name: str, kind: str = "atomic", **members: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"id": name, "type": kind, **members}


def vector_of(*children: dict[str, Any], **members: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"id": "ours", "machine": {"type": "root", "children": list(children)}, **members}


def send(event: str, *expect: str, after_ms: float = 0) -> dict[str, Any]:
    return {"event": event, "expect": list(expect), "after_ms": after_ms}


def to(target: str | None, *events: str, **members: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"events": list(events), "targets": [target] if target else [], **members}


A_TO_B = (state("a", transitions=[to("b", "e")]), state("b"))


@pytest.mark.parametrize(
    ("vector", "wrong"),
    [
        (vector_of(*A_TO_B, initial=["b"]), "at the start: expected b, is in a"),
        (vector_of(*A_TO_B, steps=[send("e", "a")]), "step 1, e: expected a, is in b"),
        (vector_of(*A_TO_B, steps=[send("e", "a", "b")]), "step 1, e: expected a, b, is in b"),
        (vector_of(*A_TO_B, steps=[send("e")]), "step 1, e: expected , is in b"),
        (vector_of(*A_TO_B, must_reach="b"), "b must be reached, and is in a"),
        (vector_of(*A_TO_B, must_reach="nowhere"), "nowhere must be reached, and is in a"),
    ],
)
def test_a_wrong_expectation_is_reported(vector: dict[str, Any], wrong: str) -> None:
    assert run(vector) == wrong


@pytest.mark.parametrize(
    ("vector", "wrong"),
    [
        ({}, "no vector"),
        (vector_of(), "chart"),
        (vector_of(state("a", "pentagon")), "'pentagon'"),
        (vector_of(state("a", transitions=[to("b")])), "'b'"),
        (vector_of(state("a", entry=[[{"assign": "x"}]])), "assign"),
        (vector_of(state("a", entry=[[{}]])), "none of raise, send and cancel"),
        (vector_of(state("a", transitions=[to("a", "e", cond={"expr": "1"})])), "expr"),
        (vector_of(state("a", transitions=[to("a")])), "not finished"),
        (
            vector_of(state("a", entry=[[{"send": {"event": "e"}}]], transitions=[to("a", "e")])),
            "rest",
        ),
    ],
)
def test_what_cannot_be_run_is_reported(vector: dict[str, Any], wrong: str) -> None:
    assert wrong in (run(vector) or "")


def test_time_passes_only_where_a_vector_says_so() -> None:
    ticking = state(
        "a",
        entry=[[{"send": {"event": "tick", "delay_ms": 10.0}}]],
        transitions=[to("b", "tick"), to(None, "e")],
    )
    steps = [send("e", "a"), send("e", "a", after_ms=9), send("e", "b", after_ms=1)]

    assert run(vector_of(ticking, state("b"), steps=steps)) is None


def test_a_send_that_is_cancelled_by_its_id_never_arrives() -> None:
    sends = [{"send": {"event": "tick", "delay_ms": 10, "id": name}} for name in ("x", "y")]
    chart = (
        state("a", entry=[sends], transitions=[to("b", "tick"), to("c", "e")]),
        state("c", entry=[[{"cancel": "x"}]], transitions=[to("d", "tick"), to("b", "e")]),
        state("b"),
        state("d", transitions=[to("b", "tick")]),
    )

    assert run(vector_of(*chart, steps=[send("e", "c")], must_reach="d")) is None


def test_what_is_due_earlier_comes_first_and_of_two_at_once_the_one_sent_first() -> None:
    delays = {"late": 20, "first": 10, "second": 10}
    sends = [{"send": {"event": event, "delay_ms": ms}} for event, ms in delays.items()]
    chart = (
        state("a", entry=[sends], transitions=[to("b", "first"), to("failed", "*")]),
        state("b", transitions=[to("c", "second"), to("failed", "*")]),
        state("c", transitions=[to("passed", "late"), to("failed", "*")]),
        state("passed", "final"),
        state("failed", "final"),
    )

    assert run(vector_of(*chart, must_reach="passed")) is None


def test_a_chart_may_tick_as_long_as_time_passes() -> None:
    send_tick = {"send": {"event": "tick", "delay_ms": 10}}
    vector = vector_of(state("a", entry=[[send_tick]], transitions=[to("a", "tick")]))

    assert run({**vector, "must_reach": "a"}) is None


def test_nothing_happens_after_the_end() -> None:
    sends = [{"send": {"event": "e", "delay_ms": ms}} for ms in (0, 10, 20)]
    vector = vector_of(state("a", entry=[sends], transitions=[to("b", "e")]), state("b", "final"))
    vector["machine"]["transitions"] = [to("a", "*")]

    assert run({**vector, "must_reach": "b", "steps": [send("x", "b"), send("e", "b")]}) is None


def test_conditions_are_constants_or_ask_what_is_active_negated_or_not() -> None:
    conditions = (
        ({"const": True}, "b"),
        ({"const": False}, "a"),
        ({"const": False, "negate": True}, "b"),
        ({"in": "a"}, "b"),
        ({"in": "a", "negate": True}, "a"),
        ({"in": "nowhere"}, "a"),
    )
    for condition, expected in conditions:
        chart = (state("a", transitions=[to("b", "e", cond=condition)]), state("b"))
        assert run(vector_of(*chart, steps=[send("e", expected)])) is None


def test_states_without_a_name_and_names_of_xml_can_be_run() -> None:
    anonymous = {"type": "compound", "children": [state("é:1", transitions=[to("chart", "x:y")])]}
    vector = vector_of(anonymous, state("chart"), initial=["é:1"], steps=[send("x:y", "chart")])

    assert run(vector) is None
    assert list(load(vector).nodes) == ["state_1", "state_2", "_xe9__x3a_1", "chart"]


def test_the_command_prints_what_passed_and_what_failed(tmp_path: Path) -> None:
    right, wrong = vector_of(*A_TO_B, initial=["a"]), vector_of(*A_TO_B, initial=["b"])
    file = tmp_path / "vectors.jsonl"
    file.write_text(f"{json.dumps({**right, 'id': 'right'})}\n\n{json.dumps(wrong)}\n[]\n{{\n")
    command = [sys.executable, "-m", "tests.support.vectors", str(file)]

    result = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)

    assert result.returncode == 1
    assert result.stdout.splitlines()[:3] == [
        "passed right",
        "FAILED ours: at the start: expected b, is in a",
        "FAILED line 4: no vector: an object is",
    ]
    assert result.stdout.splitlines()[3].startswith("FAILED line 5: not JSON")
    assert result.stdout.splitlines()[4] == "1 passed, 3 failed"


def test_the_command_ends_with_0_only_when_something_passed_and_nothing_failed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "vectors.jsonl"
    file.write_text(json.dumps(vector_of(*A_TO_B, initial=["a"])))
    assert main([str(file)]) == 0
    file.write_text("")
    assert main([str(file)]) == 1
    assert main([str(tmp_path / "absent")]) == 2
    assert "1 passed, 0 failed" in capsys.readouterr().out
