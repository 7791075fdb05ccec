"""What a state that takes any event (`*`) does not take: revisions and reverts, which are ops."""

from actors.rules import Rules
from protocol.commands import Explain
from protocol.lifecycle.lifecycle import Lifecycle
from protocol.principals import EVERYDAY_ROLES, Peer
from protocol.replies import Explanation
from tests.support.engines import ALICE, House, create, open_house, revert, revise, step

ADMIN = Peer(name="root", roles=EVERYDAY_ROLES | {"admin"})
OTHER = b'{"name":"echo","version":"1.0.1"}'
PATIENT = """
id = "patient"
version = 1
initial = "DRAFT"
[roles]
"*" = ["reviewer"]
submit_for_review = ["author"]
revise = []
give_up = []
[states.DRAFT]
tags = ["mutable"]
[states.DRAFT.on.submit_for_review]
target = "REVIEW"
actions = ["allow_revert"]
[states.REVIEW.on]
settle = "SETTLED"
"*" = [{}]
[states.SETTLED.on]
revise = "DRAFT"
give_up = "DRAFT"
"""


def _rules() -> Rules:
    rules = Rules(lifecycle="patient@1")
    rules.lifecycles.add(Lifecycle.read(PATIENT, "patient.toml"))
    return rules


async def _told(house: House, peer: Peer) -> dict[str, Explanation]:
    result = await house.ask(Explain(manifest_id="m"), peer)
    return {one.event: one for one in result.events}


async def test_a_state_that_takes_any_event_keeps_its_document() -> None:
    async with open_house(rules=_rules()) as house:
        await house.ask(create())
        await house.ask(step("submit_for_review"))

        told = (await _told(house, ALICE))["revise"]
        refusal = await house.refusal(revise(OTHER))

        assert (told.allowed, told.roles, told.reason) == (False, ["author"], refusal.message)
        assert refusal.code == "IMMUTABLE"


async def test_a_state_that_takes_any_event_can_be_reverted_and_says_so() -> None:
    async with open_house(rules=_rules()) as house:
        await house.ask(create())
        await house.ask(step("submit_for_review"))

        told = (await _told(house, ALICE))["revert"]

        assert (told.allowed, told.target, told.roles) == (True, "DRAFT", ["author"])
        assert (await house.ask(revert())).state == "DRAFT"


async def test_what_nobody_may_send_takes_an_admin() -> None:
    async with open_house(rules=_rules()) as house:
        await house.ask(create())
        await house.ask(step("submit_for_review"))
        await house.ask(step("settle"))

        mine, roots = await _told(house, ALICE), await _told(house, ADMIN)

        assert (await house.refusal(revise(OTHER))).code == "FORBIDDEN"
        for event in ("revise", "give_up"):
            assert (mine[event].allowed, mine[event].roles) == (False, ["admin"])
            assert "it takes the role admin" in (mine[event].reason or "")
            assert roots[event].allowed
        assert (await house.ask(revise(OTHER), ADMIN)).state == "DRAFT"
