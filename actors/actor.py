"""One actor per manifest: commands in one after another, events out, answers when durable.

Promise:  one command at a time; an answer only after its event was committed, and with the state
          that the event made. A command that crashes fails alone, with `INTERNAL`; the actor is
          then loaded again from its events.
Assume:   everything runs on the event loop's thread. `committed` is called for every committed
          event of this manifest, in order.
Not here: deciding (`decide.py`), loading and forgetting actors (`directory.py`).

    LOADING --loaded--> IDLE --command--> [SEARCHING] --> [RESERVING] --> COMMITTING --+
                         ^                                                             |
                         +------------- committed, or refused -------------------------+
"""

import logging
from collections.abc import Callable
from enum import Enum, auto
from typing import Final, Protocol

import msgspec

from actors.decide import Case, Unchanged, command_digest, decide, resolve
from actors.guards import urn_taken
from actors.mailbox import Mailbox
from actors.ports import AppendOutcome, AppendRefusal, EventStore, Position, Stamper
from actors.rules import Rules
from protocol.commands import Write
from protocol.errors import CommandError, CommandIdReusedError, InternalError
from protocol.events import CommittedEvent, NewEvent, state_names
from protocol.limits import REMEMBERED_COMMANDS_MAX
from protocol.principals import Peer, Principal
from protocol.replies import UNSET, TransitionResult
from protocol.snapshots import RememberedCommand, StateSnapshot, apply

log: Final = logging.getLogger(__name__)

Answer = Callable[[msgspec.Struct | CommandError], None]
ReadState = Callable[[StateSnapshot | CommandError | None], None]


class Phase(Enum):
    """Where an actor is in its life; see the drawing above."""

    LOADING = auto()
    IDLE = auto()
    SEARCHING = auto()  # For an old command id, in the archive.
    RESERVING = auto()  # A URN.
    COMMITTING = auto()


class Letter:
    """A write that waits: who sent it, what, and who wants to know."""

    __slots__ = ("answer", "digest", "peer", "principal", "request")

    def __init__(self, request: Write, peer: Peer, answer: Answer) -> None:
        self.request = request
        self.peer = peer
        self.answer = answer
        self.principal: Principal | None = None
        self.digest = ""


class Household(Protocol):
    """What an actor asks of the directory that it lives in."""

    rules: Rules
    store: EventStore
    stamper: Stamper

    def settled(self, actor: "ManifestActor") -> None:
        """The actor has nothing to do any more."""

    def reload(self, actor: "ManifestActor") -> None:
        """The actor does not trust its state: load it again, then call `loaded`."""

    def search(self, actor: "ManifestActor", command_id: str) -> None:
        """Look for an old command id, then call `found`."""

    def state_changed(self, state: StateSnapshot) -> None:
        """A committed event made `state`."""


