"""Promise 12: whoever has a directory, has it alone; nobody else touches a byte; the lock dies with him.

Whoever holds it is stopped in the middle of it: a daemon that serves or recovers, and each offline
command that writes. Whoever comes second ends with 75.
"""

import os
import re
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from daemon.command_line import main
from daemon.index import index_path
from protocol.backup import BackupHeader, BackupWriter, lifecycle_line
from protocol.events import next_log_hash
from protocol.lifecycle.registry import DEFAULT_LIFECYCLE, LifecycleRegistry
from tests.support.broken_daemon import program
from tests.support.crash_daemon import CrashDaemon, DaemonEndedError
from tests.support.daemon_process import environment, run_manifestd
from tests.support.events import Chain, committed

LOCKED = 75
ROOT = Path(__file__).parents[3]
EVENTS = 200  # More than a pipe holds: whoever was given them all has begun to read.
WITHIN_S = 1.0
ATTEMPTS = 5  # Of a machine that is busy with other things.
OFFLINE = ("verify", "fsck", "fsck --repair", "restore", "import")

Capture = pytest.CaptureFixture[str]
Tree = dict[str, tuple[object, ...]]


def tree_of(data_dir: Path) -> Tree:
    """Return all that can be told of every file and folder, but when it was read."""
    found: Tree = {}
    for path in [data_dir, *data_dir.rglob("*")]:
        status = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
        times = (status.st_mtime_ns, status.st_ctime_ns)
        found[str(path)] = (status.st_ino, status.st_mode, status.st_size, times, content)
    return found


def lines(*, as_backup: bool) -> list[bytes]:
    """Return a store as `manifestctl backup`, or `export --history`, writes it."""
    definition = LifecycleRegistry.builtin().get(DEFAULT_LIFECYCLE).to_json()
    chains = [Chain(f"m{number}@1") for number in range(4)]
    events = committed(chains[number % 4].next() for number in range(EVENTS))
    body = [lifecycle_line(DEFAULT_LIFECYCLE, definition), *(event.line for event in events)]
    if not as_backup:
        return [line + b"\n" for line in body]
    log_hash = b"0" * 64
    for event in events:
        log_hash = next_log_hash(log_hash, event.seq, event.hash)
    writer = BackupWriter()
    header = BackupHeader(
        store_id="s", seq=EVENTS, log_hash=log_hash.decode(), created_at="now", lifecycles=1
    )
    checked = [writer.header(header), writer.lifecycle(DEFAULT_LIFECYCLE, definition)]
    return [*checked, *(writer.event(event.line) for event in events), writer.end()]


# Those who have it.


def make_store(data_dir: Path) -> None:
    with CrashDaemon(data_dir) as daemon:
        daemon.start()
        for number in range(3):
            document = {"name": f"n{number}", "version": "1.0.0"}
            daemon.result(op="create", kind="agent", manifest=document)
        daemon.kill()


@contextmanager
def serving(data_dir: Path) -> Iterator[None]:
    make_store(data_dir)
    with CrashDaemon(data_dir) as daemon:
        daemon.start()
        signal.pidfd_send_signal(daemon.pidfd, signal.SIGSTOP)  # Nothing moves but the second one.
        yield


@contextmanager
def reading_its_index(data_dir: Path, *words: str) -> Iterator[None]:
    """Run `manifestd WORDS` on a store until it reads the index, and there for ever."""
    make_store(data_dir)
    index = index_path(data_dir)
    index.unlink()
    os.mkfifo(index)
    with running(*words, "--data-dir", str(data_dir)):
        writing = os.open(index, os.O_WRONLY)  # Opens when it is read.
        try:
            yield
        finally:
            index.unlink()
            os.close(writing)


@contextmanager
def reading_its_input(data_dir: Path, command: str) -> Iterator[None]:
    """Run `manifestd COMMAND -` until it has read some of what it is to restore, and no more."""
    content = lines(as_backup=command == "restore")
    with running(command, "-", "--data-dir", str(data_dir)) as process:
        assert process.stdin is not None
        for line in content[:-1]:
            process.stdin.write(line)
        process.stdin.flush()
        yield


