"""The cursor's file holds one seq, or it is an error: guessing would skip events."""

import os
from pathlib import Path

import pytest

from manifestctl.cursor import Cursor, Place
from manifestctl.session import UsageError

STORE = "5d0c2a4e-7f6b-4f0e-9c6e-3a1b2c3d4e5f"


def test_what_was_written_is_read(tmp_path: Path) -> None:
    cursor = Cursor(tmp_path / "seen")
    assert cursor.read() is None

    cursor.write(Place(7, STORE))
    cursor.write(Place(812, STORE))

    assert cursor.read() == (812, STORE)
    assert [path.name for path in tmp_path.iterdir()] == ["seen"]


def test_it_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    sync, replace = os.fdatasync, Path.replace

    def synced(descriptor: int) -> None:
        done.append(f"sync {Path(f'/proc/self/fd/{descriptor}').readlink().read_text()}")
        sync(descriptor)

    def renamed(path: Path, target: Path) -> Path:
        done.append(f"name {target.name}")
        return replace(path, target)

    monkeypatch.setattr(os, "fdatasync", synced)
    monkeypatch.setattr(Path, "replace", renamed)

    Cursor(tmp_path / "seen").write(Place(7, STORE))

    assert done == [f"sync 7 {STORE}\n", "name seen"]


def test_a_person_may_write_the_seq_alone(tmp_path: Path) -> None:
    (tmp_path / "seen").write_text("812\n")

    assert Cursor(tmp_path / "seen").read() == (812, None)


@pytest.mark.parametrize("content", [b"", b"-1", b"812 813", b"\xff", "٣".encode()])
def test_anything_else_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "seen").write_bytes(content)

    with pytest.raises(UsageError, match="seen"):
        Cursor(tmp_path / "seen").read()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot write the cursor .*: No such file"):
        Cursor(tmp_path / "nowhere" / "seen").write(Place(1))
