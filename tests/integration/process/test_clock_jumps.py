"""The wall clock jumps, forward and back: timestamps and timers change, and nothing else."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import zmq

from tests.support.daemon_process import ANSWER_S, DaemonProcess, short_folder
from tests.support.shifted_clock import ShiftedClock

HOUR_S = 3600
JUMPS_S = [0, HOUR_S, -HOUR_S, 30 * 24 * HOUR_S, -10 * 365 * 24 * HOUR_S, 0]
LIFECYCLE = """
id = "timed"
version = 1
initial = "DRAFT"
[states.DRAFT]
tags = ["mutable"]
on.hurry = "SOON"
after."30m" = "LATE"
[states.SOON]
after."10ms" = "LATE"
[states.LATE]
"""
CONFIGURATION = """
[lifecycles]
files = ["timed.toml"]
by_kind = { agent = "timed@1" }
"""


def daemon_at(folder: Path, clock: ShiftedClock) -> DaemonProcess:
    (folder / "timed.toml").write_text(LIFECYCLE)
    (folder / "manifestd.toml").write_text(CONFIGURATION)
    arguments = ["--config", str(folder / "manifestd.toml")]
    return DaemonProcess(folder, arguments=arguments, variables=clock.variables)


def create(daemon: DaemonProcess, name: str) -> dict[str, Any]:
    document = {"name": name, "version": "1.0.0"}
    return daemon.result(
        op="create", manifest_id=name, kind="agent", manifest=document, command_id=f"c-{name}"
    )


def comment(daemon: DaemonProcess, name: str, number: int) -> dict[str, Any]:
    command_id = f"n-{number}"
    return daemon.result(op="comment", manifest_id=name, text="x", command_id=command_id)


def feed(daemon: DaemonProcess) -> list[dict[str, Any]]:
    """Return all events, page by page."""
    events: list[dict[str, Any]] = []
    while True:
        page = daemon.result(op="feed", after_seq=len(events), limit=1000)
        events += page["events"]
        if len(events) == page["last_seq"]:
            return events


def shift_of(event: dict[str, Any]) -> timedelta:
    return datetime.fromisoformat(event["at"]) - datetime.now(UTC)


def fired(events: list[dict[str, Any]]) -> list[str]:
    return [event["manifest_id"] for event in events if event.get("cause") == "timer"]


def test_jumps_change_timestamps_and_nothing_else() -> None:
    with short_folder() as folder:
        clock = ShiftedClock(folder)
        with daemon_at(folder, clock) as daemon:
            daemon.start()
            create(daemon, "a")
            sent = 0
            for shift_s in JUMPS_S:
                clock.set(shift_s)
                for _ in range(3):
                    sent += 1
                    assert comment(daemon, "a", sent)["version"] == 1 + sent
                said = shift_of(feed(daemon)[-1])
                assert abs(said.total_seconds() - shift_s) < 60
            for number in range(1, sent + 1):  # Whatever the clock showed then and shows now.
                assert comment(daemon, "a", number)["replayed"]
            before = feed(daemon)
            assert daemon.stop() == 0

            clock.set(-5 * HOUR_S)  # The store is reopened before it was made.
            daemon.start()
            for number in range(1, sent + 1):
                assert comment(daemon, "a", number)["replayed"]
            assert comment(daemon, "a", sent + 1)["version"] == sent + 2
            after = feed(daemon)
            assert after[:-1] == before
            assert [event["seq"] for event in after] == list(range(1, sent + 3))
            assert [event["version"] for event in after] == list(range(1, sent + 3))
            assert len({event["event_id"] for event in after}) == len(after)
            assert daemon.result(op="verify")["events"] == len(after)
            assert daemon.result(op="recover", manifest_id="a")["identical"]
            assert daemon.stop() == 0


@pytest.mark.no_cover  # What it runs is covered elsewhere; measured, it takes several times as long.
def test_a_timer_is_neither_lost_nor_repeated_by_jumps() -> None:
    with short_folder() as folder:
        clock = ShiftedClock(folder)
        with daemon_at(folder, clock) as daemon:
            daemon.start()
            create(daemon, "late")
            assert daemon.stop() == 0

            clock.set(HOUR_S)
            events = fired_while(daemon, 1)
            assert events == ["late"]
            clock.set(-HOUR_S)  # Before it was armed.
            daemon.start()
            create(daemon, "soon")
            subscriber = daemon.subscriber(b"event/")
            daemon.result(op="transition", manifest_id="soon", event="hurry")
            states = []
            while "LATE" not in states:
                assert subscriber.poll(int(ANSWER_S * 1000))
                states.append(json.loads(subscriber.recv_multipart()[1])["to"])
            subscriber.close()
            assert states == ["SOON", "LATE"]
            for shift_s in (HOUR_S, 0, 2 * HOUR_S):
                clock.set(shift_s)
                assert daemon.stop() == 0
                daemon.start()
            assert fired(feed(daemon)) == ["late", "soon"]
            assert daemon.result(op="get", manifest_id="late")["state"] == "LATE"
            assert daemon.stop() == 0


def fired_while(daemon: DaemonProcess, count: int) -> list[str]:
    """Start the daemon, wait until so many timers fired, and stop it; return whose they were."""
    daemon.start()
    with daemon.socket(zmq.SUB) as events:
        events.setsockopt(zmq.SUBSCRIBE, b"heartbeat")
        while len(names := fired(feed(daemon))) < count:
            assert events.poll(int(ANSWER_S * 1000))  # A beat a second: fast enough to look.
            events.recv_multipart()
    assert daemon.stop() == 0
    return names
