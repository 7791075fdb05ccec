"""How much a test with a seed does, and what it did: the same tests are short, long, and torture.

    for random in rounds(1): ...      CRASH_SEED=… in the environment: that seed, once
                                      EFFORT_S=…: new seeds for so many seconds
    tally("kills")                    TALLY=FILE: for the totals that `make torture` prints

Promise:  every seed is printed before it is used, so that a failing test shows the one to repeat.
"""

import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random, SystemRandom
from typing import Final

SEED: Final = "CRASH_SEED"
EFFORT: Final = "EFFORT_S"
TALLY: Final = "TALLY"


def seeds(least: int) -> Iterator[int]:
    """Yield `least` seeds that were not tried before, more while there is time, or the named one."""
    if (named := os.environ.get(SEED)) is not None:
        print(f"{SEED}={named}")  # noqa: T201 (pytest shows it when the test fails)
        yield int(named)
        return
    given_s = os.environ.get(EFFORT)
    end_s = time.monotonic() + float(given_s or 0)
    number = 0
    while time.monotonic() < end_s if given_s else number < least:
        seed = SystemRandom().getrandbits(32)
        print(f"{SEED}={seed}")  # noqa: T201
        tally("seeds")
        yield seed
        number += 1


def rounds(least: int) -> Iterator[Random]:
    """Yield a source of choices for each of `seeds(least)`."""
    for seed in seeds(least):
        yield Random(seed)  # noqa: S311 (repeatable, not secret)


def is_torture() -> bool:
    """Whether there is time, rather than a number of things to do."""
    return EFFORT in os.environ


def tally(what: str, count: int = 1) -> None:
    """Count something for the totals; from any process, in one write that others do not split."""
    if (path := os.environ.get(TALLY)) is not None:
        with Path(path).open("ab", buffering=0) as file:
            file.write(f"{what} {int(count)}\n".encode())


def totals(path: Path) -> Counter[str]:
    """Return what was counted."""
    found: Counter[str] = Counter()
    for line in path.read_text().splitlines():
        what, _, count = line.rpartition(" ")
        found[what] += int(count)
    return found
