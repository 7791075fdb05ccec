"""What each part of the floor takes, alone and all together. `python -m bench.breakdown`.

A part's price is its row less the one that has no part. Together they cost more than their sum:
the archive's thread and the loop's hand the interpreter's lock to each other.
"""

import argparse
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final

from bench.filesystem import DISK, spread_subfolders
from bench.floor import PARTS
from bench.throughput import FULL, HEADING, JUDGED_CLIENTS, measure_echo, measure_floor, row
from bench.window import Window

ROUNDS: Final = 5

Measure = Callable[[Path], Window]


def servers() -> dict[str, Measure]:
    """Return what is measured, by name."""

    def floor(*parts: str) -> Measure:
        return partial(measure_floor, parts, FULL, JUDGED_CLIENTS)

    return {
        "echo": partial(measure_echo, "frames", FULL, JUDGED_CLIENTS),
        "none": floor(),
        **{part: floor(part) for part in PARTS},
        "no archive": floor(*PARTS[:-1]),
        "all": floor(*PARTS),
    }


def main() -> None:
    """Measure in turn, print the medians."""
    parser = argparse.ArgumentParser(prog="python -m bench.breakdown", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--data-dir", type=Path, default=DISK, help="a folder on a real disk")
    arguments = parser.parse_args()
    windows: dict[str, list[Window]] = {name: [] for name in servers()}
    with tempfile.TemporaryDirectory(prefix="manifestd-bench-", dir=arguments.data_dir) as name:
        folder = Path(name)
        spread_subfolders(folder)
        for number in range(arguments.rounds):
            place = folder / str(number)
            place.mkdir()
            for server, measure in servers().items():
                windows[server].append(measure(place))
    print(HEADING)
    for server, measured in windows.items():
        cpu_us = median(window.cpu_us for window in measured)
        echo_us = median(window.cpu_us for window in windows["echo"])
        print(f"{row(JUDGED_CLIENTS, server, measured)}   {cpu_us / echo_us:.1f} x echo")


if __name__ == "__main__":
    main()
