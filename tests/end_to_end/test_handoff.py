"""The benchmark runs, and what it hands over is true: `docs/handoff.json`.

How fast this machine is today is no test's business: `make bench` asserts the bounds.
"""

import json
import pkgutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import handoff, throughput
from bench.figures import Figure
from bench.processes import ROOT

KEYS = [
    "completed",
    "interfaces",
    "assumptions",
    "performance_achieved",
    "next_mission",
    "blockers",
]


def check_shape(document: dict[str, Any]) -> None:
    assert list(document) == KEYS
    assert list(document["performance_achieved"]) == list(handoff.PERFORMANCE)
    for achieved in document["performance_achieved"].values():
        assert achieved["value"] > 0
        assert achieved["unit"] in ("ms", "attempts")
        assert achieved["bound"] > 0


@pytest.fixture(scope="module")
def committed() -> dict[str, Any]:
    """The handoff that the last whole benchmark wrote."""
    document: dict[str, Any] = json.loads(handoff.PATH.read_bytes())
    return document


@pytest.mark.long
def test_a_quick_benchmark_measures_everything_and_hands_over(tmp_path: Path) -> None:
    written = tmp_path / "docs" / "handoff.json"
    before = handoff.PATH.read_bytes()

    result = subprocess.run(
        [sys.executable, "-m", "bench", "--quick", "--handoff", str(written)],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )

    assert result.returncode == 0, result.stdout + result.stderr
    check_shape(json.loads(written.read_bytes()))
    assert handoff.PATH.read_bytes() == before
    lines = result.stdout.splitlines()
    for clients in throughput.QUICK.rounds:
        for server in ("echo", "pyzmq", "floor", "daemon"):
            assert any(line.split()[:2] == [str(clients), server] for line in lines), result.stdout
    for name in (*handoff.PERFORMANCE, "kernel_step", "throughput", "server_cpu_per_command"):
        assert any(line.startswith(name) for line in lines), result.stdout


def test_the_committed_handoff_has_its_shape_and_kept_its_bounds(committed: dict[str, Any]) -> None:
    check_shape(committed)
    for achieved in committed["performance_achieved"].values():
        assert achieved["value"] <= achieved["bound"]


def test_every_interface_of_the_committed_handoff_can_be_imported(
    committed: dict[str, Any],
) -> None:
    assert committed["interfaces"] == handoff.INTERFACES
    for name in committed["interfaces"]:
        assert pkgutil.resolve_name(name) is not None


def figures(append_ms: float) -> list[Figure]:
    append = Figure("event_log_append", append_ms, "ms", 5.0, note="with fsync")
    return [
        append,
        *(Figure(name, 1.0, "ms", 5.0) for name in handoff.PERFORMANCE if name != append.name),
    ]


def test_a_missed_bound_is_a_blocker_where_bounds_are_judged() -> None:
    blockers = handoff.handoff(figures(6.0), judged=True)["blockers"]

    assert blockers == ["event_log_append is 6 ms (with fsync), at most 5 is asked"]
    assert handoff.handoff(figures(6.0), judged=False)["blockers"] == []
    assert handoff.handoff(figures(5.0), judged=True)["blockers"] == []


def test_a_figure_that_was_not_measured_is_an_error() -> None:
    with pytest.raises(KeyError):
        handoff.handoff(figures(1.0)[1:], judged=True)
