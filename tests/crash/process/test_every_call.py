"""A real daemon at whose n-th system call something happens: it is killed, or the call fails.

One client does the same things every time (`scripted.py`), the journal rolls over, the archive keeps
up. Where the fault was: restart, and everything that anybody was told is still so (promises 1, 3, 4,
5, 7); after a failed sync or rename: exit 74 within a second and no second sync of that file
(promise 9); where there is no room: refused, readable, and going on by itself (promise 10).

The short run takes a few points by chance, the long one every point there is.
"""

import re
import shutil
import time
from collections import Counter
from itertools import product
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest

from tests.support import broken_daemon
from tests.support.crash_daemon import CrashDaemon, DaemonEndedError
from tests.support.effort import rounds, tally
from tests.support.evidence import Evidence
from tests.support.injection import CALLS, KILL, SYNCS, Failed, Injection, first_failure
from tests.support.scripted import Script
from tests.support.small_daemon import PROGRAM
from tests.support.wire_check import check_restarted

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="there is no strace")

KILLED, DRAINED, DISK_FAILED = -9, 0, 74
END_WITHIN_S = 1.0
SHORT_WRITES = 60  # More than the script writes: what comes later is not met, and harmless.
NO_MARK = "cannot write the mark of a clean end"  # Then the next start recovers, and that is all.


class Ground(NamedTuple):
    """What an undisturbed run touches: paths in its data directory, and how often each call is made."""

    paths: tuple[str, ...]
    points: dict[str, int]

    def under(self, data_dir: Path) -> list[str]:
        return [str(data_dir / path) for path in self.paths]

    def all_points(self, calls: tuple[str, ...]) -> list[tuple[str, int]]:
        return [(call, at) for call in calls for at in range(1, self.points[call] + 1)]


class Ending(NamedTuple):
    """How a disturbed daemon ended, and when; `failed` is what strace made fail."""

    status: int
    at_s: float
    failed: Failed | None
    log: str
    script: Script


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    folder = tmp_path_factory.mktemp("ground")
    run_undisturbed(folder / "first", [])
    assert len(list((folder / "first" / "journal").glob("*.jsonl"))) > 3
    found = [path.relative_to(folder / "first") for path in (folder / "first").rglob("*")]
    names = {".", *map(str, found), *(f"{name}.tmp" for name in map(str, found))}
    # A rename or an unlink leaves a name in its folder: the folder's path does not count for it.
    trace, paths = folder / "trace", tuple(sorted(names))
    words = [word for path in paths for word in ("-P", str(folder / "second" / path))]
    calls = ",".join(CALLS)
    wrapper = ["strace", "-D", "-f", "-qq", "-o", str(trace), *words, "-e", f"trace={calls}"]
    run_undisturbed(folder / "second", wrapper)
    return Ground(paths, counted(trace.read_text()))


def run_undisturbed(data_dir: Path, wrapper: list[str]) -> None:
    with CrashDaemon(data_dir, program=PROGRAM) as daemon:
        daemon.start(wrapper)
        Script(daemon, Evidence()).run()
        daemon.stop()


def counted(trace: str) -> dict[str, int]:
    """Return how often each of `CALLS` is made by the thread that makes it most often."""
    made = Counter(re.findall(r"^(\d+) +(\w+)\(", trace, re.MULTILINE))
    return {
        call: max(
            (n for (_, name), n in made.items() if re.search(call.lstrip("/"), name)), default=0
        )
        for call in CALLS
    }


def run_disturbed(
    folder: Path,
    ground: Ground,
    injection: Injection | None,
    *,
    program: tuple[str, ...] = PROGRAM,
    is_patient: bool = True,
) -> Ending:
    """Run the script under `injection` until the daemon ends, or is drained."""
    data_dir, trace = folder / "s", folder / "trace"
    with CrashDaemon(data_dir, program=program) as daemon:
        script = Script(daemon, Evidence(), is_patient=is_patient)
        try:
            daemon.start(injection.wrapper(ground.under(data_dir), trace) if injection else [])
            script.run()
            script.read()
            daemon.stop()
            status = DRAINED
        except DaemonEndedError as error:
            status = error.status
        failed = first_failure(trace) if injection and injection.fault != KILL else None
        return Ending(status, time.time(), failed, daemon.log, script)


def findings_after(folder: Path, evidence: Evidence) -> list[str]:
    """Start again without a fault, and return what is wrong."""
    with CrashDaemon(folder / "s", program=PROGRAM) as daemon:
        daemon.start()
        findings = check_restarted(daemon, evidence)
        daemon.stop()
    return findings


def kill_at(folder: Path, ground: Ground, call: str, at: int) -> None:
    ending = run_disturbed(folder, ground, Injection(call, KILL, at))
    assert ending.status in (KILLED, DRAINED), ending.log

    findings = findings_after(folder, ending.script.evidence)

    assert not findings, (call, at, findings[:20])
    tally("kill points", ending.status == KILLED)


def promise_9(call: str, ending: Ending) -> list[str]:
    """Return how a daemon whose sync or rename failed did not behave as it must."""
    failed = ending.failed
    if failed is None:
        return [] if ending.status == DRAINED else [f"it ended with {ending.status}"]
    wrong = []
    if ending.status != DISK_FAILED and not (ending.status == DRAINED and NO_MARK in ending.log):
        wrong.append(f"{failed.call} of {failed.path} failed, and it ended with {ending.status}")
    if ending.status == DISK_FAILED and ending.at_s - failed.at_s > END_WITHIN_S:
        wrong.append(f"it took {ending.at_s - failed.at_s:.2f} s to end")
    if call in ("fdatasync", "fsync", "syncfs"):
        again = [line for line in failed.later if f"<{failed.path}>" in line and "sync" in line]
        wrong += [f"synced again after it failed: {line}" for line in again]
    if "Traceback" in ending.log:
        wrong.append("it ended with a traceback")
    return wrong


