"""Seeds, counts, shares of the time, and what a failure in a long run is told with."""

import ast
import json
from pathlib import Path

import pytest

from tests.support.effort import (
    ALL,
    POINT,
    ROUNDS,
    SEED,
    SHARE,
    SLICE,
    TALLY,
    UNTIL,
    portion,
    rounds,
    seeds,
    tally,
    totals,
)
from tests.support.lanes import Plan
from tests.support.torture_parts import PARTS, Need, Part
from tests.torture import ROOT, Outcome, again, as_text, rounds_of, summed_up

OUTPUT = """F
----------------------------- Captured stdout call -----------------------------
CRASH_SEED=11
CRASH_SEED=4242
=========================== short test summary info ============================
FAILED tests/end_to_end/test_kill.py::test_it[uvloop] - AssertionError
"""


@pytest.fixture(autouse=True)
def undisturbed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what the caller may have set."""
    for name in (UNTIL, POINT, ROUNDS, SEED, SHARE, SLICE, TALLY):
        monkeypatch.delenv(name, raising=False)


def test_a_named_seed_is_the_only_one_and_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(SEED, "7")
    monkeypatch.setenv(UNTIL, "inf")

    assert list(seeds(5)) == [7]
    assert [random.random() for random in rounds(1)] == [random.random() for random in rounds(9)]
    assert capsys.readouterr().out == "CRASH_SEED=7\n" * 3


def test_without_time_to_fill_there_are_so_many_seeds_and_none_twice() -> None:
    assert len(set(seeds(20))) == 20


def test_with_time_to_fill_there_are_no_more_seeds_than_are_asked_for_and_none_without_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(UNTIL, "inf")
    monkeypatch.setenv(ROUNDS, "30")
    assert len(list(seeds(2))) == 30

    monkeypatch.setenv(UNTIL, "0")
    assert list(seeds(2)) == []
    assert list(portion([1, 2, 3], 2, "numbers")) == []


def test_a_share_of_all_cases_is_gone_through_and_counted_once_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(TALLY, str(tmp_path / "tally"))
    cases = [f"case {number}" for number in range(10)]

    assert len(set(portion(cases, 4, "short"))) == 4
    monkeypatch.setenv(UNTIL, "inf")
    assert sorted(portion(cases, 4, "whole", size=lambda _: 3)) == cases
    monkeypatch.setenv(SHARE, "0.35")
    assert len(set(portion(cases, 4, "part"))) == 4
    next(portion(cases, 4, "failed"))
    monkeypatch.setenv(SHARE, "1")
    slices = []
    for number in (1, 2, 3):
        monkeypatch.setenv(SLICE, f"{number}/3")
        slices += list(portion(cases, 4, "sliced"))
    assert sorted(slices) == cases
    capsys.readouterr()
    monkeypatch.setenv(POINT, "case 7")
    assert list(portion(cases, 4, "named")) == ["case 7"]

    assert capsys.readouterr().out == "CRASH_POINT=case 7\n"
    assert totals(tmp_path / "tally") == {
        "short": 4,
        "whole": 30,
        "part": 4,
        "named": 1,
        "sliced": 10,
        f"{ALL}short": 10,
        f"{ALL}whole": 30,
        f"{ALL}part": 10,
        f"{ALL}failed": 10,
        f"{ALL}sliced": 10,
    }


def test_a_point_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(POINT, "nowhere")

    with pytest.raises(AssertionError, match="no 'nowhere' among points"):
        list(portion(["here"], 1, "points"))


def test_what_is_counted_anywhere_is_in_the_totals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TALLY, str(tmp_path / "tally"))
    tally("power cuts")
    tally("bit flips", 1000)
    tally("power cuts", 2)
    tally("kills", tmp_path.exists())

    assert totals(tmp_path / "tally") == {"power cuts": 3, "bit flips": 1000, "kills": 1}


def test_a_failure_is_told_with_the_command_that_repeats_it() -> None:
    assert again([], OUTPUT) == (
        'CRASH_SEED=4242 .venv/bin/pytest -m "long or not long" '
        '"tests/end_to_end/test_kill.py::test_it[uvloop]"'
    )
    assert again([], OUTPUT.replace("CRASH_SEED=4242", "CRASH_POINT=journal write 3")).startswith(
        "CRASH_POINT='journal write 3' "
    )
    said = "seed 9: lost\nagain: python -m tests.simulation --seed 9 --trace\n"
    assert again([], said) == "python -m tests.simulation --seed 9 --trace"


def test_every_part_is_a_long_test_that_counts_what_it_needs() -> None:
    for part in PARTS:
        file, _, test = part.test.partition("::")
        name, _, parameter = test.removesuffix("]").partition("[")
        source = (ROOT / file).read_text()
        (function,) = (
            one
            for one in ast.parse(source).body
            if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef) and one.name == name
        )
        assert "pytest.mark.long" in map(ast.unparse, function.decorator_list)
        said = source.replace("{file_system}", parameter)
        assert all(f'"{need.what}"' in said for need in part.needs), part


def test_the_time_is_shared_out_by_cost_and_never_more_than_there_is() -> None:
    now_s = 0.0
    plan = Plan({"a": 10, "b": 30, "c": 20}, lanes=2, end_s=60, clock=lambda: now_s)

    first, second = plan.next(), plan.next()
    assert first is not None
    assert second is not None
    assert (first.part, first.limit_s) == ("a", 20)
    assert (second.part, second.limit_s) == ("c", 40)
    now_s = 10.0  # It reached its number early: the last one gets the rest.
    plan.over(first)
    third = plan.next()
    assert third is not None
    assert (third.part, third.limit_s) == ("b", 50)
    assert plan.next() is None


def test_on_a_slow_machine_every_part_gets_less() -> None:
    plan = Plan({"a": 300, "b": 100}, lanes=1, end_s=40, clock=lambda: 0.0)

    turns = [plan.next(), plan.next()]

    assert [turn and turn.limit_s for turn in turns] == [10, 30]


def test_with_fewer_minutes_fewer_are_required() -> None:
    part = Part("kills", "file::test", (Need("kills", 200, 4),), 10)

    assert [rounds_of(part, minutes) for minutes in (60, 30, 3, 120)] == [50, 25, 3, 50]


def test_the_summary_says_what_was_required_done_skipped_and_failed() -> None:
    outcomes = [
        Outcome(
            "power cuts on xfs",
            is_good=True,
            took_s=9.04,
            output="SKIPPED [1] no power to cut on xfs\n",
            again="",
        ),
        Outcome(
            "killed at every call", is_good=False, took_s=3.0, output="", again="again like this"
        ),
    ]
    counts = {"power cuts on xfs": 2, "kill points": 3, f"{ALL}kill points": 333}

    summary = summed_up(30, 61, outcomes, counts)

    assert json.loads(json.dumps(summary)) == summary
    assert summary["failures"] == 1
    assert summary["totals"] == {"power cuts on xfs": 2, "kill points": 3}
    cuts, kills = summary["parts"]
    assert cuts["counts"] == [
        {"what": "power cuts on xfs", "in_60_minutes": 25, "required": 13, "done": 2}
    ]
    assert kills["counts"] == [
        {"what": "kill points", "in_60_minutes": 333, "required": 167, "done": 3}
    ]
    text = as_text(summary)
    assert "25         13          2  power cuts on xfs   fewer than required" in text
    assert "no power to cut on xfs" in text
    assert "killed at every call; again: again like this" in text
