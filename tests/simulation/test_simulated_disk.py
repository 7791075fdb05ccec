"""The simulator's disk: what every disk does, and what the power takes from it."""

import errno
from pathlib import Path

import pytest

from daemon.journal.disk import Disk
from tests.conformance.test_disk import DiskConformance
from tests.simulation.disk import Environment, Fault, SimulatedDisk
from tests.simulation.media import Inode, Media
from tests.simulation.threads import SimulatedThreads
from tests.simulation.world import World

DATA = Path("/data")


@pytest.fixture
def environment() -> Environment:
    world = World(0)
    return Environment(world, SimulatedThreads(world))


def content(media: Media, path: Path) -> bytes | None:
    node = media.node(path)
    return bytes(node.cached) if isinstance(node, Inode) else None


def after_power_cuts(environment: Environment, path: Path) -> set[bytes | None]:
    """Return all that a hundred power cuts leave of a file; None: not even its name."""
    dice = World(1).dice("power")
    return {content(environment.media.after_power_cut(dice), path) for _ in range(100)}


class TestSimulatedDisk(DiskConformance):
    """It does what a real one does."""

    @pytest.fixture
    def disk(self, environment: Environment) -> Disk:
        return SimulatedDisk(environment)

    @pytest.fixture
    def folder(self) -> Path:
        return DATA


def test_what_was_synced_survives_under_its_synced_name(environment: Environment) -> None:
    disk = SimulatedDisk(environment)
    disk.write_durably(DATA / "a", b"safe")

    assert after_power_cuts(environment, DATA / "a") == {b"safe"}


def test_a_name_that_was_not_synced_may_be_lost(environment: Environment) -> None:
    disk = SimulatedDisk(environment)
    file = disk.open_append(DATA / "a", create=True)
    file.write(b"safe")
    file.sync()

    assert after_power_cuts(environment, DATA / "a") == {None, b"safe"}


def test_a_rename_that_was_not_synced_may_be_lost_and_is_never_half_done(
    environment: Environment,
) -> None:
    disk = SimulatedDisk(environment)
    disk.write_durably(DATA / "a", b"old")
    disk.write(DATA / "b", b"new")
    disk.sync_filesystem(DATA)
    disk.replace(DATA / "b", DATA / "a")

    assert after_power_cuts(environment, DATA / "a") == {b"old", b"new"}


def test_an_unsynced_write_is_lost_torn_or_reordered_by_sectors(environment: Environment) -> None:
    disk = SimulatedDisk(environment)
    disk.write_durably(DATA / "a", b"-" * 100)
    disk.append(DATA / "a", b"x" * 1400)
    left = after_power_cuts(environment, DATA / "a")

    whole = b"-" * 100 + b"x" * 1400
    assert {b"-" * 100, whole} <= left
    assert b"-" * 100 + b"x" * 412 + bytes(512) + b"x" * 476 in left
    for one in left:
        assert one is not None
        for start in range(0, len(one), 512):
            sector = one[start : start + 512]
            assert sector == whole[start : start + 512] or not sector.strip(b"\0-")


def test_after_a_failed_sync_reads_show_what_no_later_sync_writes(
    environment: Environment,
) -> None:
    disk = SimulatedDisk(environment)
    disk.write_durably(DATA / "a", b"")
    file = disk.open_append(DATA / "a", create=False)
    file.write(b"lost")
    environment.dice = World(3).dice("disk")
    environment.faults.append(Fault("sync", errno.EIO, times=1))
    with pytest.raises(OSError, match="Input/output"):
        file.sync()
    file.sync()

    assert disk.read(DATA / "a") == b"lost"
    assert after_power_cuts(environment, DATA / "a") != {b"lost"}


def test_a_full_disk_takes_a_part(environment: Environment) -> None:
    disk = SimulatedDisk(environment)
    environment.capacity_bytes = 3
    with pytest.raises(OSError, match="No space"):
        disk.write(DATA / "a", b"12345")

    assert disk.read(DATA / "a") == b"123"


def test_a_fault_strikes_as_often_as_it_says_and_only_what_it_names() -> None:
    fault = Fault("sync", errno.EIO, start_us=10, end_us=20, times=2)

    assert not fault.hits("sync", 9)
    assert not fault.hits("write", 10)
    assert [fault.hits("sync", 10) for _ in range(3)] == [True, True, False]
    assert not Fault("", errno.EIO).hits("read", 10)
    assert Fault("", errno.EIO).hits("write", 10)


def test_what_is_mended_is_mended_in_every_copy_that_a_power_cut_may_bring_back(
    environment: Environment,
) -> None:
    disk = SimulatedDisk(environment)
    disk.write_durably(DATA / "well", b"good")
    disk.write_durably(DATA / "unlinked", b"-" * 600 + b"bad")
    disk.remove(DATA / "unlinked")
    disk.write(DATA / "unsynced", b"bad")
    assert environment.media.holds(b"bad")

    environment.media.mend(b"bad", b"BAD")

    assert not environment.media.holds(b"bad")
    assert after_power_cuts(environment, DATA / "unlinked") == {None, b"-" * 600 + b"BAD"}
    assert after_power_cuts(environment, DATA / "unsynced") == {None, b"BAD"}
    assert after_power_cuts(environment, DATA / "well") == {b"good"}


def test_a_bit_is_not_flipped_where_the_bytes_then_stand_elsewhere_too(
    environment: Environment,
) -> None:
    """The regression: the operator's copy "mended" another line as well, which was then refused."""
    disk = SimulatedDisk(environment)
    disk.write_durably(DATA / "a", b"x")
    dice = World(1).dice("rot")

    assert environment.media.flip(DATA / "a", 0, dice) is not None
    assert content(environment.media, DATA / "a") != b"x"
    disk.write_durably(DATA / "b", bytes(range(256)))

    before = content(environment.media, DATA / "a")
    assert environment.media.flip(DATA / "a", 0, dice) is None
    assert content(environment.media, DATA / "a") == before


def test_what_a_failed_sync_of_the_file_system_lost_is_told_by_the_file_s_own(
    environment: Environment,
) -> None:
    disk = SimulatedDisk(environment)
    file = disk.open_append(DATA / "a", create=True)
    file.write(b"lost")
    environment.faults.append(Fault("sync_filesystem", errno.EIO, times=1))
    with pytest.raises(OSError, match="a"):
        disk.sync_filesystem(DATA)

    with pytest.raises(OSError, match="a"):
        file.sync()
    file.sync()
