"""Where a backup goes: whole or not at all, for its owner alone, and never over a device or a FIFO."""

import os
import stat
from pathlib import Path
from typing import BinaryIO

import pytest

from manifestctl.durable_file import DurableFile, FileError


def keep(path: Path, expected: bytes = b"new") -> None:
    def check(file: BinaryIO) -> None:
        assert file.read() == expected

    with DurableFile(path) as file:
        file.write(b"new")
        file.keep(check)


def test_it_takes_the_place_of_what_stood_there_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "backup"
    path.write_bytes(b"old")

    keep(path)

    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["backup"]


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_regular_file_stays_what_it_is(tmp_path: Path, make: object) -> None:
    path = tmp_path / "backup"
    assert callable(make)
    make(path)
    before = path.stat()

    with pytest.raises(FileError, match=r"regular file|directory"):
        keep(path)

    assert os.path.samestat(before, path.stat())
    assert [one.name for one in tmp_path.iterdir()] == ["backup"]


def test_a_device_is_not_replaced() -> None:
    before = Path("/dev/null").stat()

    with pytest.raises(FileError, match="regular file"):
        keep(Path("/dev/null"))

    assert os.path.samestat(before, Path("/dev/null").stat())


def test_a_symbolic_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("real")

    keep(tmp_path / "link")

    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


def test_a_path_without_a_name_is_refused() -> None:
    with pytest.raises(FileError, match="directory"):
        keep(Path())


@pytest.mark.parametrize("trap", ["symlink_to", "hardlink_to"])
def test_a_link_in_the_way_of_the_temporary_file_harms_nobody(tmp_path: Path, trap: str) -> None:
    (tmp_path / "precious").write_bytes(b"mine")
    getattr(tmp_path / ".backup.part", trap)(tmp_path / "precious")

    with pytest.raises(FileError, match="not a file of ours"):
        keep(tmp_path / "backup")

    assert (tmp_path / "precious").read_bytes() == b"mine"


def test_a_fifo_in_the_way_of_the_temporary_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".backup.part")

    with pytest.raises(FileError, match="not a file of ours"):
        keep(tmp_path / "backup")


def test_what_a_killed_one_left_is_made_unreadable_to_others(tmp_path: Path) -> None:
    (tmp_path / ".backup.part").write_bytes(b"half")
    (tmp_path / ".backup.part").chmod(0o666)

    keep(tmp_path / "backup")

    assert (tmp_path / "backup").read_bytes() == b"new"
    assert stat.S_IMODE((tmp_path / "backup").stat().st_mode) == 0o600


def test_two_at_a_time_are_refused(tmp_path: Path) -> None:
    with (
        DurableFile(tmp_path / "backup"),
        pytest.raises(FileError, match="another process"),
    ):
        keep(tmp_path / "backup")

    assert not list(tmp_path.iterdir())


def test_what_fails_its_check_is_not_kept(tmp_path: Path) -> None:
    (tmp_path / "backup").write_bytes(b"old")

    with pytest.raises(AssertionError):
        keep(tmp_path / "backup", expected=b"something else")

    assert (tmp_path / "backup").read_bytes() == b"old"
    assert [one.name for one in tmp_path.iterdir()] == ["backup"]
