"""Actors come with the first message and leave when nobody would miss them."""

import asyncio

import pytest

from actors import actor as actor_module
from actors import directory as directory_module
from actors.directory import IDLE_TICKS
from protocol.commands import Explain, Get, History, List, Recover, Verify, Write
from protocol.errors import CommandError
from tests.support.engines import BOB, URN, House, comment, create, open_house, step
from tests.support.memory_store import MemoryDisk


async def _disk(*manifest_ids: str, state: str = "DRAFT") -> MemoryDisk:
    async with open_house() as house:
        for manifest_id in manifest_ids:
            await house.make(manifest_id, state=state)
    return house.store.disk


async def test_a_restart_activates_nobody_until_he_is_asked_for() -> None:
    async with open_house(await _disk("a", "b")) as house:
        assert (house.engine.directory.active, house.store.loads) == (0, 0)
        assert (await house.ask(comment(manifest_id="a"))).version == 2
        assert (await house.get("a")).version == 2
        assert (house.engine.directory.active, house.store.loads) == (1, 1)


async def test_who_comes_while_an_actor_is_loaded_is_served_in_order() -> None:
    async with open_house(await _disk("m")) as house:
        house.store.loading.close()
        before, first = house.send(Get(manifest_id="m")), house.send(comment("first"))
        second, after = house.send(comment("second")), house.send(Get(manifest_id="m"))
        await house.store.loading.reached()
        house.store.loading.open()

        assert getattr(await before, "version", None) == 1
        assert getattr(await first, "version", None) == 2
        assert getattr(await second, "version", None) == 3
        assert getattr(await after, "version", None) == 1  # Reads do not wait for writes.
        assert house.store.loads == 1


async def test_events_committed_while_an_actor_is_loaded_are_applied_once() -> None:
    async with open_house(await _disk("m")) as house:
        house.store.loading.close()
        reading = house.send(Get(manifest_id="m"))
        await house.store.loading.reached()
        async with open_house(house.store.disk) as elsewhere:
            for _ in range(3):
                await elsewhere.ask(comment(), BOB)
        house.store.overhear()
        house.store.loading.open()

        assert getattr(await reading, "version", None) == 4
        assert house.recorder.seqs == [2, 3, 4]
        assert (await house.ask(comment())).version == 5


async def test_events_that_the_load_has_seen_already_are_not_applied_again() -> None:
    async with open_house(await _disk("m")) as house:
        async with open_house(house.store.disk) as elsewhere:
            await elsewhere.ask(comment(), BOB)
        house.store.loading.close()
        reading = house.send(Get(manifest_id="m"))
        await house.store.loading.reached()
        house.store.overhear()  # Of what was in the files already.
        house.store.loading.open()

        assert getattr(await reading, "version", None) == 2
        assert (await house.ask(comment())).version == 3


async def test_another_writer_s_events_reach_catalog_and_subscribers() -> None:
    async with open_house(await _disk("old")) as house:
        async with open_house(house.store.disk) as elsewhere:
            await elsewhere.make("new", state="REGISTERED")
            await elsewhere.ask(step("submit_for_review", "old"))
        house.store.overhear()
        house.store.overhear()
        await house.engine.directory.settle()

        catalog = house.engine.directory.catalog
        assert house.recorder.seqs == [2, 3, 4, 5, 6]
        assert catalog.counts() == {"REVIEWED": 1, "REGISTERED": 1}
        assert catalog.urn_owner(URN) == "new"
        assert house.store.confirmed == [URN]
        await house.make("mine", state="APPROVED")
        assert (await house.refusal(step("register", "mine"))).code == "URN_CONFLICT"
        assert catalog.ids() == ["old", "new", "mine"]


Asking = Get | History | Explain | Recover | Verify | Write

UNKNOWN: list[Asking] = [
    Get(manifest_id="nobody"),
    Get(manifest_id="nobody", as_of=1),
    History(manifest_id="nobody"),
    Explain(manifest_id="nobody"),
    Recover(manifest_id="nobody"),
    Verify(manifest_id="nobody"),
    comment(manifest_id="nobody"),
    step("approve", "nobody"),
]


@pytest.mark.parametrize("request_", UNKNOWN)
async def test_asking_for_an_unknown_manifest_makes_none(request_: Asking) -> None:
    async with open_house() as house:
        assert (await house.refusal(request_)).code == "NOT_FOUND"
        assert house.engine.directory.active == 0
        assert (await house.ask(List())).manifests == []


@pytest.mark.parametrize("request_", UNKNOWN)
async def test_what_is_no_id_at_all_is_a_bad_request(request_: Asking) -> None:
    request_.manifest_id = "../../etc/passwd"
    async with open_house() as house:
        error = await house.refusal(request_)

        assert (error.code, error.path) == ("BAD_REQUEST", "/manifest_id")
    request_.manifest_id = "nobody"


