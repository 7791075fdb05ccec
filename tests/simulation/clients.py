"""Clients: they read and write a few manifests, time out, ask again, and sometimes do wrong.

A client is a generator that yields `Pause` and `Exchange`; `Driver` carries them out in the world.
"""

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from protocol.codec import decode_reply, encode_request
from protocol.commands import (
    OP_BY_REQUEST,
    AnyRequest,
    Backup,
    Comment,
    Create,
    Feed,
    Get,
    History,
    Migrate,
    Recover,
    Redact,
    Revert,
    Revise,
    Transition,
    Verify,
    Write,
)
from protocol.errors import CommandError, CorruptError, NotFoundError, OptimisticLockError
from protocol.events import read_event
from protocol.principals import EVERYDAY_ROLES, Peer
from protocol.replies import (
    BackupResult,
    FeedResult,
    GetResult,
    HistoryResult,
    RecoverResult,
    TransitionResult,
)
from tests.simulation.model import PERSONAL
from tests.simulation.world import MILLISECOND_US

if TYPE_CHECKING:
    from tests.simulation.house import House

NAMES: Final = ("alice", "bob", "carol", "dave")
LIFECYCLES: Final = ("manifest@1", "manifest-extended@1", "timed@1", "timed@1")
ATTEMPTS_MAX: Final = 8
BACKUP_ATTEMPTS_MAX: Final = 30
PATIENCE_US: Final = 200 * MILLISECOND_US
AGAIN: Final = frozenset(
    {"UNAVAILABLE", "SHUTTING_DOWN", "STORAGE_FULL", "READ_ONLY", "OVERLOADED"}
)


class Pause(NamedTuple):
    """Wait."""

    delay_us: int


class Exchange(NamedTuple):
    """Send, and wait for the result or the error; None after `timeout_us`."""

    request: AnyRequest
    timeout_us: int


Script = Generator[Pause | Exchange, Any, None]


class Driver:
    """Runs one client's script."""

    def __init__(self, house: "House", peer: Peer, script: Script) -> None:
        self.is_done = False
        self._house = house
        self._peer = peer
        self._script = script
        self._turn = 0  # Replies to earlier exchanges are too late.
        house.world.after(0, lambda: self._go_on(None))

    def _go_on(self, value: object) -> None:
        self._turn += 1
        turn = self._turn
        world = self._house.world
        try:
            step = self._script.send(value)
        except StopIteration:
            self.is_done = True
            return

        def answer(value: object) -> None:
            if self._turn == turn:
                self._go_on(value)

        if isinstance(step, Pause):
            world.after(step.delay_us, lambda: answer(None))
            return
        result_type = OP_BY_REQUEST[type(step.request)].result

        def replied(body: bytes) -> None:
            try:
                answer(decode_reply(body, result_type))
            except CommandError as error:
                answer(error)

        world.after(step.timeout_us, lambda: answer(None))
        self._house.network.send(encode_request(step.request), self._peer, replied)


