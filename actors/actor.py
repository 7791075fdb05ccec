"""One actor per manifest: commands in one after another, events out, answers when durable.

Promise:  one command at a time; an answer only after its event was committed, and with the state
          that the event made. Every letter is answered once. A command that crashes fails alone,
          with `INTERNAL`; the actor is then loaded again from its events.
Assume:   everything runs on the event loop's thread. `committed` is called for every committed
          event of this manifest, in order.
Not here: deciding (`decide.py`), loading and forgetting actors (`directory.py`).

    LOADING --loaded--> IDLE --command--> [SEARCHING] --> [RESERVING] --> COMMITTING --+
       ^                 ^                                                             |
       |                 +------------- committed, or refused -------------------------+
       +-- from anywhere, when the state can no longer be trusted: the letter is given up
"""

import logging
from collections.abc import Callable, Iterable
from enum import Enum, auto
from functools import partial
from typing import Final

import msgspec

from actors.builtin_guards import urn_taken
from actors.case import Case, Unchanged
from actors.decide import command_digest, decide, resolve
from actors.drafts import canonical_document
from actors.expiry import Expire, armed_timer
from actors.household import Household
from actors.letters import Answer, Letter
from actors.mailbox import Mailbox
from actors.memory import CommandMemory
from actors.ports import AppendOutcome, AppendRefusal, Position
from actors.results import repeated, result_of
from protocol.commands import Redact
from protocol.errors import CommandError, InternalError, OverloadedError
from protocol.events import CommittedEvent
from protocol.snapshots import RememberedCommand, StateSnapshot, apply

__all__ = ["Answer", "Letter", "ManifestActor", "Phase", "ReadState"]

log: Final = logging.getLogger(__name__)

READERS_MAX: Final = 1024  # Who wait for one manifest to be loaded, a matter of a millisecond.
RETRY_AFTER_MS: Final = 50

ReadState = Callable[[StateSnapshot | CommandError | None], None]


class Phase(Enum):
    """Where an actor is in its life; see the drawing above."""

    LOADING = auto()
    IDLE = auto()
    SEARCHING = auto()  # In the archive: for an old command id, for the event that is redacted.
    RESERVING = auto()  # A URN.
    COMMITTING = auto()


