"""Recovery is killed at its own system calls, again and again, and then starts as if nothing was.

strace ends the daemon at the n-th call of one sort that touches the store (`-P`: the imports of
Python do not count), for n = 1, 2, … until it gets through. It runs as the daemon's grandchild
(`-D`), so that the process that is started, killed and waited for is the daemon itself.
"""

import shutil
from copy import deepcopy
from pathlib import Path
from typing import NamedTuple

import pytest

from daemon.journal.batch import encode_batch
from protocol.events import CommittedEvent
from tests.support.crash_daemon import CrashDaemon, DaemonEndedError
from tests.support.doctoring import at as moved_to
from tests.support.effort import portion
from tests.support.evidence import Evidence
from tests.support.injection import counted
from tests.support.load import Load
from tests.support.store_check import read_journal
from tests.support.wire_check import check_restarted

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="there is no strace")

CALLS = ("write", "fdatasync", "fsync", "rename", "mkdir", "unlink", "openat")
WRITING_CALLS = ("write", "rename")
KILLED = -9
POINTS_MIN = 3  # A quarantined batch, a segment, the index: each is written and renamed.
POINTS_MAX = 200  # More calls of one sort than recovery makes: it does not end.


class Crashed(NamedTuple):
    """A store whose daemon was killed in the middle of a batch, and what its clients know."""

    directory: Path
    evidence: Evidence
    paths: tuple[str, ...]  # What recovery touches, seen from there.


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> Crashed:
    directory = tmp_path_factory.mktemp("crashed") / "s"
    with CrashDaemon(directory) as daemon:
        daemon.start()
        load = Load(daemon, seed=4)
        load.connect()
        load.run(120)
        daemon.send_kill()
        load.run_until_end()
    tear(directory)
    return Crashed(directory, load.evidence, touched_by_recovery(directory))


def tear(directory: Path) -> None:
    """Append a batch that nobody was told of and that the crash cut short."""
    journal = read_journal(directory)
    last = len(journal.events)
    event = CommittedEvent.read(moved_to(journal.events[-1].line, last + 1))
    batch = encode_batch([event], journal.log_hashes[last].encode())
    (segment,) = (directory / "journal").glob("*.jsonl")
    with segment.open("ab") as file:
        file.write(batch.data[:-300])


def touched_by_recovery(directory: Path) -> tuple[str, ...]:
    """Let a copy recover, and return what is there before or after, and the temporary files."""
    before = sorted(directory.rglob("*"))
    kept = directory.with_name("kept")
    shutil.copytree(directory, kept)
    with CrashDaemon(directory) as daemon:
        daemon.start()
    after = sorted(directory.rglob("*"))
    shutil.rmtree(directory)
    kept.rename(directory)
    assert any(path.parent.name == "quarantine" for path in after)
    names = {str(path.relative_to(directory)) for path in (directory, *before, *after)}
    names = {name for name in names if not name.startswith("manifests/")}  # Archived afterwards.
    return (*names, *(f"{name}.tmp" for name in names))


def among(directory: Path, paths: tuple[str, ...]) -> list[str]:
    """Return the words with which strace looks at these paths alone."""
    return [word for path in paths for word in ("-P", str(directory / path))]


def start_killed(daemon: CrashDaemon, paths: tuple[str, ...], call: str, number: int) -> bool:
    """Start the daemon, to be killed at the `number`-th `call`; return whether it got through."""
    # Without --seccomp-bpf: with it strace 6.1 counts calls and injects nothing.
    wrapper = ["strace", "-D", "-f", "-qq", "-o", "/dev/null", *among(daemon.data_dir, paths)]
    wrapper += ["-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={number}"]
    try:
        daemon.start(wrapper)
    except DaemonEndedError as error:
        assert error.status == KILLED, error  # noqa: PT017 (its status is what is looked at)
        return False
    daemon.kill()
    return True


@pytest.mark.parametrize("call", WRITING_CALLS)
def test_recovery_that_is_killed_ever_later_gets_through(
    crashed: Crashed, call: str, tmp_path: Path
) -> None:
    directory = shutil.copytree(crashed.directory, tmp_path / "s")
    with CrashDaemon(directory) as daemon:
        points = 1
        while not start_killed(daemon, crashed.paths, call, points):
            points += 1
            assert points < POINTS_MAX
        daemon.start()

        findings = check_restarted(daemon, deepcopy(crashed.evidence))

        assert not findings, findings[:20]
        assert points > POINTS_MIN, f"recovery was killed at {points - 1} calls of {call}"
        daemon.stop()


@pytest.fixture(scope="module")
def points(crashed: Crashed, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, int]]:
    """Return each call that an undisturbed recovery makes, by its number."""
    folder = tmp_path_factory.mktemp("traced")
    directory, trace = shutil.copytree(crashed.directory, folder / "s"), folder / "trace"
    wrapper = ["strace", "-D", "-f", "-qq", "-o", str(trace), *among(directory, crashed.paths)]
    with CrashDaemon(directory) as daemon:
        daemon.start([*wrapper, "-e", f"trace={','.join(CALLS)}"])
        daemon.stop()
    made = counted(trace.read_text(), CALLS)
    return [(call, at) for call in CALLS for at in range(1, made[call] + 1)]


@pytest.mark.long
def test_recovery_may_be_killed_at_any_call(
    crashed: Crashed, points: list[tuple[str, int]], tmp_path: Path
) -> None:
    assert len(points) > len(CALLS) * POINTS_MIN
    directory = tmp_path / "s"
    for call, at in portion(points, 10, "kill points of a start"):
        shutil.copytree(crashed.directory, directory)
        with CrashDaemon(directory) as daemon:
            start_killed(daemon, crashed.paths, call, at)
            daemon.start()

            findings = check_restarted(daemon, deepcopy(crashed.evidence))

            assert not findings, (call, at, findings[:20])
            daemon.stop()
        shutil.rmtree(directory)
