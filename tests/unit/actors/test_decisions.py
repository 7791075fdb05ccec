"""Decisions about states that no walk through the default lifecycle leads to."""

from typing import Any

import pytest
from msgspec.structs import replace

from actors.case import Case
from actors.decide import command_digest, decide
from actors.drafts import canonical_document
from actors.rules import Rules
from protocol.commands import Write
from protocol.errors import InvalidTransitionError
from protocol.events import NewEvent
from protocol.principals import Principal
from protocol.snapshots import StateSnapshot
from protocol.timers import Timer
from tests.support.engines import (
    ALICE,
    CAROL,
    URN,
    CountingStamper,
    comment,
    open_house,
    revert,
    revise,
    step,
)

TIMERS = (Timer(id="e.1", event="after.DRAFT.1", state="DRAFT", due="2026-11-24T00:00:00.000000Z"),)


async def _state(name: str) -> StateSnapshot:
    async with open_house() as house:
        await house.make(state=name)
        return house.store.snapshot("m")


def _decided(state: StateSnapshot, request: Write, rules: Rules | None = None) -> Any:  # noqa: ANN401 (any decision)
    document = canonical_document(request)
    digest = command_digest(request, "carol", document)
    stamp, principal = CountingStamper().stamp(), Principal.of(CAROL)
    return decide(Case(state, request, principal, digest, stamp, rules or Rules(), document))


@pytest.mark.parametrize("request_", [comment(), revise(b'{"name":"other","version":"1.0.0"}')])
async def test_what_leaves_the_state_alone_leaves_its_timers_alone(request_: Write) -> None:
    state = replace(await _state("DRAFT"), timers=TIMERS)

    event = _decided(state, request_)

    assert isinstance(event, NewEvent)
    assert event.core.timers == TIMERS


@pytest.mark.parametrize("members", [{"state": "APPROVED"}, {"digest": "sha256:other"}])
async def test_only_the_step_that_led_here_with_this_content_is_undone(
    members: dict[str, str],
) -> None:
    state = await _state("REVIEWED")

    assert isinstance(_decided(state, revert()), NewEvent)
    assert isinstance(_decided(replace(state, **members), revert()), InvalidTransitionError)


@pytest.mark.parametrize(("owner", "free"), [(None, True), ("m", True), ("n", False)])
async def test_a_urn_is_free_for_whoever_has_it_already(owner: str | None, *, free: bool) -> None:
    rules = Rules(urn_owner=lambda _urn: owner)

    decision = _decided(await _state("APPROVED"), step("register"), rules)

    if free:
        assert decision.core.urn == URN
    else:
        assert decision.details == {"guard": "urn_free", "urn": URN, "manifest_id": "n"}


async def test_deciding_twice_gives_the_same_bytes() -> None:
    state = await _state("DRAFT")
    lines = {_decided(state, step("submit_for_review")).line(1) for _ in range(2)}

    assert len(lines) == 1
    assert ALICE.name in state.contributors
