"""A manifest changes over to another lifecycle, by an event."""

from typing import Any

import pytest

from actors.rules import Rules
from protocol.commands import Migrate, Revert
from protocol.lifecycle.lifecycle import Lifecycle
from protocol.principals import EVERYDAY_ROLES, Peer
from protocol.snapshots import encode_snapshot, replay
from tests.support.engines import BOB, CAROL, House, create, open_house, step
from tests.support.memory_store import MemoryDisk
from tests.support.timed import fired, pass_time, settings
from tests.support.virtual_clock import VirtualClock

ROOT = Peer(name="root", roles=EVERYDAY_ROLES | {"admin"})
NEXT = """
id = "review"
version = 2
initial = "DRAFT"
[states.DRAFT]
tags = ["mutable"]
on.submit_for_review = "CHECKED"
[states.CHECKED]
on.approve = { target = "APPROVED", actions = ["record_approval"] }
after."2h" = "DRAFT"
[states.APPROVED.on.register]
target = "REGISTERED"
guard = ["content_approved", "urn_free"]
actions = ["record_registration"]
[states.REGISTERED]
type = "final"
[states.SIDE]
type = "parallel"
entry = ["record_rejection"]
[states.SIDE.states.L.states.L1]
[states.SIDE.states.L.states.L2]
[states.SIDE.states.R.states.R1]
"""


def _rules(text: str = NEXT) -> Rules:
    rules = Rules()
    rules.lifecycles.add(Lifecycle.read(text, "review.toml"))
    return rules


def migrate(**members: Any) -> Migrate:  # noqa: ANN401 (members of the struct)
    return Migrate(manifest_id="m", **{"lifecycle": "review@2", **members})


async def _migrated(house: House, **members: Any) -> Any:  # noqa: ANN401 (any result)
    return await house.ask(migrate(**members), ROOT)


@pytest.mark.parametrize("state", ["DRAFT", "APPROVED", "REGISTERED"])
async def test_a_state_of_the_same_name_is_kept(state: str) -> None:
    async with open_house(rules=_rules()) as house:
        before = await house.make(state=state)

        result = await _migrated(house)

        assert (result.state, result.version) == (state, before.version + 1)
        assert (await house.get()).lifecycle == "review@2"
        [*_, event] = house.store.disk.journal
        assert (event.core.type, event.core.lifecycle) == ("migrated", "review@2")


async def test_approvals_stay_and_the_new_lifecycle_goes_on_from_there() -> None:
    async with open_house(rules=_rules()) as house:
        await house.make(state="APPROVED")
        await _migrated(house)

        assert [one.principal for one in (await house.get()).approvals] == ["bob"]
        assert (await house.ask(step("register"), CAROL)).state == "REGISTERED"


async def test_a_state_that_is_called_otherwise_is_mapped() -> None:
    async with open_house(rules=_rules()) as house:
        await house.make(state="REVIEWED")

        stranded = await house.refusal(migrate(), ROOT)
        assert stranded.code == "INVALID_TRANSITION"
        assert stranded.details["missing"] == ["REVIEWED"]
        assert stranded.suggestion == "--map REVIEWED=STATE"
        assert (await house.get()).lifecycle == "manifest@1"

        result = await _migrated(house, states={"REVIEWED": "CHECKED", "OTHER": "NOWHERE"})
        assert result.state == "CHECKED"


@pytest.mark.parametrize(
    ("mapping", "path", "said"),
    [
        ({"DRAFT": "CHEKED"}, "/states/DRAFT", "no state 'CHEKED'"),
        ({"DRAFT": "review"}, "/states/DRAFT", "no state 'review'"),
    ],
)
async def test_a_mapping_to_nothing_is_refused(
    mapping: dict[str, str], path: str, said: str
) -> None:
    async with open_house(rules=_rules()) as house:
        await house.make()

        error = await house.refusal(migrate(states=mapping), ROOT)

        assert (error.code, error.path) == ("BAD_REQUEST", path)
        assert said in error.message


async def test_states_side_by_side_are_put_where_they_can_be_active_at_once() -> None:
    async with open_house(rules=_rules()) as house:
        await house.ask(create(lifecycle="manifest-extended@1"))
        await house.ask(step("submit_for_review"))
        both = {"LEGAL_REVIEW": "L2", "PEER_REVIEW": "R1", "SECURITY_REVIEW": "R1"}
        wrong = await house.refusal(migrate(states=both | {"SECURITY_REVIEW": "L1"}), ROOT)
        result = await _migrated(house, states=both)

        assert "cannot be active at once" in wrong.message
        assert result.state == ["L2", "R1"]
        assert (await house.get()).rejection is None  # Entry actions are those of a step.


