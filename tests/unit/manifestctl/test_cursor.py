"""The cursor's file holds one seq, or it is an error: guessing would skip events."""

from pathlib import Path

import pytest

from manifestctl.cursor import Cursor
from manifestctl.session import UsageError


def test_what_was_written_is_read(tmp_path: Path) -> None:
    cursor = Cursor(tmp_path / "seen")
    assert cursor.read() is None

    cursor.write(7)
    cursor.write(812)

    assert cursor.read() == 812
    assert [path.name for path in tmp_path.iterdir()] == ["seen"]


@pytest.mark.parametrize("content", [b"", b"-1", b"812 813", b"\xff", "٣".encode()])
def test_anything_else_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "seen").write_bytes(content)

    with pytest.raises(UsageError, match="seen"):
        Cursor(tmp_path / "seen").read()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot write the cursor .*: No such file"):
        Cursor(tmp_path / "nowhere" / "seen").write(1)
