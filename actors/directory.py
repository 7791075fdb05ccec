"""The directory: which actors are in memory, and how they get there and leave.

Promise:  at most one actor per manifest, and a bounded number of them. An actor is activated by the
          first message for it, and passivated when nobody has asked for it for a while and
          everything of it is written. Whatever is committed is published in seq order, whether or
          not its actor is well. Nobody who is answered can harm anybody else.
Assume:   everything runs on the event loop's thread; `run` encloses all use.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import islice
from typing import Any, Final

import msgspec

from actors.actor import ManifestActor, Phase, ReadState
from actors.catalog import Catalog
from actors.firing import Firing
from actors.histories import chunks, rebuilt
from actors.letters import Answer, Letter
from actors.memory import FINGERPRINTS_MAX
from actors.ports import EventStore, Publisher, Stamper
from actors.rules import Rules
from actors.timers import CallLater
from actors.turns import Turns
from protocol.commands import Create, Redact
from protocol.errors import (
    CommandError,
    CorruptError,
    InternalError,
    NotFoundError,
    OverloadedError,
    ShuttingDownError,
)
from protocol.events import CommittedEvent, state_names
from protocol.identifiers import event_topic
from protocol.record import ReplayError
from protocol.replies import ManifestSummary, Usage
from protocol.snapshots import RememberedCommand, StateSnapshot, replay

log: Final = logging.getLogger(__name__)

ACTORS_MAX: Final = 20_000  # Active at once; at a few kilobytes each, tens of megabytes.
IDLE_TICKS: Final = 60  # Sweeps that an actor survives without a message.
SWEEP_INTERVAL_S: Final = 1.0
SWEPT_MAX: Final = 2_000  # Actors looked at per sweep, a millisecond of the loop's time.
MADE_ROOM_FOR: Final = 64  # Actors that leave at once when there is no room: one look for many.
RETRY_AFTER_MS: Final = 200  # The store has written most of what is dirty by then.


class Directory:
    """All actors. Implements `household.Household`."""

    def __init__(
        self,
        store: EventStore,
        rules: Rules,
        stamper: Stamper,
        publisher: Publisher,
        *,
        actors_max: int = ACTORS_MAX,
        call_later: CallLater | None = None,
        turns: Turns | None = None,
    ) -> None:
        self.store = store
        self.stamper = stamper
        self.turns = turns or Turns()
        rows = store.summaries()
        self.catalog = Catalog(rows)
        self.timers = Firing(stamper.now, self._tell_due).scheduler
        for row in rows:
            self.timers.set(row.manifest_id, row.timers)
        self.rules = rules.with_urn_owner(self.catalog.urn_owner)
        self.published = 0
        self.refusals = 0
        self._turned_away = 0  # By full mailboxes.
        self._kept_out = 0  # For want of room for an actor.
        self._publisher = publisher
        self._actors: OrderedDict[str, ManifestActor] = OrderedDict()
        self._actors_max = actors_max
        self._call_later = call_later
        self._tick = 0
        self._group: asyncio.TaskGroup | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._settled = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        store.on_committed(self._committed)

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Own the tasks of loading, searching and reading for as long as the context lasts."""
        failure: BaseException
        try:
            async with asyncio.TaskGroup() as self._group:
                self._sweep_later()
                self.timers.start(self._call_later or asyncio.get_running_loop().call_later)
                try:
                    yield
                finally:
                    assert self._timer is not None
                    self._timer.cancel()
                    self.timers.stop()
        except BaseExceptionGroup as group:
            # Tasks do not raise, so this is what came from inside the context, as it was.
            failure = group.exceptions[0]
        else:
            return
        finally:
            self._group = None
        raise failure

    def _sweep_later(self) -> None:
        def sweep() -> None:
            self._sweep_later()
            self.sweep()

        self._timer = asyncio.get_running_loop().call_later(SWEEP_INTERVAL_S, sweep)

    def spawn(self, coroutine: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run `coroutine` in the directory's task group; it must not raise.

        Raises:
            ShuttingDownError: nothing is begun any more.
        """
        if self._group is None:
            coroutine.close()
            raise _ended()
        try:
            task = self._group.create_task(coroutine, name=name)
        except RuntimeError as error:  # It is about to end, because its owner failed.
            coroutine.close()
            raise _ended() from error
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def __contains__(self, manifest_id: object) -> bool:
        return manifest_id in self._actors

    @property
    def active(self) -> int:
        """The number of actors in memory."""
        return len(self._actors)

    @property
    def waiting(self) -> int:
        """The number of commands in all mailboxes."""
        return sum(actor.waiting for actor in self._actors.values())

    @property
    def usage(self) -> dict[str, Usage]:
        """How full what has a bound is, by name; of mailboxes what waits in all of them."""
        return {
            "actors": Usage(self.active, self._actors_max, self._kept_out),
            "mailboxes": Usage(self.waiting, None, self._turned_away),
        }

    def tell(self, letter: Letter) -> None:
        """Hand a write to the actor of its manifest; unknown manifests only `create` makes.

        Raises:
            CommandError: it was not handed over: there is no such manifest, or no room.
        """
        manifest_id = letter.request.manifest_id
        actor = self._actor(manifest_id, create=isinstance(letter.request, Create))
        if actor is None:
            raise NotFoundError.manifest(manifest_id)
        actor.tell(letter)

    def _tell_due(self, letter: Letter) -> None:
        """Hand over what a timer says. Timers fill half of the table: clients find room in it."""
        half = self._actors_max // 2
        if letter.request.manifest_id not in self._actors and len(self._actors) >= half:
            self._make_room(half)
        self.tell(letter)

    def read(self, manifest_id: str, then: ReadState) -> None:
        """Call `then` with the manifest's committed state, None when there is no such manifest.

        Raises:
            OverloadedError: too many manifests are active.
        """
        actor = self._actor(manifest_id, create=False)
        if actor is None:
            then(None)
        else:
            actor.read(then)

    def _actor(self, manifest_id: str, *, create: bool) -> ManifestActor | None:
        actor = self._actors.get(manifest_id)
        if actor is not None:
            if actor.last_used != self._tick:
                self._touch(actor)
            return actor
        is_known = manifest_id in self.catalog
        if not is_known and not create:
            return None
        if len(self._actors) >= self._actors_max:
            self._make_room(self._actors_max)
        if is_known:
            return self._activate(manifest_id)
        return self._add(ManifestActor(manifest_id, self, Phase.IDLE))

    def _touch(self, actor: ManifestActor) -> None:
        actor.last_used = self._tick
        self._actors.move_to_end(actor.manifest_id)

    def _add(self, actor: ManifestActor) -> ManifestActor:
        actor.last_used = self._tick
        self._actors[actor.manifest_id] = actor
        return actor

    def _activate(self, manifest_id: str) -> ManifestActor:
        actor = ManifestActor(manifest_id, self, Phase.LOADING)
        self.spawn(self._load(actor), f"load {manifest_id}")
        return self._add(actor)

    async def _load(self, actor: ManifestActor) -> None:
        try:
            loaded = await self.store.load(actor.manifest_id)
            actor.loaded(replay(loaded.tail, loaded.snapshot), loaded.token)
        except CommandError as error:
            self._load_failed(actor, error)
        except ReplayError as error:
            self._load_failed(actor, CorruptError(str(error), suggestion="manifestd fsck"))
        except Exception as error:
            log.exception("%s cannot be loaded", actor.manifest_id)
            message = f"{actor.manifest_id} cannot be loaded: {error}"
            self._load_failed(actor, InternalError(message))

    def _load_failed(self, actor: ManifestActor, error: CommandError) -> None:
        log.error("%s cannot be loaded: %s", actor.manifest_id, error)
        if self._actors.get(actor.manifest_id) is actor:
            del self._actors[actor.manifest_id]
        actor.load_failed(error)
        self._settled.set()

    async def settle(self) -> None:
        """Return when every write and every slow read that came before the call is answered."""
        while any(actor.is_busy for actor in self._actors.values()):
            self._settled.clear()
            await self._settled.wait()
        if self._tasks:
            await asyncio.wait(set(self._tasks))
        await self.turns.finish(self.turns.commands)

    # What the actors ask for.

    def say(self, answer: Answer, outcome: msgspec.Struct | CommandError) -> None:
        """Answer; whoever is answered and fails at it harms nobody else."""
        if isinstance(outcome, CommandError):
            self.refusals += 1
        try:
            answer(outcome)
        except Exception:
            log.exception("an answer was lost")

    def turned_away(self) -> None:
        """Count a command that found its mailbox full."""
        self._turned_away += 1

    def settled(self, actor: ManifestActor) -> None:
        """Forget an actor whose manifest was never created."""
        manifest_id = actor.manifest_id
        if actor.state is None and actor.is_idle and self._actors.get(manifest_id) is actor:
            del self._actors[manifest_id]
        self._settled.set()

    def reload(self, actor: ManifestActor) -> None:
        """Load an actor that does not trust its state; it takes messages meanwhile."""
        actor.phase = Phase.LOADING
        try:
            self.spawn(self._load(actor), f"reload {actor.manifest_id}")
        except ShuttingDownError as error:
            self._load_failed(actor, error)

    def search(self, actor: ManifestActor, letter: Letter) -> None:
        """Look for the letter's command id in the whole history."""
        try:
            self.spawn(self._search(actor, letter), f"search {actor.manifest_id}")
        except ShuttingDownError as error:
            actor.found(letter, None, error)

    async def _search(self, actor: ManifestActor, letter: Letter) -> None:
        known, failure = None, None
        try:
            if letter.request.command_id is not None:
                known = await self._known(actor, letter.request.command_id)
            if known is None and isinstance(letter.request, Redact):
                before = letter.request.version - 1
                page = await self.store.history(actor.manifest_id, before, limit=1)
                letter.subject = page[0] if page else None
        except CommandError as error:
            failure = error
        except Exception as error:
            log.exception("%s: its history cannot be searched", actor.manifest_id)
            failure = InternalError(f"{actor.manifest_id}: {error}")
        actor.found(letter, known, failure)

    async def _known(self, actor: ManifestActor, command_id: str) -> RememberedCommand | None:
        """Return what a command was answered, however long ago: what the state then remembered."""
        manifest_id = actor.manifest_id
        event = await self.store.find_command(manifest_id, command_id)
        if event is None:
            await self._teach(actor)
            return None
        state = await rebuilt(
            self.store, manifest_id, lambda one: one.seq <= event.seq, self.turns.share
        )
        assert state is not None
        return state.commands[-1]

    async def _teach(self, actor: ManifestActor) -> None:
        """Spare the commands to come their search."""
        if actor.state is None or actor.state.version > FINGERPRINTS_MAX:
            return
        history = chunks(self.store, actor.manifest_id, self.turns.share)
        actor.learn([event.core.command_id async for events in history for event in events])

    def state_changed(self, state: StateSnapshot) -> None:
        """Bring catalog, timers and store up to date with a state that a committed event made."""
        self.catalog.update(ManifestSummary.of(state))
        self.timers.set(state.manifest_id, state.timers)
        self.store.save_snapshot(state)

    def state_loaded(self, state: StateSnapshot) -> None:
        """Take note of a state whose events nobody noticed: their actor was not here, or not well."""
        row = self.catalog.get(state.manifest_id)
        if row is None or row.version < state.version:
            self.state_changed(state)

    # What the store tells.

    def _committed(self, events: Sequence[CommittedEvent]) -> None:
        for event in events:  # In one go: what is queued together, libzmq sends together.
            self._publish(event)
        for event in events:
            core = event.core
            if core.urn is not None:
                self.store.confirm(core.urn, core.manifest_id)
            actor = self._actors.get(core.manifest_id)
            if actor is not None:
                actor.committed(event)
            else:  # Another writer's event: loading it takes note of it.
                with suppress(ShuttingDownError):
                    self._activate(core.manifest_id)

    def _publish(self, event: CommittedEvent) -> None:
        core = event.core
        try:
            topic = event_topic(core.kind, core.manifest_id, state_names(core.states_to))
            self._publisher.publish(topic, event.line)
        except Exception:
            log.exception("event %d was not published", event.seq)
        else:
            self.published += 1

    # Who leaves.

    def sweep(self) -> None:
        """Passivate what nobody asked for in a while, least recently used first."""
        self._tick += 1
        for actor in self._oldest():
            if actor.last_used + IDLE_TICKS > self._tick:
                return
            self._passivate(actor)

    def _make_room(self, actors_max: int) -> None:
        """Passivate the least recently used actors until there is room.

        Raises:
            OverloadedError: those looked at are all needed.
        """
        room = 0
        for actor in self._oldest():
            room += self._passivate(actor)
            if room >= MADE_ROOM_FOR:
                return
        if len(self._actors) >= actors_max:
            self._kept_out += 1
            what = "the table of active manifests"
            raise OverloadedError.full(what, limit=actors_max, retry_after_ms=RETRY_AFTER_MS)

    def _oldest(self) -> list[ManifestActor]:
        return list(islice(self._actors.values(), SWEPT_MAX))

    def _passivate(self, actor: ManifestActor) -> bool:
        """Let `actor` go when nobody would miss it; else look at the others first next time."""
        if actor.is_idle and self.store.is_clean(actor.manifest_id):
            return self._actors.pop(actor.manifest_id) is actor
        self._touch(actor)
        return False


def _ended() -> ShuttingDownError:
    return ShuttingDownError("nothing is begun any more; use the engine inside its context")
