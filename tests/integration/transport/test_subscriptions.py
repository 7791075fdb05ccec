"""Who subscribes without end is hung up on; what he subscribed to is forgotten, and others notice nothing."""

import os
import time

import zmq

from daemon.transport.publisher import SUBSCRIPTION_SIZE_MAX, SUBSCRIPTIONS_BYTES_MAX
from tests.support import broken_daemon
from tests.support.daemon_process import ANSWER_S, DaemonProcess, short_folder

PREFIXES = 5000  # libzmq would keep 235 MB for them.
SIZE = SUBSCRIPTION_SIZE_MAX - 100
GROWTH_MAX = 100 << 20  # Bytes.
SILENT_S = 2.0  # So long the memory has not grown when everything was taken.


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


def test_a_daemon_that_counts_no_subscriptions_is_noticed() -> None:
    """The negative control."""
    with short_folder() as folder:
        program = broken_daemon.program("any-subscription")
        with DaemonProcess(folder, program=program) as daemon:
            assert growth(daemon.start()) > GROWTH_MAX
