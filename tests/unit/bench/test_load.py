"""Strict REQ clients: one request each under way, every reply checked, every reply counted."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest
import zmq

from bench.load import Load, LoadError
from bench.subscriber import count_events

Context = zmq.Context[zmq.Socket[bytes]]


@contextmanager
def answering(context: Context, endpoint: str, reply: bytes) -> Iterator[list[bytes]]:
    """A ROUTER that gives everybody the same reply; yields the bodies that it got."""
    router, control = context.socket(zmq.ROUTER), context.socket(zmq.PAIR)
    router.bind(endpoint)
    control.bind("inproc://control")
    stopper = context.socket(zmq.PAIR)
    stopper.connect("inproc://control")
    bodies: list[bytes] = []

    def serve() -> None:
        poller = zmq.Poller()
        poller.register(router, zmq.POLLIN)
        poller.register(control, zmq.POLLIN)
        while control not in (ready := dict(poller.poll())):
            if router in ready:
                routing_id, empty, body = router.recv_multipart()
                bodies.append(body)
                router.send_multipart([routing_id, empty, reply])

    thread = Thread(target=serve)
    thread.start()
    try:
        yield bodies
    finally:
        stopper.send(b"")
        thread.join()
        for socket in (router, control, stopper):
            socket.close(0)


@pytest.fixture
def context() -> Iterator[Context]:
    with zmq.Context() as context:
        yield context


def test_every_reply_is_counted_and_nothing_is_left_under_way(
    context: Context, tmp_path: Path
) -> None:
    endpoint = f"ipc://{tmp_path}/commands"
    with (
        answering(context, endpoint, b'{"ok":true}') as bodies,
        Load(context, endpoint, 8, b'{"ok":true') as load,
    ):
        first, second = load.run(0.05), load.run(0.05)

    assert len(first.latencies_ns) + len(second.latencies_ns) == len(bodies) >= 16
    assert all(body.startswith(b'{"op":"') for body in bodies)
    assert len(set(bodies)) == len(bodies)
    assert min(first.latencies_ns) > 0
    assert load.lost_wakeups == 0


def test_a_refusal_ends_the_run_and_is_shown(context: Context, tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/commands"
    refusal = b'{"ok":false,"error":{"code":"OVERLOADED"}}'

    with (
        answering(context, endpoint, refusal),
        Load(context, endpoint, 2, b'{"ok":true') as load,
        pytest.raises(LoadError, match="OVERLOADED"),
    ):
        load.run(0.05)


def test_the_archive_is_waited_for(context: Context, tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/commands"
    status = b'{"ok":true,"result":{"archived_seq":12,"last_seq":12}}'

    with (
        answering(context, endpoint, status) as bodies,
        Load(context, endpoint, 1, b'{"ok":true') as load,
    ):
        assert load.wait_until_archived() == 12

    assert bodies == [b'{"op":"status"}']


def test_the_subscriber_counts_events_until_bye(
    context: Context, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    endpoint = f"ipc://{tmp_path}/events"
    publisher = context.socket(zmq.XPUB)
    publisher.bind(endpoint)
    publisher.set(zmq.LINGER, 0)
    counted: list[int] = []
    thread = Thread(target=lambda: counted.append(count_events(endpoint)))
    thread.start()
    publisher.recv()  # Its subscription: nothing can be missed from here on.
    for topic in (b"heartbeat", b"event/agent/a/DRAFT", b"event/agent/b/DRAFT", b"bye"):
        publisher.send_multipart([topic, b"{}"])
    thread.join()
    publisher.close()

    assert counted == [2]
    assert capsys.readouterr().out == "ready\n"
