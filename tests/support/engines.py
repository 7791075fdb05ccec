"""An engine on a store in memory, and people who talk to it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from actors.engine import Engine
from actors.ports import Stamp, Stamper
from actors.rules import Rules
from protocol.commands import (
    ABSENT,
    Comment,
    Create,
    Get,
    Request,
    Revert,
    Revise,
    Transition,
)
from protocol.errors import CommandError
from protocol.principals import EVERYDAY_ROLES, Peer, Policy
from protocol.replies import GetResult, TransitionResult
from tests.support.memory_store import MemoryDisk
from tests.support.stores import GatedStore

DOCUMENT = b'{"name":"echo","version":"1.0.0"}'
ALICE = Peer(name="alice", roles=EVERYDAY_ROLES)
BOB = Peer(name="bob", roles=EVERYDAY_ROLES)
CAROL = Peer(name="carol", roles=EVERYDAY_ROLES)
URN = "urn:proto:agent:echo@1.0.0"

# What leads to each state of manifest@1: alice writes, bob approves, carol registers.
WAY: dict[str, list[tuple[str, Peer]]] = {
    "DRAFT": [],
    "REVIEWED": [("submit_for_review", ALICE)],
    "APPROVED": [("submit_for_review", ALICE), ("approve", BOB)],
    "REGISTERED": [("submit_for_review", ALICE), ("approve", BOB), ("register", CAROL)],
}

Outcome = msgspec.Struct | CommandError


class CountingStamper:
    """Time goes by in seconds, ids count up: what happens is the same in every run."""

    def __init__(self) -> None:
        self.count = 0

    def stamp(self) -> Stamp:
        """Return the next second."""
        self.count += 1
        return Stamp(self.now(), f"event-{self.count}", f"{self.count:032x}")

    def now(self) -> str:
        """Return the second that was stamped last."""
        minutes, seconds = divmod(self.count, 60)
        return f"2026-11-23T15:{minutes:02d}:{seconds:02d}.000000Z"


class Recorder:
    """A publisher that keeps what was published."""

    def __init__(self) -> None:
        self.messages: list[tuple[bytes, bytes]] = []

    def publish(self, topic: bytes, body: bytes) -> None:
        """See `ports.Publisher`."""
        self.messages.append((topic, body))

    @property
    def seqs(self) -> list[int]:
        """The seqs of what was published, in that order."""
        return [msgspec.json.decode(body)["seq"] for _, body in self.messages]


class House:
    """An engine with its store, and a mouth that checks that every request is answered once."""

    def __init__(self, engine: Engine, store: GatedStore, recorder: Recorder) -> None:
        self.engine = engine
        self.store = store
        self.recorder = recorder
        self.asked = 0
        self.answered = 0

    def send(self, request: Request, peer: Peer = ALICE) -> asyncio.Future[Outcome]:
        """Hand a request over; the future gets its answer, and a second one fails the test."""
        self.asked += 1
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

        def answer(outcome: Outcome) -> None:
            self.answered += 1
            future.set_result(outcome)

        self.engine.handle(request, peer, answer)
        return future

    async def ask(self, request: Request, peer: Peer = ALICE) -> Any:  # noqa: ANN401 (any result)
        """Return the result; a refusal is raised."""
        outcome = await self.send(request, peer)
        if isinstance(outcome, CommandError):
            raise outcome
        return outcome

    async def refusal(self, request: Request, peer: Peer = ALICE) -> CommandError:
        """Return why a request is refused; it must be."""
        outcome = await self.send(request, peer)
        assert isinstance(outcome, CommandError), outcome
        return outcome

    async def get(self, manifest_id: str = "m") -> GetResult:
        """Return the committed state."""
        result = await self.ask(Get(manifest_id=manifest_id))
        assert isinstance(result, GetResult)
        return result

    async def make(
        self, manifest_id: str = "m", state: str = "DRAFT", document: bytes = DOCUMENT
    ) -> TransitionResult:
        """Bring a new manifest into `state`."""
        result: TransitionResult = await self.ask(create(manifest_id, document))
        for event, peer in WAY[state]:
            result = await self.ask(step(event, manifest_id), peer)
        assert result.state == state
        return result


def create(manifest_id: str | None = "m", document: bytes = DOCUMENT, **members: Any) -> Create:  # noqa: ANN401 (members of the struct)
    """Return the request."""
    members.setdefault("kind", "agent")
    return Create(manifest_id=manifest_id, manifest=msgspec.Raw(document), **members)


def step(event: str | None, manifest_id: str = "m", **members: Any) -> Transition:  # noqa: ANN401 (members of the struct)
    """Return the request."""
    return Transition(manifest_id=manifest_id, event=event, **members)


def revise(document: bytes, manifest_id: str = "m", **members: Any) -> Revise:  # noqa: ANN401 (members of the struct)
    """Return the request to replace the document."""
    return Revise(manifest_id=manifest_id, manifest=msgspec.Raw(document), patch=ABSENT, **members)


def patch(document: bytes, manifest_id: str = "m", **members: Any) -> Revise:  # noqa: ANN401 (members of the struct)
    """Return the request to merge into the document."""
    return Revise(manifest_id=manifest_id, manifest=ABSENT, patch=msgspec.Raw(document), **members)


def revert(manifest_id: str = "m", **members: Any) -> Revert:  # noqa: ANN401 (members of the struct)
    """Return the request."""
    return Revert(manifest_id=manifest_id, **members)


def comment(text: str = "fine", manifest_id: str = "m", **members: Any) -> Comment:  # noqa: ANN401 (members of the struct)
    """Return the request."""
    return Comment(manifest_id=manifest_id, text=text, **members)


@asynccontextmanager
async def open_house(
    disk: MemoryDisk | None = None,
    *,
    policy: Policy | None = None,
    rules: Rules | None = None,
    stamper: Stamper | None = None,
    **settings: Any,  # noqa: ANN401 (of the engine)
) -> AsyncIterator[House]:
    """Run an engine; on the way out it is drained, and everybody must have been answered."""
    store, recorder = GatedStore(disk), Recorder()
    engine = Engine(
        store,
        rules or Rules(policy=policy),
        stamper=stamper or CountingStamper(),
        publisher=recorder,
        **settings,
    )
    house = House(engine, store, recorder)
    async with engine.run():
        yield house
        await engine.drain()
    assert house.answered == house.asked
    seqs = recorder.seqs
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs))) if seqs else True
