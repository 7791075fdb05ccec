"""python -m tests.simulation --seeds N --minutes M --seed S: simulate, and print what fails.

One seed that fails is printed with the end of its trace; `--seed S` repeats exactly that.
"""

import argparse
import logging
import signal
import sys
import time
from collections import Counter
from itertools import count

from tests.simulation.house import House
from tests.simulation.world import ViolationError
from tests.support.effort import tally

TRACE_LINES = 60
HANG_S = 120  # A seed takes a tenth of a second; what takes so long waits for a lock for ever.
log = logging.getLogger(__name__)


def _hangs(*_: object) -> None:
    raise TimeoutError("it hangs: two threads wait for each other")


def main(arguments: list[str]) -> int:
    """Run simulations; return 1 where one found a broken promise."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many (default: 100)")
    parser.add_argument("--minutes", type=float, help="go on for so long, instead of --seeds")
    parser.add_argument("--seed", type=int, help="the only one, with --trace; or the first one")
    parser.add_argument("--trace", action="store_true", help="print the whole trace")
    chosen = parser.parse_args(arguments)
    signal.signal(signal.SIGALRM, _hangs)
    started_s = time.monotonic()
    counts: Counter[str] = Counter()
    failed = 0
    is_single = chosen.seed is not None and chosen.minutes is None and "--seeds" not in arguments
    first = chosen.seed or 0
    for seed in [first] if is_single else count(first):
        signal.alarm(HANG_S)
        house = House(seed)
        try:
            outcome = house.run()
        except Exception as error:
            failed += 1
            if not isinstance(error, ViolationError):
                log.exception("seed %d ended otherwise", seed)
            print("\n".join(house.world.trace[-TRACE_LINES:]))  # noqa: T201 (a command speaks)
            print(f"seed {seed}: {type(error).__name__}: {error}")  # noqa: T201
            again = f"python -m tests.simulation --seed {seed} --trace"
            print(f"again: {again}", flush=True)  # noqa: T201
        else:
            counts.update(outcome.counts)
            if is_single:
                print(outcome.trace_hash)  # noqa: T201
        if chosen.trace:
            print("\n".join(house.world.trace))  # noqa: T201
        took_s = time.monotonic() - started_s
        if took_s >= chosen.minutes * 60 if chosen.minutes else seed + 1 - first >= chosen.seeds:
            break
    counts["seeds"] = seed + 1 - first
    for what, number in sorted(counts.items()):
        print(f"{number:>9} {what}")  # noqa: T201
        tally(f"simulated: {what}", number)
    print(f"{seed + 1 - first} seeds from {first}, {failed} failed, {took_s:.1f} s")  # noqa: T201
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
