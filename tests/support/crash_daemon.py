"""A real daemon that tests kill: a process, its store and its sockets.

Promise:  `start` returns when the daemon answers, or raises with what it said; nothing here sleeps
          or polls a clock: the end of the process is a readable descriptor (man 2 pidfd_open).
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec
import zmq

from tests.support.daemon_process import environment

START_S: Final = 60  # A loaded machine, a traced process.
RECONNECT_MS: Final = 5


class DaemonEndedError(Exception):
    """The daemon ended where it should have answered; `status` as in `Popen.returncode`."""

    def __init__(self, status: int, log: str) -> None:
        super().__init__(f"the daemon ended with status {status}; it said:\n{log}")
        self.status = status


class CrashDaemon:
    """`manifestd --dev` on `data_dir`; `program` may replace what Python runs.

    Its endpoints outlive its process, so that clients meet its next life. Used as a context manager
    it leaves no process behind. `daemon_process.DaemonProcess` is for tests with one life.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        program: Sequence[str] = ("-m", "daemon"),
        arguments: Sequence[str] = (),
    ) -> None:
        self.data_dir = data_dir
        self.program = tuple(program)
        self._arguments = tuple(arguments)
        # A folder of its own: pytest's may be too deep for the 107 bytes of a socket's path.
        self._folder = Path(tempfile.mkdtemp(prefix="md-"))
        self.commands = f"ipc://{self._folder}/c"
        self.events = f"ipc://{self._folder}/e"
        self._log = self._folder / "log"
        self._context = zmq.Context[zmq.Socket[bytes]]()
        self._process: subprocess.Popen[bytes] | None = None
        self._pidfd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self.kill()
        self._context.destroy(linger=0)
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def log(self) -> str:
        """What the daemon has said, in all its lives."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @property
    def threads(self) -> str:
        """A line for each thread: its state and the kernel's function it waits in (man 5 proc)."""
        assert self._process is not None
        tasks = sorted(Path(f"/proc/{self._process.pid}/task").iterdir())
        return "\n".join(f"{task.name} {_state(task)} {_text(task / 'wchan')}" for task in tasks)

    @property
    def pidfd(self) -> int:
        """A descriptor that becomes readable when the process has ended."""
        return self._pidfd

    def start(self, wrapper: Sequence[str] = ()) -> None:
        """Start the daemon, `wrapper` before its command, and wait for its first answer.

        Raises:
            DaemonEndedError: it ended before that; nothing runs any more.
        """
        self._spawn(wrapper)
        status = self._status_unless_answering()
        if status is not None:
            raise DaemonEndedError(status, self.log)

    def kill(self) -> None:
        """End the daemon with SIGKILL, if it still runs, and wait until it has."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Have the daemon drain and end; it must do so with status 0."""
        status = self._end(signal.SIGTERM)
        if status != 0:
            raise DaemonEndedError(status, self.log)

    def send_kill(self) -> None:
        """Send SIGKILL and do not wait; from any thread."""
        signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def wait(self) -> int:
        """Wait until the daemon ends by itself, and return its status."""
        return self._end(None)

    def socket(self, kind: int) -> "zmq.Socket[bytes]":
        """Return a new socket, connected to the commands, or for SUB to the events."""
        socket = self._context.socket(kind)
        socket.linger = 0
        socket.reconnect_ivl = RECONNECT_MS
        socket.connect(self.events if kind == zmq.SUB else self.commands)
        return socket

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send one request on a socket of its own and return the reply.

        Raises:
            DaemonEndedError: the daemon ended instead.
        """
        reply = self._exchange(request)
        if reply is None:
            raise DaemonEndedError(self._end(None), self.log)
        return reply

    def result(self, **request: Any) -> dict[str, Any]:  # noqa: ANN401 (members of a request)
        """Ask, expect ok, and return the result."""
        reply = self.ask(request)
        assert reply["ok"], (request, reply)
        result: dict[str, Any] = reply["result"]
        return result

    def _spawn(self, wrapper: Sequence[str]) -> None:
        assert self._process is None
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(*wrapper, sys.executable, *self.program, "--dev"),
                    *("--data-dir", str(self.data_dir)),
                    *("--commands", self.commands, "--events", self.events),
                    *self._arguments,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=Path(__file__).parents[2],
                env=environment(),
            )
        self._pidfd = os.pidfd_open(self._process.pid)

    def _status_unless_answering(self) -> int | None:
        if self._exchange({"op": "health"}) is None:
            return self._end(None)
        return None

    def _exchange(self, request: dict[str, Any]) -> dict[str, Any] | None:
        """Return the reply; None where the process ended first."""
        socket = self.socket(zmq.REQ)
        try:
            socket.send(msgspec.json.encode(request))
            poller = zmq.Poller()
            poller.register(socket, zmq.POLLIN)
            poller.register(self._pidfd, zmq.POLLIN)
            ready = dict(poller.poll(START_S * 1000))
            assert ready, f"no answer and no end within {START_S:g} s:\n{self.log}"
            if socket not in ready:
                return None
            reply: dict[str, Any] = msgspec.json.decode(socket.recv())
            return reply
        finally:
            socket.close()

    def _end(self, number: signal.Signals | None) -> int:
        assert self._process is not None
        process, self._process = self._process, None
        if number is not None:
            process.send_signal(number)
        try:
            return process.wait(START_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        finally:
            os.close(self._pidfd)
            self._pidfd = -1


def _state(task: Path) -> str:
    """Return the letter of a thread's state; "?" where it has ended."""
    return _text(task / "stat").rpartition(")")[2].strip()[:1] or "?"


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""  # The thread ended meanwhile.
