"""The yardsticks: a ROUTER that sends back what it gets, and nothing else. `python -m bench.echo`.

    frames     as the daemon drives its socket: frame by frame, flags as plain integers
    multipart  as pyzmq's guide writes it: `send_multipart(recv_multipart())`, twice the CPU

Either has the plain socket's FD in uvloop's loop. A drain ends with a `recv` that found nothing, so
nothing can lie unread (zmq_getsockopt(3), ZMQ_FD).
"""

import asyncio
import signal
import sys
from typing import Final

import uvloop
import zmq
import zmq.backend

_recv = zmq.backend.Socket.recv
_send = zmq.backend.Socket.send
_NOBLOCK: Final = int(zmq.NOBLOCK)
_MORE: Final = int(zmq.SNDMORE | zmq.NOBLOCK)


def frames(router: zmq.Socket[bytes]) -> None:
    """Echo what waits, as fast as pyzmq can."""
    try:
        while True:
            routing_id = _recv(router, _NOBLOCK)
            empty = _recv(router, _NOBLOCK)
            body = _recv(router, _NOBLOCK)
            _send(router, routing_id, _MORE)
            _send(router, empty, _MORE)
            _send(router, body, _NOBLOCK)
    except zmq.Again:
        return


def multipart(router: zmq.Socket[bytes]) -> None:
    """Echo what waits, in one line of pyzmq."""
    try:
        while True:
            router.send_multipart(router.recv_multipart(zmq.NOBLOCK), zmq.NOBLOCK)
    except zmq.Again:
        return


async def serve(endpoint: str, how: str) -> None:
    """Echo until SIGTERM."""
    drain = {"frames": frames, "multipart": multipart}[how]
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    with zmq.Context(io_threads=1) as context, context.socket(zmq.ROUTER) as router:
        router.bind(endpoint)
        loop.add_reader(int(router.get(zmq.FD)), drain, router)
        drain(router)
        await stopped.wait()
        loop.remove_reader(int(router.get(zmq.FD)))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(*sys.argv[1:]))