async def test_a_manifest_that_is_being_created_is_not_there_yet() -> None:
    async with open_house() as house:
        house.store.held = True
        creating, commenting = house.send(create()), house.send(comment())
        assert (await house.refusal(Get(manifest_id="m"))).code == "NOT_FOUND"
        house.store.held = False
        house.store.commit()

        assert getattr(await creating, "version", None) == 1
        assert getattr(await commenting, "version", None) == 2


async def test_who_waits_behind_a_create_that_is_refused_finds_nothing() -> None:
    async with open_house() as house:
        house.store.held = True
        first = house.send(create("other"))
        creating = house.send(create(document=b"[]"))
        commenting = house.send(comment())

        assert getattr(await creating, "code", None) == "BAD_REQUEST"
        assert getattr(await commenting, "code", None) == "NOT_FOUND"
        house.store.held = False
        house.store.commit()
        await first
        assert house.engine.directory.active == 1


def _sweep(house: House, times: int) -> None:
    for _ in range(times):
        house.engine.directory.sweep()


async def test_an_actor_leaves_when_nobody_asked_for_it_in_a_while() -> None:
    async with open_house() as house:
        directory = house.engine.directory
        await house.make("a")
        await house.make("b")
        _sweep(house, IDLE_TICKS - 1)
        await house.get("a")
        assert directory.active == 2
        _sweep(house, 1)
        assert directory.active == 1
        _sweep(house, IDLE_TICKS)

        assert directory.active == 0
        assert (await house.ask(comment(manifest_id="b"))).version == 2


async def test_neither_who_has_work_nor_who_is_not_written_yet_leaves() -> None:
    async with open_house() as house:
        for name in ("busy", "dirty", "loading"):
            await house.make(name)
        _sweep(house, IDLE_TICKS)
        assert house.engine.directory.active == 0
        await house.get("busy")
        await house.get("dirty")
        house.store.held = True
        writing = house.send(comment(manifest_id="busy"))
        house.store.dirty.add("dirty")
        house.store.loading.close()
        reading = house.send(Get(manifest_id="loading"))
        _sweep(house, 3 * IDLE_TICKS)

        assert house.engine.directory.active == 3
        house.store.dirty.clear()
        house.store.held = False
        house.store.commit()
        house.store.loading.open()
        await asyncio.gather(writing, reading)
        _sweep(house, 3 * IDLE_TICKS)
        assert house.engine.directory.active == 0


async def test_the_number_of_actors_is_bounded_and_the_least_recently_used_leave() -> None:
    async with open_house(actors_max=3) as house:
        for number in range(10):
            await house.make(f"m{number}")
            assert house.engine.directory.active <= 3

        for number in range(10):
            assert (await house.ask(comment(manifest_id=f"m{number}"))).version == 2
            assert house.engine.directory.active <= 3


async def test_when_all_actors_are_needed_the_next_one_is_told_to_come_later() -> None:
    async with open_house(await _disk("passive"), actors_max=2) as house:
        house.store.held = True
        creating = [house.send(create(name)) for name in ("a", "b")]

        for request in (create("c"), comment(manifest_id="passive"), Get(manifest_id="passive")):
            error = await house.refusal(request)
            assert (error.code, error.retry_after_ms) == ("OVERLOADED", 200)
        house.store.held = False
        house.store.commit()
        await asyncio.gather(*creating)
        assert (await house.get("passive")).version == 1


async def test_one_look_makes_room_for_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directory_module, "MADE_ROOM_FOR", 2)
    async with open_house(actors_max=4) as house:
        for number in range(5):
            await house.make(f"m{number}")

        assert house.engine.directory.active == 3


async def test_the_readers_that_wait_for_one_load_are_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(actor_module, "READERS_MAX", 2)
    async with open_house(await _disk("m")) as house:
        house.store.loading.close()
        reading = [house.send(Get(manifest_id="m")) for _ in range(3)]
        house.store.loading.open()

        outcomes = await asyncio.gather(*reading)
        codes = [one.code for one in outcomes if isinstance(one, CommandError)]
        assert codes == ["OVERLOADED"]


async def test_the_sweep_runs_by_itself_and_outlives_a_store_that_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(directory_module, "SWEEP_INTERVAL_S", 0.0)
    monkeypatch.setattr(directory_module, "IDLE_TICKS", 10)
    loop = asyncio.get_running_loop()
    failed: list[object] = []
    loop.set_exception_handler(lambda _loop, context: failed.append(context["exception"]))
    async with open_house() as house:
        await house.make()
        passivated = asyncio.Event()
        clean = house.store.is_clean

        def fail_once(manifest_id: str) -> bool:
            if not failed:
                raise ZeroDivisionError
            passivated.set()
            return clean(manifest_id)

        monkeypatch.setattr(house.store, "is_clean", fail_once)
        await passivated.wait()

    assert [type(one) for one in failed] == [ZeroDivisionError]
