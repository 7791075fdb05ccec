"""Nothing is registered that fewer people approved than the lifecycle demands, whatever they do.

The people draw commands at random. What is true is told from the events alone, by other code than
the one that decides.
"""

import asyncio
from collections.abc import Iterable
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.rules import Rules
from protocol.commands import Request
from protocol.events import CommittedEvent, state_names
from protocol.principals import Peer
from tests.support.engines import ALICE, BOB, CAROL, create, open_house, revert, revise, step
from tests.support.memory_store import MemoryDisk
from tests.support.timed import pass_time
from tests.support.timed import settings as timed
from tests.support.virtual_clock import VirtualClock

pytestmark = (
    pytest.mark.no_cover
)  # What it runs is covered elsewhere; measured, it takes many times as long.

SAM = Peer(name="sam", roles=frozenset({"security", "approver", "author"}))
LEO = Peer(name="leo", roles=frozenset({"legal", "reviewer"}))
ROOT = Peer(name="root", roles=frozenset({"admin"}))
GATE = Peer(name="gate", roles=ALICE.roles, may_impersonate=True)
PEOPLE = [ALICE, BOB, CAROL, SAM, LEO, ROOT, GATE]
DOCUMENTS = [b'{"name":"echo","version":"1.0.0","tags":["%d"]}' % number for number in range(3)]
# What each lifecycle demands of the content that is registered: event -> people.
DEMANDED = {
    "manifest@1": {"approve": 1},
    "manifest-extended@1": {"approve": 2, "approve_security": 1, "approve_legal": 1},
}
EVENTS = [
    "submit_for_review",
    "approve",
    "approve_security",
    "approve_legal",
    "reject",
    "register",
    "revise",
    "withdraw",
    "restore",
    "deprecate",
    "approve.again",
]


def _requests() -> st.SearchStrategy[tuple[Request | float, Peer]]:
    people = st.sampled_from(PEOPLE)
    asserted = st.sampled_from([None, None, "bob", "zoe"])
    steps = st.builds(
        lambda event, name: step(event, reason="so", principal=name),
        st.sampled_from(EVENTS),
        asserted,
    )
    revisions = st.builds(revise, st.sampled_from(DOCUMENTS))
    days = st.sampled_from([1.0, 15.0])
    return st.tuples(st.one_of(steps, steps, steps, revisions, st.builds(revert), days), people)


def _way(lifecycle: str) -> list[tuple[Request, Peer]]:
    """Return a way to REGISTERED: at random nobody would get there."""
    way = [(step("submit_for_review"), ALICE)]
    if lifecycle == "manifest-extended@1":
        way += [(step("approve_security"), SAM), (step("approve_legal"), LEO)]
        way += [(step("approve"), BOB)]
    return [*way, (step("approve"), CAROL), (step("register"), CAROL)]


Disturbance = tuple[int, tuple[Request | float, Peer]]


class _Round(NamedTuple):
    """A way to REGISTERED with some of its steps left out, and others put in between."""

    left_out: set[int]
    disturbances: list[Disturbance]

    def commands(self, lifecycle: str) -> Iterable[tuple[Request | float, Peer]]:
        for place, command in enumerate(_way(lifecycle)):
            yield from (one for where, one in self.disturbances if where == place)
            if place not in self.left_out:
                yield command


ROUNDS = st.builds(
    _Round,
    st.sets(st.integers(0, 5), max_size=2),
    st.lists(st.tuples(st.integers(0, 5), _requests()), max_size=4),
)


async def _walk(lifecycle: str, rounds: list[_Round]) -> MemoryDisk:
    clock, disk = VirtualClock(), MemoryDisk()
    async with open_house(disk, rules=Rules(lifecycle=lifecycle), **timed(clock)) as house:
        await house.ask(create(document=DOCUMENTS[0]))
        for one in rounds:
            for request, peer in one.commands(lifecycle):
                if isinstance(request, float):
                    await pass_time(house, clock, request * 86_400)
                else:
                    await house.send(msgspec.structs.replace(request), peer)
            await house.send(revise(DOCUMENTS[1]), ALICE)
    return disk


def _approvers(events: list[CommittedEvent], event: str, digest: str) -> set[str]:
    """Return who approved `digest` by `event`, and was neither undone nor an author of it."""
    authors: set[str] = set()
    standing: list[CommittedEvent] = []
    for one in events:
        core = one.core
        if core.type in ("created", "revised"):
            authors |= {core.principal} | ({core.via} if core.via else set())
            standing = []
        elif core.type == "reverted":
            assert core.reverts is not None
            standing = [old for old in standing if old.core.version < core.reverts]
        elif core.event == "reject" or core.cause == "timer" or core.event == "submit_for_review":
            standing = []
        elif core.event is not None and core.event.startswith("approve"):
            standing.append(one)
        elif core.event == "register":
            authors = set()  # Four eyes look at what changed since.
    return {
        one.core.principal
        for one in standing
        if one.core.event in (event, f"{event}.again")
        and one.core.digest == digest
        and one.core.via is None
        and one.core.principal not in authors
    }


def _check(lifecycle: str, events: Iterable[CommittedEvent]) -> int:
    """Assert that what was registered had its approvals; return how often something was."""
    seen: list[CommittedEvent] = []
    count = 0
    known: set[str] = set()
    for one in events:
        core = one.core
        if core.event == "register":
            count += 1
            known.add(core.digest)
            for event, needed in DEMANDED[lifecycle].items():
                people = _approvers(seen, event, core.digest)
                assert len(people) >= needed, (event, people, [old.core.event for old in seen])
        elif "REGISTERED" in state_names(core.states_to):
            assert core.digest in known, core.event  # By another way only what was registered.
        seen.append(one)
    return count


@pytest.mark.no_cover  # What it runs is covered elsewhere; measured, it takes several times as long.
@pytest.mark.parametrize("lifecycle", list(DEMANDED))
def test_nothing_is_registered_that_too_few_approved(lifecycle: str) -> None:
    registered = 0

    @given(st.lists(ROUNDS, min_size=1, max_size=2))
    def walk(rounds: list[_Round]) -> None:
        nonlocal registered
        disk = asyncio.run(_walk(lifecycle, rounds))
        registered += _check(lifecycle, disk.journal)

    walk()

    assert registered > 0, "nothing was ever registered: the test saw nothing"
