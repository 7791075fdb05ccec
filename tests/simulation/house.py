"""One simulation: the world, one daemon after another, its clients, and what strikes them.

    plan -> clients at work, strikes -> calm: everything settles -> drain -> start -> drain -> checks

Promise:  everything follows from the seed. Raises `ViolationError` where a promise was broken.
"""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final, NamedTuple
from unittest.mock import patch

import msgspec

from actors.rules import Rules
from daemon.errors import DamagedStoreError
from daemon.journal.retention import KEEP_EVERYTHING, Retention
from protocol.commands import Create, Get
from protocol.errors import NotFoundError
from protocol.events import timestamp
from protocol.lifecycle.lifecycle import Lifecycle
from protocol.lifecycle.registry import LifecycleRegistry
from protocol.principals import EVERYDAY_ROLES, Peer
from protocol.replies import GetResult, TransitionResult
from tests.simulation.archive_check import check_archive
from tests.simulation.clients import NAMES, Client, Driver, Exchange, Pause, Script
from tests.simulation.disk import Environment
from tests.simulation.life import DATA, SETTINGS, EndedError, Life
from tests.simulation.model import Model
from tests.simulation.network import Network
from tests.simulation.strikes import Strikes
from tests.simulation.subscriber import Subscriber
from tests.simulation.threads import SimulatedThreads
from tests.simulation.world import MILLISECOND_US, SECOND_US, World

LIFECYCLE: Final = """
id = "timed"
version = 1
initial = "DRAFT"
[states.DRAFT]
tags = ["mutable"]
on.submit = "REVIEW"
[states.REVIEW]
on.again = "REVIEW"
on.approve = { target = "APPROVED", guard = ["four_eyes"], actions = ["record_approval", "allow_revert"] }
[states.REVIEW.after]
"700ms" = { target = "DRAFT", actions = ["record_rejection"] }
"150ms" = { target = "APPROVED", guard = ["reason_given"], because = "only with a reason" }
[states.APPROVED]
on.publish = "LIVE"
after."250ms" = "LIVE"
[states.LIVE]
on.reopen = "DRAFT"
"""
BUSY_US_MAX: Final = 60 * SECOND_US
SETTLING_US_MAX: Final = 40 * SECOND_US
LIVES_MAX: Final = 200
LOCKS: Final = (
    "daemon.journal.reader.Lock",
    "daemon.redaction.pending.Lock",
    "daemon.archive.ordered.Lock",
    "daemon.archive.pins.Lock",
)
LAST_ID: Final = "last@1.0.0"


class Outcome(NamedTuple):
    """What a simulation that found nothing wrong was like."""

    seed: int
    trace_hash: str
    counts: dict[str, int]


