"""The real daemon, simulated: no promise is broken, and a seed says everything."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.breakages import BREAKAGES
from tests.simulation.house import House, Outcome
from tests.simulation.world import ViolationError

ROOT = Path(__file__).parents[2]
SEEDS = 100
SEEDS_LONG = 3000
BLOCK = 10


@pytest.mark.parametrize("first", range(0, SEEDS, BLOCK))
def test_no_promise_is_broken(first: int) -> None:
    for seed in range(first, first + BLOCK):
        House(seed).run()


@pytest.mark.long
@pytest.mark.parametrize("first", range(SEEDS, SEEDS_LONG, SEEDS))
def test_no_promise_is_broken_in_many_seeds(first: int) -> None:
    for seed in range(first, first + SEEDS):
        House(seed).run()


@pytest.mark.parametrize("seed", [1, 5, 11])
def test_the_same_seed_gives_the_same_trace(seed: int) -> None:
    first, second = House(seed), House(seed)

    assert first.run() == second.run()
    assert first.world.trace == second.world.trace


def test_another_seed_gives_another_trace() -> None:
    assert House(1).run().trace_hash != House(2).run().trace_hash


@pytest.mark.parametrize("name", ["expected_version ignored", "fdatasync taken out"])
def test_a_seed_that_fails_fails_again_in_the_same_way(name: str) -> None:
    breakage = BREAKAGES[name]

    def attempt(seed: int) -> tuple[str, str] | Outcome:
        house = House(seed, breakage.life_type)
        try:
            return house.run()
        except ViolationError as violation:
            return str(violation), house.world.trace_hash()

    failing = next(seed for seed in range(60) if not isinstance(attempt(seed), Outcome))

    assert attempt(failing) == attempt(failing)


def test_seeds_give_the_same_traces_in_every_process() -> None:
    outputs = set()
    for hash_seed in ("1", "2"):
        command = [sys.executable, "-m", "tests.simulation", "--seed", "7", "--seeds", "12"]
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(
            [*command, "--trace"],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        *traces, _ = done.stdout.splitlines()  # The last line says how long it took.
        outputs.add("\n".join(traces))

    assert len(outputs) == 1
    said = outputs.pop()
    for what in ("started with", "power cut", "fails", "redactions", "backups", "ended drained 0"):
        assert what in said