class ManifestActor:
    """The one place where commands on one manifest are carried out."""

    __slots__ = (
        "_early",
        "_house",
        "_letter",
        "_mailbox",
        "_memory",
        "_reading",
        "_running",
        "_token",
        "_waits",
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
        self._waits = False  # For a turn of the loop that has time for the next command.
        self._memory = CommandMemory(None)
        self._letter: Letter | None = None
        self._token: object = None

    @property
    def is_idle(self) -> bool:
        """Tell whether nobody would miss the actor."""
        return self.phase is Phase.IDLE and not self._mailbox and not self._reading

    @property
    def is_busy(self) -> bool:
        """Tell whether a write was accepted and not answered yet."""
        return self._letter is not None or len(self._mailbox) > 0

    @property
    def waiting(self) -> int:
        """The number of commands in the mailbox."""
        return len(self._mailbox)

    def tell(self, letter: Letter) -> None:
        """Take a write: now, or when those before it are done. A timer comes before all others."""
        try:
            if isinstance(letter.request, Expire):
                self._mailbox.put_first(letter)  # As many as are armed on the manifest.
            else:
                self._mailbox.put(letter)
        except CommandError as error:
            self._house.turned_away()
            self._say(letter, error)
        else:
            self._go_on()

    def read(self, then: ReadState) -> None:
        """Call `then` with the committed state: at once, or as soon as it is loaded."""
        if self.phase is not Phase.LOADING:
            then(self.state)
        elif len(self._reading) < READERS_MAX:
            self._reading.append(then)
        else:
            what = f"the queue of those who read {self.manifest_id}"
            then(OverloadedError.full(what, limit=READERS_MAX, retry_after_ms=RETRY_AFTER_MS))

    # Loading.

    def loaded(self, state: StateSnapshot | None, token: object = None) -> None:
        """Begin, or begin again, from what the store has.

        Raises:
            ReplayError: what was committed meanwhile does not follow from it.
        """
        assert self._letter is None
        early, self._early = self._early, []
        for event in early:  # Committed while the store was reading.
            if state is None or event.core.version > state.version:
                state = apply(state, event)
        if state is not None:
            self._house.state_loaded(state)
        self.state = state
        self._token = token
        self._memory = CommandMemory(state)
        self.phase = Phase.IDLE
        self._tell_readers(state)
        self._go_on()

    def load_failed(self, error: CommandError) -> None:
        """Refuse everybody who waits. The actor stays unusable; the directory drops it."""
        while self._mailbox:
            self._say(self._mailbox.take(), error)
        self._tell_readers(error)

    def _tell_readers(self, outcome: StateSnapshot | CommandError | None) -> None:
        reading, self._reading = self._reading, []
        for then in reading:
            self._house.turns.commands.begin(partial(self._tell_reader, then, outcome))

    def _tell_reader(self, then: ReadState, outcome: StateSnapshot | CommandError | None) -> None:
        try:
            then(outcome)
        except Exception:
            log.exception("%s: a reader failed", self.manifest_id)

    # One command.

    def _go_on(self) -> None:
        if self._running:
            return  # A store that answers at once calls back into the loop below.
        self._running = True
        try:
            while self.phase is Phase.IDLE and self._mailbox:
                if self._house.turns.is_over():
                    self._wait()
                    return
                self._attempt(self._mailbox.take(), self._begin)
        finally:
            self._running = False
        if self.phase is Phase.IDLE:
            self._house.settled(self)

    def _wait(self) -> None:
        """Go on in another turn of the loop: a refusal, a dry run, a replay end at once."""
        if not self._waits:
            self._waits = True
            self._house.turns.commands.later(self._resume)

    def _resume(self) -> None:
        self._waits = False
        self._go_on()

    def _attempt(self, letter: Letter, action: Callable[[Letter], None]) -> None:
        """Do one part of a command. Whatever goes wrong in it goes wrong for this command only."""
        try:
            action(letter)
        except CommandError as error:
            self._let_go(letter)
            self._say(letter, error)
        except Exception:
            name = type(letter.request).__name__
            log.exception("%s: %s crashed", self.manifest_id, name)
            self._let_go(letter)
            self._distrust(letter)

    def _begin(self, letter: Letter) -> None:
        request = letter.request
        letter.principal = resolve(letter.peer, request.principal, self._house.rules.policy)
        letter.document = canonical_document(request)
        letter.digest = command_digest(request, letter.principal.name, letter.document)
        command_id, state = request.command_id, self.state
        needs_subject = isinstance(request, Redact) and state is not None
        is_new = command_id is None and not needs_subject
        if state is None or is_new or armed_timer(state, request) is not None:
            # An armed timer did not fire, whoever used its id for something else.
            self._decide(letter)
            return
        known = None if command_id is None else self._memory.get(command_id)
        if known is not None:
            self._repeat(letter, known)
        elif command_id is None or needs_subject or self._memory.may_be_older(command_id):
            self.phase = Phase.SEARCHING
            self._letter = letter
            self._house.search(self, letter)
        else:
            self._decide(letter)

    def learn(self, command_ids: Iterable[str]) -> None:
        """Take note of every command id in the history, for those who come after the search."""
        self._memory.learn(command_ids)

    def found(
        self, letter: Letter, known: RememberedCommand | None, error: CommandError | None
    ) -> None:
        """Go on with `letter`, for which the history was searched."""
        if self._letter is not letter:
            return  # It was given up meanwhile.
        self._finish()
        if error is not None:
            self._say(letter, error)
        elif known is not None:
            self._attempt(letter, lambda _: self._repeat(letter, known))
        else:
            self._attempt(letter, self._decide)
        self._go_on()

    def _repeat(self, letter: Letter, known: RememberedCommand) -> None:
        assert self.state is not None
        lifecycle = self._house.rules.lifecycles.get(self.state.lifecycle)
        self._say(letter, repeated(self.state, known, letter.digest, lifecycle))

    def _decide(self, letter: Letter) -> None:
        house, state, principal = self._house, self.state, letter.principal
        assert principal is not None
        stamp = house.stamper.stamp()
        case = Case(
            state,
            letter.request,
            principal,
            letter.digest,
            stamp,
            house.rules,
            letter.document,
            letter.subject,
        )
        decision = decide(case)
        if isinstance(decision, CommandError):
            self._say(letter, decision)
        elif isinstance(decision, Unchanged):
            assert state is not None
            lifecycle = house.rules.lifecycles.get(state.lifecycle)
            self._say(letter, result_of(state, lifecycle, changed=False))
        elif letter.request.dry_run:
            seq = 0 if state is None else state.seq
            would_be = apply(state, CommittedEvent.of(decision, seq))
            lifecycle = house.rules.lifecycles.get(would_be.lifecycle)
            self._say(letter, result_of(would_be, lifecycle, dry_run=True))
        else:
            self._letter = letter
            letter.decided(decision)
            urn = letter.urn
            if urn is None:
                self._append(letter)
            else:
                self.phase = Phase.RESERVING
                reserved = partial(self._reserved, letter)
                house.store.reserve(urn, self.manifest_id, decision.core.version, reserved)

    def _reserved(self, letter: Letter, owner: str | None) -> None:
        urn = letter.urn
        assert urn is not None
        if self._letter is not letter:  # It was given up meanwhile.
            if owner is None:
                self._house.store.release(urn, self.manifest_id)
            return
        if owner is None:
            self._attempt(letter, self._append)
            return
        letter.urn = None
        self._finish()
        self._say(letter, urn_taken(urn, owner))
        self._go_on()

    def _append(self, letter: Letter) -> None:
        assert letter.event is not None
        self.phase = Phase.COMMITTING
        version = 0 if self.state is None else self.state.version
        refused = partial(self._refused, letter)
        self._house.store.append(letter.event, Position(version, self._token), refused)

    # How it ends.

    def committed(self, event: CommittedEvent) -> None:
        """Apply a committed event, and answer when it is the one that is waited for."""
        if self.phase is Phase.LOADING:
            self._early.append(event)
            return
        letter, house = self._letter, self._house
        waited = None if letter is None else letter.event
        own = waited is not None and waited.hash == event.hash
        try:
            self.state = state = apply(self.state, event)
            self._memory.add(state.commands[-1])
            house.state_changed(state)
            lifecycle = house.rules.lifecycles.get(state.lifecycle)
            result = result_of(state, lifecycle) if own else None
        except Exception:
            log.exception("%s: event %d cannot be applied", self.manifest_id, event.seq)
            self._finish()
            self._distrust(letter)
            return
        if letter is not None and result is not None:
            self._finish()
            self._say(letter, result)
            self._go_on()

    def _refused(self, letter: Letter, refusal: AppendRefusal) -> None:
        # What is unknown may become a fact yet, and then the URN is this manifest's: keep it.
        if letter.urn is not None and refusal.outcome is not AppendOutcome.UNKNOWN:
            self._house.store.release(letter.urn, self.manifest_id)
        if self._letter is not letter:
            return  # It was given up meanwhile.
        self._finish()
        if refusal.outcome is AppendOutcome.CONFLICT:
            self._house.reload(self)
        self._say(letter, refusal.error)
        self._go_on()

    def _finish(self) -> None:
        self._letter = None
        if self.phase is not Phase.LOADING:
            self.phase = Phase.IDLE

    def _let_go(self, letter: Letter) -> None:
        """Undo what a command that ends here had begun."""
        urn, letter.urn = letter.urn, None
        if urn is not None:
            self._house.store.release(urn, self.manifest_id)
        if self._letter is letter:
            self._finish()

    def _distrust(self, letter: Letter | None) -> None:
        """Load the state again. Who writes from the answer on is queued until it is there."""
        if self.phase is not Phase.LOADING:
            self._house.reload(self)
        if letter is not None:
            self._say(letter, _internal(self.manifest_id))

    def _say(self, letter: Letter, outcome: msgspec.Struct | CommandError) -> None:
        self._house.say(letter.take_answer(), outcome)


def _internal(manifest_id: str) -> InternalError:
    return InternalError(
        f"{manifest_id}: the command failed inside the daemon; its log says how",
        suggestion="report it with the daemon's log; nothing of it was stored unless get shows it",
        details={"manifest_id": manifest_id},
    )
