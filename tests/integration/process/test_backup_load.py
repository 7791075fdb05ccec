"""A backup of many events beside other work: the loop is never held up, and everybody is told how far it is."""

import io
import json
import time
from itertools import pairwise
from typing import Any, NamedTuple

import pytest

from daemon.command_line import main as manifestd
from manifestctl.command_line import main as manifestctl
from protocol.backup import BackupReader
from protocol.progress import INTERVAL_NS
from tests.support.daemon_process import DaemonProcess, short_folder
from tests.support.exported import exported
from tests.support.measured_daemon import NO_FAULT, Stretch, program, stretches

STRETCH_S_MAX = 0.1  # Promise 14, of the thread's own time; a page takes about a tenth of it.
MEMBERS = {
    *("type", "stage", "stage_index", "total_stages", "stage_progress", "overall_progress"),
    *("elapsed_ms", "timestamp", "metadata"),
}


class Seen(NamedTuple):
    """What a backup was, and what was seen of it."""

    events: int
    progress: list[dict[str, Any]]
    stretches: list[Stretch]


def back_up(count: int, fault: str = NO_FAULT) -> Seen:
    """Back up a store of `count` events, and one more."""
    with short_folder() as folder:
        source = folder / "exported"
        source.write_bytes(b"".join(line + b"\n" for line in exported(count)))
        assert manifestd(["import", str(source), "--data-dir", str(folder / "data")]) == 0
        measured = folder / "stretches"
        with DaemonProcess(folder, program=program(measured, fault)) as daemon:
            daemon.start()
            daemon.result(op="create", manifest_id="w", kind="agent", manifest={"n": 1})
            where = ["--commands", daemon.commands, "--events", daemon.events]
            with daemon.subscriber(b"progress/backup") as subscriber:
                begun_s = time.monotonic()
                assert manifestctl(["backup", str(folder / "b"), *where]) == 0
                ended_s = time.monotonic()
                progress: list[dict[str, Any]] = []
                while not progress or progress[-1]["type"] != "complete":
                    assert subscriber.poll(10_000)
                    progress.append(json.loads(subscriber.recv_multipart()[1]))
            assert daemon.stop() == 0
        reader = BackupReader()
        for _ in reader.items(io.BytesIO((folder / "b").read_bytes()).readline):
            pass
        during = [one for one in stretches(measured) if begun_s <= one.ended_s <= ended_s]
        return Seen(reader.log.seq, progress, during)


def check(seen: Seen, count: int) -> None:
    """Look at all of it."""
    assert seen.events == count + 1
    assert seen.stretches, "nothing was measured"
    longest = max(seen.stretches, key=lambda one: one.took_s)
    print(f"the longest stretch of {count} events: {longest}")  # noqa: T201 (shown when it fails)
    assert longest.took_s < STRETCH_S_MAX, f"the loop was held up: {longest}"
    assert all(set(one) >= MEMBERS for one in seen.progress)
    types = [one["type"] for one in seen.progress]
    assert (types[0], types[-1]) == ("start", "complete")
    done = [one["overall_progress"] for one in seen.progress]
    assert done == sorted(done)
    told_ms = [one["elapsed_ms"] for one in seen.progress if one["type"] == "progress"]
    assert all(b - a >= INTERVAL_NS // 1_000_000 - 1 for a, b in pairwise(told_ms))  # Rounded.


@pytest.mark.parametrize("count", [2_000, pytest.param(50_000, marks=pytest.mark.long)])
def test_a_backup_does_not_hold_up_the_loop(count: int) -> None:
    check(back_up(count), count)


def test_a_backup_that_reads_on_the_loop_is_found_out() -> None:
    """The negative control."""
    with pytest.raises(AssertionError, match="the loop was held up"):
        check(back_up(2_000, "blocking-backup"), 2_000)
