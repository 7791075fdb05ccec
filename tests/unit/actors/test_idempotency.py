"""The same command twice is one command; the same id on another command is a mistake."""

from typing import Any

import msgspec
import pytest

from protocol.commands import Write
from protocol.limits import REMEMBERED_COMMANDS_MAX
from protocol.principals import EVERYDAY_ROLES, Peer
from protocol.replies import TransitionResult
from tests.support.engines import (
    ALICE,
    BOB,
    CAROL,
    DOCUMENT,
    URN,
    comment,
    create,
    open_house,
    patch,
    revert,
    revise,
    step,
)
from tests.support.memory_store import MemoryDisk


def _as_was(result: TransitionResult) -> TransitionResult:
    return msgspec.structs.replace(result, replayed=True)


def _submit(**members: Any) -> Write:  # noqa: ANN401 (members of the struct)
    return step("submit_for_review", command_id="c-1", **members)


async def test_a_repeat_gets_the_first_answer_however_far_the_manifest_has_gone_on() -> None:
    async with open_house() as house:
        await house.make()
        first = await house.ask(_submit())
        await house.ask(step("approve"), BOB)
        await house.ask(step("register"), CAROL)

        again = await house.ask(_submit())

        assert again == _as_was(first)
        assert again.urn is None
        assert house.store.last_seq == 4


async def test_a_repeated_create_finds_the_first_one() -> None:
    async with open_house() as house:
        first = await house.ask(create(command_id="c-0"))

        assert await house.ask(create(command_id="c-0")) == _as_was(first)
        assert (await house.refusal(create(command_id="c-9"))).code == "ALREADY_EXISTS"
        assert (await house.refusal(create())).code == "ALREADY_EXISTS"


async def test_a_repeat_that_overtakes_its_first_waits_for_it() -> None:
    async with open_house() as house:
        house.store.held = True
        created, repeated = house.send(create(command_id="c")), house.send(create(command_id="c"))
        submitted, resubmitted = house.send(_submit()), house.send(_submit())
        assert not created.done()
        house.store.held = False
        house.store.commit()

        assert await repeated == _as_was(await created)  # type: ignore[arg-type]
        assert await resubmitted == _as_was(await submitted)  # type: ignore[arg-type]
        assert house.store.last_seq == 2


async def test_a_repeat_is_known_after_a_restart() -> None:
    async with open_house() as house:
        await house.make()
        first = await house.ask(_submit())
    async with open_house(house.store.disk) as successor:
        assert await successor.ask(_submit()) == _as_was(first)


async def test_a_repeat_is_known_after_passivation() -> None:
    async with open_house(actors_max=1) as house:
        await house.make()
        first = await house.ask(_submit())
        await house.make("other")

        assert await house.ask(_submit()) == _as_was(first)
        assert house.store.loads == 1


async def test_a_repeat_is_known_after_more_commands_than_are_remembered() -> None:
    async with open_house() as house:
        await house.make()
        first = await house.ask(_submit())
        approved = await house.ask(step("approve", command_id="c-2"), BOB)
        registered = await house.ask(step("register", command_id="c-3"), CAROL)
        for number in range(REMEMBERED_COMMANDS_MAX + 1):
            await house.ask(comment(command_id=f"remark-{number}"))
        async with open_house(house.store.disk) as successor:
            for now in (house, successor):
                assert await now.ask(_submit()) == _as_was(first)
                assert await now.ask(step("approve", command_id="c-2"), BOB) == _as_was(approved)
                again = await now.ask(step("register", command_id="c-3"), CAROL)
                assert again == _as_was(registered)
                assert again.urn == URN
                assert (await now.refusal(comment(command_id="c-1"))).code == "COMMAND_ID_REUSED"
                assert now.store.last_seq == registered.seq + REMEMBERED_COMMANDS_MAX + 1


async def _long_history(count: int = REMEMBERED_COMMANDS_MAX + 1) -> MemoryDisk:
    """Return a store with a manifest that was created and commented `count` times."""
    async with open_house() as house:
        await house.make()
        for number in range(count):
            await house.ask(comment(command_id=f"remark-{number}"))
    return house.store.disk


async def test_who_searches_for_an_old_id_keeps_the_others_in_their_order() -> None:
    async with open_house(await _long_history()) as house:
        house.store.searching.close()
        searched = house.send(comment(command_id="remark-0"))
        fresh = house.send(comment(command_id="fresh"))
        nameless = house.send(comment())
        await house.store.searching.reached()
        assert not fresh.done()
        house.store.searching.open()

        assert getattr(await searched, "version", None) == 2
        assert getattr(await fresh, "version", None) == 259
        assert getattr(await nameless, "version", None) == 260


async def test_a_fresh_id_costs_no_search_while_the_actor_has_seen_all_the_others() -> None:
    async with open_house() as house:
        await house.make()
        for number in range(REMEMBERED_COMMANDS_MAX + 10):
            await house.ask(comment(command_id=f"remark-{number}"))
        assert house.store.searches == 0

        assert (await house.ask(comment(command_id="remark-3"))).version == 5
        assert (await house.ask(comment(command_id="fresh"))).version == 268
        assert house.store.searches == 1


