"""`list`: filters that hold together, and what somebody may do something about now."""

from typing import Any

import pytest

from actors import listing
from actors.rules import Rules
from protocol.commands import List
from protocol.lifecycle.lifecycle import Lifecycle
from protocol.principals import EVERYDAY_ROLES, Peer
from tests.support.engines import ALICE, BOB, CAROL, House, create, open_house, revise, step

SAM = Peer(name="sam", roles=frozenset({"security"}))
READER = Peer(name="eve", roles=frozenset({"reader"}))
GATEWAY = Peer(name="gateway", roles=EVERYDAY_ROLES, may_impersonate=True)


async def _ids(house: House, peer: Peer = ALICE, **filters: Any) -> list[str]:  # noqa: ANN401 (members of the struct)
    """Return the ids of all pages."""
    found: list[str] = []
    cursor = None
    while True:
        page = await house.ask(List(cursor=cursor, **filters), peer)
        found += [row.manifest_id for row in page.manifests]
        cursor = page.cursor
        if cursor is None:
            return found


async def _several(house: House) -> None:
    """Make a draft of alice's and one of bob's, a review, an approval, and one under another
    lifecycle that waits for its sign-offs.
    """
    await house.make("draft")
    await house.ask(create("bobs", kind="oasf-record", document=b'{"name":"x"}'), BOB)
    await house.make("review", state="REVIEWED")
    await house.make("approved", state="APPROVED")
    await house.ask(create("extended", lifecycle="manifest-extended@1"))
    await house.ask(step("submit_for_review", "extended"))


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({}, ["draft", "bobs", "review", "approved", "extended"]),
        ({"state": "DRAFT"}, ["draft", "bobs"]),
        ({"state": "PENDING"}, ["review", "approved", "extended"]),
        ({"state": "LEGAL"}, ["extended"]),
        ({"state": "PENDING", "lifecycle": "manifest@1"}, ["review", "approved"]),
        ({"lifecycle": "manifest-extended@1"}, ["extended"]),
        ({"kind": "oasf-record"}, ["bobs"]),
        ({"kind": "oasf-record", "author": "alice"}, []),
        ({"author": "bob"}, ["bobs"]),
        ({"limit": 1}, ["draft", "bobs", "review", "approved", "extended"]),
    ],
)
async def test_filters_hold_together(filters: dict[str, Any], found: list[str]) -> None:
    async with open_house() as house:
        await _several(house)

        assert await _ids(house, **filters) == found


@pytest.mark.parametrize(
    ("peer", "event", "found"),
    [
        (BOB, "approve", ["review", "extended"]),
        (ALICE, "approve", []),  # She wrote them.
        (READER, "approve", []),
        (SAM, "approve_security", ["extended"]),
        (BOB, "approve_security", []),
        (ALICE, "submit_for_review", ["draft"]),  # Bob's is no valid record.
        (CAROL, "register", ["approved"]),
        (ALICE, "revise", ["draft", "bobs"]),
        (READER, "revise", []),
        (CAROL, "revert", ["review", "approved", "extended"]),
        (BOB, "reject", ["review", "approved", "extended"]),
    ],
)
async def test_an_inbox_holds_what_somebody_may_do_now(
    peer: Peer, event: str, found: list[str]
) -> None:
    async with open_house() as house:
        await _several(house)

        assert await _ids(house, peer, can=event) == found


async def test_an_inbox_is_true_at_the_moment_it_is_asked_for() -> None:
    async with open_house() as house:
        await house.make("m", state="REVIEWED")
        assert await _ids(house, BOB, can="approve") == ["m"]

        await house.ask(step("reject", reason="no"), BOB)
        await house.ask(revise(b'{"name":"echo","version":"1.0.0","by":"bob"}'), BOB)
        await house.ask(step("submit_for_review"))

        assert await _ids(house, BOB, can="approve") == []
        assert await _ids(house, CAROL, can="approve") == ["m"]


async def test_an_inbox_keeps_its_filters() -> None:
    async with open_house() as house:
        await _several(house)

        assert await _ids(house, BOB, can="approve", lifecycle="manifest@1") == ["review"]
        assert await _ids(house, BOB, can="approve", state="LEGAL") == ["extended"]


async def test_an_inbox_of_somebody_else_takes_the_role_for_it() -> None:
    async with open_house() as house:
        await _several(house)

        refused = await house.refusal(List(can="reject", principal="bob"), ALICE)

        assert refused.code == "FORBIDDEN"
        found = await _ids(house, GATEWAY, can="reject", principal="bob")
        assert found == ["review", "approved", "extended"]


async def test_pages_of_an_inbox_lead_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page looks into so many manifests, whatever comes of it."""
    monkeypatch.setattr(listing, "LOADED_MAX", 2)
    async with open_house() as house:
        for number in range(7):
            await house.make(f"m{number}", state="REVIEWED")
        first = await house.ask(List(can="approve"), BOB)

        assert len(first.manifests) == 2
        assert await _ids(house, BOB, can="approve") == [f"m{number}" for number in range(7)]


@pytest.mark.parametrize(
    ("request_", "path", "said"),
    [
        (List(can="aprove"), "/can", "known: approve"),
        (List(state="PENDNG"), "/state", "known: APPROVED"),
        (List(lifecycle="manifest@7"), "/lifecycle", "known: manifest"),
        (List(can="approve", cursor="x"), "/cursor", "begin again without one"),
    ],
)
async def test_a_name_that_is_none_is_refused(request_: List, path: str, said: str) -> None:
    async with open_house() as house:
        error = await house.refusal(request_)

        assert (error.path, said in error.message) == (path, True), error.message


async def test_an_inbox_is_asked_for_by_an_event_that_a_wildcard_takes() -> None:
    text = 'id = "notes"\nversion = 1\ninitial = "A"\n[states.A.on."note.*"]\n[states.A.on.end]\n'
    rules = Rules()
    rules.lifecycles.add(Lifecycle.read(text, "notes.toml"))
    async with open_house(rules=rules) as house:
        await house.ask(create(lifecycle="notes@1"))

        assert await _ids(house, can="note.a") == ["m"]
        assert await _ids(house, can="note") == ["m"]
