"""The subscriber's algorithm, without I/O: a generator that says what it needs next (design 5).

    connect -> probe until it arrives -> feed from where it left off -> live events
                  ^                          ^        gap, or heartbeat ahead |
                  |  silence, bye            +--------------------------------+
                  +-----------------------------------------------------------+

Promise:  the events it yields are ordered, gapless and without duplicates, over restarts of the
          daemon and losses of the PUB socket alike.
Assume:   messages of one PUB socket arrive in order; what was published is in the feed.
Not here: sockets and time (`subscriber.py`, `sync_subscriber.py`, which answer the steps).

It reads every event and filters locally, so that a missing seq is always a loss.
"""

from collections.abc import Generator
from typing import Any, Final, NamedTuple

import msgspec

from manifestctl.filters import EventFilter
from manifestctl.requests import fresh_token
from protocol import commands as ops
from protocol import replies
from protocol.errors import (
    BadRequestError,
    CorruptError,
    HistoryCompactedError,
    OverloadedError,
    ShuttingDownError,
    UnavailableError,
)
from protocol.events import DamagedEventError, Event, read_event
from protocol.limits import PAGE_SIZE_MAX

SILENCE_S: Final = 3.5  # The daemon's heart beats every second; three missed beats are no accident.
PROBE_WAIT_S: Final = (0.05, 0.1, 0.2, 0.4, 1.0)  # A subscription takes a moment to get through.
EVENT_TOPIC: Final = b"event/"
HEARTBEAT_TOPIC: Final = b"heartbeat"
PROBE_TOPIC: Final = b"probe/"
BYE_TOPIC: Final = b"bye"
AWAY: Final = (UnavailableError, ShuttingDownError, OverloadedError)  # It may be back in a moment.


class ReceivedEvent(Event, frozen=True, kw_only=True, omit_defaults=True):
    """An event with the bytes it came in: `line`, without a newline."""

    line: bytes = b""


