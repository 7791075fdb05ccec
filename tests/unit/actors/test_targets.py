"""A transition by the state that it leads to."""

import pytest

from actors.rules import Rules
from protocol.lifecycle.lifecycle import Lifecycle
from protocol.lifecycle.registry import LifecycleRegistry
from tests.support.engines import ALICE, BOB, CAROL, create, open_house, step

FORKED = """
id = "forked"
version = 1
initial = "OPEN"

[states.OPEN]
on.close = [
  { target = "DONE", guard = ["digest_matches", "four_eyes"], because = "only others finish it" },
  { target = "DROPPED", guard = ["reason_given"], because = "say why it is dropped" },
]

[states.DONE]
[states.DROPPED]
"""


@pytest.mark.parametrize(
    ("start", "target"),
    [("DRAFT", "REVIEWED"), ("REVIEWED", "APPROVED"), ("APPROVED", "REGISTERED")],
)
async def test_a_target_is_reached_by_the_one_event_that_leads_there(
    start: str, target: str
) -> None:
    async with open_house() as house:
        await house.make(state=start)

        assert (await house.ask(step(None, target=target), BOB)).state == target


@pytest.mark.parametrize("state", ["DRAFT", "REVIEWED", "APPROVED", "REGISTERED"])
async def test_the_state_that_it_is_in_already_is_ok_and_makes_no_event(state: str) -> None:
    async with open_house() as house:
        before = await house.make(state=state)

        result = await house.ask(step(None, target=state, command_id="c"), CAROL)

        assert (result.changed, result.state, result.version) == (False, state, before.version)
        assert house.store.last_seq == before.seq


@pytest.mark.parametrize(
    ("start", "target", "reachable"),
    [
        ("DRAFT", "APPROVED", ["REVIEWED"]),
        ("DRAFT", "PENDING", ["REVIEWED"]),
        ("REVIEWED", "REGISTERED", ["DRAFT", "APPROVED"]),
        ("APPROVED", "NOWHERE", ["DRAFT", "REGISTERED"]),
        ("REGISTERED", "DRAFT", []),
    ],
)
async def test_what_is_out_of_reach_is_refused_with_what_is_in_reach(
    start: str, target: str, reachable: list[str]
) -> None:
    async with open_house() as house:
        before = await house.make(state=start)

        error = await house.refusal(step(None, target=target))

        assert (error.code, error.details["reachable"]) == ("INVALID_TRANSITION", reachable)
        assert error.allowed_events == before.allowed_events
        assert all(state in error.message for state in reachable)


async def test_event_and_target_are_either_or() -> None:
    async with open_house() as house:
        await house.make()

        both = await house.refusal(step("submit_for_review", target="REVIEWED"))
        neither = await house.refusal(step(None))

        assert (both.code, both.path) == ("BAD_REQUEST", "/target")
        assert (neither.code, neither.path) == ("BAD_REQUEST", "/event")


async def test_guards_decide_where_a_fork_leads_and_a_target_is_not_overruled() -> None:
    rules = Rules(
        lifecycles=LifecycleRegistry([Lifecycle.read(FORKED, "x.toml")]),
        lifecycle_by_kind={"agent": "forked@1"},
    )
    async with open_house(rules=rules) as house:
        await house.ask(create())
        await house.ask(create("other"))

        detour = await house.refusal(step(None, target="DROPPED", reason="late"), BOB)
        done = await house.ask(step(None, target="DONE"), BOB)
        dropped = await house.ask(step(None, "other", target="DROPPED", reason="late"), ALICE)

        assert (detour.code, detour.details["reachable"]) == ("INVALID_TRANSITION", ["DONE"])
        assert (done.state, dropped.state) == ("DONE", "DROPPED")


async def test_a_refused_guard_says_what_the_lifecycle_s_author_wants_said() -> None:
    rules = Rules(
        lifecycles=LifecycleRegistry([Lifecycle.read(FORKED, "x.toml")]),
        lifecycle_by_kind={"agent": "forked@1"},
    )
    async with open_house(rules=rules) as house:
        await house.ask(create())

        error = await house.refusal(step("close"), ALICE)

        assert error.message.startswith("only others finish it (alice wrote this content")
        assert str(error) == error.message
        assert error.details == {"guard": "four_eyes", "because": "only others finish it"}
