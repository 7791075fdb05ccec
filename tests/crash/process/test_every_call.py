"""A real daemon at whose n-th system call something happens: it is killed, or the call fails.

One client does the same things every time (`scripted.py`), the journal rolls over, the archive keeps
up. Where the fault was: restart, and everything that anybody was told is still so (promises 1, 3, 4,
5, 7); after a failed sync or rename: exit 74 within a second and no second sync of that file
(promise 9); where there is no room: refused, readable, and going on by itself (promise 10).

strace counts the calls of each thread, and the journal has a thread of its own; so the calls in the
folder `journal/` and those beside it are counted apart. The short run takes a few points by chance,
the torture every point there is.
"""

import shutil
import time
from itertools import product
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support import broken_daemon
from tests.support.crash_daemon import CrashDaemon, DaemonEndedError
from tests.support.effort import portion, rounds, tally
from tests.support.evidence import Evidence
from tests.support.injection import (
    CALLS,
    KILL,
    SYNCS,
    Failed,
    Injection,
    counted,
    first_failure,
)
from tests.support.scripted import Script
from tests.support.small_daemon import PROGRAM
from tests.support.wire_check import check_restarted

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="there is no strace")

KILLED, DRAINED, DISK_FAILED = -9, 0, 74
JOURNAL, BESIDE = "journal", "beside"
EIO, ENOSPC = "error=EIO", "error=ENOSPC"
END_WITHIN_S = 1.0
SHORT_WRITES = 60  # More than the script writes: what comes later is not met, and harmless.
DERIVED = {"checkpoint.json", "index", "manifests.jsonl"}
ROOM_AGAIN = "there is room for the archive again"
NO_MARK = "cannot write the mark of a clean end"  # Then the next start recovers, and that is all.


class Point(NamedTuple):
    """The `at`-th `call` on paths in the folder `journal/`, or beside it."""

    where: str
    call: str
    at: int

    def __str__(self) -> str:
        return f"{self.where} {self.call} {self.at}"


class Fault(NamedTuple):
    """What fails at a point, with which errno, once or from then on."""

    point: Point
    error: str
    is_persistent: bool

    def __str__(self) -> str:
        return f"{self.point} {self.error}{'+' if self.is_persistent else ''}"


class Ground(NamedTuple):
    """What an undisturbed run touches: paths in its data directory, and which calls it makes there."""

    paths: dict[str, tuple[str, ...]]  # In the folder `journal/`, and beside it.
    points: list[Point]

    def under(self, data_dir: Path, where: str) -> list[str]:
        return [str(data_dir / path) for path in self.paths[where]]

    def of(self, *calls: str) -> list[Point]:
        return [point for point in self.points if point.call in calls]


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
    names = sorted({".", *map(str, found), *(f"{name}.tmp" for name in map(str, found))})
    paths = {
        where: tuple(name for name in names if name.startswith("journal") == (where == JOURNAL))
        for where in (JOURNAL, BESIDE)
    }
    points: list[Point] = []
    for where, under in paths.items():
        trace = folder / f"trace-{where}"
        # A rename or an unlink leaves a name in its folder: the folder's path does not count for it.
        words = [word for path in under for word in ("-P", str(folder / where / path))]
        calls = ",".join(CALLS)
        wrapper = ["strace", "-D", "-f", "-qq", "-o", str(trace), *words, "-e", f"trace={calls}"]
        run_undisturbed(folder / where, wrapper)
        points += [
            Point(where, call, at)
            for call, times in counted(trace.read_text(), CALLS).items()
            for at in range(1, times + 1)
        ]
    return Ground(paths, points)


def run_undisturbed(data_dir: Path, wrapper: list[str]) -> None:
    with CrashDaemon(data_dir, program=PROGRAM) as daemon:
        daemon.start(wrapper)
        Script(daemon, Evidence()).run()
        daemon.stop()


