"""The async client's sockets: many requests under way on one, each finding its answer.

Promise:  no task runs on its own: the loop's reader callbacks send, receive and wake whoever
          waits. After `close` no thread and no reader is left. An attempt whose connection ends is
          lost at once, as the blocking client's is.
Assume:   one event loop. ZeroMQ's FD is edge-triggered, so after every use the socket is asked
          again what it is ready for, or messages would lie unread.
Not here: when to ask again (`exchange.py`), what is sent (`requests.py`).
"""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from typing import Self, TypeVar

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
from manifestctl.sync_connection import listed
from protocol.commands import Request
from protocol.errors import CommandError

R = TypeVar("R", bound=msgspec.Struct)


class LoopSocket:
    """A socket in an event loop: `on_ready` is called when it may have become ready."""

    def __init__(self, socket: zmq.Socket[bytes], on_ready: Callable[[], None]) -> None:
        self.socket = socket
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(socket.FD, on_ready)

    def is_ready(self, flag: int) -> bool:
        """Tell whether the socket is ready for `flag` (`zmq.POLLIN`, `zmq.POLLOUT`)."""
        return bool(int(self.socket.getsockopt(zmq.EVENTS)) & flag)

    def close(self) -> None:
        """Leave the loop, and close the socket without lingering."""
        if not self.socket.closed:
            self._loop.remove_reader(self.socket.FD)
            self.socket.close(0)


class _Link:
    """One DEALER: requests that wait to be sent, and requests that wait for their answer."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self._socket = LoopSocket(socket, self._on_ready)
        self._disconnections = LoopSocket(watch_disconnections(socket), self._on_disconnected)
        self._answers: dict[bytes, asyncio.Future[bytes]] = {}
        self._unsent: dict[bytes, bytes] = {}
        self._numbers = 0

    async def ask(self, attempt: Attempt, body: bytes) -> tuple[bool, bytes | None]:
        self._numbers += 1
        number = b"%x" % self._numbers
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bytes] = loop.create_future()
        self._answers[number] = future
        self._unsent[number] = body
        impatience = loop.call_later(attempt.connect_s, self._give_up_unsent, number)
        self._on_ready()
        try:
            async with asyncio.timeout(attempt.answer_s):
                return True, await future
        except TimeoutError:
            return number not in self._unsent, None
        finally:
            impatience.cancel()
            del self._answers[number]
            self._unsent.pop(number, None)

    def close(self) -> None:
        self._disconnections.close()
        self._socket.close()
        for future in self._answers.values():
            if not future.done():
                future.cancel()

    def _give_up_unsent(self, number: bytes) -> None:
        if number in self._unsent and not self._answers[number].done():
            self._answers[number].set_exception(TimeoutError())

    def _on_disconnected(self) -> None:
        is_lost = False
        while self._disconnections.is_ready(zmq.POLLIN):
            is_lost |= try_receive(self._disconnections.socket) is not None
        if is_lost:
            for number, future in self._answers.items():
                if number not in self._unsent and not future.done():
                    future.set_exception(TimeoutError())

    def _on_ready(self) -> None:
        self._on_disconnected()  # What was sent before is lost; what is sent now is not.
        socket = self._socket
        while self._unsent and socket.is_ready(zmq.POLLOUT):
            number, body = next(iter(self._unsent.items()))
            if not try_send(socket.socket, number, body):
                break
            del self._unsent[number]
        while socket.is_ready(zmq.POLLIN):
            answer = split_answer(try_receive(socket.socket) or [])
            future = None if answer is None else self._answers.get(answer[0])
            if answer is not None and future is not None and not future.done():
                future.set_result(answer[1])


class Connection:
    """A connection to a daemon, for one event loop.

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

    async def __aenter__(self) -> Self:
        """Return the connection, which `async with` closes."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connection."""
        self.close()

    def close(self) -> None:
        """Close every socket at once; what was not sent never will be, whoever waits is cancelled."""
        for link in self._links.values():
            link.close()
        self.context.destroy(linger=0)

    async def exchange(
        self, request: Request, result_type: type[R], *, timeout_s: float | None = None
    ) -> R:
        """Send `request`, again if need be, and return the result.

        Raises:
            CommandError: the daemon refused, or nobody answered in time (`UnavailableError`).
        """
        policy = self.retry if timeout_s is None else self.retry.within(timeout_s)
        exchange = Exchange(with_ids(request), policy, self.route, now_s=time.monotonic())
        while True:
            attempt = exchange.attempt(time.monotonic())
            was_sent, answer = await self._link(attempt.commands).ask(attempt, exchange.body)
            if answer is None:
                pause_s = exchange.after_silence(time.monotonic(), random.random, was_sent=was_sent)
            else:
                try:
                    return read_answer(answer, result_type)
                except CommandError as error:
                    pause_s = exchange.after_refusal(time.monotonic(), random.random, error)
            await asyncio.sleep(pause_s)

    def _link(self, endpoint: str) -> _Link:
        link = self._links.get(endpoint)
        if link is None:
            link = self._links[endpoint] = _Link(open_dealer(self.context, endpoint, self.curve))
        return link
