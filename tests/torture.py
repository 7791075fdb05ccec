"""`make torture`: everything that looks for losses, for as long as there is time.

    python -m tests.torture [--minutes 60]

The parts are the long tests of crashes, faults and bytes, and the simulator. Each part gets its share
of the time, as many at once as there are processors, and draws new seeds until its share is over.

Promise:  the totals at the end count what was really done; a part that fails says with which seed,
          and how to run it again. The exit status is 1 where any part failed.
Not here: what the parts check.
"""

import argparse
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import SystemRandom
from typing import Final, NamedTuple

from tests.support.effort import EFFORT, SEED, TALLY, totals

ROOT: Final = Path(__file__).parent.parent
PYTEST: Final = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "long", "-rfs")
GRACE_S: Final = 600.0  # What a part may take beyond its share to finish its last seed.
SIMULATION: Final = "tests.simulation"
SIMULATION_SHARE: Final = 6


COUNTED: Final = re.compile(r" +\d+ [a-z]")  # A line of the simulator's totals.


class Part(NamedTuple):
    """What is run, and its share of the time; parts without one take what they take."""

    name: str
    arguments: tuple[str, ...]
    share: int = 1


PARTS: Final = (
    Part("kills under load", ("tests/end_to_end/test_kill.py",), 3),
    Part("power cuts", ("tests/end_to_end/test_power_cut.py",), 3),
    Part("every call", ("tests/crash/process/test_every_call.py", "-k", "by_chance"), 4),
    Part("crash states", ("tests/crash/store/test_crash_states.py",), 4),
    Part("histories", ("tests/end_to_end/test_linearizability.py",), 2),
    Part("system-call traces", ("tests/crash/process/test_said_before_synced.py",), 1),
    Part("stored bytes", ("tests/crash/fuzz/test_stored_bytes.py",), 2),
    Part("files of people", ("tests/crash/fuzz/test_files_of_people.py",), 2),
    Part("bit flips", ("tests/crash/journal/test_bit_flips.py",), 0),
)


class Outcome(NamedTuple):
    """What became of a part; `repeat` is a command where it failed."""

    part: str
    is_good: bool
    took_s: float
    output: str
    repeat: str


def main(arguments: list[str]) -> int:
    """Run all parts, print what they did, and return 1 where any failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="how long (default: 60)")
    budget_s = parser.parse_args(arguments).minutes * 60
    with tempfile.TemporaryDirectory(prefix="md-torture-") as folder:
        tally = Path(folder) / "tally"
        tally.touch()
        started_s = time.monotonic()
        outcomes = _run_all(budget_s, tally)
        took_s = time.monotonic() - started_s
        _report(outcomes, totals(tally), took_s)
    return 0 if all(outcome.is_good for outcome in outcomes) else 1


def _run_all(budget_s: float, tally: Path) -> list[Outcome]:
    """Run the parts on as many lanes as there are processors, the dearest first."""
    lanes = os.cpu_count() or 1
    has_simulation = importlib.util.find_spec(SIMULATION) is not None
    shares = sum(part.share for part in PARTS) + SIMULATION_SHARE * has_simulation
    share_s = budget_s * lanes / shares
    print(f"{lanes} at once, {share_s:.0f} s for each share of {shares}", flush=True)  # noqa: T201
    with ThreadPoolExecutor(lanes) as pool:
        parts = sorted(PARTS, key=lambda part: -part.share)
        if has_simulation:
            parts.insert(0, _simulation(share_s * SIMULATION_SHARE))
        running = [pool.submit(_run, part, share_s * part.share, tally) for part in parts]
        return [one.result() for one in running]


def _simulation(effort_s: float) -> Part:
    first = str(SystemRandom().getrandbits(32))
    words = ("-m", SIMULATION, "--seed", first, "--minutes", f"{effort_s / 60:.2f}")
    return Part("simulation", words, SIMULATION_SHARE)


def _run(part: Part, effort_s: float, tally: Path) -> Outcome:
    is_pytest = not part.arguments[0].startswith("-")
    command = [sys.executable, *(PYTEST if is_pytest else ()), *part.arguments]
    if is_pytest:
        command += ["-o", f"faulthandler_timeout={effort_s + GRACE_S:.0f}"]
    environment = {key: value for key, value in os.environ.items() if key != SEED}
    if is_pytest:
        environment |= {EFFORT: str(_effort_of_one(part, effort_s)), TALLY: str(tally)}
    started_s = time.monotonic()
    ended = _ended(command, environment, effort_s + GRACE_S)
    took_s = time.monotonic() - started_s
    is_good = ended.returncode == 0
    outcome = Outcome(part.name, is_good, took_s, ended.stdout, repeat(part, ended.stdout))
    verdict = "good" if is_good else "FAILED"
    print(f"{part.name}: {verdict} after {took_s:.0f} s", flush=True)  # noqa: T201
    if not is_good:
        print(outcome.output, flush=True)  # noqa: T201
    return outcome


def _ended(
    command: list[str], environment: Mapping[str, str], timeout_s: float
) -> subprocess.CompletedProcess[str]:
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
        return subprocess.CompletedProcess(command, 1, f"{text}\nit did not end in {timeout_s} s")


def _effort_of_one(part: Part, effort_s: float) -> float:
    """Return the time of each test of a part: they share the part's."""
    listed = subprocess.run(
        [sys.executable, *PYTEST, "--collect-only", *part.arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    taking_seeds = [line for line in listed.splitlines() if "::" in line]
    return effort_s / max(1, len(taking_seeds))


def repeat(part: Part, output: str) -> str:
    """Return the command that repeats a failure, as far as a seed can."""
    failed = re.findall(r"^FAILED (\S+)", output, re.MULTILINE)
    seeds = re.findall(rf"^{SEED}=(\d+)$", output, re.MULTILINE)
    if not failed:
        again = re.findall(r"^again: (.+)$", output, re.MULTILINE)
        return again[0] if again else f"python {' '.join(part.arguments)}"
    seed = f"{SEED}={seeds[-1]} " if seeds else ""
    return f'{seed}.venv/bin/pytest -m "long or not long" "{failed[0]}"'


def _report(outcomes: list[Outcome], counted: Mapping[str, int], took_s: float) -> None:
    lines = [f"\ntorture, {took_s / 60:.1f} minutes:"]
    lines += [f"  {count:>12,}  {what}" for what, count in sorted(counted.items())]
    for outcome in outcomes:
        said = [line for line in outcome.output.splitlines() if line.strip()]
        lines.append(f"  {outcome.part}: {said[-1].strip() if said else 'said nothing'}")
        lines += [
            f"    {line}" for line in said if line.startswith("SKIPPED") or COUNTED.match(line)
        ]
    failures = [outcome for outcome in outcomes if not outcome.is_good]
    lines.append(f"  {len(failures):>12,}  failures")
    lines += [f"    {one.part}; again: {one.repeat}" for one in failures]
    print("\n".join(lines), flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