def run_disturbed(
    folder: Path,
    ground: Ground,
    fault: Fault | None,
    *,
    program: tuple[str, ...] = PROGRAM,
    is_patient: bool = True,
) -> Ending:
    """Run the script with `fault` until the daemon ends, or is drained."""
    data_dir, trace = folder / "s", folder / "trace"
    wrapper: list[str] = []
    if fault is not None:
        (where, call, at), what, is_persistent = fault
        injection = Injection(call, what, at, is_persistent)
        wrapper = injection.wrapper(ground.under(data_dir, where), trace)
    with CrashDaemon(data_dir, program=program) as daemon:
        script = Script(daemon, Evidence(), is_patient=is_patient)
        try:
            daemon.start(wrapper)
            script.run()
            script.read()
            daemon.stop()
            status = DRAINED
        except DaemonEndedError as error:
            status = error.status
        failed = first_failure(trace) if fault and fault.error != KILL else None
        return Ending(status, time.time(), failed, daemon.log, script)


def findings_after(folder: Path, evidence: Evidence) -> list[str]:
    """Start again without a fault, and return what is wrong."""
    with CrashDaemon(folder / "s", program=PROGRAM) as daemon:
        daemon.start()
        findings = check_restarted(daemon, evidence)
        daemon.stop()
    return findings


def kill_at(folder: Path, ground: Ground, point: Point) -> None:
    ending = run_disturbed(folder, ground, Fault(point, KILL, is_persistent=False))
    assert ending.status in (KILLED, DRAINED), ending.log

    findings = findings_after(folder, ending.script.evidence)

    assert not findings, (point, findings[:20])
    tally("ends at a kill point", ending.status == KILLED)


def promise_9(fault: Fault, ending: Ending) -> list[str]:
    """Return how a daemon whose sync or rename failed did not behave as it must."""
    failed = ending.failed
    if failed is None:
        return [] if ending.status == DRAINED else [f"it ended with {ending.status}"]
    wrong = []
    # Both are derived, and written anew where there was no room, also where their fsync said so.
    path = Path(failed.path)
    is_derived = path.name.removesuffix(".tmp") in DERIVED or (path / "checkpoint.json").exists()
    is_derived = is_derived and fault.error == ENOSPC
    goes_on = NO_MARK in ending.log or (is_derived and ROOM_AGAIN in ending.log)
    if ending.status != DISK_FAILED and not (ending.status == DRAINED and goes_on):
        wrong.append(f"{failed.call} of {failed.path} failed, and it ended with {ending.status}")
    if ending.status == DISK_FAILED and ending.at_s - failed.at_s > END_WITHIN_S:
        wrong.append(f"it took {ending.at_s - failed.at_s:.2f} s to end")
    if fault.point.call in ("fdatasync", "fsync", "syncfs") and not is_derived:
        again = [line for line in failed.later if f"<{failed.path}>" in line and "sync" in line]
        wrong += [f"synced again after it failed: {line}" for line in again]
    if "Traceback" in ending.log:
        wrong.append("it ended with a traceback")
    return wrong


def fail_at(folder: Path, ground: Ground, fault: Fault) -> None:
    ending = run_disturbed(folder, ground, fault)

    wrong = promise_9(fault, ending)
    wrong += findings_after(folder, ending.script.evidence)

    assert not wrong, (fault, wrong[:20], ending.log)
    tally("ends after a failed call", ending.status == DISK_FAILED)


def fill_at(folder: Path, ground: Ground, fault: Fault | None, short_write: str = "") -> None:
    """Let writes fail for want of room: by strace, or by `small_daemon` where `fault` is None."""
    program = PROGRAM if fault else (*PROGRAM, f"short-write={short_write}")
    is_patient = not (fault.is_persistent if fault else short_write.endswith("+"))
    ending = run_disturbed(folder, ground, fault, program=program, is_patient=is_patient)

    wrong = promise_10(ending)
    wrong += findings_after(folder, ending.script.evidence)

    assert not wrong, (fault, short_write, wrong[:20], ending.log)
    tally("commands refused for want of room", ending.script.refused_for_room)


