"""The power fails under load, and every acknowledgement that was seen before it still holds.

The page cache outlives a killed process, so `test_kill.py` cannot tell a daemon that syncs from one
that does not. This can: its negative control is a daemon without fdatasync.
"""

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from random import Random

import pytest

from tests.support import broken_daemon
from tests.support.crash_daemon import CrashDaemon
from tests.support.effort import seeds, tally
from tests.support.evidence import Evidence
from tests.support.load import Load
from tests.support.power_cut import LoopDisk, why_not
from tests.support.store_check import check_store
from tests.support.wire_check import check_restarted

FILE_SYSTEMS = ("ext4", "xfs")
DISK_FAILED = 74
CUTS_UNTIL_A_LOSS = 5
CUTS_OF_A_DISK = 5
ACKNOWLEDGEMENTS_MIN = 50  # So that there is something to lose.
ACKNOWLEDGEMENTS_MAX = 600

lacking = cache(why_not)


@pytest.fixture
def file_system(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if reason := lacking(name):
        pytest.skip(f"no power to cut on {name}: {reason}")
    return name


def cut_power(
    disk: LoopDisk, evidence: Evidence, seed: int, *, program: tuple[str, ...] = ("-m", "daemon")
) -> int:
    """Cut the power under load, and return how the daemon ended; `evidence` is from before it."""
    acknowledgements = Random(seed).randint(  # noqa: S311 (repeatable, not secret)
        ACKNOWLEDGEMENTS_MIN, ACKNOWLEDGEMENTS_MAX
    )
    with CrashDaemon(disk.mount_point / "store", program=program) as daemon:
        daemon.start()
        load = Load(daemon, seed, evidence)
        load.connect()
        load.run(acknowledgements)
        disk.cut()
        load.close()
        status = daemon.wait()
    disk.remount()
    return status


def losses(data_dir: Path, evidence: Evidence) -> list[str]:
    """Return what was seen and is not on the disk, before anything mends it."""
    findings = check_store(data_dir, evidence, settled=False)
    return [finding for finding in findings if finding.startswith("lost: ")]


def cut_again_and_again(file_system: str, cuts: Iterable[int]) -> None:
    with LoopDisk(file_system) as disk:
        evidence = Evidence()
        for seed in cuts:
            assert cut_power(disk, evidence, seed) == DISK_FAILED
            assert not losses(disk.mount_point / "store", evidence), seed

            with CrashDaemon(disk.mount_point / "store") as daemon:
                daemon.start()
                findings = check_restarted(daemon, evidence)
                daemon.stop()

            assert not findings, (seed, findings[:20])
            tally(f"power cuts on {file_system}")


@pytest.mark.parametrize("file_system", FILE_SYSTEMS, indirect=True)
def test_after_a_power_cut_every_acknowledgement_holds(file_system: str) -> None:
    cut_again_and_again(file_system, range(2))


@pytest.mark.long
@pytest.mark.parametrize("file_system", FILE_SYSTEMS, indirect=True)
def test_after_many_power_cuts_every_acknowledgement_holds(file_system: str) -> None:
    for seed in seeds(5):  # A new disk each time: 25 and 25 in all.
        cut_again_and_again(file_system, range(seed, seed + CUTS_OF_A_DISK))


@pytest.mark.parametrize("file_system", FILE_SYSTEMS, indirect=True)
def test_without_fdatasync_a_power_cut_loses_acknowledged_events(file_system: str) -> None:
    """The negative control. What the archive's syncfs took along just before a cut is not lost."""
    for seed in range(3, 3 + CUTS_UNTIL_A_LOSS):
        with LoopDisk(file_system) as disk:
            evidence = Evidence()
            cut_power(disk, evidence, seed, program=broken_daemon.program("no-sync"))
            if losses(disk.mount_point / "store", evidence):
                return
    pytest.fail("nothing was lost")
