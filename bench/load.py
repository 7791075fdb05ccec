"""Strict REQ clients, as many as wanted, in this one process. `python -m bench.load --help`.

    client := one REQ socket: request, reply, request, …        never two requests under way
    loop   := epoll over the sockets' FDs -> recv -> check -> note the latency -> send the next

Promise:  every reply is checked. What is counted lies wholly in the window: at its start nothing
          is under way, at its end everything was answered. The server's CPU covers the window and
          what it left to do: writing the archive behind it.
Assume:   Linux. libzmq's FD is edge-triggered, but a REQ that was answered has nothing else to
          say, so it is not asked after every call; a wake-up that was lost all the same is found
          by looking at every socket when nothing came for a while, and it is reported.
Not here: what is asked (`walk.py`), what the figures mean (`throughput.py`).
"""

import argparse
import select
import time
from array import array
from typing import Final, NamedTuple, Self

import msgspec
import zmq
import zmq.backend

from bench.figures import percentile
from bench.processes import cpu_s
from bench.walk import requests
from bench.window import Window

SILENCE_S: Final = 0.25  # Then every socket is looked at.
PATIENCE_S: Final = 20.0  # Then the server is said to have stopped answering.
POLL_INTERVAL_S: Final = (
    0.1  # Between two looks at how far the archive is: `status` costs CPU, too.
)
NS_PER_MS: Final = 1e6
_NOBLOCK: Final = int(zmq.NOBLOCK)

_recv = zmq.backend.Socket.recv
_send = zmq.backend.Socket.send


class LoadError(Exception):
    """The server answered what it should not, or did not answer."""


class _Client:
    __slots__ = ("requests", "sent_ns", "socket")

    def __init__(self, socket: zmq.Socket[bytes], number: int) -> None:
        self.socket = socket
        self.requests = requests(number)
        self.sent_ns = 0


class _Run(NamedTuple):
    latencies_ns: "array[int]"
    duration_s: float


class Load:
    """A number of clients of one endpoint; `expected` is how every good reply begins.

    Use with `with`, which closes them.
    """

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str, clients: int, expected: bytes
    ) -> None:
        self._expected = expected
        self._epoll = select.epoll()
        self._clients: dict[int, _Client] = {}
        self.lost_wakeups = 0
        for number in range(clients):
            socket = context.socket(zmq.REQ)
            socket.connect(endpoint)
            descriptor = int(socket.get(zmq.FD))
            self._clients[descriptor] = _Client(socket, number)
            self._epoll.register(descriptor, select.EPOLLIN)

    def __enter__(self) -> Self:
        """Return the load."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close every client."""
        self._epoll.close()
        for client in self._clients.values():
            client.socket.close(0)

    def run(self, duration_s: float) -> _Run:
        """Let every client ask for `duration_s`, and return when the last reply came."""
        clients, poll, clock_ns = self._clients, self._epoll.poll, time.perf_counter_ns
        latencies_ns = array("q")
        note = latencies_ns.append
        begun_ns = now_ns = clock_ns()
        deadline_ns = begun_ns + int(duration_s * 1e9)
        for client in clients.values():
            client.sent_ns = clock_ns()
            _send(client.socket, next(client.requests), _NOBLOCK)
        under_way = len(clients)
        while under_way:
            for descriptor, _ in poll(SILENCE_S) or self._look_at_all(now_ns):
                client = clients[descriptor]
                try:
                    reply = _recv(client.socket, _NOBLOCK)
                except zmq.Again:
                    continue  # A wake-up for libzmq's own ends.
                except zmq.ZMQError:  # The same, for a client that has ended: let libzmq do it.
                    client.socket.get(zmq.EVENTS)
                    continue
                now_ns = clock_ns()
                note(now_ns - client.sent_ns)
                if not reply.startswith(self._expected):
                    message = f"expected {self._expected!r}…, got {reply[:1000]!r}"
                    raise LoadError(message)
                if now_ns < deadline_ns:
                    client.sent_ns = now_ns
                    _send(client.socket, next(client.requests), _NOBLOCK)
                else:
                    under_way -= 1
        return _Run(latencies_ns, (now_ns - begun_ns) / 1e9)

    def _look_at_all(self, heard_ns: int) -> list[tuple[int, int]]:
        """Return which sockets hold a reply although no wake-up said so."""
        if time.perf_counter_ns() - heard_ns > PATIENCE_S * 1e9:
            message = f"no reply came for {PATIENCE_S} s"
            raise LoadError(message)
        holding = [
            (descriptor, 0)
            for descriptor, client in self._clients.items()
            if int(client.socket.get(zmq.EVENTS)) & zmq.POLLIN
        ]
        self.lost_wakeups += len(holding)
        return holding

    def wait_until_archived(self) -> int:
        """Wait until the daemon has nothing left to write behind, and return its last seq."""
        socket = next(iter(self._clients.values())).socket
        while True:
            socket.send(b'{"op":"status"}')
            if not socket.poll(int(PATIENCE_S * 1e3)):
                message = f"the daemon did not answer `status` for {PATIENCE_S} s"
                raise LoadError(message)
            status = msgspec.json.decode(socket.recv())["result"]
            if status["archived_seq"] == status["last_seq"]:
                return int(status["last_seq"])
            time.sleep(POLL_INTERVAL_S)


def measure(load: Load, arguments: argparse.Namespace) -> Window:
    """Warm up, then measure one window."""
    load.run(arguments.warm_up_s)
    if not arguments.echo:
        load.wait_until_archived()
    cpu_before_s = cpu_s(arguments.server_pid)
    run = load.run(arguments.duration_s)
    ended_s = time.perf_counter()
    events = 0 if arguments.echo else load.wait_until_archived()
    behind_s = time.perf_counter() - ended_s
    cpu_used_s = cpu_s(arguments.server_pid) - cpu_before_s
    latencies_ns = sorted(run.latencies_ns)
    return Window(
        clients=arguments.clients,
        commands=len(latencies_ns),
        duration_s=run.duration_s,
        p50_ms=percentile(latencies_ns, 0.50) / NS_PER_MS,
        p99_ms=percentile(latencies_ns, 0.99) / NS_PER_MS,
        cpu_s=cpu_used_s,
        behind_s=behind_s,
        events=events,
        lost_wakeups=load.lost_wakeups,
    )


def main() -> None:
    """Measure one server and print the window as one line of JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.load", description=__doc__)
    parser.add_argument("endpoint")
    parser.add_argument("--server-pid", type=int, required=True, help="whose CPU is measured")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--warm-up-s", type=float, default=1.0)
    parser.add_argument("--duration-s", type=float, default=5.0)
    parser.add_argument("--echo", action="store_true", help="the server only echoes")
    arguments = parser.parse_args()
    expected = b'{"op":"' if arguments.echo else b'{"ok":true'
    with (
        zmq.Context(io_threads=1) as context,
        Load(context, arguments.endpoint, arguments.clients, expected) as load,
    ):
        print(msgspec.json.encode(measure(load, arguments)).decode())


if __name__ == "__main__":
    main()
