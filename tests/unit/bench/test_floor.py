"""The floor pays for what it says: as many bytes and folders as the daemon would have left."""

import sys
from pathlib import Path

import pytest
import zmq

from bench.floor import PARTS
from bench.load import Load
from bench.parts import Walked
from bench.processes import command, running
from bench.walk import STEPS_PER_WALK
from protocol.events import read_event
from protocol.snapshots import decode_snapshot

LINES_SIZE = sum(len(event.line) + 1 for event in Walked(1).events)


def loaded(folder: Path, *parts: str) -> int:
    """Load a floor, wait until it is archived, and return how many requests it answered."""
    socket = folder / "commands"
    endpoint, events = f"ipc://{socket}", f"ipc://{folder}/events"
    server = command("bench.floor", endpoint, events, str(folder), *parts)
    with (
        running(server, socket, folder / "floor.log"),
        zmq.Context() as context,
        Load(context, endpoint, 8, b'{"ok":true') as load,
    ):
        run = load.run(0.05)
        assert load.wait_until_archived() == len(run.latencies_ns)
    return len(run.latencies_ns)


def test_every_part_leaves_what_the_daemon_would_have(tmp_path: Path) -> None:
    answered = loaded(tmp_path, *PARTS)

    walks = answered // STEPS_PER_WALK
    assert walks > 0
    folders = list((tmp_path / "manifests").glob("*/*"))
    assert len(folders) == walks
    for folder in folders:
        assert sorted(path.name for path in folder.iterdir()) == ["events.log", "state.json"]
    assert decode_snapshot((folders[0] / "state.json").read_bytes()).version == STEPS_PER_WALK
    lines = (folders[0] / "events.log").read_bytes().splitlines()
    assert [read_event(line).version for line in lines] == [1, 2, 3, 4]
    written = (tmp_path / "journal").stat().st_size
    assert written == pytest.approx(answered * LINES_SIZE / STEPS_PER_WALK, rel=0.01)


def test_a_floor_without_parts_leaves_nothing(tmp_path: Path) -> None:
    assert loaded(tmp_path) > 0

    assert {path.name for path in tmp_path.iterdir()} <= {"commands", "events", "floor.log"}


def test_a_subscriber_gets_each_event(tmp_path: Path) -> None:
    socket, events = tmp_path / "commands", f"ipc://{tmp_path}/events"
    endpoint = f"ipc://{socket}"
    with (
        running(
            [sys.executable, "-m", "bench.floor", endpoint, events, str(tmp_path), "publish"],
            socket,
            tmp_path / "floor.log",
        ) as server,
        zmq.Context() as context,
        context.socket(zmq.SUB) as subscriber,
        Load(context, endpoint, 4, b'{"ok":true') as load,
    ):
        subscriber.set(zmq.RCVHWM, 0)
        subscriber.set(zmq.SUBSCRIBE, b"")
        subscriber.connect(events)
        subscriber.recv_multipart()  # A heartbeat: from here on nothing is missed.
        answered = len(load.run(0.05).latencies_ns)
        server.terminate()
        received = []
        while (message := subscriber.recv_multipart())[0] != b"bye":
            received.append(message)

    lines = [body for topic, body in received if topic.startswith(b"event/")]
    assert len(lines) == answered
    assert read_event(lines[0]).type == "transitioned"