async def test_after_a_restart_one_search_teaches_the_actor_all_old_ids() -> None:
    async with open_house(await _long_history()) as house:
        for number in range(5):
            await house.ask(comment(command_id=f"fresh-{number}"))
        assert house.store.searches == 1

        for number in range(3):  # Of which two became old since.
            assert (await house.ask(comment(command_id=f"remark-{number}"))).version == number + 2
        assert house.store.searches == 4
        assert house.store.last_seq == 263


@pytest.mark.parametrize("restart", [False, True])
async def test_a_history_too_long_to_be_learnt_is_searched_each_time(
    monkeypatch: pytest.MonkeyPatch, *, restart: bool
) -> None:
    monkeypatch.setattr("actors.memory.FINGERPRINTS_MAX", 1)
    monkeypatch.setattr("actors.directory.FINGERPRINTS_MAX", 1)
    async with open_house() as house:
        await house.make()
        for number in range(REMEMBERED_COMMANDS_MAX + 1):
            await house.ask(comment(command_id=f"remark-{number}"))
        async with open_house(house.store.disk) as successor:
            now = successor if restart else house
            before = now.store.searches
            for number in range(3):
                await now.ask(comment(command_id=f"fresh-{number}"))
            assert (await now.ask(comment(command_id="remark-0"))).version == 2
            assert now.store.searches == before + 4


async def test_a_refusal_is_not_remembered() -> None:
    async with open_house() as house:
        await house.make(state="REVIEWED")
        request = step("approve", command_id="c")
        assert (
            await house.refusal(request, Peer(name="bob", roles=frozenset()))
        ).code == "FORBIDDEN"

        assert (await house.ask(step("approve", command_id="c"), BOB)).replayed is False


OTHERS: list[tuple[Write, Peer]] = [
    (step("reject", reason="no", command_id="c"), BOB),
    (step("approve", command_id="c", digest="sha256:x"), BOB),
    (step("approve", command_id="c", context={"a": 1}), BOB),
    (step("approve", command_id="c", reason="good"), BOB),
    (step("approve", command_id="c", expected_version=2), BOB),
    (step(None, target="APPROVED", command_id="c"), BOB),
    (step("approve", command_id="c"), CAROL),
    (comment(command_id="c"), BOB),
    (revert(command_id="c"), BOB),
    (revise(DOCUMENT, command_id="c"), BOB),
    (patch(b"{}", command_id="c"), BOB),
    (create(command_id="c"), BOB),
]


@pytest.mark.parametrize(("other", "peer"), OTHERS)
async def test_an_id_that_belongs_to_another_command_is_refused(other: Write, peer: Peer) -> None:
    async with open_house() as house:
        await house.make(state="REVIEWED")
        await house.ask(step("approve", command_id="c"), BOB)

        error = await house.refusal(other, peer)

        assert error.code == "COMMAND_ID_REUSED"
        assert error.details == {"command_id": "c", "version": 3}


async def test_tracing_spelling_and_order_do_not_make_another_command() -> None:
    spelled = b' { "version" : "1.0.0", "name":"\\u0065cho" } '
    context = {"b": 1.0, "a": {"y": [1], "x": None}}
    reordered = {"a": {"x": None, "y": [1]}, "b": 1}
    async with open_house() as house:
        first = await house.ask(create(command_id="c", context=context))
        again = await house.ask(
            create(
                document=spelled,
                command_id="c",
                context=reordered,
                correlation_id="x",
                causation_id="y",
                traceparent="z",
            )
        )
        dry = await house.ask(create(command_id="c", context=context, dry_run=True))

        assert again == dry == _as_was(first)


async def test_no_context_is_an_empty_context() -> None:
    async with open_house() as house:
        first = await house.ask(create(command_id="c", context={}))

        assert await house.ask(create(command_id="c")) == _as_was(first)


async def test_another_patch_is_another_command() -> None:
    async with open_house() as house:
        await house.make()
        first = await house.ask(patch(b'{"description":"a"}', command_id="c"))

        assert await house.ask(patch(b'{ "description": "a"}', command_id="c")) == _as_was(first)
        error = await house.refusal(patch(b'{"description":"b"}', command_id="c"))
        assert error.code == "COMMAND_ID_REUSED"


async def test_a_command_counts_for_whom_it_is_from_and_not_for_who_carries_it() -> None:
    gateway = Peer(name="gateway", roles=EVERYDAY_ROLES, may_impersonate=True)
    async with open_house() as house:
        await house.make()
        first = await house.ask(_submit(principal="alice"), gateway)

        assert await house.ask(_submit(), ALICE) == _as_was(first)


@pytest.mark.parametrize(
    ("request_", "path"),
    [
        (create(document=b'{"a":1,"a":2}'), "/manifest"),
        (create(document=b"[1]"), "/manifest"),
        (create(document=b"{"), "/manifest"),
        (create(context={"a": 1 << 60}), "/context"),
        (create(context={"a": b"bytes"}), "/context"),
        (create(context={"a": "\ud800"}), "/context"),
        (create(context={"a": "x" * (64 << 10)}), "/context"),
    ],
)
async def test_what_json_cannot_say_is_refused_with_its_place(request_: Write, path: str) -> None:
    async with open_house() as house:
        error = await house.refusal(request_)

        assert (error.code, error.path) == ("BAD_REQUEST", path)
        assert house.engine.directory.active == 0
