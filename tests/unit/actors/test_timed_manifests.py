"""Timers of manifests in virtual time: fired once, whatever happens between arming and firing."""

from typing import NoReturn

import msgspec
import pytest

import actors.actor
from actors.engine import Engine
from actors.expiry import DAEMON, Expire
from actors.mailbox import MAILBOX_SIZE_MAX
from actors.ports import AppendOutcome, AppendRefusal
from actors.rules import Rules
from actors.timers import IN_FLIGHT_MAX, PAUSE_MAX_S
from protocol.codec import decode_request
from protocol.errors import BadRequestError, StorageFullError, UnknownOpError
from tests.support.engines import comment, open_house
from tests.support.events import Chain, committed
from tests.support.stores import CONFLICT, UNKNOWN, GatedStore
from tests.support.timed import HOUR_S, after_crash, fired, pass_time, settings, timed_disk
from tests.support.virtual_clock import VirtualClock

FULL = AppendRefusal(AppendOutcome.FULL, StorageFullError("no room"))


async def test_a_timer_of_a_manifest_that_is_not_in_memory_fires_when_it_is_due() -> None:
    clock = VirtualClock()
    disk = timed_disk(clock, {"m": [HOUR_S, 2 * HOUR_S]})
    async with open_house(disk, **settings(clock)) as house:
        await pass_time(house, clock, HOUR_S - 1)
        assert house.store.loads == 0
        await pass_time(house, clock, 2)

        core = fired(disk)[0].core
        assert core.at == disk.journal[0].core.timers[0].due
        assert (core.type, core.event, core.cause) == ("transitioned", "after.DRAFT.1", "timer")
        assert (core.principal, core.authenticated, core.roles) == ("manifestd", True, [])
        assert core.command_id == "armed-m.1"
        assert [timer.id for timer in core.timers] == ["armed-m.2"]
        assert len(house.recorder.messages) == 1
        await pass_time(house, clock, 5 * HOUR_S)

    assert [event.core.command_id for event in fired(disk)] == ["armed-m.1", "armed-m.2"]
    assert house.engine.directory.timers.size == 0


@pytest.mark.parametrize("overdue", [False, True])
async def test_a_restart_at_any_moment_neither_loses_nor_repeats_a_timer(overdue: bool) -> None:  # noqa: FBT001 (a parameter of the test)
    clock = VirtualClock()
    disk = timed_disk(clock, {"a": [30, 60], "b": [45]})
    async with open_house(disk, **settings(clock)) as house:
        await house.ask(comment(manifest_id="a"))
        await pass_time(house, clock, 50)
        await house.ask(comment(manifest_id="a"))
        await pass_time(house, clock, 50)
    assert len(disk.journal) == 7

    for events in range(2, len(disk.journal) + 1):
        for lag in range(events):
            crashed = after_crash(disk, events, events - lag)
            clock.timer.now = 1000 + (HOUR_S if overdue else 0)
            async with open_house(crashed, **settings(clock)) as house:
                await pass_time(house, clock, 100)
            assert sorted(event.core.command_id for event in fired(crashed)) == [
                *("armed-a.1", "armed-a.2", "armed-b.1")
            ]


async def test_thousands_of_overdue_timers_pass_through_a_small_table_of_actors() -> None:
    clock = VirtualClock()
    disk = timed_disk(clock, {f"m{number}": [1] for number in range(5 * IN_FLIGHT_MAX)})
    clock.advance(HOUR_S)
    async with open_house(disk, actors_max=IN_FLIGHT_MAX // 2, **settings(clock)) as house:
        await pass_time(house, clock, HOUR_S)

    assert {event.core.manifest_id for event in fired(disk)} == set(disk.manifests)
    assert len(fired(disk)) == len(disk.manifests)


async def test_a_timer_goes_before_those_who_wait_in_a_full_mailbox() -> None:
    clock = VirtualClock()
    disk = timed_disk(clock, {"m": [1]})
    async with open_house(disk, **settings(clock)) as house:
        house.store.held = True
        waiting = [house.send(comment()) for _ in range(MAILBOX_SIZE_MAX)]
        assert house.engine.directory.waiting == MAILBOX_SIZE_MAX
        clock.advance(2)

        house.store.held = False
        await house.engine.directory.settle()
        assert len(disk.journal) == MAILBOX_SIZE_MAX + 2
        assert all(future.done() for future in waiting)

    assert [event.core.version for event in fired(disk)] == [2]


async def test_overdue_timers_leave_half_of_the_table_to_those_who_ask() -> None:
    clock = VirtualClock()
    disk = timed_disk(clock, {f"m{number}": [1] for number in range(20)})
    async with open_house(disk, actors_max=20, **settings(clock)) as house:
        house.store.dirty = set(disk.manifests)
        await pass_time(house, clock, HOUR_S)
        assert (house.engine.directory.active, len(fired(disk))) == (10, 10)

        for number in range(10):
            await house.make(f"other-{number}")
        house.store.dirty = set()
        await pass_time(house, clock, HOUR_S)

    assert len(fired(disk)) == 20


@pytest.mark.parametrize("refusal", [FULL, CONFLICT, UNKNOWN])
async def test_a_refusal_that_passes_is_tried_again_with_longer_and_longer_pauses(
    refusal: AppendRefusal,
) -> None:
    clock = VirtualClock()
    disk = timed_disk(clock, {"m": [1]})
    async with open_house(disk, **settings(clock)) as house:
        house.store.refusals = [refusal] * 10_000
        await pass_time(house, clock, HOUR_S)
        tries = 10_000 - len(house.store.refusals)
        assert 100 < tries < HOUR_S / PAUSE_MAX_S + 20
        assert fired(disk) == []

        house.store.refusals = []
        await pass_time(house, clock, PAUSE_MAX_S + 1)

    assert len(fired(disk)) == 1


async def test_a_timer_that_another_writer_disarmed_does_nothing() -> None:
    clock = VirtualClock()
    disk = timed_disk(clock, {"m": [1]})
    async with open_house(disk, **settings(clock)) as house:
        chain = Chain("m", timers=disk.journal[0].core.timers)
        chain.next()
        chain._timers = ()  # noqa: SLF001 (what the other writer's step called off)
        disk.journal += committed([chain.next()], 2)
        disk.manifests["m"].append(disk.journal[-1])
        await pass_time(house, clock, HOUR_S)

        assert fired(disk) == []
        assert house.engine.directory.timers.waiting == 0
        assert (await house.get()).version == 2


async def test_a_timer_whose_id_somebody_used_for_a_command_fires_all_the_same() -> None:
    clock = VirtualClock()
    disk = timed_disk(clock, {"m": [1]})
    async with open_house(disk, **settings(clock)) as house:
        await house.ask(comment(command_id="armed-m.1"))
        await pass_time(house, clock, HOUR_S)

    assert len(fired(disk)) == 1


async def test_the_same_expiry_again_is_answered_as_the_first_was() -> None:
    clock = VirtualClock()
    disk = timed_disk(clock, {"m": [1]})
    request = Expire(manifest_id="m", timer_id="armed-m.1", command_id="armed-m.1")
    async with open_house(disk, **settings(clock)) as house:
        first = await house.ask(request, DAEMON)
        again = await house.ask(request, DAEMON)
        other = await house.ask(Expire(manifest_id="m", timer_id="x", command_id="x"), DAEMON)

    assert (first.version, first.replayed) == (2, False)
    assert (again.version, again.replayed) == (2, True)
    assert (other.version, other.changed) == (2, False)


async def test_no_timer_fires_once_the_engine_drains() -> None:
    clock = VirtualClock()
    disk = timed_disk(clock, {"m": [1]})
    async with open_house(disk, **settings(clock)) as house:
        await house.engine.drain()
        await pass_time(house, clock, HOUR_S)
    assert fired(disk) == []

    async with open_house(disk, **settings(clock)) as house:
        await pass_time(house, clock, 1)

    assert len(fired(disk)) == 1


async def test_an_engine_that_ends_without_draining_leaves_no_handle_behind() -> None:
    clock = VirtualClock()
    store = GatedStore(timed_disk(clock, {"m": [1]}))
    async with Engine(store, Rules(), **settings(clock)).run():
        assert len(clock.wakes) == 1

    assert clock.wakes == []


async def test_a_crash_in_deciding_is_logged_and_not_repeated_before_the_next_start(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tries = 0

    def crash(_case: object) -> NoReturn:
        nonlocal tries
        tries += 1
        raise ZeroDivisionError

    clock = VirtualClock()
    disk = timed_disk(clock, {"bad": [1]})
    async with open_house(disk, **settings(clock)) as house:
        with monkeypatch.context() as patched:
            patched.setattr(actors.actor, "decide", crash)
            await pass_time(house, clock, HOUR_S)
        await house.ask(comment(manifest_id="bad"))
        await pass_time(house, clock, HOUR_S)
        assert tries == 1
        assert caplog.text.count("bad: after.DRAFT.1 was due at 2026-11-23T15:00:01.000000Z") == 1
        assert fired(disk) == []

    async with open_house(disk, **settings(clock)) as house:
        await pass_time(house, clock, 1)

    assert len(fired(disk)) == 1


@pytest.mark.parametrize("op", ["expire", "Expire", "EXPIRE"])
def test_an_expiry_cannot_come_over_the_wire(op: str) -> None:
    request = {"op": op, "manifest_id": "m", "timer_id": "t", "command_id": "t"}

    with pytest.raises((UnknownOpError, BadRequestError)):
        decode_request(msgspec.json.encode(request))
