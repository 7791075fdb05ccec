"""A store on a read-only file system, such as a snapshot that was mounted: it can be read and checked."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.daemon_process import DaemonProcess, run_manifestd, short_folder

OK = 0


@pytest.fixture(scope="module")
def mounted() -> Iterator[Path]:
    """Yield a drained store on a tmpfs that is read-only by now."""
    with ExitStack() as stack:
        folder = stack.enter_context(short_folder())
        with DaemonProcess(folder) as daemon:
            daemon.start()
            daemon.result(op="create", manifest_id="echo", kind="agent", manifest={"name": "echo"})
            assert daemon.stop() == OK
        place = folder / "mnt"
        place.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=100m", "tmpfs", str(place)]
        try:
            made = subprocess.run(mount, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            pytest.skip("there is no mount(8)")
        if made.returncode != OK:
            pytest.skip(f"nothing can be mounted here: {made.stderr.strip()}")
        stack.callback(subprocess.run, ["umount", str(place)], check=True)
        shutil.copytree(folder / "data", place / "data")
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        yield place


@pytest.mark.parametrize("command", ["verify", "fsck"])
def test_it_is_checked_where_nothing_can_be_written(mounted: Path, command: str) -> None:
    result = run_manifestd(command, "--data-dir", str(mounted / "data"))

    assert result.returncode == OK, result.stderr


def test_a_daemon_answers_reads_from_it_and_refuses_writes(mounted: Path) -> None:
    with short_folder() as folder:
        daemon = DaemonProcess(folder, arguments=["--data-dir", str(mounted / "data")])
        with daemon:
            daemon.start()

            assert daemon.result(op="get", manifest_id="echo")["version"] == 1
            refused = daemon.error(op="comment", manifest_id="echo", text="no")
            assert refused["code"] in ("STORAGE_FULL", "READ_ONLY")
            assert daemon.stop() == OK
