"""What becomes a manifest, under which id, and what may be written into it."""

import asyncio
import re

import msgspec
import pytest

from actors.engine import Engine, NobodyListens
from actors.rules import Rules
from protocol.commands import (
    ABSENT,
    Explain,
    Get,
)
from protocol.errors import CorruptError
from protocol.identifiers import id_for_command
from protocol.lifecycle.registry import LifecycleRegistry
from protocol.principals import EVERYDAY_ROLES, Peer
from tests.support.engines import (
    ALICE,
    BOB,
    CAROL,
    DOCUMENT,
    Outcome,
    comment,
    create,
    open_house,
    patch,
    revert,
    step,
)
from tests.support.memory_store import MemoryDisk, MemoryStore


@pytest.mark.parametrize(
    ("document", "manifest_id"),
    [
        (DOCUMENT, "echo@1.0.0"),
        (b'{"name":"io.github.acme/echo","version":"2"}', "io.github.acme/echo@2"),
    ],
)
async def test_a_create_without_an_id_is_named_by_its_document(
    document: bytes, manifest_id: str
) -> None:
    async with open_house() as house:
        first = await house.ask(create(None, document, command_id="c"))
        again = await house.ask(create(None, document, command_id="c"))
        other = await house.refusal(create(None, document, command_id="d"))

        assert (first.manifest_id, again.replayed) == (manifest_id, True)
        assert other.code == "ALREADY_EXISTS"


@pytest.mark.parametrize(
    "document",
    [
        b'{"name":"echo"}',
        b'{"version":"1"}',
        b'{"name":1,"version":true}',
        b'{"name":"","version":"1"}',
        b'{"name":"a","version":""}',
        b'{"name":"../a","version":"1"}',
        b'{"name":"a b","version":"1"}',
        b"{}",
    ],
)
async def test_a_nameless_create_gets_an_id_that_its_retry_finds_again(document: bytes) -> None:
    gateway = Peer(name="gateway", roles=EVERYDAY_ROLES, may_impersonate=True)
    async with open_house() as house:
        first = await house.ask(create(None, document, command_id="c"))
        again = await house.ask(create(None, document, command_id="c"))
        through = await house.ask(
            create(None, document, command_id="c", principal="alice"), gateway
        )
        other = await house.ask(create(None, document, command_id="c"), BOB)

        assert first.manifest_id == id_for_command("alice", "c")
        assert again.replayed is through.replayed is True
        assert again.version == through.version == 1
        assert other.manifest_id == id_for_command("bob", "c")


async def test_without_a_command_id_every_nameless_create_is_a_new_manifest() -> None:
    store = MemoryStore()
    engine = Engine(store, Rules(), publisher=NobodyListens())
    done: asyncio.Queue[Outcome] = asyncio.Queue()
    async with engine.run():
        for _ in range(2):
            engine.handle(create(None, b"{}"), ALICE, done.put_nowait)
        one, other = await done.get(), await done.get()

    ids = [getattr(outcome, "manifest_id", "") for outcome in (one, other)]
    assert len(set(ids)) == 2
    assert all(re.fullmatch(r"[0-9a-f-]{14}7[0-9a-f]{3}-[89ab][0-9a-f-]{16}", one) for one in ids)


@pytest.mark.parametrize("document", [b"", b"{", b"\xff", b'{"name":1,"name":2}'])
async def test_a_nameless_create_of_no_document_is_a_bad_request(document: bytes) -> None:
    async with open_house() as house:
        assert (await house.refusal(create(None, document))).code == "BAD_REQUEST"


async def test_a_dry_run_says_what_would_be_and_leaves_nothing_behind() -> None:
    async with open_house() as house:
        before = await house.make(state="APPROVED")
        trials = [
            (create("new", dry_run=True, command_id="c"), ALICE, "DRAFT", 1),
            (step("register", dry_run=True, command_id="c"), CAROL, "REGISTERED", 4),
            (step("reject", reason="no", dry_run=True), BOB, "DRAFT", 4),
            (revert(dry_run=True), BOB, "REVIEWED", 4),
            (comment(dry_run=True), BOB, "APPROVED", 4),
        ]
        for request, peer, state, version in trials:
            result = await house.ask(request, peer)
            assert (result.state, result.version, result.dry_run) == (state, version, True)
        would_be = await house.ask(step("register", dry_run=True), CAROL)
        await house.engine.directory.settle()

        assert would_be.urn == "urn:proto:agent:echo@1.0.0"
        assert house.engine.directory.catalog.urn_owner(would_be.urn) is None
        assert (house.store.last_seq, house.engine.directory.active) == (before.seq, 1)
        assert (await house.refusal(create(dry_run=True))).code == "ALREADY_EXISTS"
        assert (await house.ask(step("register", command_id="c"), CAROL)).replayed is False


