"""A lifecycle that could not be kept is a failed disk like any other."""

from pathlib import Path

import pytest

from daemon.errors import DaemonError, DiskFailedError
from daemon.store import FileStore
from tests.support.faulty_disk import FaultyDisk
from tests.support.manual_timer import ManualTimer

DATA = Path("/data")


@pytest.mark.parametrize("call", ["sync_directory", "sync", "replace"])
async def test_after_a_lifecycle_could_not_be_kept_the_end_is_not_called_clean(call: str) -> None:
    disk = FaultyDisk()
    failures: list[DaemonError] = []
    store = await FileStore.open(DATA, disk=disk, timer=ManualTimer(), on_failed=failures.append)
    disk.fail(call)

    with pytest.raises(DiskFailedError):
        await store.pin_lifecycle("manifest@1", b"{}")
    calls_before = len(disk.calls)
    await store.close()

    assert [error.exit_status for error in failures] == [74]
    assert DATA / "clean" not in disk.files()
    assert disk.calls[calls_before:] == []
