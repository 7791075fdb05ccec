"""What must be true: everything that anybody was told, and what each promise makes of it.

| promise | checked where                                                                        |
|---------|--------------------------------------------------------------------------------------|
| 1       | `started`: what was told before is there again, byte for byte; `answered`, `seen`    |
| 3       | `published` and `started`: commit order, and after a crash a prefix of it            |
| 4, 5    | `_take`: asked for, once, gapless; `finish`: nothing that was refused                |
| 7       | `answered`: one answer for one command                                               |
| 8       | `_take`: `expected_version` held; `finish`: linearizable (`history.py`)              |
| 15      | `loaded`: what the store loads is the replay from zero                               |
| 17      | `ended`: whoever was heard before a drained end was answered                         |
| timers  | `_take`: armed, due, once; `overdue`: fired at all                                   |
| redact  | `_is_a_copy`: an event loses what was ordered, and no more; `now`: and that it does   |

Not here: the subscriber (6, `subscriber.py`), files (`archive_check.py`).
"""

from itertools import combinations
from typing import TYPE_CHECKING, Final, NamedTuple, cast

import msgspec

from protocol.codec import encode_request
from protocol.commands import Write
from protocol.erasure import erased, gone_from
from protocol.errors import CommandError, InternalError, UnavailableError
from protocol.events import GENESIS, CommittedEvent, DamagedEventError, NewEvent, next_log_hash
from protocol.record import ReplayError
from protocol.redaction import REASON
from protocol.replies import GetResult, TransitionResult
from protocol.snapshots import StateSnapshot, apply, encode_snapshot
from protocol.timers import seconds_between
from tests.simulation.history import History
from tests.simulation.world import World

if TYPE_CHECKING:
    from protocol.commands import AnyRequest

Key = tuple[str, str]  # Manifest id, command id.
PERSONAL: Final = "data of "  # How a text begins that names its command, and so is there once.


class Body:
    """One write that was sent, perhaps several times: the request, and what its deliveries gave."""

    def __init__(self, request: Write) -> None:
        self.request = request
        self.deliveries = 0
        self.refused = 0  # For good: nothing was, or will be, done by these.

    def __str__(self) -> str:
        return encode_request(cast("AnyRequest", self.request)).decode()


class Told(NamedTuple):
    """What an acknowledgement says, and a repetition has to say again."""

    version: int
    seq: int
    state: object
    digest: str
    urn: str | None


