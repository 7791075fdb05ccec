"""What the store refuses is told, undone, and can be tried again; a URN has one winner."""

import pytest

from actors.catalog import Catalog
from actors.ports import AppendOutcome, AppendRefusal
from protocol.commands import Get, Lookup
from protocol.errors import StorageFullError
from tests.support.engines import BOB, CAROL, URN, comment, create, open_house, step
from tests.support.stores import CONFLICT, UNKNOWN

FULL = AppendRefusal(AppendOutcome.FULL, StorageFullError("no room"))


@pytest.mark.parametrize(
    ("refusal", "code", "loads"),
    [(CONFLICT, "VERSION_CONFLICT", 1), (FULL, "STORAGE_FULL", 0), (UNKNOWN, "UNAVAILABLE", 0)],
)
@pytest.mark.parametrize("later", [False, True])
async def test_a_refused_append_is_told_and_the_next_command_goes_on(
    refusal: AppendRefusal, code: str, loads: int, *, later: bool
) -> None:
    async with open_house() as house:
        await house.make()
        house.store.held = later
        if not later:
            house.store.refusals = [refusal]
        refused = house.send(comment())
        behind = house.send(comment())
        house.store.held = False
        if later:
            house.store.refuse(refusal)

        assert getattr(await refused, "code", None) == code
        assert getattr(await behind, "version", None) == 2
        assert house.store.loads == loads


@pytest.mark.parametrize("refusal", [CONFLICT, FULL, UNKNOWN])
async def test_a_refused_create_leaves_no_actor_behind_and_may_be_tried_again(
    refusal: AppendRefusal,
) -> None:
    async with open_house() as house:
        house.store.refusals = [refusal]
        await house.refusal(create())
        await house.engine.directory.settle()

        assert house.engine.directory.active == 0
        assert (await house.refusal(Get(manifest_id="m"))).code == "NOT_FOUND"
        assert (await house.ask(create())).version == 1


@pytest.mark.parametrize("refusal", [CONFLICT, FULL])
async def test_a_urn_is_given_back_when_the_registration_was_refused(
    refusal: AppendRefusal,
) -> None:
    async with open_house() as house:
        await house.make(state="APPROVED")
        await house.make("other", state="APPROVED")
        house.store.refusals = [refusal]

        await house.refusal(step("register"), CAROL)

        assert (await house.ask(step("register", "other"), CAROL)).urn == URN
        assert (await house.refusal(step("register"), CAROL)).code == "URN_CONFLICT"


async def test_a_urn_is_kept_while_it_is_unknown_whether_it_was_registered() -> None:
    async with open_house() as house:
        await house.make(state="APPROVED")
        await house.make("other", state="APPROVED")
        house.store.refusals = [UNKNOWN]

        await house.refusal(step("register"), CAROL)

        error = await house.refusal(step("register", "other"), CAROL)
        assert (error.code, error.details["manifest_id"]) == ("URN_CONFLICT", "m")
        assert (await house.ask(step("register"), CAROL)).urn == URN


async def test_of_two_manifests_with_one_urn_exactly_one_is_registered() -> None:
    async with open_house() as house:
        await house.make(state="APPROVED")
        await house.make("other", state="APPROVED")
        house.store.held = True
        first = house.send(step("register"), CAROL)
        second = house.send(step("register", "other"), CAROL)
        assert second.done()
        house.store.held = False
        house.store.commit()

        assert getattr(await first, "urn", None) == URN
        error = await second
        assert getattr(error, "code", None) == "URN_CONFLICT"
        assert getattr(error, "details", {})["manifest_id"] == "m"
        found = await house.ask(Lookup(urn=URN))
        assert found.manifest_id == "m"


async def test_when_the_winner_fails_the_loser_may_try_again() -> None:
    async with open_house() as house:
        await house.make(state="APPROVED")
        await house.make("other", state="APPROVED")
        house.store.held = True
        first = house.send(step("register"), CAROL)
        second = house.send(step("register", "other"), CAROL)
        house.store.refuse(FULL)
        house.store.held = False

        assert getattr(await first, "code", None) == "STORAGE_FULL"
        assert getattr(await second, "code", None) == "URN_CONFLICT"
        assert (await house.ask(step("register", "other"), CAROL)).urn == URN


