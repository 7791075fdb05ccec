"""One subscriber: receives every event and counts it. `python -m bench.subscriber ENDPOINT`.

It says `ready` when the first message came, and how many events came when the daemon says `bye`.
"""

import sys

import zmq
import zmq.backend

_recv = zmq.backend.Socket.recv


def count_events(endpoint: str) -> int:
    """Return how many events came before `bye`."""
    with zmq.Context() as context, context.socket(zmq.SUB) as socket:
        socket.set(zmq.RCVHWM, 0)  # Where it falls behind, memory holds what it did not count yet.
        socket.set(zmq.SUBSCRIBE, b"")
        socket.connect(endpoint)
        topic = _recv(socket)
        print("ready", flush=True)
        events = 0
        while topic != b"bye":
            events += topic.startswith(b"event/")
            _recv(socket)
            topic = _recv(socket)
        return events


if __name__ == "__main__":
    print(count_events(sys.argv[1]), flush=True)
