"""The async subscriber: carries out the steps of `script.py` in an event loop."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Self

from manifestctl.connection import Connection, LoopSocket
from manifestctl.filters import EventFilter
from manifestctl.script import (
    Ask,
    Initial,
    Item,
    Lost,
    Open,
    Ready,
    Receive,
    ReceivedEvent,
    Step,
    Subscription,
)
from manifestctl.sockets import open_subscription, try_receive
from manifestctl.sync_subscriber import QUEUE_SIZE, OnChange, events_endpoint
from protocol.errors import CommandError


class Subscriber:
    """An async iterator over events: ordered, gapless, without duplicates (design 5).

    The arguments are those of `SyncSubscriber`. A consumer that is slow, or pauses, costs at most
    `queue_size` messages of memory: what does not fit is dropped and read from the feed.
    """

    def __init__(
        self,
        client: Connection,
        *,
        from_seq: int | None = None,
        store_id: str | None = None,
        initial: bool = False,
        wanted: EventFilter | None = None,
        queue_size: int = QUEUE_SIZE,
        on_change: OnChange | None = None,
    ) -> None:
        self._client = client
        self._subscription = Subscription(
            from_seq=from_seq,
            initial=initial,
            wanted=wanted or EventFilter(),
            store_id=store_id,
        )
        self._script = self._subscription.script()
        self._queue_size = queue_size
        self._on_change = on_change
        self._socket: LoopSocket | None = None
        self._readable = asyncio.Event()
        self._step: Step | None = None

    @property
    def position(self) -> int | None:
        """The seq of the last event handed out or passed over; None before the first connection."""
        return self._subscription.position

    @property
    def store_id(self) -> str | None:
        """The id of the store that the events are in; None before the first connection."""
        return self._subscription.store_id

    async def __aenter__(self) -> Self:
        """Return the subscriber, which `async with` closes."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the subscriber."""
        self.close()

    def close(self) -> None:
        """Close its socket; the client stays open."""
        self._script.close()
        if self._socket is not None:
            self._socket.close()

    def __aiter__(self) -> AsyncIterator[Item]:
        """Return the subscriber, an iterator that ends only by an error."""
        return self

    async def __anext__(self) -> Item:
        """Return the next item; may be cancelled, and called again, without losing one."""
        while True:
            step = await self._run()
            if isinstance(step, ReceivedEvent | Initial):
                return step

    async def start(self) -> None:
        """Return when the stream is live, or the first item is there to be read."""
        step = await self._run()
        if not isinstance(step, Ready):
            self._step = step

    async def _run(self) -> Step:
        """Carry out steps up to one that is news."""
        while True:
            if self._step is None:
                self._step = self._script.send(None)
            step = self._step
            if isinstance(step, Receive):
                self._step = self._script.send(await self._receive(step.timeout_s))
            elif isinstance(step, Ask):
                await self._ask(step)
            elif isinstance(step, Open):
                self._open(step)
                self._step = self._script.send(None)
            else:
                self._step = None
                if isinstance(step, Ready | Lost) and self._on_change is not None:
                    self._on_change(step)
                return step

    async def _ask(self, step: Ask) -> None:
        try:
            answer = await self._client.exchange(step.request, step.result_type)
        except CommandError as error:
            self._step = self._script.throw(error)
        else:
            self._step = self._script.send(answer)

    def _open(self, step: Open) -> None:
        if self._socket is not None:
            self._socket.close()
        client = self._client
        socket = open_subscription(
            client.context,
            events_endpoint(client.route),
            client.curve,
            topics=step.topics,
            queue_size=self._queue_size,
        )
        self._socket = LoopSocket(socket, self._readable.set)

    async def _receive(self, wait_s: float) -> tuple[bytes, bytes] | None:
        assert self._socket is not None
        deadline_s = time.monotonic() + wait_s
        while True:
            self._readable.clear()
            frames = try_receive(self._socket.socket)
            if frames is not None:
                return frames[0], frames[1] if len(frames) > 1 else b""
            try:
                async with asyncio.timeout(deadline_s - time.monotonic()):
                    await self._readable.wait()
            except TimeoutError:
                return None