class House:
    """Everything in one simulation. `life` is the daemon that runs now."""

    life_type: type[Life] = Life

    def __init__(self, seed: int, life_type: type[Life] = Life) -> None:
        self.life_type = life_type
        self.world = World(seed)
        self.threads = SimulatedThreads(self.world)
        self.environment = Environment(self.world, self.threads)
        self.model = Model(self.world)
        self.network = Network(self)
        self.life: Life | None = None
        dice = self.world.dice("house")
        self.manifest_ids = [f"m{number}@1.0.0" for number in range(dice.randint(1, 4))]
        retention = dice.choice((KEEP_EVERYTHING, Retention(events=8), Retention(size_bytes=9000)))
        self.settings = SETTINGS._replace(retention=retention)
        self.actors_max = dice.choice((2, 3, 20_000))
        lifecycles = LifecycleRegistry.builtin()
        lifecycles.add(Lifecycle.read(LIFECYCLE, "timed.toml"))
        self.rules = Rules(lifecycles=lifecycles)
        self.every_id = [*self.manifest_ids, LAST_ID]
        self._dice = dice
        self._clients = [
            Client(self, name, dice.randint(4, 12)) for name in NAMES[: dice.randint(2, 4)]
        ]
        self._subscriber = Subscriber(self)
        self._strikes = Strikes(self)
        self._is_over = False

    def run(self) -> Outcome:
        """Simulate, and check."""
        try:
            with _quiet(), _locks_of(self.threads):
                self.world.after(10 * MILLISECOND_US, self._busy)
                self._live()
                self._is_over = True
                self.model.count("lives")
                self._one_life()
                check_archive(self.environment.media, DATA, self.model)
                self.model.finish()
        finally:
            self.threads.close()
        return Outcome(self.world.seed, self.world.trace_hash(), self.model.counts)

    def _live(self) -> None:
        """Let one daemon follow another until one is drained after everything settled."""
        for _ in range(LIVES_MAX):
            self.model.count("lives")
            ending = self._one_life()
            if self._is_over:
                assert ending.how == "drained", ending
                check_archive(self.environment.media, DATA, self.model)
                return
            self._strikes.after(ending)
            delay_us = self._dice.randint(5, 120) * MILLISECOND_US
            self.world.run_until(self.world.now_us + delay_us, lambda: False)
        raise self.world.violated("17: the daemon never comes to its end")

    def _one_life(self) -> EndedError:
        self.life = self.life_type(self)
        if self._is_over:
            self.world.after(self._dice.randint(1, 50) * MILLISECOND_US, self.life.stop)
        ending = self.life.run()
        self.life = None
        self.world.note("ended", ending.how, ending.status)
        self.model.count(f"ended: {ending.how.partition(':')[0]}")
        self._check(ending)
        return ending

    def _check(self, ending: EndedError) -> None:
        """Raise where the process ended, or did not start, for no reason that the world gave it."""
        environment = self.environment
        if isinstance(ending.error, DamagedStoreError):
            if not self._strikes.is_rotten:
                raise self.world.violated(f"11: it refuses a store that is well: {ending.error}")
        elif ending.error is not None and not environment.struck and not environment.found_full:
            raise self.world.violated(f"9: it ended without a cause: {ending.error}")
        elif ending.status not in (None, 0, 74):
            raise self.world.violated(f"9: it ended with {ending.status}: {ending.error}")

    # From one phase to the next.

    def _busy(self) -> None:
        done = all(client.driver.is_done for client in self._clients)
        if done or self.world.now_us > BUSY_US_MAX:
            self.world.note("calm")
            self._strikes.stop()
            self.network.is_calm = True
            self._settling_until_us = self.world.now_us + SETTLING_US_MAX
            self._settle()
        else:
            self.world.after(20 * MILLISECOND_US, self._busy)

    def _settle(self) -> None:
        """Wait until the daemon serves, no timer is armed, and the subscriber has everything."""
        model = self.model
        soon = timestamp(self.world.wall_ns() + 1000 * SETTLING_US_MAX)
        armed = [timer for state in model.states.values() for timer in state.timers]
        armed = [timer for timer in armed if timer.due < soon]
        behind = len(model.lines) - len(self._subscriber.lines)
        serves = self.life is not None and self.life.is_serving
        if serves and not armed and not behind:
            driver = Driver(self, Peer(name="zoe", roles=EVERYDAY_ROLES), self._last_look())
            self.world.after(0, lambda: self._leave(driver))
        elif self.world.now_us > self._settling_until_us:
            now = timestamp(self.world.wall_ns())
            raise self.world.violated(
                f"6: serves: {serves}, overdue: {model.overdue(now)}, events behind: {behind}"
            )
        else:
            self.world.after(20 * MILLISECOND_US, self._settle)

    def _last_look(self) -> Script:
        """Read everything once more; and writes are taken again, whatever was full (10)."""
        request = Create(
            manifest_id=LAST_ID,
            manifest=msgspec.Raw(b'{"name":"last","version":"1.0.0"}'),
            kind="agent",
            command_id="last",
            correlation_id="last",
        )
        self.model.sent(request)
        while not isinstance((yield Exchange(request, SECOND_US)), TransitionResult):
            if self.world.now_us > self._settling_until_us:
                raise self.world.violated("10: nothing is written any more, and there is room")
            yield Pause(50 * MILLISECOND_US)
        for manifest_id in self.manifest_ids:
            answer: object = None
            while not isinstance(answer, GetResult | NotFoundError):  # There is too much at work.
                yield Pause(10 * MILLISECOND_US)
                start = self.world.now_us
                answer = yield Exchange(Get(manifest_id=manifest_id), SECOND_US)
            version = 0
            if isinstance(answer, GetResult):
                version = answer.version
                self.model.read(manifest_id, answer)
            self.model.history.was_read(manifest_id, start, self.world.now_us, version)

    def _leave(self, driver: Driver) -> None:
        if driver.is_done:
            self._is_over = True
            assert self.life is not None
            self.life.stop()
        else:
            self.world.after(MILLISECOND_US, lambda: self._leave(driver))

    @property
    def is_rotten(self) -> bool:
        """Whether there is a flipped bit in a file that nobody has mended."""
        return self._strikes.is_rotten


@contextmanager
def _locks_of(threads: SimulatedThreads) -> Iterator[None]:
    """Let those take turns who wait for a lock that somebody holds while he reads."""
    with ExitStack() as stack:
        for place in LOCKS:
            stack.enter_context(patch(place, threads.lock))
        yield


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the daemon logs of its misfortunes to itself."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
