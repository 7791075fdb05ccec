"""A peer is who the kernel says, whatever it writes (design 9). Both attacks that were measured."""

import json
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import zmq

from tests.integration.transport.peers import NOBODY, MakePeer
from tests.support.daemon_process import ANSWER_S, DaemonProcess, environment, short_folder

ROOT = Path(__file__).parent.parent.parent.parent
WAIT_MS = int(ANSWER_S * 1000)
CLAIMED = 200  # Ids claimed ahead of the counter: more connections than a start-up makes.

# The daemon without its seeding: what make_context() is there for.
UNSEEDED = """
import sys, zmq
import daemon.application
daemon.application.make_context = lambda: zmq.Context(io_threads=1)
from daemon.command_line import main
sys.exit(main())
"""
# Prints the routing id that a ROUTER makes for its first peer; "seed" fixes what urandom says.
FIRST_ID = """
import os, sys, zmq
from daemon.transport import sockets
if sys.argv[1] == "fixed":
    os.urandom = lambda size: bytes(range(1, size + 1))
context = zmq.Context() if sys.argv[1] == "none" else sockets.make_context()
router = context.socket(zmq.ROUTER)
router.bind("inproc://here")
router.bind(sys.argv[2])
dealer = zmq.Context.instance().socket(zmq.DEALER)
dealer.connect(sys.argv[2])
dealer.send(b"")
print(router.recv_multipart()[0].hex())
zmq.Context.instance().destroy(linger=0)
context.destroy(linger=0)
"""


def automatic(number: int) -> bytes:
    """Return the id that ROUTER makes from its counter (libzmq, router_t::identify_peer)."""
    return b"\0" + struct.pack(">I", number % (1 << 32))


def first_id(seeding: str) -> int:
    """Return the counter with which a ROUTER of a new process begins."""
    with short_folder() as folder:
        printed = subprocess.run(
            [sys.executable, "-c", FIRST_ID, seeding, f"ipc://{folder}/r"],
            capture_output=True,
            check=True,
            text=True,
            cwd=ROOT,
            env=environment(),
        ).stdout
    identity = bytes.fromhex(printed)
    assert identity[:1] == b"\0"
    assert len(identity) == 5
    return int(struct.unpack(">I", identity[1:])[0])


def receive_until(raw: socket.socket, end: bytes) -> bytes:
    received = b""
    while end not in received:
        more = raw.recv(4096)
        assert more, received
        received += more
    return received


def test_the_seed_takes_effect_before_the_first_routing_id_is_made() -> None:
    assert first_id("fixed") == first_id("fixed")
    assert len({first_id("ours") for _ in range(3)}) == 3


def test_claiming_the_next_automatic_id_aborts_a_daemon_that_is_not_seeded() -> None:
    """The negative control of the next test: the attack is real."""
    if first_id("none") != first_id("none"):
        pytest.skip("this libzmq seeds itself, so that its ids cannot be told beforehand")
    start = first_id("none")
    with short_folder() as folder, DaemonProcess(folder, program=("-c", UNSEEDED)) as daemon:
        daemon.start()
        claimants = [
            daemon.socket(zmq.DEALER, routing_id=automatic(number))
            for number in range(start, start + CLAIMED)
        ]
        for claimant in claimants:
            claimant.send_multipart([b"", b'{"op":"health"}'])
        victims = [daemon.socket(zmq.DEALER) for _ in range(CLAIMED)]
        for victim in victims:
            victim.send_multipart([b"", b'{"op":"health"}'])

        assert daemon.wait() == -6, daemon.log()  # SIGABRT
        assert "Assertion failed" in daemon.log()
        for opened in (*claimants, *victims):
            opened.close()


def test_claiming_the_automatic_ids_of_an_unseeded_libzmq_does_nothing_to_ours() -> None:
    start = first_id("none")
    with short_folder() as folder, DaemonProcess(folder) as daemon:
        daemon.start()
        claimants = [
            daemon.socket(zmq.DEALER, routing_id=automatic(number))
            for number in range(start, start + CLAIMED)
        ]
        for claimant in claimants:
            claimant.send_multipart([b"", b'{"op":"health"}'])
            assert claimant.poll(WAIT_MS)
        for _ in range(CLAIMED):
            assert daemon.result(op="health")["status"] == "ok"
        assert daemon.stop() == 0
        for claimant in claimants:
            claimant.close()


