"""The engine as a whole: one answer to everything, an orderly end, and trials that change nothing."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.engine import Engine
from actors.rules import Rules
from protocol.commands import (
    Explain,
    Feed,
    Get,
    Health,
    History,
    LifecycleRequest,
    List,
    Lookup,
    Recover,
    Request,
    Verify,
)
from protocol.principals import EVERYDAY_ROLES, Peer
from tests.support.engines import (
    ALICE,
    BOB,
    CAROL,
    Outcome,
    comment,
    create,
    open_house,
    patch,
    revert,
    revise,
    step,
)
from tests.support.memory_store import MemoryStore
from tests.support.stores import CONFLICT, UNKNOWN

IDS = st.sampled_from(["m", "n", "../m", "", "x" * 513])
PEERS = st.sampled_from(
    [
        ALICE,
        BOB,
        CAROL,
        Peer(name="eve", roles=frozenset()),
        Peer(name="root", roles=EVERYDAY_ROLES | {"admin"}, may_impersonate=True),
    ]
)
TEXTS = st.sampled_from([b'{"name":"a","version":"1.0.0"}', b"[]", b"{", b'{"a":1,"a":2}', b"\xff"])
WRITES = st.fixed_dictionaries(
    {},
    optional={
        "command_id": st.sampled_from(["1", "2", "3"]),
        "expected_version": st.integers(0, 3),
        "principal": st.sampled_from(["alice", "bob", "", "\n"]),
        "dry_run": st.booleans(),
    },
)
CONTEXTS = st.sampled_from([None, {}, {"a": 1.5}, {"a": 1 << 60}, {"a": object()}, {"a": "\ud800"}])


def _requests() -> st.SearchStrategy[Request]:
    events = st.sampled_from([None, "submit_for_review", "approve", "reject", "register", "x"])
    targets = st.sampled_from([None, None, "DRAFT", "REVIEWED", "APPROVED", "REGISTERED", "y"])
    return st.one_of(
        st.builds(
            lambda name, text, context, kind, rest: create(
                name, text, context=context, kind=kind, **rest
            ),
            st.none() | IDS,
            TEXTS,
            CONTEXTS,
            st.sampled_from(["agent", None, "unheard-of"]),
            WRITES,
        ),
        st.builds(
            lambda name, event, target, context, rest: step(
                event, name, target=target, context=context, reason="because", **rest
            ),
            IDS,
            events,
            targets,
            CONTEXTS,
            WRITES,
        ),
        st.builds(lambda name, text, rest: revise(text, name, **rest), IDS, TEXTS, WRITES),
        st.builds(lambda name, text, rest: patch(text, name, **rest), IDS, TEXTS, WRITES),
        st.builds(lambda name, rest: revert(name, **rest), IDS, WRITES),
        st.builds(lambda name, rest: comment("\ud800", name, **rest), IDS, WRITES),
        st.builds(lambda name, rest: comment("hm", name, **rest), IDS, WRITES),
        st.builds(
            lambda name, as_of: Get(manifest_id=name, as_of=as_of),
            IDS,
            st.none() | st.integers(0, 3) | st.just("noon"),
        ),
        st.builds(lambda name: History(manifest_id=name), IDS),
        st.builds(lambda name: Explain(manifest_id=name), IDS),
        st.builds(lambda name: Recover(manifest_id=name), IDS),
        st.builds(lambda name: Verify(manifest_id=name), st.none() | IDS),
        st.builds(lambda cursor: List(cursor=cursor), st.sampled_from([None, "1.1", "x"])),
        st.builds(lambda urn: Lookup(urn=urn), st.sampled_from(["urn:proto:agent:a", "x"])),
        st.sampled_from([Feed(), Health(), LifecycleRequest(), LifecycleRequest(lifecycle="x")]),
    )


class Nonsense(Request, tag="nonsense"):
    pass


@given(
    st.lists(
        st.tuples(
            _requests() | st.just(Nonsense()),
            PEERS,
            st.sampled_from([None, None, None, CONFLICT, UNKNOWN]),
            st.booleans(),
        ),
        max_size=30,
    )
)
def test_every_request_is_answered_exactly_once(script: list[tuple[Any, Peer, Any, bool]]) -> None:
    async def play() -> None:
        async with open_house(actors_max=2) as house:  # It counts the answers.
            for request, peer, refusal, at_once in script:
                if refusal is not None:
                    house.store.refusals = [refusal]
                future = house.send(request, peer)
                if at_once:
                    await future
                    assert not house.store.held

    asyncio.run(play())


async def test_draining_finishes_what_was_accepted_and_refuses_further_writes() -> None:
    async with open_house() as house:
        await house.make()
        house.store.held = True
        accepted = [house.send(comment(str(number))) for number in range(10)]
        draining = asyncio.create_task(house.engine.drain())
        again = asyncio.create_task(house.engine.drain())
        while not house.engine.is_draining:
            await asyncio.wait({draining}, timeout=0)
        for request in (comment("late"), create("late"), comment("late", dry_run=True)):
            assert (await house.refusal(request)).code == "SHUTTING_DOWN"
        assert (await house.get()).version == 1
        assert not draining.done()
        house.store.held = False
        house.store.commit()
        await draining
        await again

        assert [getattr(one.result(), "version", None) for one in accepted] == [*range(2, 12)]


async def test_draining_does_not_wait_for_an_actor_that_cannot_be_loaded() -> None:
    async with open_house() as house:
        await house.make()
    house.store.disk.snapshots.clear()
    async with open_house(house.store.disk) as house:
        house.store.disk.manifests["m"] *= 2
        house.store.loading.close()
        writing = house.send(comment())
        await house.store.loading.reached()
        draining = asyncio.create_task(house.engine.drain())
        house.store.loading.open()
        await draining

        assert getattr(await writing, "code", None) == "CORRUPT"


async def test_draining_answers_slow_reads_and_cuts_a_verification_of_everything_short(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate, reached = asyncio.Event(), asyncio.Event()

    async def history(*_arguments: object) -> list[Any]:
        reached.set()
        await gate.wait()
        return []

    async with open_house() as house:
        await house.make()
        monkeypatch.setattr(house.store, "history", history)
        short, long = house.send(History(manifest_id="m")), house.send(Verify())
        await reached.wait()
        draining = asyncio.create_task(house.engine.drain())

        assert getattr(await long, "code", None) == "SHUTTING_DOWN"
        assert not draining.done()
        gate.set()
        await draining
        assert short.done()


async def test_what_goes_wrong_inside_the_context_comes_out_as_it_was() -> None:
    engine = Engine(MemoryStore(), Rules())
    with pytest.raises(ZeroDivisionError, match="mine") as caught:
        async with engine.run():
            raise ZeroDivisionError("mine") from KeyError("cause")
    assert isinstance(caught.value.__cause__, KeyError)


async def test_a_failure_inside_the_context_ends_the_reads_under_way_with_an_answer() -> None:
    async with open_house() as house:
        await house.make()
    engine = Engine(MemoryStore(house.store.disk), Rules())
    outcomes: list[Outcome] = []

    async def fail() -> None:
        async with engine.run():
            engine.handle(Verify(), ALICE, outcomes.append)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert [getattr(one, "code", None) for one in outcomes] == ["SHUTTING_DOWN"]


async def test_whoever_asks_while_the_context_ends_is_told_so() -> None:
    engine = Engine(MemoryStore(), Rules())
    outcomes: list[Outcome] = []

    def ask_again(outcome: Outcome) -> None:
        outcomes.append(outcome)
        engine.handle(Feed(), ALICE, outcomes.append)

    async def fail() -> None:
        async with engine.run():
            engine.handle(Feed(), ALICE, ask_again)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert [getattr(one, "code", None) for one in outcomes] == ["SHUTTING_DOWN"] * 2


async def test_an_engine_outside_its_context_refuses_what_takes_a_task() -> None:
    async with open_house() as house:
        await house.make()
    engine, outcomes = Engine(MemoryStore(house.store.disk), Rules()), list[Outcome]()
    for request in (comment(), Get(manifest_id="m"), Feed(), Verify()):
        engine.handle(request, ALICE, outcomes.append)

    assert [getattr(one, "code", None) for one in outcomes] == ["SHUTTING_DOWN"] * 4
    assert engine.directory.active == 0


async def test_figures_count_requests_and_refusals() -> None:
    async with open_house() as house:
        await house.make()
        await house.refusal(step("approve"))
        await house.refusal(Get(manifest_id="nobody"))
        await house.refusal(Health())

        assert (house.engine.commands, house.engine.refusals) == (4, 3)
        assert house.engine.directory.published == 1


async def test_two_engines_may_share_their_rules_and_not_their_catalogs() -> None:
    rules = Rules()
    async with open_house(rules=rules) as one, open_house(rules=rules) as other:
        await one.make(state="REGISTERED")
        await one.make("twin", state="APPROVED")
        await other.make("twin", state="APPROVED")
        trial = step("register", "twin", dry_run=True)

        assert (await one.refusal(trial, CAROL)).code == "URN_CONFLICT"
        assert (await other.ask(trial, CAROL)).urn == "urn:proto:agent:echo@1.0.0"
