"""The processes that are measured: started, found ready, their CPU read, stopped."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
START_TIMEOUT_S: Final = 30.0
STOP_TIMEOUT_S: Final = 60.0
POLL_INTERVAL_S: Final = 0.01
LOG_SHOWN_MAX: Final = 4000  # Characters, from its end.
_UTIME_AND_STIME: Final = slice(11, 13)  # Of /proc/PID/stat behind the name (proc_pid_stat(5)).


class StartError(Exception):
    """A process ended, or did not listen in time."""


def command(module: str, *arguments: str) -> list[str]:
    """Return the command line that runs one of our modules."""
    return [sys.executable, "-m", module, *arguments]


def cpu_s(pid: int) -> float:
    """Return the CPU time that a process has used, all threads, user and system."""
    stat = Path(f"/proc/{pid}/stat").read_text()
    ticks = stat.rpartition(")")[2].split()[_UTIME_AND_STIME]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


@contextmanager
def running(arguments: list[str], listens_at: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server, from the moment it listens at a socket's path until the context ends.

    Raises:
        StartError: it does not listen.

    Whatever goes wrong meanwhile is raised with a note of what it wrote to `log`.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(arguments, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
    try:
        _wait_until_listening(process, listens_at)
        yield process
    except Exception as error:
        error.add_note(f"the server said:\n{log.read_text()[-LOG_SHOWN_MAX:]}")
        raise
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ask a process to end, and see that it did."""
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


def _wait_until_listening(process: subprocess.Popen[bytes], path: Path) -> None:
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline_s:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(path))
            except OSError:
                time.sleep(POLL_INTERVAL_S)
            else:
                return
    message = f"{process.args!r} does not listen at {path}"
    raise StartError(message)
