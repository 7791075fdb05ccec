"""Whom to hang up on when there are too many connections."""

import socket
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from daemon.connections import Connection, to_hang_up
from daemon.door import CLOSED_SUFFIX, Door
from tests.support.daemon_process import short_folder


def connected(**held: int) -> list[Connection]:
    """Return connections of processes `p1`, `p2`, …, taking turns."""
    longest = max(held.values())
    turns = [
        int(name[1:]) for turn in range(longest) for name, count in held.items() if turn < count
    ]
    return [Connection(descriptor, pid) for descriptor, pid in enumerate(turns, 10)]


def left(held: list[Connection], count: int) -> Counter[int]:
    gone = to_hang_up(held, count)
    return Counter(one.pid for one in held if one not in gone)


def test_who_holds_most_loses_until_all_hold_the_same() -> None:
    held = connected(p1=100, p2=10, p3=1)

    assert left(held, 90) == {1: 10, 2: 10, 3: 1}
    assert left(held, 100) == {1: 5, 2: 5, 3: 1}
    assert left(held, 1000) == {}


def test_the_newest_connections_of_a_process_go_first() -> None:
    held = connected(p1=5)

    assert to_hang_up(held, 2) == [Connection(14, 1), Connection(13, 1)]


def test_nobody_is_hung_up_on_without_need() -> None:
    assert to_hang_up(connected(p1=5), 0) == []


def connects(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as peer:
        try:
            peer.connect(str(path))
        except FileNotFoundError:
            return False
    return True


def test_nobody_comes_in_by_a_closed_door() -> None:
    with short_folder() as folder, socket.socket(socket.AF_UNIX) as listening:
        path = folder / "s"
        listening.bind(str(path))
        listening.listen(8)
        door = Door([str(path)])
        assert connects(path)
        door.close()
        door.close()
        assert not connects(path)
        assert not door.is_open
        door.open()
        door.open()
        assert connects(path)
        assert [*folder.iterdir()] == [path]


def test_a_name_that_somebody_else_took_stays_his(caplog: pytest.LogCaptureFixture) -> None:
    with short_folder() as folder, socket.socket(socket.AF_UNIX) as other:
        path = folder / "s"
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(path))
            door = Door([str(path), str(folder / "never bound")])
            door.close()
            other.bind(str(path))
            other.listen(8)
            door.open()
        assert connects(path)
        assert "taken by another process" in caplog.text
        assert not Path(f"{path}{CLOSED_SUFFIX}").exists()


def test_a_door_that_could_not_be_opened_is_opened_as_soon_as_there_is_room() -> None:
    with short_folder() as folder:
        options = ["-o", "nr_inodes=4"]  # A name takes one of them, also a second one of a file.
        command = ["mount", "-t", "tmpfs", *options, "tmpfs", str(folder)]
        mounted = subprocess.run(command, check=False, capture_output=True)
        if mounted.returncode:
            pytest.skip(f"no tmpfs can be mounted: {mounted.stderr.decode()}")
        try:
            with socket.socket(socket.AF_UNIX) as listening:
                path = folder / "s"
                listening.bind(str(path))
                listening.listen(8)
                door = Door([str(path)])
                door.close()
                for name in ("full", "of"):
                    (folder / name).touch()
                with pytest.raises(OSError, match="No space left"):
                    door.open()
                (folder / "of").unlink()
                door.open()
                assert door.is_open
                assert connects(path)
        finally:
            subprocess.run(["umount", str(folder)], check=True)
