"""A daemon's events without a daemon: what a subscriber's script asks for, answered from a list.

Messages on the way to the subscriber can be lost, as PUB loses them, and the daemon can go away.
"""

from collections import deque
from collections.abc import Iterator
from typing import Any

import msgspec

from manifestctl.script import (
    BYE_TOPIC,
    HEARTBEAT_TOPIC,
    PROBE_TOPIC,
    Ask,
    Initial,
    Lost,
    Open,
    Ready,
    Receive,
    ReceivedEvent,
    Step,
    Subscription,
)
from protocol import commands as ops
from protocol import replies
from protocol.errors import CommandError, HistoryCompactedError
from protocol.events import (
    GENESIS,
    EventCore,
    NewEvent,
    Payload,
    digest_hex,
    encode_payload,
)
from protocol.identifiers import event_topic


def event_line(
    seq: int, manifest_id: str = "a", *, kind: str = "agent", to: str = "DRAFT"
) -> bytes:
    """Return the bytes of some event at `seq`."""
    payload = Payload(salt="00")
    payload_bytes = encode_payload(payload)
    core = EventCore(
        event_id=f"e-{seq}",
        manifest_id=manifest_id,
        version=seq,
        type="commented",
        lifecycle="manifest@1",
        event=None,
        states_from=to,
        states_to=to,
        at="2026-11-23T15:04:05.123456Z",
        principal="author-7",
        authenticated=True,
        roles=["author"],
        command_id=f"c-{seq}",
        command_digest="00",
        correlation_id=f"e-{seq}",
        causation_id=None,
        digest="sha256:00",
        timers=(),
        kind=kind,
        payload_digest=digest_hex(payload_bytes),
        prev=GENESIS,
    )
    return NewEvent(core, payload, payload_bytes).line(seq)


class FakeFeed:
    """Events, the messages on their way, and what the daemon answers.

    `page_size` is how many events a page of the feed holds, `oldest` the first seq it still has.
    """

    def __init__(self, *, page_size: int = 3) -> None:
        self.lines: list[bytes] = []
        self.messages: deque[tuple[bytes, bytes]] = deque()
        self.page_size = page_size
        self.oldest = 1
        self.store_id = "store"
        self.errors: deque[CommandError] = deque()
        self.asked: list[ops.Request] = []
        self.probes_lost = 0

    @property
    def last_seq(self) -> int:
        """The seq of the last event."""
        return len(self.lines)

    def happen(self, *, is_lost: bool = False, **members: str) -> None:
        """Let an event happen, and its message arrive or be lost."""
        line = event_line(self.last_seq + 1, **members)
        self.lines.append(line)
        if not is_lost:
            self.messages.append((event_topic("agent", "a", ("DRAFT",)), line))

    def beat(self) -> None:
        """Send a heartbeat."""
        body = b'{"seq":%d,"at":"2026-11-23T15:04:05.123456Z"}' % self.last_seq
        self.messages.append((HEARTBEAT_TOPIC, body))

    def say_goodbye(self) -> None:
        """Send the last message of a daemon that stops."""
        self.messages.append((BYE_TOPIC, b""))

    def answer(self, request: ops.Request) -> msgspec.Struct:
        """Answer as the daemon would; an error that waits in `errors` comes first."""
        self.asked.append(request)
        if self.errors:
            raise self.errors.popleft()
        match request:
            case ops.Probe(token=token):
                if self.probes_lost:
                    self.probes_lost -= 1
                else:
                    self.messages.append((PROBE_TOPIC + token.encode(), b""))
                return replies.ProbeResult(token=token, last_seq=self.last_seq)
            case ops.Feed(after_seq=after_seq):
                return self._page(after_seq)
            case ops.List():
                return self._list(request)
        return replies.HealthResult(
            status="ok", protocol=1, version="0", store_id=self.store_id, last_seq=self.last_seq
        )

    def _page(self, after_seq: int) -> replies.FeedResult:
        if after_seq + 1 < self.oldest:
            message = f"the feed begins at {self.oldest}"
            raise HistoryCompactedError(message, details={"oldest_seq": self.oldest})
        lines = self.lines[after_seq : after_seq + self.page_size]
        return replies.FeedResult(
            events=[msgspec.Raw(line) for line in lines],
            next_seq=after_seq + len(lines) + 1,
            last_seq=self.last_seq,
        )

    def _list(self, request: ops.List) -> replies.ListResult:
        page = int(request.cursor or 0)
        summary = replies.ManifestSummary(
            manifest_id=f"m-{page}",
            kind="agent",
            lifecycle="manifest@1",
            state="DRAFT",
            version=1,
            seq=1,
            digest="sha256:00",
            urn=None,
            author="author-7",
            created_seq=1,
            created_at="2026-11-23T15:04:05.123456Z",
            updated_at="2026-11-23T15:04:05.123456Z",
        )
        cursor = "1" if page == 0 else None
        return replies.ListResult(manifests=[summary], cursor=cursor, as_of_seq=self.last_seq)


class FakeDriver:
    """Carries out a subscription's steps against a `FakeFeed`."""

    def __init__(self, subscription: Subscription, feed: FakeFeed) -> None:
        self._script = subscription.script()
        self._feed = feed
        self._step: Step | None = None
        self.opened = 0

    def until_idle(self) -> Iterator[ReceivedEvent | Initial | Ready | Lost]:
        """Yield what there is to tell, until the script waits for a message that is not there."""
        self._step = self._step or self._script.send(None)
        while True:
            step = self._step
            match step:
                case Receive(timeout_s) if not self._feed.messages and timeout_s > 1:
                    return
                case Receive():
                    message = self._feed.messages.popleft() if self._feed.messages else None
                    self._step = self._script.send(message)
                case Ask(request):
                    self._step = self._ask(request)
                case Open():
                    self.opened += 1
                    self._step = self._script.send(None)
                case _:
                    yield step
                    self._step = self._script.send(None)

    def silence(self) -> None:
        """Let the script wait in vain."""
        assert isinstance(self._step, Receive)
        self._step = self._script.send(None)

    def _ask(self, request: ops.Request) -> Any:  # noqa: ANN401 (a step of the script)
        try:
            answer = self._feed.answer(request)
        except CommandError as error:
            return self._script.throw(error)
        return self._script.send(answer)
