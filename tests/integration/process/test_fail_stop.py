"""After a disk that fails: no "ok", no retry, exit 74 within a second. A full disk is no failure."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import zmq

from tests.support.daemon_process import ANSWER_S, DaemonProcess, short_folder

WAIT_MS = int(ANSWER_S * 1000)
DISK_FAILED = 74
# After the failing call strace shows it; from there on the process has this long.
END_WITHIN_S = 1.0

needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")


def injecting(folder: Path, call: str, fault: str) -> list[str]:
    """Return a wrapper under which `call` fails; the trace lists the calls with their times."""
    command = ["strace", "-f", "-qq", "-ttt", "--seccomp-bpf", "-o", str(folder / "trace")]
    if call == "write":  # Else it would hit the eventfds of libzmq and the loop, too.
        command += ["-P", str(folder / "data" / "journal" / f"{1:020}.jsonl")]
    return [*command, "-e", f"trace={call}", "-e", f"inject={call}:{fault}"]


def create_until_it_ends(daemon: DaemonProcess) -> list[tuple[float, str]]:
    """Create one manifest after another; return when each was acknowledged, and its id."""
    acknowledged: list[tuple[float, str]] = []
    assert daemon.process is not None
    with daemon.socket(zmq.DEALER) as dealer:
        for number in range(100_000):
            document = {"name": f"n{number}", "version": "1.0.0"}
            request = {"op": "create", "kind": "agent", "manifest": document}
            dealer.send_multipart([b"", json.dumps(request).encode()])
            while not dealer.poll(50):
                if daemon.process.poll() is not None:
                    return acknowledged
            reply = json.loads(dealer.recv_multipart()[-1])
            if reply["ok"]:
                acknowledged.append((time.time(), reply["result"]["manifest_id"]))
            else:
                assert reply["error"]["code"] == "UNAVAILABLE"
    pytest.fail("the fault was never met")


@needs_strace
@pytest.mark.parametrize(
    ("call", "fault", "said"),
    [
        ("fdatasync", "error=EIO:when=20", "committing to the journal"),
        ("write", "error=EIO:when=300", ""),
        ("syncfs", "error=EIO:when=3", "archive"),
        ("syncfs", "error=ENOSPC:when=3", "archive"),
        ("/rename", "error=EIO:when=9", "archive"),
    ],
)
def test_after_a_failed_sync_or_rename_nothing_is_acknowledged_and_the_daemon_ends(
    call: str, fault: str, said: str
) -> None:
    with short_folder() as folder:
        wrapper = injecting(folder, call, fault)
        with DaemonProcess(folder, wrapper=wrapper) as daemon:
            acknowledged = create_until_it_ends(daemon.start())
            ended_at = time.time()

            assert daemon.wait() == DISK_FAILED, daemon.log()
            failed = [line for line in (folder / "trace").read_text().splitlines() if "INJ" in line]
            failed_at = float(failed[0].split()[1])
            assert len(failed) == 1  # Nothing was tried again.
            assert ended_at - failed_at < END_WITHIN_S
            assert all(at < failed_at + 0.05 for at, _ in acknowledged)  # What was on its way.
            assert said in daemon.log()
            assert "Traceback" not in daemon.log()

        with DaemonProcess(folder) as again:  # What was acknowledged is there.
            again.start()
            ids = {row["manifest_id"] for row in all_rows(again)}
            assert {name for _, name in acknowledged} <= ids
            assert again.stop() == 0


def all_rows(daemon: DaemonProcess) -> Iterator[dict[str, Any]]:
    cursor: str | None = ""
    while cursor is not None:
        members = {"cursor": cursor} if cursor else {}
        page = daemon.result(op="list", limit=1000, **members)
        yield from page["manifests"]
        cursor = page["cursor"]


@needs_strace
def test_a_disk_that_fails_while_the_daemon_drains_ends_it_with_74_all_the_same() -> None:
    with short_folder() as folder:
        # `clean` is written last: its fsync is the first one after recovery and the pins.
        with DaemonProcess(folder) as daemon:
            daemon.start()
            assert daemon.stop() == 0
        wrapper = injecting(folder, "syncfs", "error=EIO:when=1+")
        with DaemonProcess(folder, wrapper=wrapper) as daemon:
            daemon.start()
            daemon.ask_bytes(
                b'{"op":"create","kind":"agent","manifest":{"name":"a","version":"1.0.0"}}'
            )
            assert daemon.stop() == DISK_FAILED, daemon.log()
            assert not (folder / "data" / "clean").exists()


@needs_strace
def test_a_disk_that_fails_in_recovery_is_said_in_one_line() -> None:
    with short_folder() as folder, DaemonProcess(folder) as first:
        first.start()
        first.process.kill()  # type: ignore[union-attr]
        first.wait()
        wrapper = injecting(folder, "fsync", "error=EIO:when=1")
        with DaemonProcess(folder, wrapper=wrapper) as daemon:
            daemon.spawn()
            assert daemon.wait() == DISK_FAILED
            assert "manifestd: re" in daemon.log()
            assert "Input/output error; stopping" in daemon.log()
            assert "Traceback" not in daemon.log()


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """Mount a file system of its own at `folder`."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("only root can mount a small file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def document(number: int) -> dict[str, object]:
    return {"name": f"n{number}", "version": "1.0.0", "text": "x" * 50_000}


def test_on_a_full_disk_reads_go_on_and_writes_come_back_by_themselves() -> None:
    with (
        short_folder() as folder,
        small_disk(folder / "data", "8m") as data,
        DaemonProcess(folder) as daemon,
    ):
        daemon.start()
        kept: list[str] = []
        while (reply := create(daemon, len(kept)))["ok"]:
            kept.append(reply["result"]["manifest_id"])
        assert reply["error"]["code"] == "STORAGE_FULL"
        assert reply["error"]["retryable"]
        assert reply["error"]["suggestion"]

        saw_read_only(daemon, len(kept))
        for manifest_id in kept:
            assert daemon.result(op="get", manifest_id=manifest_id)["version"] == 1
        assert daemon.result(op="feed", after_seq=0, limit=10)["events"]

        subprocess.run(["mount", "-o", "remount,size=64m", str(data)], check=True)
        deadline_s = time.monotonic() + ANSWER_S
        while not (reply := create(daemon, len(kept)))["ok"]:
            assert reply["error"]["code"] == "STORAGE_FULL"
            assert time.monotonic() < deadline_s
        kept.append(reply["result"]["manifest_id"])
        assert daemon.result(op="health")["status"] == "ok"
        assert daemon.result(op="status")["writable"]
        assert daemon.stop() == 0, daemon.log()

        daemon.start()
        assert {row["manifest_id"] for row in all_rows(daemon)} == set(kept)
        assert daemon.result(op="verify")["events"] == len(kept)
        assert daemon.stop() == 0


def create(daemon: DaemonProcess, number: int) -> dict[str, Any]:
    return daemon.ask(op="create", kind="agent", manifest=document(number))


def saw_read_only(daemon: DaemonProcess, number: int) -> None:
    """Return when `health` and `status`, asked right after a refused write, say so."""
    deadline_s = time.monotonic() + ANSWER_S
    while time.monotonic() < deadline_s:
        assert not create(daemon, number)["ok"]
        health, status = daemon.result(op="health"), daemon.result(op="status")
        if health["status"] == "read-only" and not status["writable"]:
            return
    pytest.fail(f"never read-only: {health} {status}")
