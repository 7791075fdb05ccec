"""Very many events in a short time: requests of one client, pipelined."""

from typing import Final

import msgspec
import zmq

WINDOW: Final = (
    512  # Requests under way: enough to keep the daemon busy, few enough for its queues.
)


def flood(commands: str, manifest_ids: list[str], events: int) -> None:
    """Comment `events` times on the manifests in turn; each has to be accepted."""
    with (
        zmq.Context() as context,
        context.socket(zmq.DEALER) as socket,
    ):
        socket.setsockopt(zmq.LINGER, 0)
        socket.connect(commands)
        answered = 0
        for number in range(events):
            request = {
                "op": "comment",
                "manifest_id": manifest_ids[number % len(manifest_ids)],
                "text": "x",
                "command_id": f"flood-{number}",
            }
            socket.send_multipart([b"", msgspec.json.encode(request)])
            if number - answered >= WINDOW:
                answered += _take_answer(socket)
        while answered < events:
            answered += _take_answer(socket)


def _take_answer(socket: zmq.Socket[bytes]) -> int:
    answer = socket.recv_multipart()[1]
    assert answer.startswith(b'{"ok":true'), answer
    return 1
