"""One life of the daemon: the real store, engine and service, on simulated time, threads and disk.

    open -> everything it has is compared with the model -> serve -> drain, or an end by force

It does what `daemon.application.Application` does, without sockets: after a failed disk only
refusals are said, and the process ends a tenth of a second later.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import msgspec

from actors.engine import Engine
from actors.ports import AppendOutcome, AppendRefusal, Position
from actors.stamps import SystemStamper
from actors.turns import TURN_S_MAX, Turns
from daemon.application import FAREWELL_S
from daemon.archive.dirty import DirtyLimits
from daemon.backup import Backups
from daemon.errors import DaemonError, DamagedStoreError
from daemon.service import Service
from daemon.settings import StoreSettings
from daemon.store import FileStore
from daemon.transport.publisher import HEARTBEAT_INTERVAL_S, Heartbeat
from protocol.codec import decode_request, encode_error, encode_result
from protocol.commands import Request, Write
from protocol.errors import CommandError, CorruptError, HistoryCompactedError, UnavailableError
from protocol.events import CommittedEvent, NewEvent, timestamp
from protocol.limits import PAGE_SIZE_MAX
from protocol.principals import Peer
from protocol.progress import Clock, ProgressReporter
from protocol.snapshots import replay
from tests.simulation.disk import SimulatedDisk
from tests.simulation.loop import SimulatedLoop
from tests.simulation.model import Model
from tests.simulation.world import SECOND_US

if TYPE_CHECKING:
    from tests.simulation.house import House

DATA: Final = Path("/data/store")
SETTINGS: Final = StoreSettings(
    dirty=DirtyLimits(manifests=4, events=12, size_bytes=64 << 10),
    segment_size_bytes=12_000,
    reserve_size_bytes=20_000,
)
STOP_WITHIN_US: Final = 30 * SECOND_US  # The disk may be slow; systemd waits for 90 s.
ROUNDS_MAX: Final = 20  # Until what is cancelled has ended.

T = TypeVar("T")
Outcome = msgspec.Struct | CommandError


class EndedError(BaseException):
    """The process is gone: `how`, and its exit status."""

    def __init__(
        self, how: str, status: int | None = None, error: DaemonError | None = None
    ) -> None:
        super().__init__(how)
        self.how = how
        self.status = status
        self.error = error


class _StoppedError(Exception):
    """Leaves the engine's task group, as in `Application`."""


class ObservedStore(FileStore):
    """The real store; the model hears of what is appended to it."""

    model: Model

    def append(
        self, event: NewEvent, expected: Position, refused: Callable[[AppendRefusal], None]
    ) -> None:
        """See `EventStore`."""
        self.model.appended(event)

        def refuse(refusal: AppendRefusal) -> None:
            if refusal.outcome is not AppendOutcome.UNKNOWN:
                self.model.withdrawn(event)
            refused(refusal)

        super().append(event, expected, refuse)


class Delivery(NamedTuple):
    """A request that reached the daemon."""

    body: bytes
    peer: Peer
    reply: Callable[[bytes], None]