async def test_a_revision_takes_a_document_or_a_patch() -> None:
    async with open_house() as house:
        await house.make()
        both = patch(b'{"a":1}')
        both.manifest = msgspec.Raw(DOCUMENT)
        neither = patch(b"{}")
        neither.patch = ABSENT

        for request in (both, neither):
            error = await house.refusal(request)
            assert (error.code, error.path) == ("BAD_REQUEST", "/manifest")


@pytest.mark.parametrize(
    ("text", "merged"),
    [
        (b'{"description":"x"}', b'{"description":"x","name":"echo","version":"1.0.0"}'),
        (b'{"name":null}', b'{"version":"1.0.0"}'),
        (b'{"version":1.50}', b'{"name":"echo","version":1.5}'),
    ],
)
async def test_a_patch_is_merged(text: bytes, merged: bytes) -> None:
    async with open_house() as house:
        await house.make()
        await house.ask(patch(text))

        assert bytes((await house.get()).manifest) == merged


@pytest.mark.parametrize("text", [b"[]", b"1", b"null"])
async def test_a_patch_cannot_make_something_else_of_a_manifest(text: bytes) -> None:
    async with open_house() as house:
        await house.make()

        assert (await house.refusal(patch(text))).code == "BAD_REQUEST"


async def test_patches_cannot_add_up_to_more_than_one_request_may_bring() -> None:
    async with open_house() as house:
        await house.make()
        half = b"x" * (600 << 10)
        await house.ask(patch(b'{"a":"%b"}' % half))

        error = await house.refusal(patch(b'{"b":"%b"}' % half))

        assert (error.code, error.details["limit"]) == ("TOO_LARGE", 1 << 20)


async def test_contexts_cannot_add_up_to_more_than_one_may_have() -> None:
    async with open_house() as house:
        await house.make()
        half = "x" * (40 << 10)
        await house.ask(step("submit_for_review", context={"a": half}))

        error = await house.refusal(step("approve", context={"b": half}), BOB)
        result = await house.ask(step("approve", context={"a": "less"}), BOB)

        assert (error.code, error.path) == ("BAD_REQUEST", "/context")
        assert result.state == "APPROVED"


async def test_when_very_many_wrote_it_only_they_may_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("actors.drafts.CONTRIBUTORS_MAX", 2)
    async with open_house() as house:
        await house.make()
        await house.ask(patch(b'{"a":1}'), BOB)

        error = await house.refusal(patch(b'{"a":2}'), CAROL)

        assert error.code == "FORBIDDEN"
        assert (await house.ask(patch(b'{"a":3}'), ALICE)).version == 3


async def test_an_unknown_lifecycle_or_kind_is_refused_by_name() -> None:
    async with open_house() as house:
        lifecycle = await house.refusal(create(lifecycle="manifest@9"))
        kind = await house.refusal(create(kind="unheard-of"))
        unclear = await house.refusal(create(document=b'{"x":1}', kind=None))

        assert (lifecycle.code, lifecycle.path) == ("NOT_FOUND", "/lifecycle")
        assert (kind.code, kind.path) == ("BAD_REQUEST", "/kind")
        assert (unclear.code, unclear.path) == ("BAD_REQUEST", "/kind")


async def test_a_state_that_no_lifecycle_here_knows_is_a_clear_error() -> None:
    async with open_house() as house:
        await house.make()
    house.store.disk.lifecycles.clear()
    bare = Rules(lifecycles=LifecycleRegistry([]))
    async with open_house(house.store.disk, rules=bare) as house:
        for request in (Get(manifest_id="m"), comment(), step("approve"), Explain(manifest_id="m")):
            error = await house.refusal(request)
            assert (error.code, error.path) == ("NOT_FOUND", "/lifecycle")
            assert "manifest@1" in error.message
        assert house.store.last_seq == 1


async def test_a_lifecycle_that_is_configured_no_longer_is_read_back_from_the_store() -> None:
    async with open_house() as house:
        await house.make(state="REVIEWED")
    bare = Rules(lifecycles=LifecycleRegistry([]))
    async with open_house(house.store.disk, rules=bare) as house:
        assert (await house.ask(step("approve"), BOB)).state == "APPROVED"


async def test_a_kept_lifecycle_that_cannot_be_read_ends_the_start() -> None:
    disk = MemoryDisk()
    disk.lifecycles["gone@1"] = b'{"id":"gone"}'
    with pytest.raises(CorruptError, match="gone@1"):
        async with open_house(disk):
            pass


async def test_the_definitions_that_events_name_are_kept_in_the_store() -> None:
    disk = MemoryDisk()
    async with open_house(disk):
        assert msgspec.json.decode(disk.lifecycles["manifest@1"])["id"] == "manifest"
