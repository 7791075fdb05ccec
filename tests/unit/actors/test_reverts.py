"""One step back: what can be undone, by whom, and what is void after it."""

import asyncio
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.commands import Write
from protocol.errors import CommandError
from protocol.events import CommittedEvent, EventType
from protocol.principals import EVERYDAY_ROLES, Peer
from tests.support.engines import (
    ALICE,
    BOB,
    CAROL,
    House,
    comment,
    open_house,
    patch,
    revert,
    revise,
    step,
)

pytestmark = (
    pytest.mark.no_cover
)  # What it runs is covered elsewhere; measured, it takes many times as long.


async def test_two_reverts_go_back_two_steps_and_a_third_finds_nothing() -> None:
    async with open_house() as house:
        await house.make(state="APPROVED")

        first = await house.ask(revert(reason="too fast"), BOB)
        second = await house.ask(revert(), ALICE)
        error = await house.refusal(revert(), ALICE)

        assert (first.state, second.state, error.code) == (
            "REVIEWED",
            "DRAFT",
            "INVALID_TRANSITION",
        )
        reverts = [event.core.reverts for event in house.store.disk.journal[-2:]]
        assert reverts == [3, 2]


async def test_a_revert_cannot_be_reverted() -> None:
    async with open_house() as house:
        await house.make(state="REVIEWED")
        await house.ask(revert())

        error = await house.refusal(revert())

        assert (error.code, error.details["event"]) == ("INVALID_TRANSITION", "revert")
        assert error.allowed_events == ["submit_for_review"]


async def test_an_approval_that_was_reverted_is_void() -> None:
    async with open_house() as house:
        await house.make(state="APPROVED")
        await house.ask(revert(), BOB)
        assert (await house.get()).approvals == []

        error = await house.refusal(step("register"), CAROL)
        await house.ask(step("approve"), CAROL)

        assert error.code == "INVALID_TRANSITION"
        assert [one.principal for one in (await house.get()).approvals] == ["carol"]


async def test_a_revert_takes_the_permission_for_the_event_that_it_undoes() -> None:
    author, approver = (Peer(name="x", roles=frozenset({role})) for role in ("author", "approver"))
    async with open_house() as house:
        await house.make(state="APPROVED")

        forbidden = await house.refusal(revert(), author)
        await house.ask(revert(), approver)
        forbidden_again = await house.refusal(revert(), approver)
        back = await house.ask(revert(), author)

        assert forbidden.details["roles_needed"] == ["approver"]
        assert forbidden_again.details["roles_needed"] == ["author"]
        assert back.state == "DRAFT"


@pytest.mark.parametrize("between", [comment(), comment("again")])
async def test_a_remark_does_not_stand_in_the_way(between: Write) -> None:
    async with open_house() as house:
        await house.make(state="REVIEWED")
        await house.ask(between)

        assert (await house.ask(revert())).state == "DRAFT"


@pytest.mark.parametrize("between", ["reject", "register"])
async def test_what_has_no_way_back_ends_what_was_before_it(between: str) -> None:
    async with open_house() as house:
        await house.make(state="APPROVED")
        await house.ask(step(between, reason="no"), BOB)

        assert (await house.refusal(revert(), BOB)).code == "INVALID_TRANSITION"


async def test_a_new_document_ends_what_was_before_it() -> None:
    async with open_house() as house:
        await house.make(state="APPROVED")
        await house.ask(revert(), BOB)
        await house.ask(revert())
        await house.ask(patch(b'{"description":"new"}'))

        assert (await house.refusal(revert())).code == "INVALID_TRANSITION"


PEOPLE = [Peer(name=name, roles=EVERYDAY_ROLES) for name in ("alice", "bob", "carol")]
DOCUMENTS = [b'{"name":"echo","version":"1.0.%d"}' % number for number in range(2)]


def _requests() -> list[Write]:
    """Return one of each command; made anew, because a request belongs to one letter."""
    return [
        step("submit_for_review"),
        step("approve"),
        step("reject", reason="no"),
        step("register"),
        revert(),
        comment(),
        *(revise(document) for document in DOCUMENTS),
    ]


@dataclass
class Shadow:
    """Who touched and who approved which content, kept without any of the code under test."""

    contributors: set[str]
    approvals: dict[int, tuple[str, str, frozenset[str]]]

    def take(self, event: CommittedEvent) -> None:
        """Follow one committed event."""
        core = event.core
        if core.type == EventType.REVISED:
            self.contributors.add(core.principal)
        elif core.event == "approve":
            people = frozenset(self.contributors)
            self.approvals[core.version] = (core.principal, core.digest, people)
        elif core.event == "register":
            assert any(
                digest == core.digest and principal not in people and people == self.contributors
                for principal, digest, people in self.approvals.values()
            ), f"nobody else approved what {core.principal} registered"
        elif core.type == EventType.REVERTED:
            assert core.reverts is not None
            self.approvals = {
                version: one for version, one in self.approvals.items() if version < core.reverts
            }
        elif core.event == "reject":
            self.approvals = {}


async def _play(script: list[tuple[int, int]]) -> House:
    async with open_house() as house:
        await house.make()
        shadow = Shadow({"alice"}, {})
        for command, person in script:
            before = house.store.last_seq
            outcome = await house.send(_requests()[command], PEOPLE[person])
            assert house.store.last_seq - before == (
                not isinstance(outcome, CommandError)
                and getattr(outcome, "changed", True) is not False
            )
            for event in house.store.disk.journal[before:]:
                shadow.take(event)
        return house


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 2)), max_size=25))
def test_nothing_is_registered_that_only_its_contributors_approved(
    script: list[tuple[int, int]],
) -> None:
    asyncio.run(_play(script))


def test_the_property_meets_registrations() -> None:
    way = [(0, 0), (1, 1), (4, 1), (1, 2), (2, 1), (7, 1), (0, 0), (1, 2), (3, 0)]

    house = asyncio.run(_play(way))

    assert house.store.disk.journal[-1].core.event == "register"