class Life:
    """One process, from its start to its end."""

    store_type: type[ObservedStore] = ObservedStore
    disk_type: type[SimulatedDisk] = SimulatedDisk

    def __init__(self, house: "House") -> None:
        self.is_serving = False
        self._house = house
        self._world = house.world
        self._model = house.model
        self._disk = self.disk_type(house.environment)
        self._alive = True
        self._failure: DaemonError | None = None
        self._service: Service | None = None
        self._loop = SimulatedLoop(house.world, house.threads)
        self._loop.set_exception_handler(self._unhandled)
        self._stop = asyncio.Event()
        self._stopped_us: int | None = None
        self._unanswered: list[Delivery] = []  # Writes, until the daemon said what came of them.

    def run(self) -> EndedError:
        """Live, and say how it ended."""
        try:
            self._loop.run_until_complete(self._main())
            ending = EndedError("drained", 0)
        except EndedError as error:
            ending = error
        except DaemonError as error:
            ending = EndedError(f"cannot start: {error}", error.exit_status, error)
        finally:
            self._bury()
        if ending.status == 0:
            self._check_drained()
        return ending

    def stop(self) -> None:
        """SIGTERM."""
        if self._stopped_us is None:
            self._stopped_us = self._world.now_us
        self.begin_to_stop()

    def begin_to_stop(self) -> None:
        """Drain."""
        self._loop.call_soon(self._stop.set)

    def _check_drained(self) -> None:
        """See that all who were heard were answered, in time."""
        if self._unanswered:
            heard = self._unanswered[0].body
            raise self._world.violated(f"17: it ended and never answered {heard!r}")
        assert self._stopped_us is not None
        if self._world.now_us - self._stopped_us > STOP_WITHIN_US:
            raise self._world.violated(f"17: it was told to stop at {self._stopped_us} us")

    async def _main(self) -> None:
        house, world = self._house, self._world
        self.store_type.model = self._model
        turns = Turns(self._tired())
        store = await self.store_type.open(
            DATA,
            disk=self._disk,
            settings=house.settings,
            threads=house.threads,
            turns=turns,
            on_failed=self._failed,
        )
        try:
            self._model.count("starts")
            if store.notes:
                self._model.count("starts that mended something")
            await self._compare(store)
            dice = world.dice(f"stamps {world.now_us}")
            engine = Engine(
                store,
                house.rules,
                stamper=SystemStamper(world.wall_ns, dice.randbytes),
                publisher=self,
                actors_max=house.actors_max,
                turns=turns,
            )
            clock = Clock(world.wall_ns, world.wall_ns)
            self._service = Service(
                engine,
                store,
                self,
                endpoints={},
                figures=dict,
                reporter=ProgressReporter(lambda _: None, clock),
                backups=Backups(store, self._disk, DATA, lambda _: None, clock),
                usage=dict,
            )
            await self._serve(engine, store)
        finally:
            self.is_serving = False
            await store.close()
        if self._failure is not None:
            raise EndedError("failed", self._failure.exit_status, self._failure)

    def _tired(self) -> Callable[[], float]:
        """Return a clock for `Turns` by which what takes no time here takes more or less of a turn."""
        dice = self._world.dice(f"turns {self._world.now_us}")
        now_s = 0.0

        def clock() -> float:
            nonlocal now_s
            now_s += dice.choice((0.0, 0.0, TURN_S_MAX / 4, TURN_S_MAX))
            return now_s

        return clock

    async def _compare(self, store: ObservedStore) -> None:
        """Tell the model what the store has, from its journal and as states."""
        try:
            lines = await self._histories(store)
            self._model.started(lines)
            await self._compare_feed(store)
            for manifest_id in self._model.states:
                loaded = await self._read(partial(FileStore.load, store, manifest_id))
                self._model.loaded(manifest_id, replay(loaded.tail, loaded.snapshot))
        except CorruptError as error:  # Damage below the checkpoint shows when it is read.
            raise DamagedStoreError(DATA, str(error)) from error

    async def _histories(self, store: ObservedStore) -> list[bytes]:
        """Return the lines of all events, manifest by manifest, in the order of their seqs."""
        events: list[CommittedEvent] = []
        for manifest_id in self._house.every_id:
            version = 0
            while page := await self._read(
                partial(store.history, manifest_id, version, PAGE_SIZE_MAX)
            ):
                events += page
                version = page[-1].core.version
        return [event.line for event in sorted(events, key=lambda one: one.seq)]

    async def _compare_feed(self, store: ObservedStore) -> None:
        """See that the feed has the same, from where retention has left it on."""
        after_seq = 0
        while True:
            try:
                page = await self._read(partial(store.feed, after_seq, PAGE_SIZE_MAX))
            except HistoryCompactedError as error:
                assert not self._house.settings.retention.is_unlimited
                self._model.count("feeds that begin later")
                after_seq = error.details["oldest_seq"] - 1
                continue
            for event in page.events:
                self._model.seen(event.seq, event.line, "the feed has")
                if event.seq != (after_seq := after_seq + 1):
                    raise self._world.violated(f"5: the feed goes on with seq {event.seq}")
            if not page.events:
                break
        if after_seq != len(self._model.lines):
            raise self._world.violated(f"1: the feed ends at seq {after_seq}")

    async def _read(self, read: Callable[[], Awaitable[T]]) -> T:
        """Return what `read` does, as soon as the disk can be read."""
        while True:
            try:
                return await read()
            except UnavailableError:
                passed = self._loop.create_future()
                self._loop.call_later(0.02, passed.set_result, None)
                await passed

    async def _serve(self, engine: Engine, store: ObservedStore) -> None:
        try:
            async with engine.run():
                self._beat(b"heartbeat", store)
                self.is_serving = True
                self._world.note("serving")
                await self._stop.wait()
                await engine.drain()
                raise _StoppedError  # noqa: TRY301 (it is the way out of the group)
        except* _StoppedError:
            self._beat(b"bye", store)

    # What the process says and hears.

    def deliver(self, delivery: Delivery) -> None:
        """A request came in; it is lost where nobody listens."""
        if not self.is_serving or not self._alive:
            return
        body_id: str | None = None
        answered = False

        def answer(outcome: Outcome) -> None:
            nonlocal answered
            if not self._alive or (self._failure and not isinstance(outcome, CommandError)):
                return
            if answered:
                raise self._world.violated(f"7: one request was answered twice: {delivery.body!r}")
            answered = True
            if delivery in self._unanswered:
                self._unanswered.remove(delivery)
            if body_id is not None:
                self._model.answered(body_id, outcome)
            if isinstance(outcome, CommandError):
                delivery.reply(encode_error(outcome))
            else:
                delivery.reply(encode_result(outcome))

        try:
            request = self.decode(delivery.body)
            if isinstance(request, Write):
                body_id = request.correlation_id
                assert body_id is not None
                self._model.delivered(body_id)
                self._unanswered.append(delivery)
            assert self._service is not None
            self._service.handle(request, delivery.peer, answer)
        except CommandError as error:
            answer(error)

    def decode(self, body: bytes) -> Request:
        """Return the request in `body`."""
        return decode_request(body)

    def publish(self, topic: bytes, body: bytes) -> None:
        """See `ports.Publisher`."""
        if not self._alive:
            return
        if topic.startswith(b"event/"):
            self._model.published(body)
        self._house.network.broadcast(topic, body)

    def _beat(self, topic: bytes, store: ObservedStore) -> None:
        if topic == b"heartbeat":
            self._loop.call_later(HEARTBEAT_INTERVAL_S, self._beat, topic, store)
        beat = Heartbeat(store.last_seq, timestamp(self._world.wall_ns()))
        self.publish(topic, msgspec.json.encode(beat))

    # How it ends.

    def _failed(self, error: DaemonError) -> None:
        if not self._alive:
            return
        self._world.note("failed", type(error).__name__)
        self._failure = error
        self._world.after(
            int(FAREWELL_S * SECOND_US),
            lambda: self.end(EndedError("failed", error.exit_status, error)),
        )

    def end(self, how: EndedError) -> None:
        """End the process where it stands. Called by the world."""
        if self._alive:
            self._alive = False
            raise how

    def _unhandled(self, _loop: object, context: dict[str, object]) -> None:
        if self._alive:
            self._world.violated(f"13: nobody handles {context}")

    def _bury(self) -> None:
        """Let nothing of the process remain, and nothing that it still does have an effect."""
        self._alive = self.is_serving = False
        self._disk.die()
        self._house.threads.kill_all()
        self._loop.is_dead = True
        for _ in range(ROUNDS_MAX):
            tasks = asyncio.all_tasks(self._loop)
            if not tasks:
                break
            for task in tasks:
                task.cancel()
            self._loop.run_until_complete(asyncio.wait(tasks))
        else:
            raise AssertionError("a task survives its process")
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()
