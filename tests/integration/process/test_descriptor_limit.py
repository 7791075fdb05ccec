"""At the limit of descriptors: who floods is hung up on and kept out, all others go on, and it says so."""

import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import zmq

from daemon.connections import CONNECTIONS_SHARE, DESCRIPTORS_MIN, raise_descriptor_limit
from daemon.door import CLOSED_SUFFIX
from tests.support import broken_daemon, connection_flood
from tests.support.daemon_process import ANSWER_S, DaemonProcess, short_folder

FLOOD = 3000  # Too few to reach the limit before anybody looks, however slow the machine is.
DESCRIPTORS = DESCRIPTORS_MIN
KEPT = DESCRIPTORS // CONNECTIONS_SHARE  # At most, the daemon's own included.
ROOM = 30  # Connections that the configuration lets in.
FLOOD_S = 2.0


def limited(descriptors: int) -> list[str]:
    return ["prlimit", f"--nofile={descriptors}:{descriptors}"]


@contextmanager
def flooded(daemon: DaemonProcess) -> Iterator[list[socket.socket]]:
    """Connect very often, and say nothing; yield the connections that were accepted."""
    raise_descriptor_limit()  # Of this process: it holds the other ends.
    raws = [socket.socket(socket.AF_UNIX) for _ in range(FLOOD)]
    accepted = []
    try:
        for raw in raws:
            with suppress(FileNotFoundError):  # The door is closed.
                raw.connect(daemon.commands.removeprefix("ipc://"))
                accepted.append(raw)
        yield accepted
    finally:
        for raw in raws:
            raw.close()


def hung_up(raws: list[socket.socket], count: int) -> None:
    """Wait until the daemon has hung up on `count` of them."""
    poll = select.poll()
    for raw in raws:
        poll.register(raw, select.POLLRDHUP)
    deadline_s = time.monotonic() + ANSWER_S
    while len(gone := poll.poll(100)) < count:
        assert time.monotonic() < deadline_s, f"{len(gone)} of {len(raws)} are gone"


def wait_until_said(daemon: DaemonProcess, said: str) -> None:
    deadline_s = time.monotonic() + ANSWER_S
    while said not in daemon.log():
        daemon.ask(op="health")
        assert time.monotonic() < deadline_s, daemon.log()


def test_at_the_limit_of_descriptors_the_daemon_refuses_says_so_and_recovers() -> None:
    with short_folder() as folder, DaemonProcess(folder, wrapper=limited(DESCRIPTORS)) as daemon:
        daemon.start()
        assert f"only {DESCRIPTORS} descriptors" in daemon.log()
        with daemon.socket(zmq.REQ) as early, early.get_monitor_socket() as monitor:
            early.send(b'{"op":"health"}')
            assert early.poll(int(ANSWER_S * 1000))
            early.recv()
            with flooded(daemon) as raws:
                assert len(raws) > KEPT
                hung_up(raws, len(raws) - KEPT)
                for number in range(20):  # The archive opens a file for each.
                    early.send(
                        b'{"op":"create","kind":"agent","manifest_id":"m%d@1","manifest":'
                        b'{"name":"m","version":"1.0.0"}}' % number
                    )
                    assert early.poll(int(ANSWER_S * 1000)), daemon.log()
                    assert early.recv().startswith(b'{"ok":true')
                wait_until_said(daemon, "whoever holds most connections loses some")
            wait_until_said(daemon, "there is room for connections again")
            events = set()
            while monitor.poll(0):
                events.add(int.from_bytes(monitor.recv_multipart()[0][:2], "little"))
            assert zmq.Event.DISCONNECTED.value not in events
            early.disable_monitor()

        assert not Path(daemon.commands.removeprefix("ipc://") + CLOSED_SUFFIX).exists()
        descriptors = daemon.result(op="status")["limits"]["descriptors"]
        assert descriptors["refused"] >= len(raws) - KEPT
        assert descriptors["used"] <= descriptors["limit"]
        assert daemon.result(op="verify")["events"] == 20
        assert "Traceback" not in daemon.log()
        assert daemon.stop() == 0, daemon.log()


def test_no_more_connections_are_kept_than_the_configuration_says() -> None:
    with short_folder() as folder:
        variables = {"MANIFESTD_LIMITS__CONNECTIONS": str(ROOM)}
        with DaemonProcess(folder, variables=variables) as daemon:
            daemon.start()
            with flooded(daemon) as raws:
                hung_up(raws, len(raws) - ROOM)
                assert daemon.result(op="health")["status"] == "ok"
            assert daemon.stop() == 0


def test_with_too_few_descriptors_it_does_not_start() -> None:
    with short_folder() as folder:
        few = [*limited(DESCRIPTORS_MIN - 1), sys.executable]
        ended = subprocess.run(
            [*few, "-m", "daemon", "--dev", "--data-dir", str(folder / "data")],
            capture_output=True,
            text=True,
            check=False,
        )

    assert ended.returncode == 78
    assert f"give it {DESCRIPTORS_MIN} or more" in ended.stderr


@contextmanager
def as_fast_as_they_can(daemon: DaemonProcess, processes: int) -> Iterator[None]:
    """Let processes connect, and connect again, until the context ends."""
    path = daemon.commands.removeprefix("ipc://")
    command = [sys.executable, *connection_flood.PROGRAM, path, str(FLOOD_S)]
    flooding = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(processes)
    ]
    yield
    connected = [int(one.communicate()[0]) for one in flooding]
    assert sum(connected) > DESCRIPTORS_MIN // 4, connected


@pytest.mark.long
@pytest.mark.parametrize("processes", [1, 4])
@pytest.mark.parametrize("descriptors", [DESCRIPTORS_MIN, 2 * DESCRIPTORS_MIN, 16_384])
def test_the_fastest_flood_ends_neither_the_daemon_nor_anybody_s_connection(
    descriptors: int, processes: int
) -> None:
    with short_folder() as folder, DaemonProcess(folder, wrapper=limited(descriptors)) as daemon:
        daemon.start()
        daemon.result(
            op="create", kind="agent", manifest_id="m@1", manifest={"name": "m", "version": "1"}
        )
        with daemon.socket(zmq.REQ) as early, early.get_monitor_socket() as monitor:
            with as_fast_as_they_can(daemon, processes):
                deadline_s = time.monotonic() + FLOOD_S
                while time.monotonic() < deadline_s:
                    early.send(b'{"op":"comment","manifest_id":"m@1","text":"still here"}')
                    assert early.poll(int(ANSWER_S * 1000)), daemon.log()
                    assert early.recv().startswith(b'{"ok":true')
            events = set()
            while monitor.poll(0):
                events.add(int.from_bytes(monitor.recv_multipart()[0][:2], "little"))
            assert zmq.Event.DISCONNECTED.value not in events
            early.disable_monitor()
        wait_until_said(daemon, "whoever holds most connections loses some")
        wait_until_said(daemon, "there is room for connections again")
        assert daemon.stop() == 0, daemon.log()


def test_without_a_door_the_fastest_flood_ends_it() -> None:
    """The negative control: what libzmq does when there is no descriptor left."""
    with short_folder() as folder:
        program = broken_daemon.program("open-door")
        wrapper = limited(DESCRIPTORS)
        with DaemonProcess(folder, wrapper=wrapper, program=program) as daemon:
            daemon.start()
            with as_fast_as_they_can(daemon, 1):
                assert daemon.wait() != 0
            assert "Too many open files" in daemon.log()
