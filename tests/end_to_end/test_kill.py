"""`kill -9` under load, and nothing that anybody was told is lost, doubled or different afterwards.

A failure prints its seed; `CRASH_SEED=… pytest tests/end_to_end/test_kill.py` makes the same choices
again. When the kill meets which command stays the machine's affair. The negative control is a daemon
that hands a batch to the operating system only when the next one comes.
"""

from pathlib import Path
from random import Random
from threading import Timer

import pytest

from tests.support import broken_daemon
from tests.support.crash_daemon import CrashDaemon
from tests.support.effort import seeds, tally
from tests.support.evidence import Evidence
from tests.support.load import Load
from tests.support.scripted import Script
from tests.support.store_check import check_store
from tests.support.wire_check import check_restarted

ACKNOWLEDGEMENTS_MAX = 500  # Before a kill; with an empty store and a full one, both occur.
KILLS_OF_A_STORE = 4
DELAY_S_MAX = 0.02  # Several batches: the kill meets decoding, writing, syncing, archiving.


def kill_at_random_moments(data_dir: Path, seed: int, moments: int) -> list[str]:
    """Kill one store's daemon so many times; return what is wrong after the first bad restart."""
    random = Random(seed)  # noqa: S311 (repeatable, not secret)
    with CrashDaemon(data_dir) as daemon:
        load = Load(daemon, seed)
        daemon.start()
        for _ in range(moments):
            load.connect()
            load.run(random.randrange(ACKNOWLEDGEMENTS_MAX))
            killer = Timer(random.random() * DELAY_S_MAX, daemon.send_kill)
            killer.start()
            load.run_until_end()
            killer.join()
            daemon.kill()
            daemon.start()
            tally("kills under load")
            if findings := check_restarted(daemon, load.evidence):
                return findings
        daemon.stop()
    return []


def test_killed_at_any_moment_the_daemon_keeps_every_word_it_gave(tmp_path: Path) -> None:
    for number, seed in enumerate(seeds(1)):
        assert kill_at_random_moments(tmp_path / str(number), seed, 5) == []


@pytest.mark.long
def test_killed_at_two_hundred_moments_the_daemon_keeps_every_word_it_gave(tmp_path: Path) -> None:
    for number, seed in enumerate(seeds(200 // KILLS_OF_A_STORE)):
        assert kill_at_random_moments(tmp_path / str(number), seed, KILLS_OF_A_STORE) == []


def test_a_daemon_that_writes_late_is_caught(tmp_path: Path) -> None:
    evidence = Evidence()
    with CrashDaemon(tmp_path / "s", program=broken_daemon.program("late-write")) as daemon:
        daemon.start()
        Script(daemon, evidence).run()
        daemon.kill()

    findings = check_store(tmp_path / "s", evidence, settled=False)

    assert any(finding.startswith("lost: ") for finding in findings)
