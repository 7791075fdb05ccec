"""Processes that are measured: started, found ready, measured, stopped."""

import os
import sys
from pathlib import Path

import pytest

from bench.processes import StartError, command, cpu_s, running


def test_a_server_runs_from_when_it_listens_until_the_context_ends(tmp_path: Path) -> None:
    socket = tmp_path / "echo"
    server = command("bench.echo", f"ipc://{socket}", "frames")

    with running(server, socket, tmp_path / "log") as process:
        assert process.poll() is None
        assert cpu_s(process.pid) > 0

    assert process.returncode == 0


def test_a_server_that_does_not_start_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    server = [sys.executable, "-c", "raise SystemExit('no luck today')"]

    with (
        pytest.raises(StartError) as raised,
        running(server, tmp_path / "socket", tmp_path / "log"),
    ):
        pass

    assert "no luck today" in "".join(raised.value.__notes__)


def test_cpu_time_is_that_of_user_and_system() -> None:
    before_s = cpu_s(os.getpid())
    used = os.times()

    assert before_s == pytest.approx(used.user + used.system, abs=0.1)
