"""Why not: what each state says to each person, and that a command is judged the same."""

import msgspec
import pytest

from protocol.commands import Explain, Revert, Revise, Write
from protocol.errors import CommandError
from protocol.principals import EVERYDAY_ROLES, Peer
from protocol.replies import ExplainResult, Explanation
from tests.support.engines import (
    ALICE,
    BOB,
    CAROL,
    URN,
    open_house,
    step,
)


def _by_event(result: ExplainResult) -> dict[str, Explanation]:
    return {one.event: one for one in result.events}


NO_ROLE = Peer(name="eve", roles=frozenset({"auditor"}))
ALLOWED: list[tuple[str, Peer, dict[str, str]]] = [
    ("DRAFT", ALICE, {"submit_for_review": "REVIEWED", "revise": "DRAFT"}),
    ("DRAFT", NO_ROLE, {}),
    ("REVIEWED", ALICE, {"reject": "DRAFT", "revert": "DRAFT"}),
    ("REVIEWED", BOB, {"approve": "APPROVED", "reject": "DRAFT", "revert": "DRAFT"}),
    ("REVIEWED", NO_ROLE, {}),
    ("APPROVED", CAROL, {"register": "REGISTERED", "reject": "DRAFT", "revert": "REVIEWED"}),
    ("APPROVED", NO_ROLE, {}),
    ("REGISTERED", CAROL, {}),
]


def _trial(event: str) -> Write:
    """Return the command that takes `event`, as a trial."""
    if event == "revise":
        patch = msgspec.Raw(b'{"description":"another"}')
        return Revise(manifest_id="m", patch=patch, dry_run=True)
    if event == "revert":
        return Revert(manifest_id="m", dry_run=True)
    return step(event, reason="why not", dry_run=True)


@pytest.mark.parametrize(("state", "peer", "allowed"), ALLOWED)
async def test_explain_says_what_may_happen_and_why_the_rest_may_not(
    state: str, peer: Peer, allowed: dict[str, str]
) -> None:
    async with open_house() as house:
        await house.make(state=state)

        result = await house.ask(Explain(manifest_id="m"), peer)

        assert (result.state, result.principal) == (state, peer.name)
        assert {one.event: one.target for one in result.events if one.allowed} == allowed
        assert all(one.reason for one in result.events if not one.allowed)
        for one in result.events:  # And so it is.
            outcome = await house.send(_trial(one.event), peer)
            assert one.allowed == (not isinstance(outcome, CommandError))
            assert getattr(outcome, "state", None) == one.target


async def test_explain_names_the_guard_the_roles_and_the_reason() -> None:
    async with open_house() as house:
        await house.make(state="REVIEWED")

        mine = _by_event(await house.ask(Explain(manifest_id="m"), ALICE))
        hers = _by_event(await house.ask(Explain(manifest_id="m"), NO_ROLE))

        assert (mine["approve"].guard, mine["approve"].roles) == ("four_eyes", ["approver"])
        assert "alice wrote this content" in (mine["approve"].reason or "")
        assert "does not accept register" in (mine["register"].reason or "")
        assert "takes the role approver" in (hers["approve"].reason or "")


async def test_explain_for_somebody_else_takes_the_role_for_it() -> None:
    gateway = Peer(name="gateway", roles=EVERYDAY_ROLES, may_impersonate=True)
    async with open_house() as house:
        await house.make(state="REVIEWED")
        request = Explain(manifest_id="m", principal="bob")

        forbidden = await house.refusal(request, ALICE)
        asserted = _by_event(await house.ask(request, gateway))

        assert forbidden.code == "FORBIDDEN"
        assert "only asserted by gateway" in (asserted["approve"].reason or "")


async def test_a_urn_that_is_taken_shows_in_the_explanation() -> None:
    async with open_house() as house:
        await house.make("first", state="REGISTERED")
        await house.make(state="APPROVED")

        events = _by_event(await house.ask(Explain(manifest_id="m"), CAROL))

        assert events["register"].guard == "urn_free"
        assert URN in (events["register"].reason or "")