class Client:
    """Somebody with a name, and a habit of reading before writing. `steps`: how much it does."""

    def __init__(self, house: "House", name: str, steps: int) -> None:
        self._house = house
        self._model = house.model
        self._name = name
        self._steps = steps
        self._dice = house.world.dice(f"client {name}")
        self._bodies = 0
        self._known: dict[str, tuple[int, list[str]]] = {}  # Version, allowed events.
        self._is_admin = self._dice.random() < 0.5
        roles = EVERYDAY_ROLES | {"admin"} if self._is_admin else EVERYDAY_ROLES
        self.driver = Driver(house, Peer(name=name, roles=roles), self._script())

    def _script(self) -> Script:
        dice = self._dice
        for number in range(self._steps):
            yield Pause(dice.randint(1, 60 if dice.random() < 0.6 else 400) * MILLISECOND_US)
            manifest_id = dice.choice(self._house.manifest_ids)
            if manifest_id not in self._known or dice.random() < 0.4:
                yield from self._read(manifest_id)
            if dice.random() < 0.1:
                yield from self._read_events(manifest_id)
            if self._is_admin and dice.random() < 0.05:
                yield from self._back_up()
            if dice.random() < 0.85:
                yield from self._write(self._command(manifest_id, f"{self._name}-{number}"))

    def _read(self, manifest_id: str) -> Script:
        start = self._house.world.now_us
        timeout_us = self._dice.randint(20, 200) * MILLISECOND_US
        answer = yield Exchange(Get(manifest_id=manifest_id), timeout_us)
        version = 0
        if isinstance(answer, GetResult):
            self._model.read(manifest_id, answer)
            version = answer.version
            self._known[manifest_id] = (version, answer.allowed_events)
        elif isinstance(answer, NotFoundError):
            self._known[manifest_id] = (0, [])
        else:
            return
        self._model.history.was_read(manifest_id, start, self._house.world.now_us, version)

    def _read_events(self, manifest_id: str) -> Script:
        """Ask for events in one of the ways there are, or have them checked."""
        dice, timeout_us = self._dice, 200 * MILLISECOND_US
        asked: AnyRequest = dice.choice(
            (
                History(manifest_id=manifest_id, limit=dice.randint(1, 5)),
                Feed(after_seq=dice.randint(0, 20), limit=dice.randint(1, 9)),
                Verify(manifest_id=manifest_id),
                Recover(manifest_id=manifest_id),
            )
        )
        answer = yield Exchange(asked, timeout_us)
        if isinstance(answer, HistoryResult | FeedResult):
            for line in answer.events:
                seq = read_event(bytes(line)).seq
                self._model.seen(seq, bytes(line), f"a reader of {type(asked).__name__} got")
        elif isinstance(answer, CorruptError) and not self._house.is_rotten:
            raise self._house.world.violated(f"15: {asked} finds damage: {answer}")
        elif isinstance(answer, RecoverResult) and not answer.identical:
            raise self._house.world.violated(f"15: {manifest_id} is rebuilt to something else")

    def _command(self, manifest_id: str, command_id: str) -> Write:
        dice = self._dice
        version, events = self._known.get(manifest_id, (0, []))
        expected = None
        if version and dice.random() < 0.7:
            expected = max(1, version - dice.choice((0, 0, 0, 0, 1)))
        common: dict[str, Any] = {"manifest_id": manifest_id, "command_id": command_id}
        chance = dice.random()
        request: Write
        if self._is_admin and version and dice.random() < 0.3:
            return self._administer(version, expected, common)
        if not version or chance < 0.03:
            request = Create(
                manifest=msgspec.Raw(_document(manifest_id)),
                kind="agent",
                lifecycle=dice.choice(LIFECYCLES),
                **common,
            )
        elif chance < 0.25 or not events:
            request = Comment(text=f"{PERSONAL}{command_id}", expected_version=expected, **common)
        elif chance < 0.35:
            document = msgspec.Raw(_document(manifest_id, dice.randint(1, 3)))
            request = Revise(manifest=document, expected_version=expected, **common)
        elif chance < 0.42:
            request = Revert(expected_version=expected, **common)
        else:
            reason = dice.choice((None, f"{PERSONAL}{command_id}"))
            event = dice.choice(events)
            request = Transition(event=event, reason=reason, expected_version=expected, **common)
        return request

    def _administer(self, version: int, expected: int | None, common: dict[str, Any]) -> Write:
        """Take something out of the past, or put a manifest under another lifecycle."""
        dice = self._dice
        if dice.random() < 0.2:
            return Migrate(lifecycle=dice.choice(LIFECYCLES), expected_version=expected, **common)
        return Redact(
            version=dice.randint(1, version),
            field=dice.choice(("all", "reason", "document", "context")),
            reason=f"on request {common['command_id']}",
            force=dice.random() < 0.5,
            expected_version=expected,
            **common,
        )

    def _back_up(self) -> Script:
        """Take a backup page by page; what is in it at the end is everything up to its seq."""
        token = f"{self._dice.getrandbits(64):016x}"
        opened = yield Exchange(Backup(token=token), PATIENCE_US)
        if not isinstance(opened, BackupResult):
            return
        lines: list[bytes] = []
        for _ in range(BACKUP_ATTEMPTS_MAX):
            if len(lines) == opened.seq:
                self._model.backed_up(opened.seq, opened.log_hash, lines)
                return
            asked = Backup(
                token=token,
                after_seq=len(lines),
                upto_seq=opened.seq,
                limit=self._dice.randint(1, 20),
            )
            page = yield Exchange(asked, PATIENCE_US)
            if isinstance(page, BackupResult):
                lines += map(bytes, page.events)
            elif isinstance(page, CorruptError) and not self._house.is_rotten:
                raise self._house.world.violated(f"11: a backup finds damage: {page}")
            else:
                yield Pause(self._dice.randint(1, 50) * MILLISECOND_US)

    def _write(self, request: Write) -> Script:
        yield from self._insist(request)
        if self._dice.random() < 0.06:  # The same id for something else: a defect of this client.
            other = Comment(
                text="something else",
                manifest_id=request.manifest_id,
                command_id=request.command_id,
            )
            yield from self._insist(other)

    def _insist(self, request: Write) -> Script:
        """Send until there is an answer that a repetition would not change."""
        self._bodies += 1
        body_id = request.correlation_id = f"{self._name}/{self._bodies}"
        model, dice, world = self._model, self._dice, self._house.world
        model.sent(request)
        for attempt in range(self._dice.choice((1, ATTEMPTS_MAX, ATTEMPTS_MAX))):
            start = world.now_us
            model.history.asked(request.manifest_id, body_id, start, request.expected_version)
            timeout_us = dice.randint(5, 120) * MILLISECOND_US
            answer = yield Exchange(_copy(request), timeout_us)
            if answer is not None:
                self._heard(request, body_id, start, answer)
                if not isinstance(answer, CommandError) or answer.code not in AGAIN:
                    return
            yield Pause(dice.randint(1, 20 << attempt) * MILLISECOND_US)

    def _heard(
        self, request: Write, body_id: str, start: int, answer: TransitionResult | CommandError
    ) -> None:
        manifest_id, now = request.manifest_id, self._house.world.now_us
        history = self._model.history
        if isinstance(answer, TransitionResult) and answer.changed is False:
            history.was_read(manifest_id, start, now, answer.version)
        elif isinstance(answer, TransitionResult):
            history.accepted(manifest_id, body_id, now, answer.version)
            self._known[manifest_id] = (answer.version, answer.allowed_events)
        elif isinstance(answer, OptimisticLockError) and request.expected_version is not None:
            actual = answer.details["actual"]
            history.conflicted(manifest_id, start, now, request.expected_version, actual)
            self._known[manifest_id] = (actual, list(answer.allowed_events or ()))


def _copy(request: Write) -> Any:  # noqa: ANN401 (one of `AnyRequest`)
    return msgspec.structs.replace(request)


def _document(manifest_id: str, edition: int = 0) -> bytes:
    padding = "x" * (200 * edition)
    return b'{"description":"%b","name":"%b","version":"1.0.%d"}' % (
        *(padding.encode(), manifest_id.partition("@")[0].encode()),
        edition,
    )