class ManifestActor:
    """The one place where commands on one manifest are carried out."""

    __slots__ = (
        "_commands",
        "_early",
        "_event",
        "_house",
        "_letter",
        "_mailbox",
        "_reading",
        "_running",
        "_token",
        "_urn",
        "last_used",
        "manifest_id",
        "phase",
        "state",
    )

    def __init__(self, manifest_id: str, house: Household, phase: Phase) -> None:
        self.manifest_id = manifest_id
        self.phase = phase
        self.state: StateSnapshot | None = None
        self.last_used = 0
        self._house = house
        self._mailbox: Mailbox[Letter] = Mailbox(manifest_id)
        self._reading: list[ReadState] = []
        self._early: list[CommittedEvent] = []
        self._running = False
        self._commands: dict[str, RememberedCommand] = {}
        self._letter: Letter | None = None
        self._event: NewEvent | None = None
        self._urn: str | None = None
        self._token: object = None

    @property
    def is_idle(self) -> bool:
        """Tell whether nobody would miss the actor."""
        return self.phase is Phase.IDLE and not self._mailbox and not self._reading

    @property
    def waiting(self) -> int:
        """The number of commands in the mailbox."""
        return len(self._mailbox)

    def tell(self, letter: Letter) -> None:
        """Take a write: now, or when those before it are done."""
        try:
            self._mailbox.put(letter)
        except CommandError as error:
            letter.answer(error)
        else:
            self._go_on()

    def read(self, then: ReadState) -> None:
        """Call `then` with the committed state: at once, or as soon as it is loaded."""
        if self.phase is Phase.LOADING:
            self._reading.append(then)
        else:
            then(self.state)

    def loaded(self, state: StateSnapshot | None, token: object = None) -> None:
        """Begin, or begin again, from what the store has."""
        early, self._early = self._early, []
        for event in early:  # Committed while the store was reading.
            if state is None or event.core.version > state.version:
                state = apply(state, event)
        self.state = state
        self._token = token
        self._commands = {} if state is None else {one.command_id: one for one in state.commands}
        self.phase = Phase.IDLE
        reading, self._reading = self._reading, []
        for then in reading:
            then(state)
        self._go_on()

    def load_failed(self, error: CommandError) -> None:
        """Refuse everybody who waits. The actor stays unusable; the directory drops it."""
        while self._mailbox:
            self._mailbox.take().answer(error)
        reading, self._reading = self._reading, []
        for then in reading:
            then(error)

    def _go_on(self) -> None:
        if self._running:
            return  # A store that answers at once calls back into the loop below.
        self._running = True
        try:
            while self.phase is Phase.IDLE and self._mailbox:
                self._begin(self._mailbox.take())
        finally:
            self._running = False
        if self.phase is Phase.IDLE:
            self._house.settled(self)

    def _begin(self, letter: Letter) -> None:
        try:
            request = letter.request
            letter.principal = resolve(letter.peer, request.principal, self._house.rules.policy)
            letter.digest = command_digest(request, letter.principal.name)
            if self._replayed(letter):
                return
            self._decide(letter)
        except CommandError as error:
            letter.answer(error)
        except Exception:  # noqa: BLE001 (logged there; one command's crash is its own)
            self._crashed(letter)

    def _replayed(self, letter: Letter) -> bool:
        """Answer a repeated command as it was answered, or start to look for it."""
        command_id, state = letter.request.command_id, self.state
        if command_id is None or state is None:
            return False
        known = self._commands.get(command_id)
        if known is not None:
            letter.answer(self._remembered(letter, known))
            return True
        if state.version > REMEMBERED_COMMANDS_MAX:
            self.phase = Phase.SEARCHING
            self._letter = letter
            self._house.search(self, command_id)
            return True
        return False

    def found(self, event: CommittedEvent | None, error: CommandError | None) -> None:
        """Go on with the command whose id was searched for."""
        letter, self._letter = self._letter, None
        assert letter is not None
        self.phase = Phase.IDLE
        if error is not None:
            letter.answer(error)
        elif event is None:
            self._guarded(letter, lambda: self._decide(letter))
        else:
            core = event.core
            urn = core.urn or (self.state.urn if self.state else None)
            known = RememberedCommand(
                core.command_id,
                core.command_digest,
                core.version,
                event.seq,
                core.states_to,
                core.digest,
                urn,
            )
            letter.answer(self._remembered(letter, known))
        self._go_on()

    def _remembered(
        self, letter: Letter, known: RememberedCommand
    ) -> TransitionResult | CommandIdReusedError:
        assert self.state is not None
        if known.command_digest != letter.digest:
            return CommandIdReusedError(
                f"{self.manifest_id}: the command id {known.command_id!r} belongs to another "
                f"command, which made version {known.version}; use a new id",
                details={"command_id": known.command_id, "version": known.version},
            )
        lifecycle = self._house.rules.lifecycles.get(self.state.lifecycle)
        return TransitionResult(
            manifest_id=self.manifest_id,
            kind=self.state.kind,
            state=known.state,
            version=known.version,
            seq=known.seq,
            digest=known.digest,
            urn=known.urn,
            author=self.state.author,
            allowed_events=lifecycle.allowed_events(state_names(known.state)),
            replayed=True,
        )

    def _decide(self, letter: Letter) -> None:
        house = self._house
        assert letter.principal is not None
        stamp = house.stamper.stamp()
        case = Case(self.state, letter.request, letter.principal, letter.digest, stamp, house.rules)
        decision = decide(case)
        if isinstance(decision, CommandError):
            letter.answer(decision)
        elif isinstance(decision, Unchanged):
            assert self.state is not None
            letter.answer(self.result_of(self.state, changed=False))
        elif letter.request.dry_run:
            seq = 0 if self.state is None else self.state.seq
            would_be = apply(self.state, CommittedEvent.of(decision, seq))
            letter.answer(self.result_of(would_be, dry_run=True))
        else:
            self._letter = letter
            self._event = decision
            self._urn = decision.core.urn
            if self._urn is None:
                self._append()
            else:
                self.phase = Phase.RESERVING
                house.store.reserve(
                    self._urn, self.manifest_id, decision.core.version, self._reserved
                )

    def _reserved(self, owner: str | None) -> None:
        if owner is None:
            self._append()
            return
        urn, letter = self._urn, self._letter
        assert urn is not None
        assert letter is not None
        self._urn = None
        self._finish()
        letter.answer(urn_taken(urn, owner))

    def _append(self) -> None:
        assert self._event is not None
        self.phase = Phase.COMMITTING
        version = 0 if self.state is None else self.state.version
        self._house.store.append(self._event, Position(version, self._token), self._refused)

    def committed(self, event: CommittedEvent) -> None:
        """Apply a committed event, and answer when it is the one that is waited for."""
        if self.phase is Phase.LOADING:
            self._early.append(event)
            return
        letter, waited = self._letter, self._event
        own = waited is not None and waited.core.event_id == event.core.event_id
        try:
            self.state = state = apply(self.state, event)
            if len(self._commands) >= REMEMBERED_COMMANDS_MAX:
                del self._commands[next(iter(self._commands))]
            self._commands[event.core.command_id] = state.commands[-1]
            self._house.state_changed(state)
        except Exception:
            log.exception("%s: event %d cannot be applied", self.manifest_id, event.seq)
            self._finish()
            if own and letter is not None:
                letter.answer(_internal(self.manifest_id))
            self._house.reload(self)
            return
        if not own:
            return
        if self._urn is not None:
            self._house.store.confirm(self._urn, self.manifest_id)
            self._urn = None
        self._finish()
        assert letter is not None
        letter.answer(self.result_of(state))
        self._go_on()

    def _refused(self, refusal: AppendRefusal) -> None:
        letter = self._letter
        assert letter is not None
        if self._urn is not None:
            self._house.store.release(self._urn, self.manifest_id)
            self._urn = None
        self._finish()
        letter.answer(refusal.error)
        if refusal.outcome is AppendOutcome.CONFLICT:
            self._house.reload(self)
        else:
            self._go_on()

    def _finish(self) -> None:
        self._letter = self._event = None
        self.phase = Phase.IDLE

    def _guarded(self, letter: Letter, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception:  # noqa: BLE001 (logged there; one command's crash is its own)
            self._crashed(letter)

    def _crashed(self, letter: Letter) -> None:
        name = type(letter.request).__name__
        log.error("%s: %s crashed", self.manifest_id, name, exc_info=True)  # noqa: LOG014
        if self._urn is not None:
            self._house.store.release(self._urn, self.manifest_id)
            self._urn = None
        self._finish()
        letter.answer(_internal(self.manifest_id))
        self._house.reload(self)

    def result_of(
        self, state: StateSnapshot, *, changed: bool = True, dry_run: bool = False
    ) -> TransitionResult:
        """Return the answer to an accepted command that led to `state`."""
        lifecycle = self._house.rules.lifecycles.get(state.lifecycle)
        return TransitionResult(
            manifest_id=self.manifest_id,
            kind=state.kind,
            state=state.state,
            version=state.version,
            seq=state.seq,
            digest=state.digest,
            urn=state.urn,
            author=state.author,
            allowed_events=lifecycle.allowed_events(state.states),
            changed=UNSET if changed else False,
            dry_run=True if dry_run else UNSET,
        )


def _internal(manifest_id: str) -> InternalError:
    return InternalError(
        f"{manifest_id}: the command failed inside the daemon; its log says how",
        suggestion="report it with the daemon's log; nothing of it was stored unless get shows it",
        details={"manifest_id": manifest_id},
    )
