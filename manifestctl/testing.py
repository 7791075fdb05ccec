"""A real daemon for your tests.

In a `conftest.py`:

    pytest_plugins = ["manifestctl.testing"]

and in a test:

    def test_my_bot(daemon):
        with daemon.client() as client:
            client.create({"name": "echo", "version": "1.0.0"}, kind="agent")

It runs `manifestd --dev` as a process of its own, with a store in pytest's temporary folder, and
is stopped by SIGTERM at the end of the test, which fails unless the daemon drained and said so.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import pytest

from manifestctl.client import Client
from manifestctl.retry import RetryPolicy
from manifestctl.sync_client import SyncClient
from protocol.errors import ManifestdError, UnavailableError

START_S: Final = 30.0  # A machine that runs many tests at once is slow.
STOP_S: Final = 30.0
_POLL_S: Final = 0.25


class DaemonError(ManifestdError):
    """The daemon under test did not start or stop as it should; `log` is what it said."""

    def __init__(self, what: str, log: str) -> None:
        super().__init__(f"{what}; it said:\n{log}")
        self.log = log


class Daemon:
    """A `manifestd --dev` of its own: endpoints, store, process; may be restarted and killed.

    `commands` and `events` are its endpoints, `data_dir` its store, `arguments` more of its
    command line.
    """

    def __init__(self, data_dir: Path, *, arguments: Sequence[str] = ()) -> None:
        self.data_dir = data_dir
        # A folder of its own: pytest's may be too deep for the 107 bytes of a socket's path.
        self._sockets = Path(tempfile.mkdtemp(prefix="manifestd-"))
        self.commands = f"ipc://{self._sockets}/commands"
        self.events = f"ipc://{self._sockets}/events"
        self.log_file = data_dir.with_name(f"{data_dir.name}.log")
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id of the running daemon."""
        assert self._process is not None
        return self._process.pid

    @property
    def environ(self) -> dict[str, str]:
        """The environment in which `manifestctl` finds this daemon."""
        named = {"MANIFESTCTL_COMMANDS": self.commands, "MANIFESTCTL_EVENTS": self.events}
        return dict(os.environ) | named

    def start(self) -> None:
        """Start the daemon and wait until it answers; `DaemonError` when it does not."""
        assert self._process is None
        command = [sys.executable, "-m", "daemon", "--dev", "--data-dir", str(self.data_dir)]
        command += ["--commands", self.commands, "--events", self.events, *self._arguments]
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 (our own daemon)
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline_s = time.monotonic() + START_S
        with self.client(retry=RetryPolicy(timeout_s=_POLL_S)) as client:
            while True:
                try:
                    client.health()
                except UnavailableError as error:
                    status = self._process.poll()
                    if status is not None:
                        self._process = None
                        raise self._failed(f"manifestd ended with status {status}") from error
                    if time.monotonic() > deadline_s:
                        self.kill()
                        raise self._failed(f"no answer in {START_S:g} s") from error
                else:
                    return

    def stop(self) -> None:
        """Have the daemon drain and end; `DaemonError` unless it ends with status 0."""
        status = self._end(signal.SIGTERM)
        if status != 0:
            message = f"manifestd ended with status {status} instead of 0"
            raise self._failed(message)

    def kill(self) -> None:
        """End the daemon as a power cut would, but for what the kernel still writes."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop the daemon and start it again on the same store and endpoints."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Stop the daemon if it runs, and remove its sockets' folder."""
        try:
            if self._process is not None:
                self.stop()
        finally:
            shutil.rmtree(self._sockets, ignore_errors=True)

    def client(self, *, retry: RetryPolicy | None = None) -> SyncClient:
        """Return a new blocking client of this daemon; close it, or use `with`."""
        return SyncClient(self.commands, self.events, retry=retry)

    def async_client(self, *, retry: RetryPolicy | None = None) -> Client:
        """Return a new async client of this daemon; close it, or use `async with`."""
        return Client(self.commands, self.events, retry=retry)

    def _end(self, signal_number: signal.Signals) -> int:
        assert self._process is not None
        process, self._process = self._process, None
        process.send_signal(signal_number)
        try:
            return process.wait(STOP_S)
        except subprocess.TimeoutExpired as error:
            process.kill()
            process.wait()
            message = f"manifestd did not end within {STOP_S:g} s of {signal_number.name}"
            raise self._failed(message) from error

    def _failed(self, what: str) -> DaemonError:
        return DaemonError(what, self.log_file.read_text(errors="replace"))


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """Run a daemon for one test, with an empty store of its own."""
    running = Daemon(tmp_path / "store")
    try:
        running.start()
        yield running
    finally:
        running.close()