async def test_a_reservation_may_be_answered_later_and_nobody_waits_for_ever() -> None:
    async with open_house() as house:
        await house.make(state="APPROVED")
        await house.make("other", state="APPROVED")
        held = house.store.held_reservations = []
        first, behind_first = house.send(step("register"), CAROL), house.send(comment())
        second = house.send(step("register", "other"), CAROL)
        behind_second = house.send(comment(manifest_id="other"))
        assert not any(one.done() for one in (first, behind_first, second, behind_second))
        for answer in held:
            answer()

        assert getattr(await first, "urn", None) == URN
        assert getattr(await second, "code", None) == "URN_CONFLICT"
        assert getattr(await behind_first, "version", None) == 5
        assert getattr(await behind_second, "version", None) == 4


async def test_a_reservation_that_comes_after_the_command_was_given_up_is_given_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with open_house() as house:
        await house.make(state="APPROVED")
        held = house.store.held_reservations = []
        registering = house.send(step("register"), CAROL)
        async with open_house(house.store.disk) as elsewhere:
            await elsewhere.ask(comment(), BOB)
        monkeypatch.setattr(house.store, "save_snapshot", lambda _: 1 / 0)
        house.store.overhear()
        monkeypatch.undo()
        assert getattr(await registering, "code", None) == "INTERNAL"
        (answer,) = held
        answer()
        house.store.held_reservations = None

        assert house.store.released == [URN]
        assert (await house.ask(step("register"), CAROL)).version == 5


async def test_a_lost_race_gives_the_urn_back_also_when_the_command_was_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with open_house() as house:
        await house.make(state="APPROVED")
        house.store.held = True
        registering = house.send(step("register"), CAROL)
        async with open_house(house.store.disk) as elsewhere:
            await elsewhere.ask(comment(), BOB)
        monkeypatch.setattr(house.store, "save_snapshot", lambda _: 1 / 0)
        house.store.overhear()
        monkeypatch.undo()
        house.store.held = False
        house.store.commit()

        assert getattr(await registering, "code", None) == "INTERNAL"
        assert house.store.released == [URN]
        assert (await house.ask(step("register"), CAROL)).version == 5


async def test_a_race_with_another_writer_is_told_and_the_next_decision_sees_his_event() -> None:
    async with open_house() as house:
        await house.make(state="REVIEWED")
        house.store.held = True
        mine = house.send(step("approve"), BOB)
        async with open_house(house.store.disk) as elsewhere:
            await elsewhere.ask(step("reject", reason="no"), CAROL)
        house.store.overhear()
        house.store.held = False
        house.store.commit()

        assert getattr(await mine, "code", None) == "VERSION_CONFLICT"
        assert (await house.refusal(step("approve"), BOB)).code == "INVALID_TRANSITION"
        assert (await house.get()).version == 3


async def test_a_catalog_made_anew_from_the_store_gives_the_same_answers() -> None:
    async with open_house() as house:
        for number, state in enumerate(["REGISTERED", "DRAFT", "APPROVED", "REGISTERED"]):
            document = b'{"name":"echo","version":"1.%d.0"}' % number
            await house.make(f"m{number}", state=state, document=document)
        live = house.engine.directory.catalog
        anew = Catalog(house.store.summaries())

        assert anew.ids() == live.ids() == ["m0", "m1", "m2", "m3"]
        assert anew.counts() == live.counts() == {"DRAFT": 1, "APPROVED": 1, "REGISTERED": 2}
        assert anew.page(0, 10) == live.page(0, 10)
        for urn in ("urn:proto:agent:echo", "urn:proto:agent:echo@1.0.0", "urn:proto:agent:x"):
            assert anew.resolve(urn) == live.resolve(urn)
        assert live.resolve("urn:proto:agent:echo") == "urn:proto:agent:echo@1.3.0"
    async with open_house(house.store.disk) as successor:
        await successor.make(
            "late", state="APPROVED", document=b'{"name":"echo","version":"1.3.0"}'
        )
        error = await successor.refusal(step("register", "late"), CAROL)
        assert (error.code, error.details["manifest_id"]) == ("URN_CONFLICT", "m3")
