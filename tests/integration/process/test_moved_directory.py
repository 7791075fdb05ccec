"""The data directory is taken away from a daemon that works on it: it ends, and makes no second one."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.daemon_process import DaemonProcess, run_manifestd, short_folder

OK, CONFIGURATION = 0, 78


def move(data: Path) -> None:
    data.rename(data.with_name("aside"))


def replace(data: Path) -> None:
    move(data)
    data.mkdir()
    (data / "lock").touch()


def unlock(data: Path) -> None:
    (data / "lock").unlink()


@pytest.mark.parametrize("take_away", [move, replace, unlock])
def test_the_daemon_ends_and_the_store_is_whole_where_it_is(
    take_away: Callable[[Path], None],
) -> None:
    with short_folder() as folder, DaemonProcess(folder) as daemon:
        daemon.start()
        daemon.result(op="create", manifest_id="echo", kind="agent", manifest={"name": "echo"})

        take_away(daemon.data_dir)

        assert daemon.wait() == CONFIGURATION
        assert f"{daemon.data_dir} was moved or replaced" in daemon.log()
        aside = folder / "aside"
        if aside.exists():
            assert not (daemon.data_dir / "store.json").exists()
            aside.rename(aside.with_name("back"))
        store = folder / ("back" if (folder / "back").exists() else "data")
        recovered = DaemonProcess(folder, arguments=["--data-dir", str(store)])
        with recovered:
            assert recovered.start().result(op="get", manifest_id="echo")["version"] == 1
            assert recovered.stop() == OK
        assert run_manifestd("verify", "--data-dir", str(store)).returncode == OK
