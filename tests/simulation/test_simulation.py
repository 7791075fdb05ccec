"""The simulator in the default run: few seeds, and that a seed says everything."""

import pytest

from tests.simulation.house import House

SEEDS = 100
BLOCK = 10


@pytest.mark.parametrize("first", range(0, SEEDS, BLOCK))
def test_no_promise_is_broken(first: int) -> None:
    for seed in range(first, first + BLOCK):
        House(seed).run()


@pytest.mark.parametrize("seed", [1, 5, 11])
def test_the_same_seed_gives_the_same_trace(seed: int) -> None:
    assert House(seed).run() == House(seed).run()


def test_another_seed_gives_another_trace() -> None:
    assert House(1).run().trace_hash != House(2).run().trace_hash
