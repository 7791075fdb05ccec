"""What is said of `quarantine/` after a redaction."""

from pathlib import Path

from daemon.journal.disk import OperatingSystemDisk
from daemon.redaction.quarantine import quarantine_warning


def test_of_a_quarantine_that_is_empty_or_not_there_nothing_is_said(tmp_path: Path) -> None:
    assert quarantine_warning(OperatingSystemDisk(), tmp_path) is None
    (tmp_path / "quarantine").mkdir()
    assert quarantine_warning(OperatingSystemDisk(), tmp_path) is None


def test_the_files_in_it_are_counted(tmp_path: Path) -> None:
    (tmp_path / "quarantine").mkdir()
    (tmp_path / "quarantine" / "kept").touch()

    assert "(1 files)" in str(quarantine_warning(OperatingSystemDisk(), tmp_path))


def test_one_that_is_no_folder_is_a_remark_and_no_failure(tmp_path: Path) -> None:
    (tmp_path / "quarantine").touch()

    assert "Not a directory" in str(quarantine_warning(OperatingSystemDisk(), tmp_path))
