"""A store through export, import and backup, restore: the same lines at the end."""

import io
import subprocess
import sys
from pathlib import Path

import pytest

from manifestctl.testing import Daemon
from tests.support.daemon_process import environment
from tests.support.exported import LIFE, exported
from tests.support.manifestctl_process import PROGRAM

RSS_GROWTH_BYTES_MAX = 160 << 20


def manifestd(*arguments: str, stdin: bytes = b"") -> None:
    done = subprocess.run(
        [sys.executable, "-m", "daemon", *arguments],
        input=stdin,
        capture_output=True,
        check=False,
        env=environment(),
    )
    assert done.returncode == 0, done.stderr.decode()


def output_of(daemon: Daemon, *arguments: str) -> bytes:
    done = subprocess.run(
        [*PROGRAM, *arguments], capture_output=True, check=False, env=daemon.environ
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def rss_bytes(daemon: Daemon) -> int:
    status = Path(f"/proc/{daemon.pid}/status").read_text()
    line = next(one for one in status.splitlines() if one.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def check_round_trip(tmp_path: Path, count: int) -> None:
    """Import a synthetic history, and take it out and in again in both ways."""
    lines = b"".join(line + b"\n" for line in exported(count))
    history: list[bytes] = []
    states: list[bytes] = []
    backups: list[bytes] = []
    file = tmp_path / "file"
    manifestd("import", "-", "--data-dir", str(tmp_path / "0"), stdin=lines)
    for turn in range(3):
        daemon = Daemon(tmp_path / f"{turn}")
        daemon.start()
        try:
            before_bytes = rss_bytes(daemon)
            history.append(output_of(daemon, "export", "--history"))
            states.append(output_of(daemon, "export"))
            output_of(daemon, "backup", str(file))
            assert rss_bytes(daemon) - before_bytes < RSS_GROWTH_BYTES_MAX
        finally:
            daemon.close()
        backups.append(b"".join(io.BytesIO(file.read_bytes()).readlines()[1:-1]))
        if turn == 0:
            manifestd("import", "-", "--data-dir", str(tmp_path / "1"), stdin=history[0])
        elif turn == 1:
            manifestd("restore", str(file), "--data-dir", str(tmp_path / "2"))
    assert states[0].count(b"\n") == count // len(LIFE)
    assert states[1:] == states[:1] * 2
    assert history[1:] == history[:1] * 2
    assert backups == history  # Without its first and its last line a backup is that.
    assert lines.splitlines()[1:] == [
        line for line in history[0].splitlines() if line.startswith(b'{"seq":')
    ]


def test_600_events_come_back_as_they_were(tmp_path: Path) -> None:
    check_round_trip(tmp_path, 600)


@pytest.mark.long
def test_100000_events_come_back_as_they_were(tmp_path: Path) -> None:
    check_round_trip(tmp_path, 100_000)
