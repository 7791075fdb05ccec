"""The journal on real files: under strace, on a full file system, and where the plug is pulled."""

import fcntl
import os
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.journal.disk import OperatingSystemDisk
from daemon.journal.reserve import Reserve
from protocol.errors import StorageFullError
from tests.crash.journal.appending import EVENTS
from tests.unit.journal.journals import Running, recover_from, seqs

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = Path(__file__).with_name("appending.py")
GOING_DOWN = 0x8004587D  # FS_IOC_GOINGDOWN, ext4 and xfs; 2: without flushing anything.

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")


def append(data_directory: Path, *, strace: list[str], mode: str = "") -> tuple[int, list[int]]:
    """Run the program; return its exit status and the seqs that it said were acknowledged."""
    result = subprocess.run(
        [*strace, sys.executable, str(PROGRAM), str(data_directory), mode],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    acknowledged = [int(seq) for seq in re.findall(r"^ack (\d+)$", result.stdout, re.MULTILINE)]
    assert acknowledged or "open" in result.stdout or result.returncode, result.stderr
    return result.returncode, acknowledged


def recovered_seqs(data_directory: Path) -> list[int]:
    """Recover, and return what is there."""
    return seqs(recover_from(OperatingSystemDisk(), data_directory).tail)


def hasty_acknowledgements(trace: str) -> list[str]:
    """Return what was said while something that had been written was not synced.

    One event is under way at a time, so that order in the trace is order in the program.
    """
    unsynced: set[str] = set()
    hasty = []
    for line in trace.splitlines():
        if match := re.search(r"openat\(.*O_CREAT\|O_EXCL.* = \d+<(.*)/[^/]*\.jsonl>", line):
            unsynced.add(match[1])  # The folder: the new name is not durable.
        elif match := re.search(r"write\(\d+<(.*\.jsonl)>", line):
            unsynced.add(match[1])
        elif match := re.search(r"sync\(\d+<([^>]*)>", line):
            unsynced.discard(match[1])
        elif unsynced and '"ack ' in line:
            hasty.append(line)
    return hasty


@needs_strace
@pytest.mark.parametrize(("mode", "hasty"), [("", 0), ("no-sync", EVENTS)])
def test_every_acknowledgement_follows_the_sync_of_what_was_written(
    tmp_path: Path, mode: str, hasty: int
) -> None:
    data, trace = tmp_path / "data", tmp_path / "trace"
    data.mkdir()
    calls = "trace=write,fdatasync,fsync,openat"
    strace = ["strace", "-f", "-y", "-s", "40", "-o", str(trace), "-e", calls]

    status, acknowledged = append(data, strace=strace, mode=mode)

    assert (status, acknowledged) == (0, list(range(1, EVENTS + 1)))
    assert trace.read_text().count('"ack ') == EVENTS
    assert len(hasty_acknowledgements(trace.read_text())) == hasty


@needs_strace
@pytest.mark.parametrize("fault", ["signal=KILL", "error=EIO"])
@pytest.mark.parametrize("at", [1, 2, 5])
def test_no_acknowledged_event_is_lost_with_the_process(
    tmp_path: Path, fault: str, at: int
) -> None:
    inject = f"inject=fdatasync:{fault}:when={at}"
    strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync", "-e", inject]

    status, acknowledged = append(tmp_path, strace=strace)

    assert status == (74 if fault == "error=EIO" else -9)
    assert acknowledged == list(range(1, at))
    assert recovered_seqs(tmp_path) in (acknowledged, [*acknowledged, at])
    assert append(tmp_path, strace=[])[0] == 0
    assert recovered_seqs(tmp_path) == list(range(1, EVENTS + 1))


@pytest.fixture
def small_file_system(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 256 KiB in memory."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)],
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted: {mounted.stderr.decode()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@needs_root
async def test_a_full_file_system_refuses_and_takes_events_again_when_there_is_room(
    small_file_system: Path,
) -> None:
    disk = OperatingSystemDisk()
    ballast = small_file_system / "ballast"
    ballast.write_bytes(bytes(64 << 10))
    end = recover_from(disk, small_file_system).end
    reserve = Reserve(disk, small_file_system, size_bytes=48 << 10)
    assert reserve.ensure()
    running = Running(disk, end, small_file_system, segment_size_bytes=32 << 10)
    seq = 0
    while not running.refusals:
        seq += 1
        await running.commit(seq)
    assert isinstance(running.refusals[0][1], StorageFullError)
    assert running.acknowledged == list(range(1, seq))
    assert recovered_seqs(small_file_system) == running.acknowledged
    await running.journal.close()

    assert not (small_file_system / "journal" / "reserve").exists()
    running = Running(
        disk,
        recover_from(disk, small_file_system).end,
        small_file_system,
        segment_size_bytes=32 << 10,
    )
    ballast.write_bytes(b"")
    while seq not in running.acknowledged:
        running.journal.try_resume()
        assert not running.journal.is_full()
        await running.commit(seq)
    await running.journal.close()

    assert running.failures == []
    assert recovered_seqs(small_file_system) == list(range(1, seq + 1))


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Make an ext4 file system in a file."""
    image = tmp_path / "image"
    image.write_bytes(bytes(16 << 20))
    if shutil.which("mkfs.ext4") is None:
        pytest.skip("needs mkfs.ext4")
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
    return image


def mount(image: Path) -> Path:
    """Mount `image` beside itself."""
    folder = image.with_name("mounted")
    folder.mkdir(exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-o", "loop", str(image), str(folder)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"no image can be mounted: {mounted.stderr.decode()}")
    return folder


def pull_the_plug(folder: Path) -> None:
    """Let the file system forget what it did not write, and unmount it."""
    descriptor = os.open(folder, os.O_RDONLY)
    fcntl.ioctl(descriptor, GOING_DOWN, struct.pack("I", 2))
    os.close(descriptor)
    subprocess.run(["umount", str(folder)], check=True)


@needs_root
@pytest.mark.parametrize(("mode", "kept"), [("", EVENTS), ("no-sync", 0)])
def test_what_was_acknowledged_is_there_when_the_plug_was_pulled(
    image: Path, mode: str, kept: int
) -> None:
    folder = mount(image)
    data = folder / "data"
    data.mkdir()
    OperatingSystemDisk().sync_directory(folder)
    status, acknowledged = append(data, strace=[], mode=mode)
    assert (status, acknowledged) == (0, list(range(1, EVENTS + 1)))

    pull_the_plug(folder)

    mount(image)
    try:
        if kept:
            assert recovered_seqs(data) == acknowledged
        else:  # The negative control: nothing was synced, and all of it is gone.
            sizes = [path.stat().st_size for path in (data / "journal").iterdir()]
            assert not any(sizes)
    finally:
        subprocess.run(["umount", str(folder)], check=True)
