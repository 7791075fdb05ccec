"""What crashes, crashes for one command; the actor is loaded again and goes on."""

import logging
from collections.abc import Callable
from typing import NoReturn

import pytest

import actors.actor
import actors.builtin_guards
from actors.case import Case, Decision
from actors.decide import decide
from actors.ports import AppendRefusal
from protocol.errors import CorruptError
from protocol.events import CommittedEvent
from protocol.record import ReplayError
from protocol.snapshots import StateSnapshot, apply
from tests.support.engines import (
    ALICE,
    BOB,
    CAROL,
    URN,
    Outcome,
    comment,
    create,
    open_house,
    step,
)
from tests.support.memory_store import MemoryDisk
from tests.support.stores import UNKNOWN


def _crash(*_arguments: object) -> NoReturn:
    raise ZeroDivisionError


def _break(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    if what == "guard":
        monkeypatch.setitem(actors.builtin_guards.GUARDS, "four_eyes", _crash)
    elif what == "decide":
        monkeypatch.setattr(actors.actor, "decide", _crash)
    else:
        monkeypatch.setattr(actors.actor, "command_digest", _crash)


@pytest.mark.parametrize("what", ["guard", "decide", "digest"])
async def test_a_crash_before_the_event_fails_its_own_command_only(
    what: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_house() as house:
        await house.make(state="REVIEWED")
        with monkeypatch.context() as patched:
            _break(patched, what)
            error = await house.refusal(step("approve"), BOB)
        loads = house.store.loads

        assert (error.code, error.details) == ("INTERNAL", {"manifest_id": "m"})
        assert "ZeroDivisionError" in caplog.text
        assert (await house.ask(step("approve"), BOB)).state == "APPROVED"
        assert house.store.loads <= loads + 1 <= 2
        await house.make("other")


async def test_those_who_wait_behind_a_crash_are_served(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash_once(case: Case) -> Decision:
        if case.request.command_id == "bad":
            raise ZeroDivisionError
        return decide(case)

    monkeypatch.setattr(actors.actor, "decide", crash_once)
    async with open_house() as house:
        created = house.send(create())
        bad = house.send(comment(command_id="bad"))
        good = house.send(comment(command_id="good"))

        assert getattr(await created, "version", None) == 1
        assert getattr(await bad, "code", None) == "INTERNAL"
        assert getattr(await good, "version", None) == 2


async def test_a_create_that_crashes_leaves_no_actor_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with open_house() as house:
        with monkeypatch.context() as patched:
            _break(patched, "decide")
            assert (await house.refusal(create())).code == "INTERNAL"
        await house.engine.directory.settle()
        assert house.engine.directory.active == 0
        assert (await house.ask(create())).version == 1


def _apply_but_once(monkeypatch: pytest.MonkeyPatch, bad: Callable[[CommittedEvent], bool]) -> None:
    """Make `apply` fail on one event, once."""
    left = [True]

    def crash_once(state: StateSnapshot | None, event: CommittedEvent) -> StateSnapshot:
        if left and bad(event):
            left.clear()
            raise ReplayError("injected")
        return apply(state, event)

    monkeypatch.setattr(actors.actor, "apply", crash_once)


async def test_an_event_that_cannot_be_applied_is_published_and_the_actor_recovers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _apply_but_once(monkeypatch, lambda event: event.core.command_id == "bad")
    async with open_house() as house:
        await house.make()
        await house.make("other")
        house.store.held = True
        bad = house.send(comment(command_id="bad"))
        behind = house.send(comment())
        elsewhere = house.send(comment(manifest_id="other"))
        house.store.held = False
        house.store.commit()

        assert getattr(await bad, "code", None) == "INTERNAL"
        assert getattr(await elsewhere, "version", None) == 2
        assert getattr(await behind, "version", None) == 3
        assert house.recorder.seqs == [1, 2, 3, 4, 5]
        again = await house.ask(comment(command_id="bad"))
        assert (again.replayed, again.version) == (True, 2)


async def test_a_registration_that_cannot_be_applied_keeps_its_urn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _apply_but_once(monkeypatch, lambda event: event.core.event == "register")
    async with open_house() as house:
        await house.make(state="APPROVED")
        await house.make("other", state="APPROVED")

        assert (await house.refusal(step("register"), CAROL)).code == "INTERNAL"
        assert (await house.refusal(step("register", "other"), CAROL)).code == "URN_CONFLICT"
        assert house.engine.directory.catalog.urn_owner(URN) == "m"
        assert (await house.get()).state == "REGISTERED"


async def test_a_foreign_event_that_does_not_fit_does_not_lose_the_command_under_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with open_house() as house:
        await house.make()
        house.store.held = True
        mine = house.send(comment("mine"))
        await _write_elsewhere(house.store.disk)
        _apply_but_once(monkeypatch, lambda event: event.core.principal == "bob")
        house.store.overhear()

        assert getattr(await mine, "code", None) == "INTERNAL"
        house.store.held = False
        house.store.commit()
        assert (await house.ask(comment("after"))).version == 3


async def _write_elsewhere(disk: MemoryDisk, manifest_id: str = "m") -> None:
    """Have another daemon comment on a manifest."""
    async with open_house(disk) as elsewhere:
        await elsewhere.ask(comment("theirs", manifest_id), BOB)


async def _long_history() -> MemoryDisk:
    """Return a store with a manifest whose first command is in its history only."""
    async with open_house() as house:
        await house.make()
        for number in range(257):
            await house.ask(comment(command_id=f"c-{number}"))
    return house.store.disk


@pytest.mark.parametrize("command_id", ["c-0", "fresh"])
async def test_a_search_that_is_given_up_answers_nobody_twice_and_writes_nothing(
    command_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_house(await _long_history()) as house:
        house.store.searching.close()
        searched = house.send(comment(command_id=command_id))
        await house.store.searching.reached()
        await _write_elsewhere(house.store.disk)
        _apply_but_once(monkeypatch, lambda event: event.core.principal == "bob")
        house.store.overhear()
        assert getattr(await searched, "code", None) == "INTERNAL"
        house.store.searching.open()
        await house.engine.directory.settle()

        assert house.store.last_seq == 259
        assert (await house.ask(comment(command_id="c-0"))).version == 2
        assert (await house.ask(comment(command_id="fresh"))).version == 260


async def test_a_search_that_fails_is_told_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def damaged(_manifest_id: str, _command_id: str) -> CommittedEvent | None:
        raise CorruptError("a line is damaged")

    async def crashing(_manifest_id: str, _command_id: str) -> CommittedEvent | None:
        raise ZeroDivisionError

    async with open_house(await _long_history()) as house:
        for search, code in ((damaged, "CORRUPT"), (crashing, "INTERNAL")):
            with monkeypatch.context() as patched:
                patched.setattr(house.store, "find_command", search)
                assert (await house.refusal(comment(command_id="x"))).code == code

        assert (await house.ask(comment(command_id="x"))).version == 259


async def test_a_manifest_that_cannot_be_loaded_harms_nobody_else() -> None:
    async with open_house() as house:
        await house.make("bad")
        await house.make("good")
    disk = house.store.disk
    async with open_house(disk) as house:
        disk.snapshots.clear()
        disk.manifests["bad"] = disk.manifests["good"] * 2  # Version 1 twice, and another's.
        for _ in range(2):
            assert (await house.refusal(comment(manifest_id="bad"))).code == "CORRUPT"
        assert (await house.ask(comment(manifest_id="good"))).version == 2
        assert house.engine.directory.active == 1


async def test_a_store_that_crashes_on_load_is_internal_and_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with open_house() as house:
        await house.make()
    async with open_house(house.store.disk) as house:
        with monkeypatch.context() as patched:
            patched.setattr(house.store, "load", _crash)
            error = await house.refusal(comment())
        assert (error.code, house.engine.directory.active) == ("INTERNAL", 0)
        assert (await house.ask(comment())).version == 2


async def test_a_reader_that_fails_harms_nobody_who_waits_beside_him(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with open_house() as house:
        await house.make()
    async with open_house(house.store.disk) as house:
        house.engine.directory.read("m", _crash)
        beside = house.send(comment())

        assert getattr(await beside, "version", None) == 2
        assert "m: a reader failed" in caplog.text


async def test_a_failing_listener_or_publisher_holds_up_no_event(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_house() as house:
        await house.make("a")
        await house.make("b")
        answered: list[Outcome] = []

        def deaf(outcome: Outcome) -> None:
            answered.append(outcome)
            raise ZeroDivisionError

        publish, failures = house.recorder.publish, [True]

        def publish_but_once(topic: bytes, body: bytes) -> None:
            if failures:
                failures.clear()
                raise ZeroDivisionError
            publish(topic, body)

        monkeypatch.setattr(house.recorder, "publish", publish_but_once)
        house.store.held = True
        house.engine.handle(comment(manifest_id="a"), ALICE, deaf)
        house.engine.handle(comment(manifest_id="a", expected_version=9), ALICE, deaf)
        second = house.send(comment(manifest_id="b"))
        house.store.held = False
        with caplog.at_level(logging.ERROR):
            house.store.commit()

        assert getattr(await second, "version", None) == 2
        assert [getattr(one, "code", "ok") for one in answered] == ["ok", "VERSION_CONFLICT"]
        assert "was not published" in caplog.text
        assert "an answer was lost" in caplog.text
        house.recorder.messages.clear()


async def test_a_store_that_crashes_on_append_fails_the_command_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with open_house() as house:
        await house.make(state="APPROVED")
        for method in ("append", "reserve"):
            with monkeypatch.context() as patched:
                patched.setattr(house.store, method, _crash)
                assert (await house.refusal(step("register"), CAROL)).code == "INTERNAL"
        assert house.store.released == [URN, URN]

        assert (await house.ask(step("register"), CAROL)).urn == URN


async def test_a_store_that_refuses_and_crashes_as_well_is_answered_for_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse_and_crash(*arguments: Callable[[AppendRefusal], None]) -> None:
        arguments[-1](UNKNOWN)
        raise ZeroDivisionError

    async with open_house() as house:
        await house.make()
        with monkeypatch.context() as patched:
            patched.setattr(house.store, "append", refuse_and_crash)
            assert (await house.refusal(comment())).code == "UNAVAILABLE"

        assert (await house.ask(comment())).version == 2


async def test_a_store_may_refuse_a_reservation_by_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_arguments: object) -> None:
        raise CorruptError("the bucket is damaged")

    async with open_house() as house:
        await house.make(state="APPROVED")
        with monkeypatch.context() as patched:
            patched.setattr(house.store, "reserve", refuse)
            assert (await house.refusal(step("register"), CAROL)).code == "CORRUPT"

        assert (await house.ask(step("register"), CAROL)).urn == URN
