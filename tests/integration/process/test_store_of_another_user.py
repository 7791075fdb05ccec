"""Root and others at a store that belongs to a user of its own, as the unit's does."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon_process import DaemonProcess, environment, run_manifestd, short_folder

NOBODY, NOGROUP = 65534, 65534
OK, CONFIGURATION = 0, 78

# The interpreter may be in root's own folder: what is needed is imported first.
AS_ANOTHER = """
import importlib.readers, os, sys, uvloop
import daemon.application, daemon.configuration, daemon.offline.fsck, daemon.rulebook
from daemon.command_line import main
os.setgroups([]), os.setgid(1), os.setuid(1)
sys.exit(main())
"""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="to give a store away takes root")


@pytest.fixture(scope="module")
def drained() -> Iterator[Path]:
    """Yield a folder with a drained store, `data`, and a backup of it, root's alone."""
    with short_folder() as folder, DaemonProcess(folder) as daemon:
        daemon.start()
        daemon.result(op="create", manifest_id="echo", kind="agent", manifest={"name": "echo"})
        run = [sys.executable, "-c", "from manifestctl.command_line import main; main()"]
        subprocess.run(
            [*run, "backup", str(folder / "backup"), "--commands", daemon.commands],
            check=True,
            capture_output=True,
        )
        assert daemon.stop() == OK
        yield folder


@pytest.fixture
def given_away(drained: Path) -> Iterator[Path]:
    """Yield a copy of the store that belongs to nobody."""
    with short_folder() as folder:
        store = folder / "store"
        shutil.copytree(drained / "data", store)
        for path in [store, *store.rglob("*")]:
            os.chown(path, NOBODY, NOGROUP)
        yield store


def owners(store: Path) -> set[int]:
    return {path.stat().st_uid for path in [store, *store.rglob("*")]}


def test_what_root_repairs_stays_its_owners(given_away: Path) -> None:
    (snapshot,) = given_away.glob("manifests/*/echo/state.json")
    snapshot.write_bytes(b"?" + snapshot.read_bytes()[1:])

    result = run_manifestd("fsck", "--repair", "--data-dir", str(given_away))

    assert result.returncode == OK, result.stderr
    assert any((given_away / "quarantine").iterdir())
    assert owners(given_away) == {NOBODY}


def test_what_root_restores_is_the_directorys_owners(drained: Path) -> None:
    (drained / "backup").chmod(0o600)
    with short_folder() as folder:
        store = folder / "restored"
        store.mkdir()
        os.chown(store, NOBODY, NOGROUP)

        result = run_manifestd("restore", str(drained / "backup"), "--data-dir", str(store))

        assert result.returncode == OK, result.stderr
        assert (store / "store.json").exists()
        assert owners(store) == {NOBODY}


@pytest.mark.parametrize("command", ["verify", "fsck"])
def test_a_file_that_is_not_its_owners_is_named(given_away: Path, command: str) -> None:
    (log,) = given_away.glob("manifests/*/echo/events.log")
    os.chown(log, 0, 0)
    log.chmod(0o600)

    result = run_manifestd(command, "--data-dir", str(given_away))

    assert result.returncode == CONFIGURATION
    assert str(log) in result.stderr
    assert "belong to the user" in result.stderr


@pytest.mark.parametrize("arguments", [["verify"], ["fsck", "--repair"], []])
def test_somebody_else_is_told_whose_it_is_and_changes_nothing(
    given_away: Path, arguments: list[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in given_away.rglob("*")}

    result = subprocess.run(
        [sys.executable, "-c", AS_ANOTHER, *arguments, "--data-dir", str(given_away)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[3],
        env=environment(XDG_RUNTIME_DIR=str(given_away.parent)),
    )

    assert result.returncode == CONFIGURATION, result.stderr
    assert str(given_away) in result.stderr
    assert "cannot be used" in result.stderr
    assert {path: path.stat().st_mtime_ns for path in given_away.rglob("*")} == before
