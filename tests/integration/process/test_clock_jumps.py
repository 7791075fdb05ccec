"""The wall clock jumps, forward and back: timestamps and timers change, and nothing else."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import zmq

from tests.support.broken_daemon import program
from tests.support.daemon_process import ANSWER_S, DaemonProcess, short_folder
from tests.support.shifted_clock import ShiftedClock

HOUR_S = 3600
DAEMON = ("-m", "daemon")
BEATS_MAX = 30
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


def daemon_at(
    folder: Path, clock: ShiftedClock, words: tuple[str, ...] = DAEMON, more: str = ""
) -> DaemonProcess:
    (folder / "timed.toml").write_text(LIFECYCLE)
    (folder / "manifestd.toml").write_text(CONFIGURATION + more)
    arguments = ["--config", str(folder / "manifestd.toml")]
    return DaemonProcess(folder, program=words, arguments=arguments, variables=clock.variables)


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
            seqs = [event["seq"] for event in events]
            assert seqs == list(range(1, len(seqs) + 1)), "the feed is not in the order of seq"
            return events


def shift_of(event: dict[str, Any]) -> timedelta:
    return datetime.fromisoformat(event["at"]) - datetime.now(UTC)


def fired(events: list[dict[str, Any]]) -> list[str]:
    return [event["manifest_id"] for event in events if event.get("cause") == "timer"]


def jump_about(words: tuple[str, ...] = DAEMON) -> None:
    """Write while the clock jumps, and look at everything."""
    with short_folder() as folder:
        clock = ShiftedClock(folder)
        with daemon_at(folder, clock, words) as daemon:
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


def jump_over_timers(words: tuple[str, ...] = DAEMON, beats_max: int = BEATS_MAX) -> None:
    """Let timers fire while the clock jumps: each once."""
    with short_folder() as folder:
        clock = ShiftedClock(folder)
        with daemon_at(folder, clock, words) as daemon:
            daemon.start()
            create(daemon, "late")
            assert daemon.stop() == 0

            clock.set(HOUR_S)
            events = fired_while(daemon, 1, beats_max)
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


def fired_while(daemon: DaemonProcess, count: int, beats_max: int) -> list[str]:
    """Start the daemon, wait until so many timers fired, and stop it; return whose they were."""
    daemon.start()
    names: list[str] = []
    for _ in beats(daemon, beats_max):
        names = fired(feed(daemon))
        if len(names) >= count:
            break
    assert len(names) >= count, "a timer did not fire"
    assert daemon.stop() == 0
    return names


def beats(daemon: DaemonProcess, beats_max: int) -> Iterator[None]:
    """Yield at once, and then with every heartbeat, which comes once a second."""
    with daemon.socket(zmq.SUB) as events:
        events.setsockopt(zmq.SUBSCRIBE, b"heartbeat")
        yield
        for _ in range(beats_max):
            assert events.poll(int(ANSWER_S * 1000))
            events.recv_multipart()
            yield


def test_jumps_change_timestamps_and_nothing_else() -> None:
    jump_about()


def test_a_timer_is_neither_lost_nor_repeated_by_jumps() -> None:
    jump_over_timers()


def test_a_jump_ahead_takes_nothing_from_the_feed_before_a_restart() -> None:
    """Retention by age: the running daemon doubts a clock that is set, the next one believes it."""
    retention = '[store]\nfeed_retention_age = "1d"\nsegment_bytes = 4096\n'
    with short_folder() as folder:
        clock = ShiftedClock(folder)
        with daemon_at(folder, clock, more=retention) as daemon:
            daemon.start()
            create(daemon, "a")
            for number in range(20):
                comment(daemon, "a", number)
            clock.set(30 * 24 * HOUR_S)
            for _ in beats(daemon, BEATS_MAX):
                if "the clock was set" in daemon.log():
                    break
                commented(daemon)
            assert "the clock was set" in daemon.log()
            assert [event["seq"] for event in feed(daemon)][:20] == list(range(1, 21))
            assert daemon.stop() == 0

            daemon.start()
            for _ in beats(daemon, BEATS_MAX):
                commented(daemon)
                if not daemon.ask(op="feed", after_seq=0, limit=1)["ok"]:
                    break
            assert daemon.error(op="feed", after_seq=0, limit=1)["code"] == "HISTORY_COMPACTED"
            assert len(daemon.result(op="history", manifest_id="a", limit=1000)["events"]) > 21
            assert daemon.stop() == 0


def commented(daemon: DaemonProcess) -> None:
    """Write something, so that the archive has to do, and then a checkpoint."""
    assert daemon.result(op="comment", manifest_id="a", text="x")["version"]


# The negative controls.


def test_a_daemon_that_orders_by_the_clock_is_found_out() -> None:
    with pytest.raises(AssertionError, match="not in the order of seq"):
        jump_about(program("ordered-by-clock"))


def test_a_daemon_whose_timers_expire_is_found_out() -> None:
    with pytest.raises(AssertionError, match="a timer did not fire"):
        jump_over_timers(program("timers-that-expire"), beats_max=3)
