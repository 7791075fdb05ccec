"""`python -m bench`: measure, print, hold every figure against its bound. Exit status 1: one missed.

The store under test lies where files survive a restart: a sync in memory would cost nothing.
"""

import argparse
import asyncio
import os
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import zmq

from bench import contention, flood, handoff, parts, throughput
from bench.figures import Figure
from bench.filesystem import DISK, MEMORY_FILESYSTEMS, filesystem_of, spread_subfolders

BUSY_LOAD: Final = 0.5  # Processes that wanted to run, in the last minute.


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="every part, briefly; judges nothing")
    parser.add_argument("--handoff", type=Path, help="write the handoff there (else docs/)")
    parser.add_argument("--data-dir", type=Path, default=DISK, help="a folder on a real disk")
    arguments = parser.parse_args()
    begun_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="manifestd-bench-", dir=arguments.data_dir) as name:
        folder = Path(name)
        spread_subfolders(folder)
        print(_surroundings(folder))
        plan = throughput.QUICK if arguments.quick else throughput.FULL
        figures = [*_measure_parts(folder, quick=arguments.quick), *_compare(plan, folder)]
    print()
    for figure in figures:
        print(figure)
    print(f"\ntook {time.monotonic() - begun_s:.0f} s", flush=True)
    if arguments.handoff is not None or not arguments.quick:
        path = arguments.handoff or handoff.PATH
        handoff.write(figures, path, judged=not arguments.quick)
    missed = [figure.name for figure in figures if not figure.holds]
    if missed and not arguments.quick:
        print(f"missed: {', '.join(missed)}", file=sys.stderr)
        return 1
    return 0


def _measure_parts(folder: Path, *, quick: bool) -> Sequence[Figure]:
    walked = parts.Walked(20 if quick else 2000)
    repeats = 20 if quick else 500
    retries = asyncio.run(contention.contend(folder, 3 if quick else 60))
    return (
        parts.state_transition(walked),
        parts.kernel_step(repeats * 20),
        *parts.timers(1000 if quick else 100_000),
        parts.file_persistence(walked, folder, repeats),
        parts.event_log_append(walked, folder, repeats),
        asyncio.run(parts.event_recovery(folder / "recovered", repeats)),
        *contention.figures(retries),
        *flood.figures(flood.measure(folder, 0.3 if quick else 8.0)),
    )


def _compare(plan: throughput.Plan, folder: Path) -> Sequence[Figure]:
    print(throughput.HEADING, flush=True)
    figures: list[Figure] = []
    for clients, rounds in throughput.compare(plan, folder):
        for line in throughput.table(clients, rounds):
            print(line, flush=True)
        if clients == throughput.JUDGED_CLIENTS:
            figures += throughput.figures(rounds)
    return figures


def _surroundings(folder: Path) -> str:
    filesystem = filesystem_of(folder)
    software = f"Python {platform.python_version()}, libzmq {zmq.zmq_version()}"
    machine = f"Linux {platform.release()}, {os.cpu_count()} cores"
    lines = [f"{software}, {machine}, {folder.parent} on {filesystem}"]
    load = os.getloadavg()[0]
    if load > BUSY_LOAD:
        lines.append(f"the machine is busy with something else (load {load:.2f}): so are we")
    if filesystem in MEMORY_FILESYSTEMS:
        lines.append("that is memory: a sync costs nothing there; give --data-dir a real disk")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
