"""Promise 2 in a system-call trace: no socket carries an event that is not durable yet.

The negative controls are daemons that sync nothing, that sync later, and that sync no names.
"""

import shutil
from pathlib import Path

import pytest

from tests.support import broken_daemon
from tests.support.call_trace import Verdict, said_early, steps, wrapper
from tests.support.crash_daemon import CrashDaemon
from tests.support.effort import seeds, tally
from tests.support.load import Load

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="there is no strace")

ACKNOWLEDGEMENTS = 100


def verdict(
    folder: Path,
    seed: int,
    *,
    program: tuple[str, ...] = ("-m", "daemon"),
    acknowledgements: int = ACKNOWLEDGEMENTS,
) -> Verdict:
    """Trace a daemon under load, and return what its trace says of it."""
    trace = folder / "trace"
    with CrashDaemon(folder / "s", program=program) as daemon:
        daemon.start(wrapper(trace))
        load = Load(daemon, seed)
        load.connect()
        load.run(acknowledgements)
        daemon.stop()
        load.close()
    with trace.open() as lines:
        found = said_early(lines, folder / "s")
    tally("acknowledgements traced", load.acknowledgements)
    assert found.mentions > 2 * load.acknowledgements  # A reply, a message, and reads.
    return found


def test_nothing_outside_the_process_shows_an_event_before_its_sync_returned(
    tmp_path: Path,
) -> None:
    found = verdict(tmp_path, 1)

    assert found.findings == []
    assert found.durable >= ACKNOWLEDGEMENTS


@pytest.mark.long
def test_of_thousands_of_events_none_is_said_before_its_sync_returned(tmp_path: Path) -> None:
    for seed in seeds(2):
        folder = tmp_path / str(seed)
        folder.mkdir()

        found = verdict(folder, seed, acknowledgements=1_000)

        assert found.findings == []


@pytest.mark.parametrize("fault", ["no-sync", "late-sync", "unsynced-names"])
def test_a_daemon_that_answers_first_is_caught(tmp_path: Path, fault: str) -> None:
    found = verdict(tmp_path, 2, program=broken_daemon.program(fault), acknowledgements=40)

    assert len(found.findings) > 5  # How often the sync is late enough is the machine's affair.


def test_a_call_that_another_thread_interrupts_is_put_together() -> None:
    trace = [
        '7 write(3<\\x2f\\x61>, "\\x62", 1 <unfinished ...>\n',
        "8 fdatasync(4<\\x2f\\x62>) = -1 EIO (Input/output error)\n",
        "7 <... write resumed>) = 1\n",
        '7 openat(AT_FDCWD<\\x2f>, "\\x61", O_WRONLY|O_CREAT|O_EXCL, 0640) = 5<\\x2f\\x63>\n',
        "--- SIGTERM ---\n",
    ]

    found = [(step.name, step.path, step.result) for step in steps(trace)]

    assert found == [
        ("write", "/a", None),
        ("fdatasync", "/b", None),
        ("fdatasync", "/b", "-1"),
        ("write", "/a", "1"),
        ("openat", "", None),
        ("openat", "/c", "5"),
    ]
