"""Promise 8: what many clients saw of a few manifests has an order, with crashes in between.

The negative controls are daemons that let two win one version, and that answer with what was.
"""

from pathlib import Path
from random import Random

import pytest

from tests.support import broken_daemon
from tests.support.crash_daemon import CrashDaemon
from tests.support.effort import rounds, tally
from tests.support.histories import Recorder
from tests.support.linearizability import Operation, check


def history(
    data_dir: Path,
    random: Random,
    *,
    program: tuple[str, ...] = ("-m", "daemon"),
    lives: int,
    operations: int,
) -> list[Operation]:
    """Return what clients saw of a daemon that was killed between its `lives`."""
    with CrashDaemon(data_dir, program=program) as daemon:
        recorder = Recorder(daemon, random)
        for life in range(lives):
            daemon.start()
            recorder.connect()
            recorder.run(random.randint(operations // 2, operations))
            if life < lives - 1:
                recorder.crash()
        recorder.close()
        daemon.stop()
    tally("operations in histories", len(recorder.operations))
    return recorder.operations


def test_the_history_of_concurrent_clients_is_linearizable_across_crashes(tmp_path: Path) -> None:
    (random,) = rounds(1)
    found = history(tmp_path / "s", random, lives=3, operations=600)

    assert check(found) is None
    assert any(one.is_unknown for one in found)
    assert any(one.is_refused for one in found)


@pytest.mark.long
def test_long_histories_are_linearizable_across_many_crashes(tmp_path: Path) -> None:
    for number, random in enumerate(rounds(5)):
        found = history(tmp_path / str(number), random, lives=6, operations=2000)

        assert check(found) is None


@pytest.mark.parametrize("fault", ["lost-race", "stale-reads"])
def test_a_daemon_that_is_not_linearizable_is_caught(tmp_path: Path, fault: str) -> None:
    program = broken_daemon.program(fault)
    (random,) = rounds(1)

    found = history(tmp_path / "s", random, program=program, lives=1, operations=300)

    assert check(found) is not None
