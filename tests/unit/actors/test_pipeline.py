"""The engine as a class (design 10): the whole table, on the fake store and on real files."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

import daemon
from actors.pipeline import RegistrationPipeline
from protocol.errors import (
    AlreadyExistsError,
    BadRequestError,
    CorruptError,
    GuardRejectedError,
    InvalidTransitionError,
    ManifestInvalidError,
    NotFoundError,
    OptimisticLockError,
    OverloadedError,
    ShuttingDownError,
    TooLargeError,
    UrnConflictError,
)
from protocol.snapshots import StateSnapshot, decode_snapshot, encode_snapshot
from tests.support.stores import GatedStore

DOCUMENT = {"name": "echo", "version": "1.0.0"}
URN = "urn:proto:agent:echo@1.0.0"
Opener = Callable[[], AbstractAsyncContextManager[RegistrationPipeline]]


@pytest.fixture(params=["memory", "files"])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    """Return what opens the same store each time, on the fake and on real files."""
    if request.param == "files":
        return lambda: daemon.open_pipeline(tmp_path / "registry")
    memory = GatedStore().disk

    @asynccontextmanager
    async def open_memory() -> AsyncIterator[RegistrationPipeline]:
        async with RegistrationPipeline(GatedStore(memory)) as pipeline:
            yield pipeline

    return open_memory


async def _register(pipeline: RegistrationPipeline, manifest_id: str = "m") -> None:
    await pipeline.create(manifest_id, DOCUMENT, "agent", principal="alice")
    await pipeline.transition_state(manifest_id, "REVIEWED", principal="alice")
    await pipeline.transition_state(manifest_id, "APPROVED", principal="bob")
    await pipeline.transition_state(manifest_id, "REGISTERED", principal="carol")


async def test_a_manifest_walks_through_its_whole_life(opener: Opener) -> None:
    async with opener() as pipeline:
        draft = await pipeline.create("m", DOCUMENT, "agent", principal="alice")
        reviewed = await pipeline.transition_state(
            "m", "REVIEWED", {"ticket": 7}, principal="alice", expected_version=1
        )
        approved = await pipeline.transition_state("m", "APPROVED", principal="bob")
        registered = await pipeline.transition_state("m", "REGISTERED", principal="carol")
        state = await pipeline.load_state("m")

    assert [draft.state, reviewed.state, approved.state] == ["DRAFT", "REVIEWED", "APPROVED"]
    assert (registered.state, registered.version, registered.urn) == ("REGISTERED", 4, URN)
    assert (state.version, state.context, state.urn) == (4, {"ticket": 7}, URN)


async def test_what_was_acknowledged_is_there_after_a_restart(opener: Opener) -> None:
    async with opener() as pipeline:
        await _register(pipeline)
        before = await pipeline.load_state("m")
    async with opener() as pipeline:
        after = await pipeline.load_state("m")
        recovered = await pipeline.recover_from_events("m")

    assert encode_snapshot(before) == encode_snapshot(after) == encode_snapshot(recovered)


async def test_a_rebuilt_state_is_the_loaded_one_byte_for_byte(opener: Opener) -> None:
    async with opener() as pipeline:
        await pipeline.create("m", DOCUMENT | {"größe": 1.5, "x": "\U0001f600"}, "agent")
        for _ in range(3):
            await pipeline.transition_state("m", "REVIEWED", {"z": 1, "a": [None, 0.1]})
            await pipeline.transition_state("m", "DRAFT", reason="no")

            loaded = await pipeline.load_state("m")
            recovered = await pipeline.recover_from_events("m")
            assert encode_snapshot(loaded) == encode_snapshot(recovered)


@pytest.mark.parametrize(
    ("target", "members", "error"),
    [
        ("REGISTERED", {}, InvalidTransitionError),
        ("APPROVED", {"principal": "alice"}, GuardRejectedError),
        ("DRAFT", {}, GuardRejectedError),
        ("APPROVED", {"expected_version": 1}, OptimisticLockError),
        ("APPROVED", {"principal": ""}, BadRequestError),
        ("APPROVED", {"command_id": ""}, BadRequestError),
        ("APPROVED", {"command_id": "x" * 201}, BadRequestError),
        ("APPROVED", {"reason": "x" * 5000}, BadRequestError),
        ("APPROVED", {"reason": "\ud800"}, BadRequestError),
        ("APPROVED", {"context": {"a": {1, 2}}}, BadRequestError),
        ("APPROVED", {"context": {"a": float("nan")}}, BadRequestError),
        ("APPROVED", {"context": {1: 2}}, BadRequestError),
        ("APPROVED", {"context": {"a": 1 << 60}}, BadRequestError),
        ("APPROVED", {"context": {"a": "x" * (65 << 10)}}, BadRequestError),
        ("APPROVED", {"context": {"a": "x" * (2 << 20)}}, TooLargeError),
        ("", {}, BadRequestError),
    ],
)
async def test_what_is_refused_is_a_typed_error_and_changes_nothing(
    target: str, members: dict[str, Any], error: type[Exception]
) -> None:
    async with RegistrationPipeline(GatedStore()) as pipeline:
        await pipeline.create("m", DOCUMENT, "agent", principal="alice")
        await pipeline.transition_state("m", "REVIEWED", principal="alice")

        with pytest.raises(error):
            await pipeline.transition_state("m", target, **members)
        assert (await pipeline.load_state("m")).version == 2


@pytest.mark.parametrize(
    "document",
    [{"x": float("nan")}, {"x": b"bytes"}, {1: 2}, {"x": 1 << 60}, {"x": {1}}, {"x": "\ud800"}],
)
async def test_a_document_that_json_cannot_say_is_refused(document: dict[Any, Any]) -> None:
    async with RegistrationPipeline(GatedStore()) as pipeline:
        with pytest.raises(BadRequestError):
            await pipeline.create("m", document, "agent")


async def test_errors_name_their_cause(opener: Opener) -> None:
    async with opener() as pipeline:
        await _register(pipeline)
        with pytest.raises(AlreadyExistsError):
            await pipeline.create("m", DOCUMENT, "agent")
        with pytest.raises(BadRequestError):
            await pipeline.create("../m", DOCUMENT, "agent")
        with pytest.raises(NotFoundError):
            await pipeline.transition_state("nobody", "REVIEWED")
        for look in (pipeline.load_state, pipeline.recover_from_events):
            with pytest.raises(NotFoundError):
                await look("nobody")
            with pytest.raises(BadRequestError):
                await look("../m")
        await pipeline.create("invalid", {"name": "", "version": "x"}, "agent")
        with pytest.raises(ManifestInvalidError):
            await pipeline.transition_state("invalid", "REVIEWED")
        await pipeline.create("twin", DOCUMENT, "agent", principal="alice")
        await pipeline.transition_state("twin", "REVIEWED", principal="alice")
        await pipeline.transition_state("twin", "APPROVED", principal="bob")
        with pytest.raises(UrnConflictError):
            await pipeline.transition_state("twin", "REGISTERED")


async def test_a_command_id_makes_a_retry_safe(opener: Opener) -> None:
    async with opener() as pipeline:
        first = await pipeline.create("m", DOCUMENT, "agent", command_id="c")
        again = await pipeline.create("m", DOCUMENT, "agent", command_id="c")

    assert again == replace(first, replayed=True)


async def test_persisting_a_state_writes_its_file_now(tmp_path: Path) -> None:
    async with daemon.open_pipeline(tmp_path) as pipeline:
        await _register(pipeline)
        state = await pipeline.load_state("m")
        await pipeline.persist_state("m", state)

        (path,) = tmp_path.glob("manifests/*/m/state.json")
        assert path.read_bytes() == encode_snapshot(state)
        assert decode_snapshot(path.read_bytes()) == state


async def test_only_the_present_state_can_be_persisted(opener: Opener) -> None:
    async with opener() as pipeline:
        await pipeline.create("m", DOCUMENT, "agent", principal="alice")
        old = await pipeline.load_state("m")
        await pipeline.transition_state("m", "REVIEWED", principal="alice")
        state = await pipeline.load_state("m")
        await pipeline.persist_state("m", state)

        with pytest.raises(OptimisticLockError) as caught:
            await pipeline.persist_state("m", old)
        assert caught.value.details == {"expected": 1, "actual": 2}
        with pytest.raises(OptimisticLockError):
            await pipeline.persist_state("m", replace(state, version=3))
        with pytest.raises(NotFoundError):
            await pipeline.persist_state("nobody", state)
        forged: list[dict[str, Any]] = [
            {"state": "REGISTERED"},
            {"author": "mallory"},
            {"manifest_id": "n"},
            {"approvals": (object(),)},
        ]
        for members in forged:
            with pytest.raises(BadRequestError, match="use a command"):
                await pipeline.persist_state("m", replace(state, **members))
        assert encode_snapshot(await pipeline.load_state("m")) == encode_snapshot(state)


async def test_a_state_is_compared_and_written_between_two_events() -> None:
    store = GatedStore()
    async with RegistrationPipeline(store) as pipeline:
        await pipeline.create("m", DOCUMENT, "agent")
    store = GatedStore(store.disk)
    async with RegistrationPipeline(store) as pipeline:
        store.loading.close()
        state = store.snapshot("m")
        persisting = asyncio.create_task(pipeline.persist_state("m", state))
        moving = asyncio.create_task(pipeline.transition_state("m", "REVIEWED"))
        await store.loading.reached()
        store.loading.open()
        await asyncio.gather(persisting, moving)

        assert store.snapshot("m").version == 2


async def test_whoever_gives_up_waiting_harms_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = GatedStore()
    async with RegistrationPipeline(store) as pipeline:
        await pipeline.create("m", DOCUMENT, "agent")
    store = GatedStore(store.disk)
    async with RegistrationPipeline(store) as pipeline:
        store.loading.close()
        reading = asyncio.create_task(pipeline.load_state("m"))
        moving = asyncio.create_task(pipeline.transition_state("m", "REVIEWED"))
        patient = asyncio.create_task(pipeline.load_state("m"))
        await store.loading.reached()
        await asyncio.wait({patient}, timeout=0)
        reading.cancel()
        moving.cancel()
        store.loading.open()

        assert (await patient).version == 1
        await asyncio.wait({moving})
        assert not caplog.records
        assert (await pipeline.transition_state("m", "REVIEWED")).state == "REVIEWED"


async def test_a_pipeline_that_is_closed_finishes_and_then_refuses() -> None:
    store = GatedStore()
    async with RegistrationPipeline(store) as pipeline:
        await pipeline.create("m", DOCUMENT, "agent")
        store.held = True
        moving = asyncio.create_task(pipeline.transition_state("m", "REVIEWED"))
        await asyncio.wait({moving}, timeout=0)
        asyncio.get_running_loop().call_soon(store.commit)

    assert (await moving).state == "REVIEWED"
    with pytest.raises(ShuttingDownError):
        await pipeline.create("n", DOCUMENT, "agent")


async def test_what_a_user_raises_comes_out_as_it_was(opener: Opener) -> None:
    with pytest.raises(NotFoundError):
        async with opener() as pipeline:
            await pipeline.load_state("nobody")


async def test_a_damaged_snapshot_is_rebuilt_and_a_damaged_history_is_corrupt(
    tmp_path: Path,
) -> None:
    async with daemon.open_pipeline(tmp_path) as pipeline:
        await _register(pipeline)
        before = await pipeline.load_state("m")
    (path,) = tmp_path.glob("manifests/*/m/state.json")
    path.write_bytes(b"{" + path.read_bytes()[2:])
    async with daemon.open_pipeline(tmp_path) as pipeline:
        rebuilt: StateSnapshot = await pipeline.load_state("m")
        assert encode_snapshot(rebuilt) == encode_snapshot(before)
        log = path.with_name("events.log")
        log.write_bytes(log.read_bytes().replace(b'"bob"', b'"eve"'))
        with pytest.raises(CorruptError):
            await pipeline.recover_from_events("m")


async def test_fifty_writers_of_one_version_have_one_winner(opener: Opener) -> None:
    async with opener() as pipeline:
        await pipeline.create("m", DOCUMENT, "agent")
        moves = [pipeline.transition_state("m", "REVIEWED", expected_version=1) for _ in range(50)]
        outcomes = await asyncio.gather(*moves, return_exceptions=True)

    lost = [one for one in outcomes if isinstance(one, OptimisticLockError)]
    assert len(lost) == 49


async def test_an_overloaded_pipeline_says_so() -> None:
    store = GatedStore()
    async with RegistrationPipeline(store) as pipeline:
        await pipeline.create("m", DOCUMENT, "agent")
        store.held = True
        moves = [
            asyncio.create_task(pipeline.transition_state("m", "REVIEWED")) for _ in range(300)
        ]
        await asyncio.wait(moves, timeout=0, return_when=asyncio.FIRST_COMPLETED)
        store.held = False
        store.commit()
        outcomes = await asyncio.gather(*moves, return_exceptions=True)

    assert sum(isinstance(one, OverloadedError) for one in outcomes) == 43


async def test_the_events_on_disk_are_one_line_each(tmp_path: Path) -> None:
    async with daemon.open_pipeline(tmp_path) as pipeline:
        await _register(pipeline)
    (log,) = tmp_path.glob("manifests/*/m/events.log")

    events = [json.loads(line) for line in log.read_text().splitlines()]

    assert [event["type"] for event in events] == ["created", *["transitioned"] * 3]