def test_a_peer_that_takes_anothers_routing_id_gets_nothing_of_his(
    daemon: DaemonProcess, make_peer: MakePeer
) -> None:
    victim = make_peer(daemon, routing_id=b"gateway-1")
    assert victim.whoami()["uid"] == os.getuid()
    thief = make_peer(daemon, uid=NOBODY, routing_id=b"gateway-1")

    assert thief.order("send", '{"op":"whoami"}') is None
    for _ in range(20):
        assert victim.whoami()["uid"] == os.getuid()
    assert thief.order("listen", "300") is None


def test_a_peer_that_takes_an_id_that_router_made_for_another_gets_nothing_of_his() -> None:
    """With a seed that the test knows, since otherwise nobody could."""
    fixed = "import os; os.urandom = lambda size: bytes(range(1, size + 1))\n"
    program = f"{fixed}import sys; from daemon.command_line import main; sys.exit(main())"
    start = first_id("fixed")
    with short_folder() as folder, DaemonProcess(folder, program=("-c", program)) as daemon:
        daemon.start()
        victim = daemon.socket(zmq.DEALER)
        victim.send_multipart([b"", b'{"op":"whoami"}'])
        assert victim.poll(WAIT_MS)
        victim.recv_multipart()
        # Every id that was made so far, the victim's among them; not the next one, with which
        # whoever knows the seed aborts the daemon.
        thieves = [daemon.socket(zmq.DEALER, routing_id=automatic(start + n)) for n in range(2)]
        for thief in thieves:
            thief.send_multipart([b"", b'{"op":"whoami"}'])
        for _ in range(20):
            victim.send_multipart([b"", b'{"op":"whoami"}'])
            assert victim.poll(WAIT_MS)
            assert json.loads(victim.recv_multipart()[-1])["result"]["uid"] == os.getuid()
        # Of the two, one took the id of the helper's first connection, which is gone.
        assert sum(thief.poll(300) > 0 for thief in thieves) <= 1
        for thief in thieves:
            thief.close()
        victim.close()


def test_every_message_is_judged_by_the_uid_that_sent_it(
    daemon: DaemonProcess, make_peer: MakePeer
) -> None:
    mine, his = make_peer(daemon), make_peer(daemon, uid=NOBODY)

    for _ in range(20):
        assert (mine.whoami()["uid"], his.whoami()["uid"]) == (os.getuid(), NOBODY)
    assert his.whoami()["principal"] == "nobody"


def test_a_peer_cannot_say_in_its_greeting_who_it_is(daemon: DaemonProcess) -> None:
    """ZMTP's READY command may carry any property; libzmq makes it part of the metadata."""
    claimed = {b"Peer-Address": b"localhost:12345:12345:1", b"User-Id": b"alice"}
    properties = b"".join(
        bytes([len(name)]) + name + struct.pack(">I", len(value)) + value
        for name, value in {b"Socket-Type": b"DEALER", b"Identity": b"", **claimed}.items()
    )
    ready = b"\x05READY" + properties
    request = b'{"op":"whoami"}'
    with socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(ANSWER_S)
        raw.connect(daemon.commands.removeprefix("ipc://"))
        raw.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32))
        raw.sendall(b"\x04" + bytes([len(ready)]) + ready)
        receive_until(raw, b"READY")
        raw.sendall(b"\x00" + bytes([len(request)]) + request)
        received = receive_until(raw, b"}}")

    assert f'"uid":{os.getuid()},'.encode() in received
    assert b"12345" not in received
    assert b"alice" not in received


def test_two_users_are_two_persons_for_four_eyes(make_peer: MakePeer) -> None:
    with short_folder() as folder, DaemonProcess(folder, dev=False) as daemon:
        daemon.start()
        author, other = make_peer(daemon, uid=NOBODY), make_peer(daemon, uid=2)
        document = {"name": "io.github.acme/echo", "description": "Echo.", "version": "1.0.0"}
        create = {
            "op": "create",
            "manifest_id": "echo@1",
            "kind": "mcp-server",
            "manifest": document,
        }
        assert author.order("ask", json.dumps(create))["ok"]
        submit = '{"op":"transition","manifest_id":"echo@1","event":"submit_for_review"}'
        submitted = author.order("ask", submit)
        assert submitted["ok"], submitted
        approve = '{"op":"transition","manifest_id":"echo@1","event":"approve"}'

        refused = author.order("ask", approve)["error"]
        approved = other.order("ask", approve)

        assert refused["code"] == "GUARD_REJECTED"
        assert "four_eyes" in refused["message"]
        assert approved["ok"], approved
        assert daemon.stop() == 0
