"""What the transport's tests share: one daemon for each module, and peers of other users."""

import os
from collections.abc import Iterator

import pytest

from tests.integration.transport.peers import MakePeer, Peer
from tests.support.daemon_process import DaemonProcess, short_folder


@pytest.fixture(scope="module")
def daemon() -> Iterator[DaemonProcess]:
    """Run one daemon for a module: what one test does to it must not matter to the next."""
    with short_folder() as folder, DaemonProcess(folder) as running:
        yield running.start()
        assert running.stop() == 0, running.log()


@pytest.fixture
def make_peer() -> Iterator[MakePeer]:
    """Return a function that starts a peer; all of them end with the test."""
    peers: list[Peer] = []

    def make(daemon: DaemonProcess, *, uid: int | None = None, routing_id: bytes = b"") -> Peer:
        if uid is not None:
            if os.geteuid() != 0:
                pytest.skip("only root can start a peer of another user")
            (daemon.folder / "c").chmod(0o666)  # As if the user were in the socket's group.
        peers.append(Peer(daemon.commands, uid=uid, routing_id=routing_id))
        return peers[-1]

    yield make
    for peer in peers:
        peer.close()