class Initial(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one manifest when the subscription began, or began anew.

    Events up to `manifest.seq` are part of it. Where that is over `as_of_seq`, some of them
    follow all the same.
    """

    manifest: replies.ManifestSummary
    as_of_seq: int


class Open(NamedTuple):
    """Step: subscribe to `topics`, with a new socket; answered with None."""

    topics: list[bytes]


class Receive(NamedTuple):
    """Step: wait for a message; answered with `(topic, body)`, or None after `timeout_s`."""

    timeout_s: float


class Ask(NamedTuple):
    """Step: send a request; answered with the result, or the error is thrown."""

    request: ops.Request
    result_type: type[Any]


class Ready(NamedTuple):
    """Step: the stream is live; everything after `seq` will be seen. Answered with None."""

    seq: int


class Lost(NamedTuple):
    """Step: the daemon is away; the script goes on asking for it. Answered with None."""

    reason: str


Item = ReceivedEvent | Initial
Step = Open | Receive | Ask | Ready | Lost | Item
Script = Generator[Step, Any, None]

_event_decoder: Final = msgspec.json.Decoder(ReceivedEvent)


class _Heartbeat(msgspec.Struct):
    seq: int


_heartbeat_decoder: Final = msgspec.json.Decoder(_Heartbeat)


def receive(line: bytes) -> ReceivedEvent:
    """Check the bytes of an event and return it with them; `DamagedEventError` says what is wrong."""
    read_event(line)
    event = _event_decoder.decode(line)
    msgspec.structs.force_setattr(event, "line", line)
    return event


class Subscription:
    """What a subscriber wants, and how far it got. `script()` is its whole life.

    `from_seq` is the first event wanted; None: only what happens from now on. With `initial`,
    current states come first unless there is a `from_seq` to go on from, and again when the feed
    no longer reaches back far enough. `store_id`: where the events before `from_seq` were seen.
    """

    def __init__(
        self,
        *,
        from_seq: int | None,
        initial: bool,
        wanted: EventFilter,
        store_id: str | None = None,
    ) -> None:
        if from_seq is not None and from_seq < 1:
            message = f"the first event has seq 1, not {from_seq}"
            raise BadRequestError(message, path="/from_seq")
        self.position: int | None = None if from_seq is None else from_seq - 1
        self._initial = initial
        self._wanted = wanted
        self._token = fresh_token()
        self.store_id = store_id
        self._was_ready = False

    def script(self) -> Script:
        """Yield steps for ever; ends only by an error."""
        while True:
            last_seq = yield from self._connect()
            if self._initial and self.position is None:
                yield from self._states()
            if self.position is None:
                self.position = last_seq
            self._was_ready = True
            yield from self._catch_up(last_seq)
            yield Ready(self.position)
            reason = yield from self._follow()
            yield Lost(reason)

    def _connect(self) -> Generator[Step, Any, int]:
        """Return the daemon's last seq, once messages published after it are sure to arrive."""
        topic = PROBE_TOPIC + self._token.encode()
        waits = iter(PROBE_WAIT_S)
        yield Open([EVENT_TOPIC, HEARTBEAT_TOPIC, BYE_TOPIC, topic])
        while True:
            try:
                yield from self._check_store()
                probe = yield Ask(ops.Probe(token=self._token), replies.ProbeResult)
            except AWAY:
                if not self._was_ready:
                    raise
                continue
            wait_s = next(waits, None)
            if wait_s is None:  # It answers, and cannot be heard: try another socket.
                waits = iter(PROBE_WAIT_S)
                yield Open([EVENT_TOPIC, HEARTBEAT_TOPIC, BYE_TOPIC, topic])
                continue
            # Whatever else arrives meanwhile is in the feed, too.
            while (message := (yield Receive(wait_s))) is not None:
                if message[0] == topic:
                    return int(probe.last_seq)

    def _follow(self) -> Generator[Step, Any, str]:
        """Yield live events until the stream ends; return why it did."""
        while True:
            message = yield Receive(SILENCE_S)
            if message is None:
                return "the daemon is silent"
            topic, body = message
            if topic.startswith(EVENT_TOPIC):
                yield from self._live(body)
            elif topic == HEARTBEAT_TOPIC:
                yield from self._beat(_heartbeat_decoder.decode(body).seq)
            elif topic == BYE_TOPIC:
                return "the daemon said goodbye"

    def _live(self, line: bytes) -> Script:
        assert self.position is not None
        try:
            event = receive(line)
        except DamagedEventError:
            return  # Lost like any other: the next event, or heartbeat, shows the gap.
        if event.seq == self.position + 1:
            yield from self._hand_out(event)
        elif event.seq > self.position:
            yield from self._catch_up(event.seq)

    def _beat(self, seq: int) -> Script:
        assert self.position is not None
        if seq < self.position:  # An old one that was queued, or an older store.
            try:
                yield from self._check_store()
            except AWAY:
                return
        yield from self._catch_up(seq)

    def _catch_up(self, seq: int) -> Script:
        """Yield the events after the position up to `seq`, or beyond, from the feed."""
        assert self.position is not None
        while self.position < seq:
            request = ops.Feed(after_seq=self.position, limit=PAGE_SIZE_MAX)
            try:
                try:
                    page = yield Ask(request, replies.FeedResult)
                except HistoryCompactedError:
                    if not self._initial:
                        raise
                    yield from self._states()
                    continue
            except AWAY:
                return  # The next heartbeat, or the silence that follows, leads back here.
            if not page.events:
                return
            for line in page.events:
                yield from self._hand_out(_stored(bytes(line), self.position + 1))

    def _states(self) -> Script:
        """Yield the current state of every manifest, and go on after the first page's seq."""
        cursor, as_of_seq = None, None
        while as_of_seq is None or cursor is not None:
            page = yield Ask(ops.List(cursor=cursor, limit=PAGE_SIZE_MAX), replies.ListResult)
            as_of_seq = page.as_of_seq if as_of_seq is None else as_of_seq
            for summary in page.manifests:
                if self._wanted.accepts_manifest(summary):
                    yield Initial(manifest=summary, as_of_seq=as_of_seq)
            cursor = page.cursor
        self.position = as_of_seq

    def _hand_out(self, event: ReceivedEvent) -> Script:
        self.position = event.seq
        if self._wanted.accepts(event):
            yield event

    def _check_store(self) -> Script:
        """Raise `CorruptError` unless the daemon still has what was seen of it."""
        health = yield Ask(ops.Health(), replies.HealthResult)
        self.store_id = self.store_id or health.store_id
        if self.store_id == health.store_id and (self.position or 0) <= health.last_seq:
            return
        message = f"the daemon's events end at {health.last_seq} and are not those seen before"
        if self.store_id == health.store_id:
            message = f"the daemon's events end at {health.last_seq}, before {self.position}"
        raise CorruptError(
            message,
            suggestion="it serves another store, or lost events; start anew, without a seq or a cursor",
            details={"last_seq": health.last_seq, "position": self.position},
        )


def _stored(line: bytes, seq: int) -> ReceivedEvent:
    """Return an event of the feed, which has to have `seq`."""
    try:
        event = receive(line)
    except DamagedEventError as error:
        message = f"the daemon's feed is damaged at seq {seq}: {error}"
        raise CorruptError(message, suggestion="manifestctl verify") from error
    if event.seq != seq:
        message = f"the daemon's feed has seq {event.seq} where {seq} belongs"
        raise CorruptError(message, suggestion="manifestctl verify")
    return event
