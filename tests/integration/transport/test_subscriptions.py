"""Who subscribes without end is hung up on; what he subscribed to is forgotten, and others notice nothing."""

import os
import subprocess
import sys
import time

import zmq

from daemon.transport.publisher import SUBSCRIPTION_SIZE_MAX, SUBSCRIPTIONS_BYTES_MAX
from tests.support import broken_daemon
from tests.support.daemon_process import ANSWER_S, DaemonProcess, short_folder

PREFIXES = 5000  # libzmq would keep 235 MB for them.
SIZE = SUBSCRIPTION_SIZE_MAX - 100
GROWTH_MAX = 100 << 20  # Bytes.
SILENT_S = 2.0  # So long the memory has not grown when everything was taken.

SHARE = (
    SUBSCRIPTIONS_BYTES_MAX * 3 // 4 // SIZE
)  # Prefixes: of one process no more than it may have.
SUBSCRIBER = f"""
import sys, zmq
subscriber = zmq.Context().socket(zmq.SUB)
subscriber.connect(sys.argv[1])
for number in range(int(sys.argv[3])):
    subscriber.setsockopt(zmq.SUBSCRIBE, f"{{sys.argv[2]}}-{{number}}".ljust({SIZE}).encode())
subscriber.setsockopt(zmq.SUBSCRIBE, b"heartbeat")
subscriber.recv_multipart()
print("taken", flush=True)
sys.stdin.read()
"""


def growth(daemon: DaemonProcess) -> int:
    """Subscribe very often, and return by how many bytes the daemon grows."""
    assert PREFIXES * SIZE > 5 * SUBSCRIPTIONS_BYTES_MAX
    before = most = daemon.rss_bytes()
    with daemon.socket(zmq.SUB, options={zmq.SNDHWM: 0}) as greedy:
        for _ in range(PREFIXES):
            greedy.setsockopt(zmq.SUBSCRIBE, os.urandom(SIZE))
        end_s = time.monotonic() + SILENT_S
        while time.monotonic() < end_s:
            daemon.result(op="health")
            if daemon.rss_bytes() > most + (1 << 20):
                most = daemon.rss_bytes()
                end_s = time.monotonic() + SILENT_S
            if most - before > 2 * GROWTH_MAX:
                break
    return most - before


def test_subscriptions_without_end_take_no_memory_without_end() -> None:
    with short_folder() as folder, DaemonProcess(folder) as daemon:
        daemon.start()
        grown = growth(daemon)
        assert grown < GROWTH_MAX
        assert "subscribes to too much and is hung up on" in daemon.log()

        with daemon.socket(zmq.SUB) as other:
            other.setsockopt(zmq.SUBSCRIBE, b"heartbeat")
            assert other.poll(int(ANSWER_S * 1000))
        assert daemon.stop() == 0, daemon.log()


def test_what_was_inherited_from_those_who_are_gone_counts_too() -> None:
    """Two subscribe to the same, libzmq tells of the first one, and that one goes."""
    with short_folder() as folder, DaemonProcess(folder) as daemon:
        daemon.start()
        with daemon.socket(zmq.SUB, options={zmq.SNDHWM: 0}) as heir:
            ended = heir.get_monitor_socket(zmq.EVENT_DISCONNECTED)
            for seed, count in ((1, SHARE), (2, SHARE - 1)):  # The second never has most of them.
                arguments = [daemon.events, str(seed), str(count)]
                with subprocess.Popen(
                    [sys.executable, "-c", SUBSCRIBER, *arguments],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                ) as first:
                    assert first.stdout is not None
                    assert (
                        first.stdout.readline() == b"taken\n"
                    )  # It hears the daemon: all were taken.
                    for number in range(count):
                        prefix = f"{seed}-{number}".ljust(SIZE).encode()
                        heir.setsockopt(zmq.SUBSCRIBE, prefix)
                    heir.setsockopt(zmq.SUBSCRIBE, b"heartbeat")
                    assert heir.poll(int(ANSWER_S * 1000))
                    heir.recv_multipart()
                    heir.setsockopt(zmq.UNSUBSCRIBE, b"heartbeat")
                    if seed == 1:
                        assert not ended.poll(0)

            assert ended.poll(int(ANSWER_S * 1000))
        assert "every subscriber is hung up on" in daemon.log()
        assert daemon.stop() == 0, daemon.log()


def test_a_daemon_that_counts_no_subscriptions_is_noticed() -> None:
    """The negative control."""
    with short_folder() as folder:
        program = broken_daemon.program("any-subscription")
        with DaemonProcess(folder, program=program) as daemon:
            assert growth(daemon.start()) > GROWTH_MAX
