"""The blocking client's sockets: a request goes out, and its answer comes back or does not.

Promise:  one request at a time; a lock makes other threads wait. Nothing runs between requests,
          and after `close` no thread is left. An attempt whose connection ends is lost at once: the
          daemon that has the request is gone, and it may take minutes to answer one that is not.
Not here: when to ask again (`exchange.py`), what is sent (`requests.py`).
"""

import random
import threading
import time
from collections.abc import Sequence
from typing import NamedTuple, Self, TypeVar

import msgspec
import zmq

from manifestctl.answers import read_answer
from manifestctl.endpoints import find_daemons
from manifestctl.exchange import Attempt, Exchange
from manifestctl.requests import with_ids
from manifestctl.retry import RetryPolicy
from manifestctl.sockets import (
    Curve,
    open_dealer,
    split_answer,
    try_receive,
    try_send,
    watch_disconnections,
)
from protocol.commands import Request
from protocol.errors import CommandError

R = TypeVar("R", bound=msgspec.Struct)


def listed(endpoints: str | Sequence[str]) -> Sequence[str]:
    """Return one endpoint, or several, as a sequence."""
    return [endpoints] if isinstance(endpoints, str) else endpoints


class SyncConnection:
    """A blocking connection to a daemon.

    `commands` and `events` are endpoints, tried in order; left out, a daemon on this machine is
    looked for: `EndpointError` and `UnavailableError` say why there is none.
    """

    def __init__(
        self,
        commands: str | Sequence[str] = (),
        events: str | Sequence[str] = (),
        *,
        retry: RetryPolicy | None = None,
        curve: Curve | None = None,
    ) -> None:
        self.route = find_daemons(listed(commands), listed(events))
        self.retry = retry or RetryPolicy()
        self.curve = curve
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._links: dict[str, _Link] = {}
        self._lock = threading.Lock()
        self._sent = 0

    def __enter__(self) -> Self:
        """Return the connection, which `with` closes."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self.close()

    def close(self) -> None:
        """Close every socket at once; what was not sent never will be."""
        self.context.destroy(linger=0)

    def exchange(
        self, request: Request, result_type: type[R], *, timeout_s: float | None = None
    ) -> R:
        """Send `request`, again if need be, and return the result.

        Raises:
            CommandError: the daemon refused, or nobody answered in time (`UnavailableError`).
        """
        policy = self.retry if timeout_s is None else self.retry.within(timeout_s)
        with self._lock:
            exchange = Exchange(with_ids(request), policy, self.route, now_s=time.monotonic())
            while True:
                attempt = exchange.attempt(time.monotonic())
                was_sent, answer = self._try(attempt, exchange.body)
                if answer is None:
                    pause_s = exchange.after_silence(
                        time.monotonic(), random.random, was_sent=was_sent
                    )
                else:
                    try:
                        return read_answer(answer, result_type)
                    except CommandError as error:
                        pause_s = exchange.after_refusal(time.monotonic(), random.random, error)
                time.sleep(pause_s)

    def _try(self, attempt: Attempt, body: bytes) -> tuple[bool, bytes | None]:
        socket, disconnections = link = self._link(attempt.commands)
        started_s = time.monotonic()
        self._sent += 1
        number = b"%x" % self._sent
        if not socket.poll(int(attempt.connect_s * 1000), zmq.POLLOUT):
            return False, None
        while try_receive(disconnections) is not None:
            pass  # Those of earlier daemons.
        if not try_send(socket, number, body):
            return False, None
        while True:
            left_s = started_s + attempt.answer_s - time.monotonic()
            if left_s <= 0 or not link.wait(int(left_s * 1000) + 1):
                return True, None
            answer = split_answer(try_receive(socket) or [])
            if answer is not None and answer[0] == number:
                return True, answer[1]

    def _link(self, endpoint: str) -> "_Link":
        link = self._links.get(endpoint)
        if link is None:
            socket = open_dealer(self.context, endpoint, self.curve)
            link = self._links[endpoint] = _Link(socket, watch_disconnections(socket))
        return link


class _Link(NamedTuple):
    """A DEALER, and a socket on which libzmq says that its connection ended."""

    socket: zmq.Socket[bytes]
    disconnections: zmq.Socket[bytes]

    def wait(self, timeout_ms: int) -> bool:
        """Tell whether there is a message to read; False, too, when no more will come."""
        zmq.select([*self], [], [], timeout_ms / 1000)
        return bool(self.socket.poll(0))  # Also what came before the end of the connection.
