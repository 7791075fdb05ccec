"""Each checker is shown to fail when the daemon is broken on purpose."""

import pytest

from tests.simulation.breakages import BREAKAGES, Breakage
from tests.simulation.house import House
from tests.simulation.world import ViolationError


def first_violation(breakage: Breakage) -> str | None:
    """Return what the first seed finds that finds anything."""
    for seed in range(breakage.first_seed, breakage.first_seed + breakage.seeds_max):
        with breakage.patched():
            try:
                House(seed, breakage.life_type).run()
            except ViolationError as violation:
                return str(violation)
    return None


@pytest.mark.parametrize("name", BREAKAGES)
def test_the_simulator_notices(name: str) -> None:
    found = first_violation(BREAKAGES[name])

    assert found is not None, "no seed noticed"
    assert found.startswith(BREAKAGES[name].promises), found
