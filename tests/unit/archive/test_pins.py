"""The definitions that a store keeps, on a disk that fails."""

from pathlib import Path

import pytest

from daemon.archive.pins import LifecyclePins
from daemon.errors import DiskFailedError
from tests.support.faulty_disk import FaultyDisk

DATA = Path("/data")


def test_a_pinned_definition_comes_back() -> None:
    pins = LifecyclePins(FaultyDisk(), DATA)
    pins.pin("x@1", b"{}")

    assert pins.read() == {"x@1": b"{}"}


# Found by the simulator (seed 2892): it was UNAVAILABLE, an answer for clients, and so the daemon
# ended with a traceback and status 1 where it has to end with 74 and be started again.
@pytest.mark.parametrize("call", ["list_names", "read"])
def test_a_definition_that_cannot_be_read_is_a_failed_disk(call: str) -> None:
    disk = FaultyDisk()
    pins = LifecyclePins(disk, DATA)
    pins.pin("x@1", b"{}")
    disk.fail(call)

    with pytest.raises(DiskFailedError, match="reading the lifecycles"):
        pins.read()
