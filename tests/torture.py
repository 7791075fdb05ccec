"""`make torture`: everything that looks for losses, for as long as there is time.

    python -m tests.torture [--minutes 60] [--json FILE]

The parts are the long tests of crashes, faults and bytes, and the simulator. In 60 minutes each part
has a number to reach; with fewer minutes it is so much smaller. As many parts run at once as there
are processors; when all have reached their numbers, the simulator has what time is left.

Promise:  the totals at the end count what was really done, beside what was required; a part that
          fails says with which seed or at which point, and how to run it again. The exit status is 1
          where any part failed. A number that was not reached in time is said, and is no failure.
Not here: what the parts check, how the time is shared out (`support/lanes.py`).
"""

import argparse
import json
import os
import platform
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from math import ceil
from pathlib import Path
from random import SystemRandom
from typing import Any, Final, NamedTuple

from tests.support.effort import ALL, POINT, ROUNDS, SEED, SHARE, SLICE, TALLY, UNTIL, totals
from tests.support.lanes import Plan
from tests.support.torture_parts import PARTS, Need, Part

ROOT: Final = Path(__file__).parent.parent
PYTEST: Final = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "long", "-rfs")
WHOLE_MINUTES: Final = 60.0  # In which every number is to be reached.
GRACE_S: Final = 180.0  # What a part may take beyond its time to finish what it has begun.
SIMULATION: Final = "simulation"
SIMULATION_SHARE: Final = 0.08  # Of the time, at least; and all that the others leave.
SIMULATION_S_MIN: Final = 3.0
ENDING_S: Final = 4.0  # Until the last simulation has said what it did.


class Job(NamedTuple):
    """One process of a part, from 1."""

    part: Part
    number: int

    @property
    def name(self) -> str:
        """The part's, with a number where there are several."""
        is_alone = self.part.processes == 1
        return self.part.name if is_alone else f"{self.part.name}, {self.number}"


JOBS: Final = tuple(Job(part, n + 1) for part in PARTS for n in range(part.processes))


class Outcome(NamedTuple):
    """What became of a part; `again` is a command where it failed."""

    part: str
    is_good: bool
    took_s: float
    output: str
    again: str


def main(arguments: list[str]) -> int:
    """Run all parts, print what they did, and return 1 where any failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--minutes", type=float, default=WHOLE_MINUTES, help="how long in all")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the totals there, too")
    chosen = parser.parse_args(arguments)
    started_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="md-torture-") as folder:
        tally = Path(folder) / "tally"
        tally.touch()
        outcomes = Torture(chosen.minutes, tally).run()
        summary = summed_up(chosen.minutes, time.monotonic() - started_s, outcomes, totals(tally))
    print(as_text(summary), flush=True)  # noqa: T201 (a command speaks)
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(summary, indent=2) + "\n")
    return 1 if summary["failures"] else 0


def scale(minutes: float) -> float:
    """Return the part of every number that is required in so many minutes."""
    return min(1.0, minutes / WHOLE_MINUTES)


class Torture:
    """One run."""

    def __init__(self, minutes: float, tally: Path) -> None:
        self._minutes = minutes
        self._tally = tally
        self._lanes = os.cpu_count() or 1
        self._end_s = time.monotonic() + minutes * 60 - ENDING_S

    def run(self) -> list[Outcome]:
        """Run the parts, then the simulator until the end; return what became of each."""
        begin_s = time.monotonic()
        parts_end_s = begin_s + (self._end_s - begin_s) * (1 - SIMULATION_SHARE)
        costs = {one.name: one.part.cost_s / one.part.processes for one in JOBS}
        plan = Plan(costs, lanes=self._lanes, end_s=parts_end_s)
        print(  # noqa: T201
            f"{self._minutes:g} minutes, {self._lanes} parts at once, "
            f"{scale(self._minutes):.0%} of what {WHOLE_MINUTES:g} minutes are to reach",
            flush=True,
        )
        with ThreadPoolExecutor(self._lanes) as pool:
            lanes = [pool.submit(self._lane, plan) for _ in range(self._lanes)]
            return [outcome for lane in lanes for outcome in lane.result()]

    def _lane(self, plan: Plan) -> list[Outcome]:
        outcomes = []
        jobs = {one.name: one for one in JOBS}
        while (turn := plan.next()) is not None:
            outcomes.append(self._run(jobs[turn.part], turn.limit_s))
            plan.over(turn)
        left_s = self._end_s - time.monotonic()
        if left_s >= SIMULATION_S_MIN:
            outcomes.append(self._simulate(left_s))
        return outcomes

    def _run(self, job: Job, limit_s: float) -> Outcome:
        part = job.part
        environment = {
            SLICE: f"{job.number}/{part.processes}",
            UNTIL: str(time.monotonic() + limit_s),
            SHARE: str(scale(self._minutes)),
            ROUNDS: str(rounds_of(part, self._minutes)),
        }
        words = ["-o", f"faulthandler_timeout={limit_s + GRACE_S:.0f}"]
        return self._ended(job.name, [*PYTEST, part.test, *words], environment, limit_s)

    def _simulate(self, limit_s: float) -> Outcome:
        first = str(SystemRandom().getrandbits(32))
        words = ["-m", "tests.simulation", "--seed", first, "--minutes", f"{limit_s / 60:.3f}"]
        return self._ended(SIMULATION, words, {}, limit_s)

    def _ended(
        self, name: str, words: list[str], environment: Mapping[str, str], limit_s: float
    ) -> Outcome:
        left_out = (SEED, POINT)
        around = {key: value for key, value in os.environ.items() if key not in left_out}
        started_s = time.monotonic()
        ended = output_of(
            [sys.executable, *words],
            {**around, **environment, TALLY: str(self._tally)},
            limit_s + GRACE_S,
        )
        took_s = time.monotonic() - started_s
        is_good = ended.returncode == 0
        verdict = "good" if is_good else "FAILED"
        said = f"{name}: {verdict} after {took_s:.0f} s, of {limit_s:.0f} s at most"
        print(said, flush=True)  # noqa: T201
        if not is_good:
            print(ended.stdout, flush=True)  # noqa: T201
        return Outcome(name, is_good, took_s, ended.stdout, again(words, ended.stdout))


def rounds_of(part: Part, minutes: float) -> int:
    """Return how many seeds it takes to reach the part's numbers; parts that count cases take one."""
    wanted = [
        ceil(need.number * scale(minutes) / need.of_a_round)
        for need in part.needs
        if need.number is not None
    ]
    return max(wanted, default=1)