def promise_10(ending: Ending) -> list[str]:
    """Return how a daemon that found no room did not behave as it must."""
    is_starting = not ending.script.evidence.acknowledged and not ending.script.refused_for_room
    if ending.status == DRAINED or (ending.status == DISK_FAILED and is_starting):
        return []
    return [f"it found no room and ended with {ending.status}"]


def test_at_a_few_calls_the_daemon_is_killed_or_fails_and_keeps_its_word(
    tmp_path: Path, ground: Ground
) -> None:
    assert len(ground.points) > 250
    assert all(len(ground.of(call)) > 3 for call in ("write", *SYNCS))
    for random in rounds(1):
        kill_at(new(tmp_path), ground, random.choice(ground.points))
        fault = Fault(random.choice(ground.of(*SYNCS)), EIO, is_persistent=False)
        fail_at(new(tmp_path), ground, fault)
        fill_at(new(tmp_path), ground, None, f"{random.randint(1, SHORT_WRITES)}")


def test_a_daemon_that_syncs_again_after_a_failure_is_caught(
    tmp_path: Path, ground: Ground
) -> None:
    fault = Fault(Point(JOURNAL, "fdatasync", 4), EIO, is_persistent=False)
    program = broken_daemon.program("retried-sync")

    ending = run_disturbed(tmp_path, ground, fault, program=program)

    assert any("synced again after it failed" in one for one in promise_9(fault, ending))


@pytest.mark.long
def test_killed_at_every_call_the_daemon_keeps_its_word(tmp_path: Path, ground: Ground) -> None:
    for point in portion(ground.points, 20, "kill points"):
        kill_at(new(tmp_path), ground, point)


@pytest.mark.long
def test_after_every_failed_sync_or_rename_the_daemon_ends_and_keeps_its_word(
    tmp_path: Path, ground: Ground
) -> None:
    ways = ((EIO, False), (EIO, True), (ENOSPC, False))
    faults = [Fault(point, *way) for point, way in product(ground.of(*SYNCS), ways)]
    for fault in portion(faults, 20, "failed syncs and renames"):
        fail_at(new(tmp_path), ground, fault)


@pytest.mark.long
def test_after_any_failed_write_the_daemon_ends_and_keeps_its_word(
    tmp_path: Path, ground: Ground
) -> None:
    faults = [Fault(*each) for each in product(ground.of("write"), (EIO,), (False, True))]
    for fault in portion(faults, 10, "failed writes"):
        fail_at(new(tmp_path), ground, fault)


@pytest.mark.long
def test_after_any_other_failed_call_the_daemon_ends_or_goes_on_and_keeps_its_word(
    tmp_path: Path, ground: Ground
) -> None:
    """Where a file cannot be opened it may be read later; where one cannot be made, that is the end."""
    others = [call for call in CALLS if call not in (*SYNCS, "write")]
    faults = [Fault(point, EIO, is_persistent=False) for point in ground.of(*others)]
    for fault in portion(faults, 10, "other failed calls"):
        ending = run_disturbed(new(tmp_path), ground, fault)
        findings = findings_after(tmp_path / "point", ending.script.evidence)

        assert ending.status in (DRAINED, DISK_FAILED), (fault, ending.log)
        assert "Traceback" not in ending.log, (fault, ending.log)
        assert not findings, (fault, findings[:20], ending.log)


@pytest.mark.long
def test_without_room_for_any_write_the_daemon_stays_and_keeps_its_word(
    tmp_path: Path, ground: Ground
) -> None:
    faults = [Fault(*each) for each in product(ground.of("write"), (ENOSPC,), (False, True))]
    for fault in portion(faults, 10, "writes without room"):
        fill_at(new(tmp_path), ground, fault)


@pytest.mark.long
def test_any_write_may_take_a_part_and_refuse_the_rest(tmp_path: Path, ground: Ground) -> None:
    cases = [f"{at}{how}" for at, how in product(range(1, SHORT_WRITES + 1), ("", "+"))]
    for short_write in portion(cases, 10, "short writes"):
        fill_at(new(tmp_path), ground, None, short_write)


def new(tmp_path: Path) -> Path:
    """Return a new folder; the store of the point before is gone."""
    folder = tmp_path / "point"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder
