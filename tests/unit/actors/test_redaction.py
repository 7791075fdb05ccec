"""Who may take what out of which version, and what the state is afterwards."""

from typing import Any

import msgspec
import pytest

from protocol.commands import Comment, Create, Redact, Revise, Verify
from protocol.erasure import erased
from protocol.errors import BadRequestError, CorruptError, ForbiddenError, ImmutableError
from protocol.events import CommittedEvent, encode_payload, with_payload
from protocol.principals import EVERYDAY_ROLES, Peer
from protocol.snapshots import encode_snapshot, replay
from tests.support.engines import ALICE, CAROL, House, open_house, step

ROOT = Peer(name="root", roles=EVERYDAY_ROLES | {"admin"})


def redact(version: int, **members: Any) -> Redact:  # noqa: ANN401 (members of the struct)
    members.setdefault("reason", "asked to")
    return Redact(manifest_id="m", version=version, **members)


async def outcome(house: House, request: Redact, peer: Peer = ROOT) -> Any:  # noqa: ANN401 (any)
    return await house.ask(request, peer)


async def remark(house: House, text: str = "ask Ada") -> None:
    await house.ask(Comment(manifest_id="m", text=text), ALICE)


async def test_the_event_says_who_took_what_from_which_version_and_why() -> None:
    async with open_house() as house:
        await house.make()
        await remark(house)

        result = await outcome(house, redact(2, command_id="r"))

        assert (result.state, result.version) == ("DRAFT", 3)
        [*_, event] = house.store.disk.journal
        assert (event.core.type, event.core.principal) == ("redacted", "root")
        assert event.core.roles == ["admin"]
        assert event.payload is not None
        assert event.payload.reason == "asked to"
        assert event.core.redacts is not None
        assert event.core.redacts.version == 2
        again = await outcome(house, redact(2, command_id="r"))
        assert (again.version, again.replayed) == (3, True)


async def test_only_an_admin_may() -> None:
    async with open_house() as house:
        await house.make()
        await remark(house)

        refusal = await house.refusal(redact(2), CAROL)

        assert isinstance(refusal, ForbiddenError)
        assert len(house.store.disk.journal) == 2


@pytest.mark.parametrize("version", [3, 99])
async def test_there_must_be_such_a_version(version: int) -> None:
    async with open_house() as house:
        await house.make()
        await remark(house)

        refusal = await house.refusal(redact(version), ROOT)

        assert isinstance(refusal, BadRequestError)
        assert (refusal.path, "it is at 2" in str(refusal)) == ("/version", True)


async def test_what_is_not_there_cannot_be_taken_out() -> None:
    async with open_house() as house:
        await house.make()
        await remark(house)

        refusal = await house.refusal(redact(2, field="context"), ROOT)

        assert isinstance(refusal, BadRequestError)
        assert refusal.path == "/field"


async def test_a_dry_run_changes_nothing() -> None:
    async with open_house() as house:
        await house.make()
        await remark(house)

        result = await outcome(house, redact(2, dry_run=True))

        assert (result.version, result.dry_run) == (3, True)
        assert len(house.store.disk.journal) == 2


async def test_the_document_at_hand_goes_only_by_force() -> None:
    async with open_house() as house:
        await house.make()

        refusal = await house.refusal(redact(1), ROOT)
        assert isinstance(refusal, ImmutableError)
        assert "revise it first" in (refusal.suggestion or "")
        assert (await outcome(house, redact(1, force=True))).version == 2

        state = await house.get()
        assert bytes(state.manifest) == b"null"


async def test_one_that_was_replaced_may_go_and_the_one_at_hand_stays() -> None:
    async with open_house() as house:
        await house.make()
        patch = b'{"description":"after"}'

        await house.ask(Revise(manifest_id="m", patch=msgspec.Raw(patch)), ALICE)

        assert (await outcome(house, redact(1))).version == 3
        assert b"after" in bytes((await house.get()).manifest)


async def test_what_lookup_finds_is_stood_on() -> None:
    async with open_house() as house:
        await house.make(state="REGISTERED")

        refusal = await house.refusal(redact(1, field="document"), ROOT)

        assert isinstance(refusal, ImmutableError)
        assert "lookup finds" in str(refusal)


async def test_the_context_loses_the_members_and_replay_agrees() -> None:
    async with open_house() as house:
        await house.ask(
            Create(
                manifest_id="m",
                manifest=msgspec.Raw(b'{"name":"echo","version":"1.0.0"}'),
                kind="agent",
                context={"phone": "1", "kept": 2},
            ),
            ALICE,
        )
        await outcome(house, redact(1, field="context"))

        assert (await house.get()).context == {}
        events = house.store.disk.manifests["m"]
        rebuilt = replay(events)
        assert rebuilt is not None
        assert encode_snapshot(rebuilt) == encode_snapshot(house.store.snapshot("m"))
        assert await house.ask(step("submit_for_review"), ALICE)


async def test_verify_holds_what_is_left_against_what_the_redaction_says() -> None:
    async with open_house() as house:
        await house.make()
        await house.ask(Comment(manifest_id="m", text="ask Ada"), ALICE)
        await outcome(house, redact(1, field="document", force=True))
        log = house.store.disk.manifests["m"]
        assert (await house.ask(Verify())).events == 3  # Not carried out yet: no contradiction.

        whole, log[0] = log[0], erased(log[0], ("document",))
        assert (await house.ask(Verify())).events == 3

        assert whole.payload is not None
        forged = msgspec.structs.replace(
            whole.payload,
            salt="",
            data=msgspec.Raw(b"null"),
            reason="forged",
            redacted=["document"],
        )
        log[0] = CommittedEvent.read(with_payload(whole.line, encode_payload(forged)))
        refusal = await house.refusal(Verify())

        assert isinstance(refusal, CorruptError)
        assert "version 1 does not hold what its redaction by version 3 left" in str(refusal)
