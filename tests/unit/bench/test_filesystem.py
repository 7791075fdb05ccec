"""Whether a sync costs anything depends on what a folder is on."""

from pathlib import Path

import pytest

from bench.filesystem import filesystem_of, spread_subfolders

MOUNTS = """\
/dev/vda / ext4 rw 0 0
tmpfs /run tmpfs rw 0 0
/dev/vdb /run/on\\040disk xfs rw 0 0
tmpfs /srv tmpfs rw 0 0
/dev/vdc /srv btrfs rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/nowhere/x", "ext4"),
        ("/run/x", "tmpfs"),
        ("/runner", "ext4"),
        ("/run/on disk/x", "xfs"),
        ("/srv", "btrfs"),
    ],
)
def test_the_innermost_and_latest_mount_counts(path: str, expected: str) -> None:
    assert filesystem_of(Path(path), MOUNTS) == expected


def test_this_machine_has_one(tmp_path: Path) -> None:
    assert filesystem_of(tmp_path) != "unknown"


def test_asking_for_fresh_parts_of_the_disk_is_harmless_everywhere(tmp_path: Path) -> None:
    spread_subfolders(tmp_path)
    (tmp_path / "folder").mkdir()
    spread_subfolders(Path("/proc"))  # It knows no such flag.

    assert (tmp_path / "folder").is_dir()
