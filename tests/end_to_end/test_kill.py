"""`kill -9` under load, and nothing that anybody was told is lost, doubled or different afterwards.

A failure prints its seed; `CRASH_SEED=… pytest tests/end_to_end/test_kill.py` makes the same choices
again. When the kill meets which command stays the machine's affair.
"""

import os
from pathlib import Path
from random import Random, SystemRandom
from threading import Timer

import pytest

from tests.support.crash_daemon import CrashDaemon
from tests.support.load import Load
from tests.support.wire_check import check_restarted

ACKNOWLEDGEMENTS_MAX = 500  # Before a kill; with an empty store and a full one, both occur.
DELAY_S_MAX = 0.02  # Several batches: the kill meets decoding, writing, syncing, archiving.


def seeds(count: int) -> list[int]:
    """Return seeds that were not tried before, or the one that is to be repeated."""
    named = os.environ.get("CRASH_SEED")
    return [SystemRandom().getrandbits(32) for _ in range(count)] if named is None else [int(named)]


def kill_at_random_moments(data_dir: Path, seed: int, moments: int) -> None:
    """Kill one store's daemon so many times, and check it after each restart."""
    print(f"CRASH_SEED={seed}")  # noqa: T201 (pytest shows it when the test fails)
    random = Random(seed)  # noqa: S311 (repeatable, not secret)
    with CrashDaemon(data_dir) as daemon:
        load = Load(daemon, seed)
        daemon.start()
        for moment in range(moments):
            load.connect()
            load.run(random.randrange(ACKNOWLEDGEMENTS_MAX))
            killer = Timer(random.random() * DELAY_S_MAX, daemon.send_kill)
            killer.start()
            load.run_until_end()
            killer.join()
            daemon.kill()
            daemon.start()

            findings = check_restarted(daemon, load.evidence)

            assert not findings, (seed, moment, findings[:20])
        daemon.stop()


def test_killed_at_any_moment_the_daemon_keeps_every_word_it_gave(tmp_path: Path) -> None:
    for number, seed in enumerate(seeds(2)):
        kill_at_random_moments(tmp_path / str(number), seed, 4)


@pytest.mark.long
def test_killed_at_a_hundred_moments_the_daemon_keeps_every_word_it_gave(tmp_path: Path) -> None:
    for number, seed in enumerate(seeds(20)):
        kill_at_random_moments(tmp_path / str(number), seed, 5)
