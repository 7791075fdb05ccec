"""What every `Disk` does, the real one and the one that tests injure; so they may trust the latter."""

import errno
import stat
from pathlib import Path

import pytest

from daemon.journal.disk import Disk, OperatingSystemDisk
from tests.support.faulty_disk import FaultyDisk


class DiskConformance:
    """The checks. A subclass says which disk, and which existing folder to work in."""

    @pytest.fixture
    def disk(self) -> Disk:
        """Return the disk under test."""
        raise NotImplementedError

    @pytest.fixture
    def folder(self) -> Path:
        """Return an empty folder that exists."""
        raise NotImplementedError

    def test_appends_follow_one_another(self, disk: Disk, folder: Path) -> None:
        file = disk.open_append(folder / "a", create=True)
        file.write(b"one")
        file.write(b"two")
        file.sync()
        file.close()

        assert disk.read(folder / "a") == b"onetwo"
        assert disk.size(folder / "a") == 6

    def test_create_refuses_a_file_that_exists(self, disk: Disk, folder: Path) -> None:
        disk.write(folder / "a", b"there")

        with pytest.raises(FileExistsError):
            disk.open_append(folder / "a", create=True)

        assert disk.read(folder / "a") == b"there"

    def test_opening_without_create_needs_the_file(self, disk: Disk, folder: Path) -> None:
        with pytest.raises(FileNotFoundError):
            disk.open_append(folder / "a", create=False)

    def test_a_file_needs_its_folder(self, disk: Disk, folder: Path) -> None:
        with pytest.raises(FileNotFoundError):
            disk.open_append(folder / "none" / "a", create=True)
        with pytest.raises(FileNotFoundError):
            disk.write(folder / "none" / "a", b"")

    def test_an_open_file_appends_behind_a_truncation(self, disk: Disk, folder: Path) -> None:
        file = disk.open_append(folder / "a", create=True)
        file.write(b"kept, cut")
        file.truncate(4)
        file.write(b"!")
        file.sync()
        file.close()

        assert disk.read(folder / "a") == b"kept!"

    def test_an_existing_file_is_opened_at_its_end(self, disk: Disk, folder: Path) -> None:
        disk.write(folder / "a", b"one")
        file = disk.open_append(folder / "a", create=False)
        file.write(b"two")
        file.close()

        assert disk.read(folder / "a") == b"onetwo"

    @pytest.mark.parametrize(
        ("offset", "size", "expected"),
        [(0, -1, b"0123"), (1, 2, b"12"), (2, 9, b"23"), (4, 1, b""), (9, 1, b""), (2, -1, b"23")],
    )
    def test_read_gives_what_is_there(
        self, disk: Disk, folder: Path, offset: int, size: int, expected: bytes
    ) -> None:
        disk.write(folder / "a", b"0123")

        assert disk.read(folder / "a", offset, size) == expected

    def test_what_is_missing_is_said_to_be_missing(self, disk: Disk, folder: Path) -> None:
        with pytest.raises(FileNotFoundError):
            disk.read(folder / "a")
        with pytest.raises(FileNotFoundError):
            disk.size(folder / "a")

    def test_names_are_sorted_and_hold_files_and_folders(self, disk: Disk, folder: Path) -> None:
        disk.write(folder / "b", b"")
        disk.make_directory(folder / "a" / "deeper")

        assert disk.list_names(folder) == ["a", "b"]
        assert disk.list_names(folder / "a") == ["deeper"]
        assert disk.list_names(folder / "none") == []

    def test_making_a_folder_twice_is_fine(self, disk: Disk, folder: Path) -> None:
        disk.make_directory(folder / "a")
        disk.make_directory(folder / "a")

        assert disk.list_names(folder) == ["a"]

    def test_write_replaces_the_content(self, disk: Disk, folder: Path) -> None:
        disk.write(folder / "a", b"longer")
        disk.write(folder / "a", b"new")

        assert disk.read(folder / "a") == b"new"

    def test_append_creates_and_tells_the_size_before(self, disk: Disk, folder: Path) -> None:
        assert disk.append(folder / "a", b"one") == 0
        assert disk.append(folder / "a", b"two") == 3
        assert disk.read(folder / "a") == b"onetwo"

    def test_replace_moves_over_the_target(self, disk: Disk, folder: Path) -> None:
        disk.write(folder / "a", b"new")
        disk.write(folder / "b", b"old")

        disk.replace(folder / "a", folder / "b")

        assert disk.list_names(folder) == ["b"]
        assert disk.read(folder / "b") == b"new"
        with pytest.raises(FileNotFoundError):
            disk.replace(folder / "a", folder / "b")

    def test_remove_is_content_with_nothing(self, disk: Disk, folder: Path) -> None:
        disk.write(folder / "a", b"")

        disk.remove(folder / "a")
        disk.remove(folder / "a")

        assert disk.list_names(folder) == []

    def test_cut_leaves_the_front(self, disk: Disk, folder: Path) -> None:
        disk.write(folder / "a", b"kept, cut")

        disk.cut(folder / "a", 4)

        assert disk.read(folder / "a") == b"kept"

    def test_allocate_occupies_the_size(self, disk: Disk, folder: Path) -> None:
        disk.allocate(folder / "a", 5000)
        disk.allocate(folder / "a", 5000)

        assert disk.size(folder / "a") == 5000

    def test_write_durably_leaves_one_file(self, disk: Disk, folder: Path) -> None:
        disk.write_durably(folder / "a", b"one")
        disk.write_durably(folder / "a", b"two")

        assert disk.list_names(folder) == ["a"]
        assert disk.read(folder / "a") == b"two"

    def test_syncing_folders_needs_them(self, disk: Disk, folder: Path) -> None:
        disk.sync_directory(folder)
        disk.sync_filesystem(folder)

        with pytest.raises(FileNotFoundError):
            disk.sync_directory(folder / "none")

    def test_a_lock_is_held_by_one_until_it_is_given_back(self, disk: Disk, folder: Path) -> None:
        descriptor = disk.lock(folder / "lock")
        with pytest.raises(BlockingIOError) as caught:
            disk.lock(folder / "lock")
        assert caught.value.errno == errno.EAGAIN

        disk.unlock(descriptor)

        disk.unlock(disk.lock(folder / "lock"))


class TestOperatingSystemDisk(DiskConformance):
    @pytest.fixture
    def disk(self) -> Disk:
        return OperatingSystemDisk()

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return tmp_path

    def test_only_the_group_may_look_into_a_folder_or_its_parents(
        self, disk: Disk, folder: Path
    ) -> None:
        disk.make_directory(folder / "a" / "b" / "c")

        for path in (folder / "a", *(folder / "a").rglob("*")):
            assert stat.S_IMODE(path.stat().st_mode) & 0o007 == 0, path

    def test_a_folder_that_cannot_be_made_is_an_error(self, disk: Disk) -> None:
        with pytest.raises(FileNotFoundError):
            disk.make_directory(Path("/proc/none"))

    def test_a_folder_is_not_made_where_a_file_is(self, disk: Disk, folder: Path) -> None:
        disk.write(folder / "a", b"")

        with pytest.raises(FileExistsError):
            disk.make_directory(folder / "a")


class TestFaultyDisk(DiskConformance):
    @pytest.fixture
    def disk(self) -> Disk:
        return FaultyDisk()

    @pytest.fixture
    def folder(self) -> Path:
        return Path("/data")
