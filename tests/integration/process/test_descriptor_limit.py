"""At the limit of descriptors: who floods is hung up on, all others go on, and it says so."""

import select
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import zmq

from daemon.connections import raise_descriptor_limit
from tests.support.daemon_process import ANSWER_S, DaemonProcess, short_folder

FLOOD = 900  # Too few to reach the limit before anybody looks, however slow the machine is.
DESCRIPTORS = 1000  # Half of them are kept free: fewer than 500 connections have room.
HUNG_UP = 400  # At least.
LIMITED = ["prlimit", f"--nofile={DESCRIPTORS}:{DESCRIPTORS}"]
ROOM = 30  # Connections that the configuration lets in.


@contextmanager
def flooded(daemon: DaemonProcess) -> Iterator[list[socket.socket]]:
    """Connect very often, and say nothing."""
    raise_descriptor_limit()  # Of this process: it holds the other ends.
    raws = [socket.socket(socket.AF_UNIX) for _ in range(FLOOD)]
    try:
        for raw in raws:
            raw.connect(daemon.commands.removeprefix("ipc://"))
        yield raws
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
        assert time.monotonic() < deadline_s, f"{len(gone)} of {FLOOD} are gone"


def wait_until_said(daemon: DaemonProcess, said: str) -> None:
    deadline_s = time.monotonic() + ANSWER_S
    while said not in daemon.log():
        daemon.ask(op="health")
        assert time.monotonic() < deadline_s, daemon.log()


def test_at_the_limit_of_descriptors_the_daemon_refuses_says_so_and_recovers() -> None:
    with short_folder() as folder, DaemonProcess(folder, wrapper=LIMITED) as daemon:
        daemon.start()
        assert f"only {DESCRIPTORS} descriptors" in daemon.log()
        with daemon.socket(zmq.REQ) as early, early.get_monitor_socket() as monitor:
            early.send(b'{"op":"health"}')
            assert early.poll(int(ANSWER_S * 1000))
            early.recv()
            with flooded(daemon) as raws:
                hung_up(raws, HUNG_UP)
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

        descriptors = daemon.result(op="status")["limits"]["descriptors"]
        assert descriptors["refused"] >= HUNG_UP
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
                hung_up(raws, FLOOD - ROOM)
                assert daemon.result(op="health")["status"] == "ok"
            assert daemon.stop() == 0
