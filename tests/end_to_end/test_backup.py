"""`manifestctl backup`: what is in the file, while writers go on and whatever ends the writing."""

import os
import resource
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest

from manifestctl.command_line import main as manifestctl_main
from manifestctl.testing import Daemon
from tests.support.daemon_process import DaemonProcess, short_folder
from tests.support.manifestctl_process import PROGRAM, Run, runner

EVENT = b'{"seq":'


def fill(daemon: Daemon, count: int, prefix: str = "m") -> None:
    """Make `count` drafts and submit every other one."""
    with daemon.client() as client:
        for number in range(count):
            name = f"{prefix}{number}"
            client.create({"name": name, "version": "1.0.0"}, kind="agent", principal="author-7")
            if number % 2:
                client.submit(f"{name}@1.0.0", principal="author-7")


def backup(daemon: Daemon, file: Path) -> None:
    where = ["--commands", daemon.commands, "--events", daemon.events]
    assert manifestctl_main(["backup", str(file), *where]) == 0


def events_of(file: Path) -> list[bytes]:
    return [line for line in file.read_bytes().splitlines() if line.startswith(EVENT)]


def journal_of(daemon: Daemon) -> list[bytes]:
    return [
        line
        for segment in sorted((daemon.data_dir / "journal").glob("*.jsonl"))
        for line in segment.read_bytes().splitlines()
        if line.startswith(EVENT)
    ]


def test_a_backup_holds_the_journal_s_lines_and_verifies_without_a_daemon(
    daemon: Daemon, run: Run, tmp_path: Path
) -> None:
    fill(daemon, 20)
    file = tmp_path / "store.backup"

    said = run("backup", str(file)).stdout
    daemon.stop()

    assert "is whole: 20 manifests, 30 events" in said
    assert events_of(file) == journal_of(daemon)
    assert run("backup", "--verify", str(file)).stdout == said
    assert [path.name for path in tmp_path.iterdir() if "part" in path.name] == []
    assert file.stat().st_mode & 0o777 == 0o600


def test_while_writers_go_on_a_backup_is_the_journal_up_to_its_seq(
    daemon: Daemon, tmp_path: Path
) -> None:
    fill(daemon, 50)
    ended = threading.Event()
    written: list[int] = []

    def write() -> None:
        while not ended.is_set():
            fill(daemon, 10, prefix=f"w{len(written)}-")
            written.append(10)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(3):
            backup(daemon, tmp_path / f"{number}")
    finally:
        ended.set()
        writer.join()
    daemon.stop()

    journal = journal_of(daemon)
    for number in range(3):
        file = tmp_path / f"{number}"
        header = msgspec.json.decode(file.read_bytes().partition(b"\n")[0])["backup"]
        assert 75 <= header["seq"] < len(journal)
        assert events_of(file) == journal[: header["seq"]]


def test_what_is_not_whole_is_found_and_its_line_named(
    daemon: Daemon, run: Run, tmp_path: Path
) -> None:
    run("backup", "-")  # Of an empty store.
    fill(daemon, 3)
    file = tmp_path / "b"
    content = run("backup", "-").stdout.encode()
    lines = content.splitlines(keepends=True)
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 1

    file.write_bytes(content)
    assert verified(file) == 0
    for damaged in (flipped, b"".join(lines[:-1]), content[:-1], b""):
        file.write_bytes(damaged)
        assert verified(file) == 9
    complaint = run("backup", "--verify", str(file), status=9).stderr
    assert f"{file}, line 1: " in complaint
    assert "use another backup" in complaint


def verified(file: Path) -> int:
    return manifestctl_main(["backup", "--verify", str(file)])


def test_progress_is_told_on_standard_error_and_broadcast(tmp_path: Path) -> None:
    with short_folder() as folder, DaemonProcess(folder) as process:
        process.start()
        for number in range(4):
            process.result(op="create", manifest_id=f"m{number}", kind="agent", manifest={"n": 1})
        named = {"MANIFESTCTL_COMMANDS": process.commands, "MANIFESTCTL_EVENTS": process.events}
        with process.subscriber(b"progress/backup") as subscriber:
            told = runner(os.environ | named)("backup", str(tmp_path / "b"), "--progress", "json")
            broadcast: list[dict[str, Any]] = []
            while not broadcast or broadcast[-1]["type"] != "complete":
                assert subscriber.poll(10_000)
                topic, body = subscriber.recv_multipart()
                assert topic == b"progress/backup"
                broadcast.append(msgspec.json.decode(body))

    for events in ([msgspec.json.decode(line) for line in told.stderr.splitlines()], broadcast):
        assert events[0]["type"] == "start"
        assert events[-1]["type"] == "complete"
        assert events[-1]["metadata"]["seq"] == 4
        assert {one["operation"] for one in events} == {"backup"}


def test_on_a_full_disk_there_is_no_backup_and_the_old_one_stays(
    daemon: Daemon, tmp_path: Path
) -> None:
    fill(daemon, 2)
    file = tmp_path / "b"
    backup(daemon, file)
    before = file.read_bytes()
    fill(daemon, 40, prefix="more")

    def small_files_only() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (16_384, 16_384))

    done = subprocess.run(
        [*PROGRAM, "backup", str(file)],
        env=daemon.environ,
        preexec_fn=small_files_only,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 8
    assert "no backup was made" in done.stderr
    assert file.read_bytes() == before
    assert not (tmp_path / ".b.part").exists()


def test_a_killed_backup_leaves_nothing_under_the_name_and_the_next_one_works(
    daemon: Daemon, tmp_path: Path
) -> None:
    fill(daemon, 20)
    file = tmp_path / "b"
    process = subprocess.Popen(
        [*PROGRAM, "backup", str(file), "--progress", "json"],
        env=daemon.environ,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    assert b"start" in process.stderr.readline()
    process.send_signal(signal.SIGSTOP)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stderr.close()

    assert not file.exists()
    backup(daemon, file)
    assert verified(file) == 0


def test_a_folder_that_is_not_there_is_named(
    daemon: Daemon, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "no" / "b"

    assert manifestctl_main(["backup", str(file), "--commands", daemon.commands]) == 2

    assert f"cannot write {file}: No such file or directory" in capsys.readouterr().err