class Model:
    """The truth as clients may know it. Bodies are told apart by `correlation_id`."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.lines: list[bytes] = []  # What was told to anybody, or found at a start: durable.
        self.events: list[CommittedEvent] = []
        self.states: dict[str, StateSnapshot] = {}
        self.bodies: dict[str, Body] = {}
        self.in_doubt: dict[str, NewEvent] = {}  # By event id, in the order of appending.
        self.history = History()
        self.counts: dict[str, int] = {}
        self._by_command: dict[Key, CommittedEvent] = {}
        self._told: dict[str, Told] = {}
        self._ordered: dict[tuple[str, int], list[tuple[str, ...]]] = {}  # By id and version.

    def count(self, what: str) -> None:
        """Count something that happened, for the summary."""
        self.counts[what] = self.counts.get(what, 0) + 1

    # What the daemon does.

    def appended(self, event: NewEvent) -> None:
        """The daemon decided; from now on the event may become a fact."""
        self.in_doubt[event.core.event_id] = event

    def withdrawn(self, event: NewEvent) -> None:
        """The store said that the event is no fact and will not be."""
        self.in_doubt.pop(event.core.event_id, None)

    def published(self, line: bytes) -> None:
        """The daemon told everybody."""
        self.world.note("published", len(self.lines) + 1)
        self._take(line, "published")

    def started(self, lines: list[bytes]) -> None:
        """The daemon started, and these are its events."""
        self.world.note("started with", len(lines), "of", len(self.lines), len(self.in_doubt))
        if len(lines) < len(self.lines):
            raise self.world.violated(
                f"1: {len(self.lines)} events were told, {len(lines)} came back"
            )
        for line in lines[len(self.lines) :]:
            self.count("came through in doubt")
            self._take(line, "found at the start")
        for event, found in zip(self.events, lines, strict=True):
            if not self._is_a_copy(event, found):
                raise self.world.violated(
                    f"1: seq {event.seq} came back with other bytes: {found!r}"
                )
        self.in_doubt.clear()

    def _take(self, line: bytes, how: str) -> None:
        """Add an event to what is true."""
        seq = len(self.lines) + 1
        try:
            event = CommittedEvent.read(line)
        except DamagedEventError as error:
            raise self.world.violated(f"1: seq {seq}, {how}, is damaged: {error}") from error
        core = event.core
        if event.seq != seq:
            raise self.world.violated(f"5: seq {event.seq} was {how} where {seq} belongs")
        if next(iter(self.in_doubt), None) != core.event_id:
            raise self.world.violated(
                f"3: seq {seq} was {how} out of the order of commits, or unasked"
            )
        del self.in_doubt[core.event_id]
        self._check_asked(event)
        try:
            self.states[core.manifest_id] = apply(self.states.get(core.manifest_id), event)
        except ReplayError as error:
            raise self.world.violated(f"5: seq {seq} does not follow: {error}") from error
        self.lines.append(line)
        self.events.append(event)
        redacts = core.redacts
        if redacts is not None:
            self.count("redactions")
            self._ordered.setdefault((core.manifest_id, redacts.version), []).append(redacts.fields)

    def _is_a_copy(self, event: CommittedEvent, line: bytes) -> bool:
        """Tell whether `line` is that event, whole or without some of what was to be taken out."""
        if line == event.line:
            return True
        orders = self._ordered.get((event.core.manifest_id, event.core.version), [])
        return any(
            line == erased(event, {field for fields in carried_out for field in fields}).line
            for count in range(1, len(orders) + 1)
            for carried_out in combinations(orders, count)
        )

    def now(self, event: CommittedEvent) -> bytes:
        """Return the line of an event once everything is taken out that was ordered."""
        orders = self._ordered.get((event.core.manifest_id, event.core.version), [])
        return erased(event, {field for fields in orders for field in fields}).line

    def redacted_texts(self) -> list[bytes]:
        """Return what is to be in no file any more: texts of events that lost them."""
        gone = [
            event.payload.reason
            for event in self.events
            if event.payload is not None
            and event.payload.reason is not None
            and REASON in gone_from(CommittedEvent.read(self.now(event)).payload)
        ]
        return [b'"%b"' % text.encode() for text in gone if text.startswith(PERSONAL)]

    def _check_asked(self, event: CommittedEvent) -> None:
        core = event.core
        key = (core.manifest_id, core.command_id)
        if key in self._by_command:
            first = self._by_command[key].seq
            raise self.world.violated(f"4: {key} was executed twice: seq {first} and {event.seq}")
        self._by_command[key] = event
        if core.cause == "timer":
            self._check_timer(event)
            return
        body = self.bodies.get(core.correlation_id)
        if body is None or (body.request.manifest_id, body.request.command_id) != key:
            raise self.world.violated(f"4: nobody asked for seq {event.seq}, {key}")
        expected = body.request.expected_version
        if expected is not None and core.version != expected + 1:
            raise self.world.violated(
                f"8: {key} expected version {expected} and made {core.version}"
            )

    def _check_timer(self, event: CommittedEvent) -> None:
        self.count("timers fired")
        core = event.core
        before = self.states.get(core.manifest_id)
        armed = {one.id: one for one in before.timers} if before is not None else {}
        timer = armed.get(core.command_id)
        if timer is None:
            raise self.world.violated(f"timers: seq {event.seq} fired {core.command_id}, not armed")
        if core.at < timer.due:
            raise self.world.violated(f"timers: {timer.id} fired at {core.at}, due at {timer.due}")
        if any(one.id == timer.id for one in core.timers):
            raise self.world.violated(f"timers: {timer.id} fired and is armed still")

    # What clients are told.

    def sent(self, request: Write) -> None:
        """A client made a new body."""
        assert request.correlation_id is not None
        self.bodies[request.correlation_id] = Body(request)

    def delivered(self, body_id: str) -> None:
        """A body reached the daemon."""
        self.bodies[body_id].deliveries += 1

    def answered(self, body_id: str, outcome: msgspec.Struct | CommandError) -> None:
        """The daemon answered one delivery of a body."""
        body = self.bodies[body_id]
        if isinstance(outcome, CommandError):
            if isinstance(outcome, InternalError):
                raise self.world.violated(f"14: {body} crashed the daemon: {outcome}")
            self.count(outcome.code)
            if not isinstance(outcome, UnavailableError):
                body.refused += 1
            return
        assert isinstance(outcome, TransitionResult)
        if outcome.changed is False:  # It asked for what is so already: that is no event.
            self.count("unchanged")
            body.refused += 1
            return
        self.count("replayed" if outcome.replayed else "ok")
        told = Told(outcome.version, outcome.seq, outcome.state, outcome.digest, outcome.urn)
        if told != self._told.setdefault(body_id, told):
            raise self.world.violated(f"7: {body} was answered {self._told[body_id]}, now {told}")
        event = self._event(outcome.seq, f"{body} was answered")
        core = event.core
        fact = Told(core.version, event.seq, core.states_to, core.digest, outcome.urn)
        if fact != told or core.manifest_id != outcome.manifest_id:
            raise self.world.violated(f"1: {told} was answered, {core} is the event")
        if core.correlation_id != body_id:
            raise self.world.violated(f"7: {body} got the answer of {core.correlation_id}")

    def read(self, manifest_id: str, result: GetResult | None) -> None:
        """A client was shown a manifest, or that there is none (None)."""
        if result is None:
            return
        event = self._event(result.seq, "a read showed")
        core = event.core
        if (core.manifest_id, core.version, core.states_to, core.digest) != (
            *(manifest_id, result.version, result.state, result.digest),
        ):
            raise self.world.violated(f"1: a read showed {result}, which is not {core}")

    def seen(self, seq: int, line: bytes, how: str) -> None:
        """Somebody was shown the bytes of an event."""
        if not self._is_a_copy(self._event(seq, how), line):
            raise self.world.violated(f"1: {how} seq {seq} with other bytes")

    def _event(self, seq: int, how: str) -> CommittedEvent:
        if not 1 <= seq <= len(self.events):
            raise self.world.violated(
                f"2: {how} seq {seq}; the last one published is {len(self.lines)}"
            )
        return self.events[seq - 1]

    def backed_up(self, seq: int, log_hash: object, lines: list[bytes]) -> None:
        """Somebody has a backup of everything up to `seq`, page after page."""
        self.count("backups")
        chained = GENESIS.encode()
        for number, line in enumerate(lines, 1):
            self.seen(number, line, "a backup holds")
            event = self.events[number - 1]
            chained = next_log_hash(chained, event.seq, event.hash)
        if log_hash != chained.decode():
            raise self.world.violated(f"3: a backup up to seq {seq} says log_hash {log_hash}")

    def loaded(self, manifest_id: str, state: StateSnapshot | None) -> None:
        """The store came to this state of a manifest."""
        truth = self.states.get(manifest_id)
        if state is None or truth is None or encode_snapshot(state) != encode_snapshot(truth):
            raise self.world.violated(
                f"15: {manifest_id} is loaded as {state}, replayed it is {truth}"
            )

    # At the end.

    def overdue(self, now: str) -> list[str]:
        """Return the timers that should have fired a second ago."""
        return [
            timer.id
            for state in self.states.values()
            for timer in state.timers
            if seconds_between(timer.due, now) > 1
        ]

    def finish(self) -> None:
        """Check what can only be known at the end."""
        for body_id, body in self.bodies.items():
            event = self._by_command.get((body.request.manifest_id, body.request.command_id or ""))
            happened = event is not None and event.core.correlation_id == body_id
            if happened and body.deliveries == body.refused:
                raise self.world.violated(f"4: {body} was refused each time, and is a fact")
        facts = {event.core.correlation_id: event.core.version for event in self.events}
        fired: dict[str, list[int]] = {}
        for event in self.events:
            if event.core.cause == "timer":
                fired.setdefault(event.core.manifest_id, []).append(event.core.version)
        if (why := self.history.why_not(facts, fired)) is not None:
            raise self.world.violated(f"8: not linearizable: {why}")
