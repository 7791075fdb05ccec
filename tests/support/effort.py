"""How much a test with a seed does, and what it did: the same tests are short, long, and torture.

    for random in rounds(1): ...              new choices: so many times, or as `make torture` says
    for point in portion(points, 20): ...     some of all the cases there are, or all of them
    tally("kills")                            for the totals that `make torture` prints

| in the environment | means                                                                     |
|--------------------|---------------------------------------------------------------------------|
| CRASH_SEED=…       | `rounds`: that seed, once                                                 |
| CRASH_POINT=…      | `portion`: the case of that name alone                                    |
| EFFORT_UNTIL=…     | until then, by `time.monotonic()`, which is one clock for all processes   |
| EFFORT_ROUNDS=…    | `rounds`: no more than so many                                            |
| EFFORT_SHARE=…     | `portion`: that part of all cases, 1 being all                            |
| EFFORT_SLICE=1/3   | `portion`: of every three cases the first one, so that three processes    |
|                    | can share them                                                            |
| TALLY=FILE         | where the counts go                                                       |

Promise:  a seed or the name of a case is printed before it is used, so that a failing test shows what
          to repeat.
"""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import count as counting
from math import ceil, inf
from pathlib import Path
from random import Random, SystemRandom
from typing import Final, TypeVar

SEED: Final = "CRASH_SEED"
POINT: Final = "CRASH_POINT"
UNTIL: Final = "EFFORT_UNTIL"
ROUNDS: Final = "EFFORT_ROUNDS"
SHARE: Final = "EFFORT_SHARE"
SLICE: Final = "EFFORT_SLICE"
TALLY: Final = "TALLY"
ALL: Final = "all the "  # Before the name of a count: how many there are.

T = TypeVar("T")


def seeds(least: int) -> Iterator[int]:
    """Yield `least` seeds that were not tried before, as many as there is time for, or the named one."""
    if (named := os.environ.get(SEED)) is not None:
        print(f"{SEED}={named}")  # noqa: T201 (pytest shows it when the test fails)
        yield int(named)
        return
    for _ in _while_there_is_time(float(os.environ.get(ROUNDS, inf if is_torture() else least))):
        seed = SystemRandom().getrandbits(32)
        print(f"{SEED}={seed}")  # noqa: T201
        tally("seeds")
        yield seed


def rounds(least: int) -> Iterator[Random]:
    """Yield a source of choices for each of `seeds(least)`."""
    for seed in seeds(least):
        yield Random(seed)  # noqa: S311 (repeatable, not secret)


def portion(
    cases: Sequence[T], least: int, what: str, size: Callable[[T], int] = lambda _: 1
) -> Iterator[T]:
    """Yield `least` of `cases` by chance, none twice; in torture all of them, or as many as it says.

    Each that was gone through is counted as `what`, by its `size`. `str` of a case is its name.
    """
    named = os.environ.get(POINT)
    if named is not None:
        chosen = [one for one in cases if str(one) == named]
        assert chosen, f"there is no {named!r} among {what}"
    else:
        number, _, of = os.environ.get(SLICE, "1/1").partition("/")
        cases = cases[int(number) - 1 :: int(of)]
        share = float(os.environ.get(SHARE, "1"))
        count = ceil(share * len(cases)) if is_torture() else min(least, len(cases))
        chosen = SystemRandom().sample(cases, count)
        tally(ALL + what, sum(map(size, cases)))
    for case, _ in zip(chosen, _while_there_is_time(inf), strict=False):
        print(f"{POINT}={case}")  # noqa: T201
        yield case
        tally(what, size(case))


def _while_there_is_time(number: float) -> Iterator[int]:
    """Count up to `number`, or until the time is over."""
    end_s = float(os.environ.get(UNTIL, inf))
    for index in counting():
        if index >= number or time.monotonic() >= end_s:
            return
        yield index


def is_torture() -> bool:
    """Whether there is time, rather than a number of things to do."""
    return UNTIL in os.environ


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
