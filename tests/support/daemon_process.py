"""A real daemon in a process of its own, spoken to with plain sockets and no client of ours.

`manifestctl.testing.Daemon` is what users get; this one also starts daemons that fail, daemons
under another program (`wrapper`), and looks at what they say to their service manager.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import zmq

START_S = 30.0  # A machine that runs many tests at once is slow.
STOP_S = 30.0  # TimeoutStopSec= of the unit.
ANSWER_S = 20.0
_POLL_MS = 100

Socket = zmq.Socket[bytes]


def environment(**variables: str) -> dict[str, str]:
    """Return what a child gets: none of our settings but these, coverage's switch as it is."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MANIFESTD_", "NOTIFY_"))}
    return kept | variables


@contextmanager
def short_folder() -> Iterator[Path]:
    """Yield a folder whose sockets' paths fit into 107 bytes, open to every local user."""
    folder = Path(tempfile.mkdtemp(prefix="md-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class DaemonProcess:
    """One daemon on `folder`: sockets `c` and `e`, store `data`, what it says in `log`."""

    def __init__(
        self,
        folder: Path,
        *,
        arguments: Sequence[str] = (),
        variables: Mapping[str, str] | None = None,
        wrapper: Sequence[str] = (),
        program: Sequence[str] = ("-m", "daemon"),
        dev: bool = True,
    ) -> None:
        self.folder = folder
        self.is_wrapped = bool(wrapper)
        self.data_dir = folder / "data"
        self.commands = f"ipc://{folder}/c"
        self.events = f"ipc://{folder}/e"
        self.log_file = folder / "log"
        self.command = [*wrapper, sys.executable, *program, *(["--dev"] if dev else [])]
        self.command += ["--data-dir", str(self.data_dir)]
        self.command += ["--commands", self.commands, "--events", self.events, *arguments]
        self.environment = environment(**(variables or {}))
        self.context: zmq.Context[Socket] = zmq.Context()
        self.process: subprocess.Popen[bytes] | None = None
        self.pid = 0  # The daemon's own, also under a wrapper.

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid or self.process.pid, signal.SIGKILL)
            self.process.wait(STOP_S)
        self.context.destroy(linger=0)

    def spawn(self) -> None:
        """Start the process, and wait for nothing."""
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment,
                cwd=Path(__file__).parent.parent.parent,
            )
        self.pid = 0

    def start(self) -> Self:
        """Start the daemon and wait until it answers."""
        self.spawn()
        assert self.process is not None
        deadline_s = time.monotonic() + START_S
        with self.socket(zmq.REQ) as request:
            request.send(b'{"op":"health"}')
            while not request.poll(_POLL_MS):
                assert self.process.poll() is None, self.log()
                assert time.monotonic() < deadline_s, self.log()
        self.pid = self.process.pid
        if self.is_wrapped:
            self.pid = self.result(op="status")["pid"]
        return self

    def log(self) -> str:
        """What the daemon has written so far."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def socket(
        self,
        kind: int,
        endpoint: str | None = None,
        *,
        options: Mapping[int, int] | None = None,
        routing_id: bytes = b"",
    ) -> Socket:
        """Return a connected socket of this test's; nothing it holds outlives it."""
        opened = self.context.socket(kind)
        for option, value in (options or {}).items():
            opened.setsockopt(option, value)
        if routing_id:
            opened.setsockopt(zmq.ROUTING_ID, routing_id)
        opened.setsockopt(zmq.LINGER, 0)
        opened.setsockopt(zmq.RECONNECT_IVL, 20)
        opened.connect(endpoint or (self.events if kind == zmq.SUB else self.commands))
        return opened

    def subscriber(self, *topics: bytes) -> Socket:
        """Return a SUB socket that has seen a probe of its own: it misses nothing from here on."""
        opened = self.socket(zmq.SUB)
        token = os.urandom(8).hex()
        for topic in (*topics, f"probe/{token}".encode()):
            opened.setsockopt(zmq.SUBSCRIBE, topic)
        deadline_s = time.monotonic() + ANSWER_S
        is_heard = False
        while not is_heard:  # Subscriptions arrive one by one: another topic's is no sign of it.
            assert time.monotonic() < deadline_s, self.log()
            self.ask(op="probe", token=token)
            while not is_heard and opened.poll(_POLL_MS):
                is_heard = opened.recv_multipart()[0].startswith(b"probe/")
        opened.setsockopt(zmq.UNSUBSCRIBE, f"probe/{token}".encode())
        return opened

    def ask_bytes(self, body: bytes, *, endpoint: str | None = None) -> bytes:
        """Send one body over a REQ socket of its own and return the reply's."""
        with self.socket(zmq.REQ, endpoint) as request:
            request.send(body)
            assert request.poll(int(ANSWER_S * 1000)), f"no answer to {body[:200]!r}\n{self.log()}"
            return request.recv()

    def ask(self, **members: object) -> dict[str, Any]:
        """Send one request and return the whole reply."""
        reply: dict[str, Any] = json.loads(self.ask_bytes(json.dumps(members).encode()))
        return reply

    def result(self, **members: object) -> dict[str, Any]:
        """Send one request that must be accepted and return its result."""
        reply = self.ask(**members)
        assert reply["ok"], reply
        result: dict[str, Any] = reply["result"]
        return result

    def error(self, **members: object) -> dict[str, Any]:
        """Send one request that must be refused and return the error."""
        reply = self.ask(**members)
        assert not reply["ok"], reply
        error: dict[str, Any] = reply["error"]
        return error

    def rss_bytes(self) -> int:
        """Return how much memory of the daemon is resident (VmRSS)."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        line = next(one for one in status.splitlines() if one.startswith("VmRSS:"))
        return int(line.split()[1]) * 1024

    def signal(self, number: signal.Signals) -> None:
        """Send the daemon a signal."""
        assert self.pid
        os.kill(self.pid, number)

    def wait(self, timeout_s: float = STOP_S) -> int:
        """Return the exit status, once the process has ended by itself."""
        assert self.process is not None
        return self.process.wait(timeout_s)

    def stop(self) -> int:
        """Ask the daemon to end and return its exit status."""
        self.signal(signal.SIGTERM)
        return self.wait()


class NotifySocket:
    """The service manager's end of sd_notify(3), as a file or as an abstract name."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def receive(self, timeout_s: float = ANSWER_S) -> dict[str, str]:
        """Return the next message's assignments; `TimeoutError` when there is none."""
        self._socket.settimeout(timeout_s)
        lines = self._socket.recv(65536).decode().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def receive_until(self, key: str) -> list[dict[str, str]]:
        """Return the messages up to and including the first that assigns `key`."""
        messages = [self.receive()]
        while key not in messages[-1]:
            messages.append(self.receive())
        return messages


def run_manifestd(
    *arguments: str, variables: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `manifestd` to its end, for daemons that do not start."""
    return subprocess.run(
        [sys.executable, "-m", "daemon", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=START_S,
        env=environment(**(variables or {})),
        cwd=Path(__file__).parent.parent.parent,
    )
