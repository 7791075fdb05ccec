"""The directory: which actors are in memory, and how they get there and leave.

Promise:  at most one actor per manifest. An actor is activated by the first message for it, and
          passivated when nobody has asked for it for a while and everything of it is written.
          Whatever is committed is published in seq order, whether or not its actor is well.
Assume:   everything runs on the event loop's thread; `run` encloses all use.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any, Final

from actors.actor import Letter, ManifestActor, Phase, ReadState
from actors.catalog import Catalog
from actors.ports import EventStore, Publisher, Stamper
from actors.rules import Rules
from protocol.commands import Create
from protocol.errors import CommandError, CorruptError, InternalError, NotFoundError
from protocol.events import CommittedEvent, state_names
from protocol.identifiers import event_topic
from protocol.replies import ManifestSummary
from protocol.snapshots import ReplayError, StateSnapshot, replay

log: Final = logging.getLogger(__name__)

ACTORS_MAX: Final = 20_000  # Active at once; at a few kilobytes each, tens of megabytes.
IDLE_TICKS: Final = 60  # Sweeps that an actor survives without a message.
SWEEP_INTERVAL_S: Final = 1.0
SWEPT_MAX: Final = 2_000  # Actors looked at per sweep, a millisecond of the loop's time.


class Directory:
    """All actors. Implements `actor.Household`."""

    def __init__(
        self, store: EventStore, rules: Rules, stamper: Stamper, publisher: Publisher
    ) -> None:
        self.store = store
        self.rules = rules
        self.stamper = stamper
        self.catalog = Catalog(store.summaries())
        self._publisher = publisher
        self._actors: OrderedDict[str, ManifestActor] = OrderedDict()
        self._tick = 0
        self._tasks: asyncio.TaskGroup | None = None
        self.published = 0
        self._settled: asyncio.Event | None = None
        self._timer: asyncio.TimerHandle | None = None
        store.on_committed(self._committed)

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Own the tasks of loading and searching for as long as the context lasts."""
        async with asyncio.TaskGroup() as self._tasks:
            self._sweep_later()
            try:
                yield
            finally:
                assert self._timer is not None
                self._timer.cancel()

    def _sweep_later(self) -> None:
        def sweep() -> None:
            self._sweep()
            self._sweep_later()

        self._timer = asyncio.get_running_loop().call_later(SWEEP_INTERVAL_S, sweep)

    def spawn(self, coroutine: Coroutine[Any, Any, None], name: str) -> None:
        """Run `coroutine` in the directory's task group; it must not raise."""
        assert self._tasks is not None, "use the directory inside `async with directory.run()`"
        self._tasks.create_task(coroutine, name=name)

    @property
    def active(self) -> int:
        """The number of actors in memory."""
        return len(self._actors)

    @property
    def waiting(self) -> int:
        """The number of commands in all mailboxes."""
        return sum(actor.waiting for actor in self._actors.values())

    def tell(self, letter: Letter) -> None:
        """Hand a write to the actor of its manifest; unknown manifests only `create` makes."""
        actor = self._actor(letter.request.manifest_id, create=isinstance(letter.request, Create))
        if actor is None:
            letter.answer(NotFoundError.manifest(letter.request.manifest_id))
        else:
            actor.tell(letter)

    def read(self, manifest_id: str, then: ReadState) -> None:
        """Call `then` with the manifest's committed state, None when there is no such manifest."""
        actor = self._actor(manifest_id, create=False)
        if actor is None:
            then(None)
        else:
            actor.read(then)

    def _actor(self, manifest_id: str, *, create: bool) -> ManifestActor | None:
        actor = self._actors.get(manifest_id)
        if actor is not None:
            if actor.last_used != self._tick:
                actor.last_used = self._tick
                self._actors.move_to_end(manifest_id)
            return actor
        if manifest_id in self.catalog:
            return self._activate(manifest_id)
        if not create:
            return None
        return self._add(manifest_id, Phase.IDLE)

    def _add(self, manifest_id: str, phase: Phase) -> ManifestActor:
        actor = ManifestActor(manifest_id, self, phase)
        actor.last_used = self._tick
        self._actors[manifest_id] = actor
        if len(self._actors) > ACTORS_MAX:
            self._sweep(force=True)
        return actor

    def _activate(self, manifest_id: str) -> ManifestActor:
        actor = self._add(manifest_id, Phase.LOADING)
        self.spawn(self._load(actor), f"load {manifest_id}")
        return actor

    async def _load(self, actor: ManifestActor) -> None:
        try:
            loaded = await self.store.load(actor.manifest_id)
            state = replay(loaded.tail, loaded.snapshot)
            actor.loaded(state, loaded.token)
            row = self.catalog.get(actor.manifest_id)
            if actor.state is not None and (row is None or row.version < actor.state.version):
                self.state_changed(actor.state)
        except CommandError as error:
            self._load_failed(actor, error)
        except ReplayError as error:
            self._load_failed(actor, CorruptError(str(error)))
        except Exception as error:
            log.exception("%s cannot be loaded", actor.manifest_id)
            message = f"{actor.manifest_id} cannot be loaded: {error}"
            self._load_failed(actor, InternalError(message))

    def _load_failed(self, actor: ManifestActor, error: CommandError) -> None:
        log.error("%s cannot be loaded: %s", actor.manifest_id, error)
        if self._actors.get(actor.manifest_id) is actor:
            del self._actors[actor.manifest_id]
        actor.load_failed(error)

    async def settle(self) -> None:
        """Return when no actor has anything to do; the caller lets nothing new come in."""
        while any(not actor.is_idle for actor in self._actors.values()):
            self._settled = asyncio.Event()
            await self._settled.wait()

    # What the actors ask for.

    def settled(self, actor: ManifestActor) -> None:
        """Forget an actor whose manifest was never created."""
        if actor.state is None and actor.is_idle:
            self._actors.pop(actor.manifest_id, None)
        if self._settled is not None:
            self._settled.set()

    def reload(self, actor: ManifestActor) -> None:
        """Load an actor that does not trust its state; it takes messages meanwhile."""
        actor.phase = Phase.LOADING
        self.spawn(self._load(actor), f"reload {actor.manifest_id}")

    def search(self, actor: ManifestActor, command_id: str) -> None:
        """Look for an old command id in the store."""

        async def search() -> None:
            try:
                event = await self.store.find_command(actor.manifest_id, command_id)
            except CommandError as error:
                actor.found(None, error)
            except Exception as error:
                log.exception("%s: its history cannot be searched", actor.manifest_id)
                actor.found(None, InternalError(f"{actor.manifest_id}: {error}"))
            else:
                actor.found(event, None)

        self.spawn(search(), f"search {actor.manifest_id}")

    def state_changed(self, state: StateSnapshot) -> None:
        """Bring catalog and store up to date with a state that a committed event made."""
        self.catalog.update(ManifestSummary.of(state))
        self.store.save_snapshot(state)

    # What the store tells.

    def _committed(self, events: Sequence[CommittedEvent]) -> None:
        for event in events:
            core = event.core
            topic = event_topic(core.kind, core.manifest_id, state_names(core.states_to))
            actor = self._actors.get(core.manifest_id)
            if actor is None:  # Another writer's event: loading it takes note of it.
                self._activate(core.manifest_id)
            self._publisher.publish(topic, event.line)
            self.published += 1
            if actor is not None:
                actor.committed(event)

    def _sweep(self, *, force: bool = False) -> None:
        """Passivate what nobody asked for, oldest first; with `force` down to the bound."""
        if not force:
            self._tick += 1
        surplus = len(self._actors) - ACTORS_MAX
        for manifest_id in list(islice(self._actors, SWEPT_MAX)):
            actor = self._actors[manifest_id]
            if surplus <= 0 and actor.last_used + IDLE_TICKS > self._tick:
                return
            if actor.is_idle and self.store.is_clean(manifest_id):
                del self._actors[manifest_id]
                surplus -= 1
