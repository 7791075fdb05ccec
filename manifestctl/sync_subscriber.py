"""The blocking subscriber: carries out the steps of `script.py` on plain sockets."""

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, Self

import zmq

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
from protocol.endpoints import EndpointError
from protocol.errors import CommandError

if TYPE_CHECKING:
    from manifestctl.endpoints import Route
    from manifestctl.sync_connection import SyncConnection

QUEUE_SIZE: Final = 1000  # Messages that wait unread; more are dropped, and read from the feed.
OnChange = Callable[[Ready | Lost], None]


def events_endpoint(route: "Route") -> str:
    """Return where the current daemon publishes; `EndpointError` when nobody said."""
    events = route.current.events
    if events is None:
        reason = "where its events are published is not known; name it with --events"
        raise EndpointError(route.current.commands, reason)
    return events


class SyncSubscriber:
    """A blocking iterator over events: ordered, gapless, without duplicates (design 5).

    `from_seq` is the first event wanted; left out, only what happens from now on; `store_id` is the
    store in which those before it were seen: another one's is a `CorruptError`. `initial` puts
    current states first, as `Initial` items, and again when the feed no longer reaches back. The
    filters: `kind`, `manifest_id` (a prefix), `state` (a leaf), `types`. `on_change` is told when
    the daemon is lost and when the stream is live (again). It survives restarts of the daemon.
    """

    def __init__(
        self,
        client: "SyncConnection",
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
        self._socket: zmq.Socket[bytes] | None = None
        self._step: Step | None = None
        self._receiving_since_s = 0.0

    @property
    def position(self) -> int | None:
        """The seq of the last event handed out or passed over; None before the first connection."""
        return self._subscription.position

    @property
    def store_id(self) -> str | None:
        """The id of the store that the events are in; None before the first connection."""
        return self._subscription.store_id

    def __enter__(self) -> Self:
        """Return the subscriber, which `with` closes."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the subscriber."""
        self.close()

    def close(self) -> None:
        """Close its socket; the client stays open."""
        self._script.close()
        if self._socket is not None:
            self._socket.close(0)

    def __iter__(self) -> Iterator[Item]:
        """Return the subscriber, an iterator that ends only by an error."""
        return self

    def __next__(self) -> Item:
        """Return the next item, however long it takes."""
        item = self.next_item()
        assert item is not None
        return item

    def start(self) -> None:
        """Return when the stream is live, or the first item is there to be read."""
        step = self._run(None)
        if not isinstance(step, Ready):
            self._step = step

    def next_item(self, timeout_s: float | None = None) -> Item | None:
        """Return the next item; None when none came within `timeout_s` seconds."""
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            step = self._run(deadline_s)
            if step is None or isinstance(step, ReceivedEvent | Initial):
                return step

    def _run(self, deadline_s: float | None) -> Step | None:
        """Carry out steps up to one that is news, or None at the deadline."""
        while True:
            if self._step is None:
                self._advance(None)
            step = self._step
            if isinstance(step, Receive):
                left_s = self._receiving_since_s + step.timeout_s - time.monotonic()
                wait_s = left_s
                if deadline_s is not None:
                    wait_s = min(left_s, deadline_s - time.monotonic())
                message = self._receive(max(0.0, wait_s))
                if message is None and wait_s < left_s:
                    return None
                self._advance(message)
            elif isinstance(step, Ask):
                self._ask(step)
            elif isinstance(step, Open):
                self._open(step)
                self._advance(None)
            else:
                self._step = None
                if isinstance(step, Ready | Lost) and self._on_change is not None:
                    self._on_change(step)
                return step

    def _advance(self, answer: object) -> None:
        self._step = self._script.send(answer)
        self._receiving_since_s = time.monotonic()

    def _ask(self, step: Ask) -> None:
        try:
            answer = self._client.exchange(step.request, step.result_type)
        except CommandError as error:
            self._step = self._script.throw(error)
            self._receiving_since_s = time.monotonic()
        else:
            self._advance(answer)

    def _open(self, step: Open) -> None:
        if self._socket is not None:
            self._socket.close(0)
        client = self._client
        self._socket = open_subscription(
            client.context,
            events_endpoint(client.route),
            client.curve,
            topics=step.topics,
            queue_size=self._queue_size,
        )

    def _receive(self, wait_s: float) -> tuple[bytes, bytes] | None:
        assert self._socket is not None
        if not self._socket.poll(int(wait_s * 1000), zmq.POLLIN):
            return None
        topic, *rest = try_receive(self._socket) or [b""]
        return topic, rest[0] if rest else b""