def output_of(
    command: list[str], environment: Mapping[str, str], timeout_s: float
) -> subprocess.CompletedProcess[str]:
    """Run a command in the project's folder and return how it ended; late is a failure."""
    try:
        return subprocess.run(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired as error:
        text = (error.stdout or b"").decode(errors="replace")  # Bytes, whatever was asked for.
        said = f"{text}\nit did not end in {timeout_s:.0f} s"
        return subprocess.CompletedProcess(command, 1, said)


def again(words: list[str], output: str) -> str:
    """Return the command that repeats a failure, as far as a seed or the name of a point can."""
    failed = re.findall(r"^FAILED (\S+)", output, re.MULTILINE)
    if not failed:
        said = re.findall(r"^again: (.+)$", output, re.MULTILINE)
        return said[0] if said else f"python {shlex.join(words)}"
    used = re.findall(rf"^({SEED}|{POINT})=(.+)$", output, re.MULTILINE)
    setting = f"{used[-1][0]}={shlex.quote(used[-1][1])} " if used else ""
    return f'{setting}.venv/bin/pytest -m "long or not long" "{failed[0]}"'


def summed_up(
    minutes: float, took_s: float, outcomes: list[Outcome], counts: Mapping[str, int]
) -> dict[str, Any]:
    """Return everything that a run came to, as JSON can hold it."""
    first = {
        job.name: job.part for job in JOBS if job.number == 1
    }  # The counts are of all of them.
    parts = []
    for outcome in outcomes:
        needs = first[outcome.part].needs if outcome.part in first else ()
        parts.append(
            {
                "part": outcome.part,
                "is_good": outcome.is_good,
                "took_s": round(outcome.took_s, 1),
                "again": None if outcome.is_good else outcome.again,
                "skipped": re.findall(r"^SKIPPED .*$", outcome.output, re.MULTILINE),
                "counts": [reached(need, minutes, counts) for need in needs],
            }
        )
    return {
        "minutes": minutes,
        "took_minutes": round(took_s / 60, 2),
        "processors": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "failures": sum(not outcome.is_good for outcome in outcomes),
        "parts": parts,
        "totals": {what: count for what, count in sorted(counts.items()) if not _is_all(what)},
    }


def reached(need: Need, minutes: float, counts: Mapping[str, int]) -> dict[str, Any]:
    """Return what was required of one number, in 60 minutes and in this run, and what was done."""
    whole = need.number if need.number is not None else counts.get(ALL + need.what)
    required = None if whole is None else ceil(whole * scale(minutes))
    done = counts.get(need.what, 0)
    return {"what": need.what, "in_60_minutes": whole, "required": required, "done": done}


def _is_all(what: str) -> bool:
    return what.startswith(ALL)


def as_text(summary: Mapping[str, Any]) -> str:
    """Return the totals as they are printed."""
    took = f"{summary['took_minutes']:.1f} minutes of {summary['minutes']:g}"
    machine = f"{summary['processors']} processors, {summary['system']}"
    lines = [f"\ntorture: {took}, {machine}", f"  {'in 60 min':>10} {'required':>10} {'done':>10}"]
    for part in summary["parts"]:
        for count in part["counts"]:
            whole, required, done = count["in_60_minutes"], count["required"], count["done"]
            is_short = required is None or done < required
            note = "   fewer than required: the time was over, or it failed" if is_short else ""
            numbers = f"{_number(whole)} {_number(required)} {_number(done)}"
            lines.append(f"  {numbers}  {count['what']}{note}")
        lines += [f"  {'':>32}  {skipped}" for skipped in part["skipped"]]
    lines.append("  all that was counted:")
    lines += [f"  {'':>21} {_number(count)}  {what}" for what, count in summary["totals"].items()]
    lines.append(f"  {'':>21} {_number(summary['failures'])}  failures")
    lines += [
        f"    {part['part']}; again: {part['again']}"
        for part in summary["parts"]
        if not part["is_good"]
    ]
    return "\n".join(lines)


def _number(number: int | None) -> str:
    return f"{'?' if number is None else f'{number:,}':>10}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