def fail_at(folder: Path, ground: Ground, injection: Injection) -> None:
    ending = run_disturbed(folder, ground, injection)

    wrong = promise_9(injection.call, ending)
    wrong += findings_after(folder, ending.script.evidence)

    assert not wrong, (injection, wrong[:20], ending.log)
    tally("failed syncs and renames", ending.failed is not None)


def fill_at(folder: Path, ground: Ground, injection: Injection | None, short_write: str) -> None:
    """Let writes fail for want of room: by strace, or by `small_daemon` where `injection` is None."""
    program = PROGRAM if injection else (*PROGRAM, f"short-write={short_write}")
    is_patient = not (injection.is_persistent if injection else short_write.endswith("+"))
    ending = run_disturbed(folder, ground, injection, program=program, is_patient=is_patient)

    wrong = promise_10(ending)
    wrong += findings_after(folder, ending.script.evidence)

    assert not wrong, (injection, short_write, wrong[:20], ending.log)
    tally("full disks")


def promise_10(ending: Ending) -> list[str]:
    """Return how a daemon that found no room did not behave as it must."""
    is_starting = not ending.script.evidence.acknowledged and not ending.script.refused_for_room
    if ending.status == DRAINED or (ending.status == DISK_FAILED and is_starting):
        return []
    return [f"it found no room and ended with {ending.status}"]


def chosen(folder: Path, ground: Ground, random: Random) -> None:
    """Take one point by chance, and one way to fail there."""
    kind = random.choice(["kill", "kill", "sync", "write", "short"])
    if kind == "kill":
        kill_at(folder, ground, *random.choice(ground.all_points(CALLS)))
    elif kind == "sync":
        call, at = random.choice(ground.all_points(SYNCS))
        fault = random.choice(["error=EIO", "error=ENOSPC"])
        fail_at(folder, ground, Injection(call, fault, at, random.random() < 0.5))
    elif kind == "write":
        at = random.randint(1, ground.points["write"])
        injection = Injection("write", "error=ENOSPC", at, random.random() < 0.5)
        fill_at(folder, ground, injection, "")
    else:
        fill_at(
            folder, ground, None, f"{random.randint(1, SHORT_WRITES)}{random.choice(['', '+'])}"
        )


def test_at_a_few_calls_the_daemon_is_killed_or_fails_and_keeps_its_word(
    tmp_path: Path, ground: Ground
) -> None:
    assert min(ground.points[call] for call in ("write", "fdatasync", *SYNCS)) > 3
    (random,) = rounds(1)
    kill_at(new(tmp_path), ground, *random.choice(ground.all_points(CALLS)))
    call, at = random.choice(ground.all_points(SYNCS))
    fail_at(new(tmp_path), ground, Injection(call, "error=EIO", at))
    fill_at(new(tmp_path), ground, None, f"{random.randint(1, SHORT_WRITES)}")


def test_a_daemon_that_syncs_again_after_a_failure_is_caught(
    tmp_path: Path, ground: Ground
) -> None:
    injection = Injection("fdatasync", "error=EIO", 4)
    program = broken_daemon.program("retried-sync")

    ending = run_disturbed(tmp_path, ground, injection, program=program)

    assert any("synced again after it failed" in one for one in promise_9("fdatasync", ending))


@pytest.mark.long
def test_points_by_chance(tmp_path: Path, ground: Ground) -> None:
    for random in rounds(10):
        chosen(new(tmp_path), ground, random)


@pytest.mark.long
@pytest.mark.parametrize("call", CALLS)
def test_killed_at_every_call_the_daemon_keeps_its_word(
    tmp_path: Path, ground: Ground, call: str
) -> None:
    for _, at in ground.all_points((call,)):
        kill_at(new(tmp_path), ground, call, at)


@pytest.mark.long
@pytest.mark.parametrize("call", SYNCS)
def test_after_every_failed_sync_or_rename_the_daemon_ends_and_keeps_its_word(
    tmp_path: Path, ground: Ground, call: str
) -> None:
    for _, at in ground.all_points((call,)):
        fail_at(new(tmp_path), ground, Injection(call, "error=EIO", at, at % 2 == 0))


@pytest.mark.long
@pytest.mark.parametrize("is_persistent", [False, True])
def test_without_room_for_any_write_the_daemon_stays_and_keeps_its_word(
    tmp_path: Path, ground: Ground, *, is_persistent: bool
) -> None:
    for _, at in ground.all_points(("write",)):
        injection = Injection("write", "error=ENOSPC", at, is_persistent)
        fill_at(new(tmp_path), ground, injection, "")


@pytest.mark.long
def test_any_write_may_take_a_part_and_refuse_the_rest(tmp_path: Path, ground: Ground) -> None:
    for at, how in product(range(1, SHORT_WRITES + 1), ("", "+")):
        fill_at(new(tmp_path), ground, None, f"{at}{how}")


def new(tmp_path: Path) -> Path:
    """Return a new folder; the store of the point before is gone."""
    folder = tmp_path / "point"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder
