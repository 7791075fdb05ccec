"""The unit file as systemd reads it, and what it must never lose."""

import re
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

UNIT = Path(__file__).resolve().parents[2] / "systemd" / "manifestd.service"
PROGRAM = "/opt/manifestd/bin/manifestd"
# Ten times systemd's exposure level. The unit has 12, so the loss of a heavy line shows.
EXPOSURE_MAX = 13

pytestmark = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None,
    reason="systemd-analyze is not here; on Debian: apt-get install systemd",
)


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run systemd-analyze and keep what it says."""
    return subprocess.run(
        ["systemd-analyze", *arguments],
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def directives(unit: str) -> dict[str, list[str]]:
    """Return what a unit assigns, in order: systemd, unlike configparser, lets a key come again."""
    assigned: dict[str, list[str]] = defaultdict(list)
    for key, value in re.findall(r"^(\w+)=(.*)$", unit, re.MULTILINE):
        assigned[key].append(value)
    return assigned


@pytest.fixture
def unit() -> str:
    """Read the unit as it is installed."""
    return UNIT.read_text()


@pytest.fixture
def copy(tmp_path: Path, unit: str) -> Path:
    """Lay a copy of the unit whose program exists on this machine: `verify` looks for it."""
    program = tmp_path / "manifestd"
    program.touch(mode=0o755)
    path = tmp_path / "manifestd.service"
    path.write_text(unit.replace(PROGRAM, str(program)))
    return path


def security(path: Path) -> subprocess.CompletedProcess[str]:
    """Hold the exposure of the unit at `path` against the bound."""
    result = analyze("security", "--offline=true", f"--threshold={EXPOSURE_MAX}", path)
    if "unrecognized option" in result.stdout:
        pytest.skip("this systemd-analyze is older than 250 and cannot judge a unit file offline")
    return result


def test_systemd_finds_nothing_to_complain_of(copy: Path) -> None:
    result = analyze("verify", "--recursive-errors=no", copy)

    assert (result.stdout, result.returncode) == ("", 0)


def test_systemd_would_complain_of_a_misspelt_directive(copy: Path) -> None:
    copy.write_text(copy.read_text().replace("WatchdogSec=", "WatchdogSecs="))

    assert "WatchdogSecs" in analyze("verify", "--recursive-errors=no", copy).stdout


def test_the_exposure_stays_under_its_bound(copy: Path) -> None:
    result = security(copy)

    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("lost", ["CapabilityBoundingSet=", "SystemCallFilter=", "ProtectSystem="])
def test_a_lost_line_of_defence_exceeds_the_bound(copy: Path, lost: str) -> None:
    lines = copy.read_text().splitlines(keepends=True)
    copy.write_text("".join(line for line in lines if not line.startswith(lost)))

    assert security(copy).returncode != 0


def test_the_unit_starts_the_environment_s_own_program(unit: str) -> None:
    assert directives(unit)["ExecStart"] == [f"{PROGRAM} --config /etc/manifestd/manifestd.toml"]


def test_only_what_a_restart_cannot_mend_prevents_one(unit: str) -> None:
    assigned = directives(unit)

    assert assigned["Restart"] == ["always"]
    assert assigned["RestartPreventExitStatus"] == ["2 70 78"]
    assert assigned["StartLimitIntervalSec"] == ["0"]


def test_libzmq_keeps_the_calls_whose_denial_aborts_it(unit: str) -> None:
    assigned = directives(unit)

    # A later line adds to or takes from the earlier ones, so this one must be the last.
    assert assigned["SystemCallFilter"][-1] == "sched_setscheduler"
    assert "AF_NETLINK" in assigned["RestrictAddressFamilies"][0].split()


def test_peers_keep_their_names(unit: str) -> None:
    """In a user namespace, or under a dynamic user, SO_PEERCRED or the group would say nothing."""
    assert not {"PrivateUsers", "DynamicUser"} & directives(unit).keys()
    assert directives(unit)["Group"] == ["manifestd"]