@contextmanager
def running(*words: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run `manifestd WORDS` for the time of the block, and kill it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "daemon", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(),
        cwd=ROOT,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def recovering(data_dir: Path) -> AbstractContextManager[None]:
    sockets = [f"ipc://{data_dir}.{one}" for one in ("c", "e")]
    words = ("--dev", "--commands", sockets[0], "--events", sockets[1])
    return reading_its_index(data_dir, *words)


HOLDERS: dict[str, Callable[[Path], AbstractContextManager[None]]] = {
    "a daemon that serves": serving,
    "a daemon that recovers": recovering,
    "fsck --repair": lambda data_dir: reading_its_index(data_dir, "fsck", "--repair"),
    "restore": lambda data_dir: reading_its_input(data_dir, "restore"),
    "import": lambda data_dir: reading_its_input(data_dir, "import"),
}


# Those who come second.


def daemon_is_refused(data_dir: Path, words: tuple[str, ...] = ("-m", "daemon")) -> None:
    """Start a daemon on the directory: it ends with 75."""
    with CrashDaemon(data_dir, program=words) as second:
        with pytest.raises(DaemonEndedError) as ended:
            second.start()
        assert ended.value.status == LOCKED, second.log
        assert f"another manifestd works on {data_dir}" in second.log


def command_is_refused(data_dir: Path, command: str, said: Capture) -> None:
    """Run an offline command on the directory: it ends with 75."""
    words = command.split()
    if words[0] in {"restore", "import"}:
        words.append("/dev/null")
    assert main([*words, "--data-dir", str(data_dir)]) == LOCKED, command
    assert f"another manifestd works on {data_dir}" in said.readouterr().err


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "s"


@pytest.mark.parametrize("holder", HOLDERS)
def test_whoever_comes_second_touches_no_byte_and_the_lock_dies_with_the_first(
    holder: str, data_dir: Path, capsys: Capture
) -> None:
    """The first is killed with SIGKILL in the end; nobody waits, and nobody removes anything."""
    with HOLDERS[holder](data_dir):
        before = tree_of(data_dir)

        daemon_is_refused(data_dir)
        for command in OFFLINE:
            command_is_refused(data_dir, command, capsys)

        assert tree_of(data_dir) == before

    if holder in {"restore", "import"}:
        source = data_dir.with_name("source")
        source.write_bytes(b"".join(lines(as_backup=holder == "restore")))
        result = run_manifestd(holder, str(source), "--data-dir", str(data_dir))
        assert result.returncode == 0, result.stderr
    with CrashDaemon(data_dir) as daemon:
        daemon.start()
        assert daemon.result(op="health")["status"] == "ok"
        daemon.stop()


@pytest.mark.skipif(shutil.which("strace") is None, reason="there is no strace")
def test_a_second_daemon_ends_within_a_second_of_finding_the_lock(data_dir: Path) -> None:
    """It neither waits for the lock nor tries again."""
    trace = data_dir.with_name("trace")
    wrapper = [
        "strace",
        "-D",
        "-f",
        "-qq",
        "-ttt",
        "-o",
        str(trace),
        "-e",
        "trace=flock,exit_group",
    ]
    took_s = []
    with serving(data_dir):
        for _ in range(ATTEMPTS):
            with CrashDaemon(data_dir) as second, pytest.raises(DaemonEndedError):
                second.start(wrapper)
            made = re.findall(r"^\d+ +([\d.]+) (\w+)\((.*)$", trace.read_text(), re.MULTILINE)
            assert [call for _, call, _ in made] == ["flock", "exit_group"]
            assert "LOCK_NB" in made[0][2]
            assert "EAGAIN" in made[0][2]
            took_s.append(float(made[1][0]) - float(made[0][0]))
            if took_s[-1] < WITHIN_S:
                return
    pytest.fail(f"it took {took_s} s")


# The negative controls.


def test_a_daemon_that_does_not_lock_is_found_out(data_dir: Path) -> None:
    with serving(data_dir), pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        daemon_is_refused(data_dir, program("unlocked"))


def test_a_daemon_that_writes_before_it_locks_is_found_out(data_dir: Path) -> None:
    with serving(data_dir):
        before = tree_of(data_dir)
        daemon_is_refused(data_dir, program("written-before-locked"))

        assert tree_of(data_dir) != before


def test_a_lock_that_outlives_its_process_is_found_out(data_dir: Path) -> None:
    with CrashDaemon(data_dir, program=program("lock-that-stays")) as daemon:
        daemon.start()
        daemon.kill()
        with pytest.raises(DaemonEndedError) as ended:
            daemon.start()

    assert ended.value.status == LOCKED
