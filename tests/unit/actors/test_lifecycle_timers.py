"""Delayed transitions of a lifecycle: armed on the way in, called off on the way out."""

import pytest

from protocol.errors import InvalidTransitionError
from protocol.timers import due_after
from tests.support.engines import House, create, open_house, revert, step
from tests.support.memory_store import MemoryDisk
from tests.support.timed import (
    HOUR_S,
    LIFECYCLE,
    after_crash,
    fired,
    pass_time,
    settings,
    timed_rules,
)
from tests.support.virtual_clock import VirtualClock


def armed(house: House) -> dict[str, str]:
    """Return what the manifest has armed: its due times by event."""
    return {timer.event: timer.due for timer in house.store.snapshot("m").timers}


async def in_review(house: House) -> None:
    await house.ask(create())
    await house.ask(step("submit"))


async def test_entering_a_state_arms_its_timers_and_leaving_it_calls_them_off() -> None:
    clock = VirtualClock()
    async with open_house(rules=timed_rules(), **settings(clock)) as house:
        await in_review(house)
        assert armed(house) == {
            "after.REVIEW.1": due_after(clock.now(), 14 * HOUR_S * 1000),
            "after.REVIEW.2": due_after(clock.now(), HOUR_S * 1000),
        }
        await house.ask(step("approve"))
        assert armed(house) == {"after.APPROVED.1": due_after(clock.now(), 300_000)}
        await house.ask(step("publish"))
        assert armed(house) == {}
        await pass_time(house, clock, 15 * HOUR_S)

        assert fired(house.store.disk) == []
        assert house.engine.directory.timers.waiting == 0


async def test_a_review_that_nobody_does_goes_back_by_itself() -> None:
    clock = VirtualClock()
    async with open_house(rules=timed_rules(), **settings(clock)) as house:
        await in_review(house)
        await pass_time(house, clock, 14 * HOUR_S + 1)

        state = house.store.snapshot("m")
        assert (state.state, state.timers) == ("DRAFT", ())
        assert state.rejection is not None
        assert state.rejection.principal == "manifestd"
        back = fired(house.store.disk)[-1].core
        assert (back.event, back.cause, back.states_from, back.states_to) == (
            *("after.REVIEW.1", "timer", "REVIEW", "DRAFT"),
        )


async def test_a_timer_whose_guards_refuse_fires_once_and_says_why() -> None:
    clock = VirtualClock()
    async with open_house(rules=timed_rules(), **settings(clock)) as house:
        await in_review(house)
        await pass_time(house, clock, 13 * HOUR_S)

        (event,) = fired(house.store.disk)
        assert (event.core.event, event.core.actions) == ("after.REVIEW.2", [])
        assert (event.core.states_from, event.core.states_to) == ("REVIEW", "REVIEW")
        assert event.payload is not None
        assert event.payload.reason is not None
        assert event.payload.reason.startswith("only with a reason (")
        assert list(armed(house)) == ["after.REVIEW.1"]


async def test_a_timer_that_did_nothing_takes_nobody_his_revert() -> None:
    text = LIFECYCLE.replace('after."5m" = "LIVE"', 'after."5m" = { guard = ["reason_given"] }')
    clock = VirtualClock()
    async with open_house(rules=timed_rules(text), **settings(clock)) as house:
        await in_review(house)
        await house.ask(step("approve"))
        await pass_time(house, clock, 2 * 300)
        assert len(fired(house.store.disk)) == 1

        assert (await house.ask(revert())).state == "REVIEW"


async def test_a_timer_that_leaves_no_state_fires_once_all_the_same() -> None:
    text = LIFECYCLE.replace('after."5m" = "LIVE"', 'after."5m" = { actions = ["allow_revert"] }')
    clock = VirtualClock()
    async with open_house(rules=timed_rules(text), **settings(clock)) as house:
        await in_review(house)
        await house.ask(step("approve"))
        await pass_time(house, clock, HOUR_S)

        assert [event.core.actions for event in fired(house.store.disk)] == [["allow_revert"]]
        assert armed(house) == {}


async def test_entering_a_state_again_begins_its_time_anew_and_staying_in_it_does_not() -> None:
    clock = VirtualClock()
    async with open_house(rules=timed_rules(), **settings(clock)) as house:
        await in_review(house)
        before = armed(house)
        await pass_time(house, clock, 600)
        await house.ask(step("note"))
        assert armed(house) == before

        await house.ask(step("again"))

        assert armed(house) == {event: due_after(due, 600_000) for event, due in before.items()}


@pytest.mark.parametrize("event", ["after.REVIEW.1", "after.REVIEW.2"])
async def test_nobody_but_the_clock_sends_a_timers_event(event: str) -> None:
    clock = VirtualClock()
    async with open_house(rules=timed_rules(), **settings(clock)) as house:
        await in_review(house)

        assert isinstance(await house.refusal(step(event)), InvalidTransitionError)


async def test_a_step_that_would_never_end_is_logged_and_left_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    text = LIFECYCLE.replace(
        '"14h" = { target = "DRAFT", actions = ["record_rejection"] }', '"14h" = "PING"'
    )
    text += '[states.PING]\nalways = { target = "PONG", guard = "1 < 2" }\n[states.PONG]\nalways = "PING"\n'
    clock = VirtualClock()
    async with open_house(rules=timed_rules(text), **settings(clock)) as house:
        await in_review(house)
        await pass_time(house, clock, 15 * HOUR_S)

        assert [event.core.event for event in fired(house.store.disk)] == ["after.REVIEW.2"]
        assert caplog.text.count("after.REVIEW.1 was due") == 1
        assert (await house.ask(step("approve"))).state == "APPROVED"


async def whole_story(clock: VirtualClock) -> MemoryDisk:
    """Return the disk after two manifests went through everything that timers do."""
    async with open_house(rules=timed_rules(), **settings(clock)) as house:
        for manifest_id in ("late", "again", "approved"):
            await house.ask(create(manifest_id))
            await house.ask(step("submit", manifest_id))
        await pass_time(house, clock, 600)
        await house.ask(step("again", "again"))
        await house.ask(step("approve", "approved"))
        await pass_time(house, clock, 20 * HOUR_S)
        return house.store.disk


@pytest.mark.no_cover  # What it runs is covered elsewhere; measured, it takes several times as long.
@pytest.mark.parametrize("later_s", [0, 30 * HOUR_S])
async def test_a_restart_at_any_moment_leads_where_an_undisturbed_run_leads(later_s: int) -> None:
    clock = VirtualClock()
    story = await whole_story(clock)
    assert len(fired(story)) == 5

    for events in range(1, len(story.journal) + 1):
        for snapshots in {0, events // 2, events}:
            crashed = after_crash(story, events, snapshots)
            clock.show(crashed.journal[-1].core.at)
            clock.advance(later_s)
            async with open_house(crashed, rules=timed_rules(), **settings(clock)) as house:
                await pass_time(house, clock, 20 * HOUR_S)
                assert house.engine.directory.timers.waiting == 0
            check(crashed)


def check(disk: MemoryDisk) -> None:
    """Every timer that was armed fired once, when it was due, or its state was left before."""
    for events in disk.manifests.values():
        due: dict[str, str] = {}
        for event in events:
            core = event.core
            if core.cause == "timer":
                assert due[core.command_id] <= core.at
                assert core.command_id not in {timer.id for timer in core.timers}
            due = {timer.id: timer.due for timer in core.timers}
        assert due == {}
        causes = [event.core.command_id for event in events if event.core.cause == "timer"]
        assert len(causes) == len(set(causes))
