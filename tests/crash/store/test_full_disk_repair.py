"""`fsck --repair` where there is no room at all: in `journal/reserve`, or not, and then nothing changed.

On file systems that really are full: a tmpfs, and ext4 on a loop device.
"""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from daemon.command_line import main
from daemon.errors import NoRoomForItError
from daemon.journal.disk import OperatingSystemDisk
from daemon.journal.reserve import Reserve
from daemon.offline.fsck import Check
from daemon.offline.verify import surveyed
from tests.support.power_cut import LoopDisk, why_not
from tests.support.small_store import DATA, make_small, read_all_of

WHOLE, CONTENTS = asyncio.run(make_small())
RESERVE_SIZE_BYTES = 256 << 10
DISK_FAILED = 74


@contextmanager
def tmpfs(folder: Path) -> Iterator[Path]:
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    mounted = subprocess.run(command, check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted: {mounted.stderr.decode()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@contextmanager
def ext4(_: Path) -> Iterator[Path]:
    reason = why_not("ext4")
    if reason is not None:
        pytest.skip(reason)
    with LoopDisk("ext4") as disk:
        yield disk.mount_point


@pytest.fixture(params=[tmpfs, ext4], ids=["tmpfs", "ext4"])
def small_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """Return an empty file system that is soon full."""
    with request.param(tmp_path / "small") as folder:
        yield folder


def lay_down(folder: Path) -> Path:
    """Put the small store there, with a segment, a log and a snapshot damaged, and a reserve."""
    store = folder / "s"
    for path, content in WHOLE.files().items():
        target = store / path.relative_to(DATA)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    for path in damaged_files(store):
        damaged = bytearray(path.read_bytes())
        damaged[100] ^= 4
        path.write_bytes(damaged)
    assert Reserve(OperatingSystemDisk(), store, RESERVE_SIZE_BYTES).ensure()
    return store


def damaged_files(store: Path) -> list[Path]:
    log = next(store.glob("manifests/*/b/events.log"))
    return [store / "journal" / "00000000000000000001.jsonl", log, log.with_name("state.json")]


def fill(folder: Path) -> None:
    """Leave no room, not even for a file of one byte."""
    for size in (1 << 20, 64 << 10, 4096, 1):
        number = 0
        while True:
            number += 1
            try:
                with (folder / f"ballast-{size}-{number}").open("wb", buffering=0) as ballast:
                    while ballast.write(bytes(size)) == size:
                        pass
            except OSError:
                break
    assert not has_room(folder)


def has_room(folder: Path) -> bool:
    path = folder / "probe"
    try:
        path.write_bytes(b"x" * 4096)
    except OSError:
        return False
    finally:
        path.unlink(missing_ok=True)
    return True


def tree(store: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in store.rglob("*") if path.is_file()}


def test_a_repair_takes_the_room_of_the_reserve(
    small_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = lay_down(small_disk)
    fill(small_disk)

    status = main(["fsck", "--repair", "--data-dir", str(store)])

    said = capsys.readouterr().out
    assert status == 0, said
    assert "journal/reserve gave its room" in said
    assert not (store / "journal" / "reserve").exists()
    assert not surveyed(OperatingSystemDisk(), store).report.findings
    whole = WHOLE.files()
    for path in damaged_files(store):
        assert path.read_bytes() == whole[DATA / path.relative_to(store)]
    assert len([*(store / "quarantine").iterdir()]) == 3


def test_without_a_reserve_it_says_so_and_changes_nothing(
    small_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = lay_down(small_disk)
    (store / "journal" / "reserve").unlink()
    fill(small_disk)
    before = tree(store)

    status = main(["fsck", "--repair", "--data-dir", str(store)])

    assert status == DISK_FAILED
    assert "no room to repair" in capsys.readouterr().err
    assert tree(store) == before
    ballast = next(small_disk.glob("ballast-65536-1"))
    ballast.unlink()
    for more in small_disk.glob("ballast-1048576-*"):
        more.unlink()
    assert main(["fsck", "--repair", "--data-dir", str(store)]) == 0


def test_where_the_reserve_does_not_suffice_it_is_there_again(
    small_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = lay_down(small_disk)
    large = store / "journal" / "00000000000000000001.jsonl"
    large.write_bytes(large.read_bytes() + b"?" * RESERVE_SIZE_BYTES)  # It is kept, and has to fit.
    fill(small_disk)
    before = tree(store)

    assert main(["fsck", "--repair", "--data-dir", str(store)]) == DISK_FAILED

    assert "no room to repair" in capsys.readouterr().err
    assert tree(store) == before
    assert os.stat(store / "journal" / "reserve").st_blocks * 512 >= RESERVE_SIZE_BYTES  # noqa: PTH116


def test_wherever_the_room_ends_all_of_it_is_done_or_nothing() -> None:
    seen = set()
    for room_bytes in range(0, 96_000, 4_000):
        disk = WHOLE.after_kill()
        for path, content in disk.files().items():
            if path.name in {"events.log", "00000000000000000001.jsonl"}:
                disk.put(path, content[:100] + bytes([content[100] ^ 4]) + content[101:])
        before = disk.files()
        disk.capacity_bytes = sum(map(len, before.values())) + room_bytes
        check = Check(disk, DATA, repair=True)
        try:
            check.run()
        except NoRoomForItError:
            seen.add("refused")
            assert disk.files() == before
            disk.capacity_bytes = None
            check.run()
        else:
            seen.add("done")
        assert not check.is_damaged
        assert asyncio.run(read_all_of(disk)) == CONTENTS
    assert seen == {"refused", "done"}