async def test_a_parent_state_is_entered_as_it_begins() -> None:
    async with open_house(rules=_rules()) as house:
        await house.make()

        assert (await _migrated(house, states={"DRAFT": "SIDE"})).state == ["L1", "R1"]


async def test_timers_of_the_old_states_are_cancelled_and_those_of_the_new_ones_armed() -> None:
    clock, disk = VirtualClock(), MemoryDisk()
    async with open_house(disk, rules=_rules(), **settings(clock)) as house:
        await house.ask(create(lifecycle="manifest-extended@1"))
        await house.ask(step("submit_for_review"))
        await pass_time(house, clock, 3600)
        names = dict.fromkeys((await house.get()).state, "CHECKED")
        await _migrated(house, states=names)
        assert [one.event for one in (await house.get()).timers] == ["after.CHECKED.1"]

        await pass_time(house, clock, 2 * 3600 + 1)

        assert (await house.get()).state == "DRAFT"
        assert [event.core.event for event in fired(disk)] == ["after.CHECKED.1"]


async def test_only_an_admin_migrates() -> None:
    async with open_house(rules=_rules()) as house:
        await house.make()

        error = await house.refusal(migrate(), BOB)

        assert (error.code, error.details["roles_needed"]) == ("FORBIDDEN", ["admin"])


async def test_an_unknown_lifecycle_is_refused_with_those_there_are() -> None:
    async with open_house(rules=_rules()) as house:
        await house.make()

        error = await house.refusal(migrate(lifecycle="review@3"), ROOT)

        assert (error.code, error.path) == ("NOT_FOUND", "/lifecycle")


async def test_who_is_there_already_stays() -> None:
    async with open_house(rules=_rules()) as house:
        before = await house.make()

        result = await _migrated(house, lifecycle="manifest@1")

        assert (result.changed, result.version) == (False, before.version)


async def test_a_trial_changes_nothing_and_says_where_it_would_be() -> None:
    async with open_house(rules=_rules()) as house:
        await house.make(state="REVIEWED")

        trial = await _migrated(house, states={"REVIEWED": "CHECKED"}, dry_run=True)

        assert (trial.state, trial.dry_run) == ("CHECKED", True)
        assert (await house.get()).lifecycle == "manifest@1"


async def test_nothing_of_before_can_be_reverted() -> None:
    async with open_house(rules=_rules()) as house:
        await house.make(state="APPROVED")
        await _migrated(house)

        error = await house.refusal(Revert(manifest_id="m"), BOB)

        assert error.code == "INVALID_TRANSITION"


async def test_a_migrated_history_replays_to_the_same_state_without_any_lifecycle() -> None:
    async with open_house(rules=_rules()) as house:
        await house.make(state="APPROVED")
        await _migrated(house)
        await house.ask(step("register"), CAROL)

        again = replay(house.store.disk.journal)

        assert again is not None
        assert encode_snapshot(again) == encode_snapshot(house.store.snapshot("m"))


async def test_a_repeat_is_answered_as_the_first_time() -> None:
    async with open_house(rules=_rules()) as house:
        await house.make()
        first = await _migrated(house, command_id="move")
        again = await _migrated(house, command_id="move")

        assert (again.replayed, again.version) == (True, first.version)
        other = await house.refusal(migrate(command_id="move", states={"DRAFT": "CHECKED"}), ROOT)
        assert other.code == "COMMAND_ID_REUSED"


async def test_a_command_repeated_after_the_state_it_led_to_is_gone_gets_its_first_answer() -> None:
    """The regression: it was `INTERNAL`, because the new lifecycle knows no such state."""
    async with open_house(rules=_rules()) as house:
        await house.make(state="DRAFT")
        submit = step("submit_for_review", command_id="once")
        first = await house.ask(submit)
        assert first.state == "REVIEWED"
        await _migrated(house, states={"REVIEWED": "CHECKED"})

        again = await house.ask(step("submit_for_review", command_id="once"))

        assert again.replayed
        assert (again.state, again.version, again.seq) == (first.state, first.version, first.seq)
        assert again.allowed_events == []
