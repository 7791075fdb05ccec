"""Timers of a real daemon that is killed again and again: none is lost, none fires twice.

Every manifest goes to and fro between two states by timers alone, so that each event has to be
caused by the one timer that the event before it armed.
"""

import json
import os
import signal
from itertools import pairwise
from pathlib import Path
from random import Random, SystemRandom
from typing import Any

import zmq

from tests.support.daemon_process import ANSWER_S, DaemonProcess, Socket, short_folder

MANIFESTS = 20
KILLS = 5
EVENTS_MAX = 150  # Seen between a start and a kill.
LIFECYCLE = """
id = "pendulum"
version = 1
initial = "LEFT"
[states.LEFT]
after."50ms" = "RIGHT"
[states.RIGHT]
after."50ms" = "LEFT"
"""
CONFIGURATION = """
[lifecycles]
files = ["pendulum.toml"]
by_kind = { agent = "pendulum@1" }
"""


def configured(folder: Path) -> list[str]:
    """Write the files and return the arguments that name them."""
    (folder / "pendulum.toml").write_text(LIFECYCLE)
    (folder / "manifestd.toml").write_text(CONFIGURATION)
    return ["--config", str(folder / "manifestd.toml")]


def swing(daemon: DaemonProcess) -> Socket:
    """Return a socket with the events from soon on: they go on and on, so none is waited for."""
    events = daemon.socket(zmq.SUB)
    events.setsockopt(zmq.SUBSCRIBE, b"event/")
    return events


def next_event(events: Socket) -> dict[str, Any]:
    """Return the next event that is published."""
    assert events.poll(int(ANSWER_S * 1000))
    event: dict[str, Any] = json.loads(events.recv_multipart()[1])
    return event


def wait_for_all(daemon: DaemonProcess) -> None:
    """Return when a timer of every manifest has fired since the call."""
    waiting = {f"m{number}" for number in range(MANIFESTS)}
    events = swing(daemon)
    while waiting:
        waiting.discard(next_event(events)["manifest_id"])
    events.close()


def check(history: list[dict[str, Any]]) -> None:
    """Hold every event against the timer that the one before it armed."""
    assert [event["version"] for event in history] == list(range(1, len(history) + 1))
    for before, event in pairwise(history):
        (timer,) = before["timers"]
        assert (event["cause"], event["command_id"]) == ("timer", timer["id"])
        assert event["at"] >= timer["due"]
        assert (event["from"], event["to"]) in {("LEFT", "RIGHT"), ("RIGHT", "LEFT")}


def test_killed_at_any_moment_the_daemon_neither_loses_nor_repeats_a_timer() -> None:
    seed = int(os.environ.get("CRASH_SEED", SystemRandom().getrandbits(32)))
    print(f"CRASH_SEED={seed}")  # noqa: T201 (pytest shows it when the test fails)
    random = Random(seed)  # noqa: S311 (repeatable, not secret)
    with (
        short_folder() as folder,
        DaemonProcess(folder, arguments=configured(folder)) as daemon,
    ):
        daemon.start()
        for number in range(MANIFESTS):
            document = {"name": f"m{number}", "version": "1.0.0"}
            daemon.result(op="create", manifest_id=f"m{number}", manifest=document, kind="agent")
        for _ in range(KILLS):
            events = swing(daemon)
            for _ in range(random.randrange(EVENTS_MAX)):
                next_event(events)
            daemon.signal(signal.SIGKILL)
            assert daemon.wait() == -signal.SIGKILL
            events.close()
            daemon.start()
        wait_for_all(daemon)

        for number in range(MANIFESTS):
            history = daemon.result(op="history", manifest_id=f"m{number}", limit=1000)
            assert history["events"]
            check(history["events"])  # As far as they had come: they go on.
        assert daemon.result(op="verify")["manifests"] == MANIFESTS
        assert daemon.stop() == 0
