"""In-process subscription: who is told of which change of state (design 10)."""

import pytest

from actors.pipeline import RegistrationPipeline, StateChange
from protocol.errors import (
    BadRequestError,
)
from tests.support.events import Chain
from tests.support.stores import GatedStore

DOCUMENT = {"name": "echo", "version": "1.0.0"}


async def test_handlers_are_told_of_every_change_of_state_in_order() -> None:
    seen: list[StateChange] = []
    async with RegistrationPipeline(GatedStore()) as pipeline:
        end = pipeline.on("stateChange", seen.append)
        await pipeline.create("m", DOCUMENT, "agent", principal="alice")
        await pipeline.transition_state("m", "REVIEWED", principal="alice")
        await pipeline.transition_state("m", "APPROVED", principal="bob")
        await pipeline.transition_state("m", "REGISTERED", principal="carol")
        end()
        end()
        await pipeline.create("late", DOCUMENT, "agent")

    assert [(one.from_state, one.to_state) for one in seen] == [
        (None, "DRAFT"),
        ("DRAFT", "REVIEWED"),
        ("REVIEWED", "APPROVED"),
        ("APPROVED", "REGISTERED"),
    ]
    for version, change in enumerate(seen, 1):
        metadata = change.metadata
        assert (change.manifest_id, metadata["version"], metadata["seq"]) == ("m", version, version)
        assert metadata["event_id"]
        assert metadata["correlation_id"]
    assert [one.metadata["principal"] for one in seen] == ["alice", "alice", "bob", "carol"]
    assert [one.metadata["event"] for one in seen][1:] == [
        "submit_for_review",
        "approve",
        "register",
    ]


async def test_a_handler_that_fails_or_subscribes_twice_harms_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen: list[StateChange] = []

    def fail(_change: StateChange) -> None:
        raise ZeroDivisionError

    async with RegistrationPipeline(GatedStore()) as pipeline:
        pipeline.on("stateChange", fail)
        first, _second = (
            pipeline.on("stateChange", seen.append),
            pipeline.on("stateChange", seen.append),
        )
        await pipeline.create("m", DOCUMENT, "agent")
        assert len(seen) == 2
        first()
        first()
        await pipeline.transition_state("m", "REVIEWED")

    assert len(seen) == 3
    assert "a stateChange handler failed" in caplog.text


async def test_what_changes_no_state_is_no_change_of_state() -> None:
    seen: list[StateChange] = []
    store = GatedStore()
    async with RegistrationPipeline(store) as pipeline:
        pipeline.on("stateChange", seen.append)
        chain = Chain("m")
        store.disk.manifests["m"] = []
        for event in (chain.next(), chain.next(), chain.next(to="REVIEWED")):
            pipeline.publish(b"", event.line(1))

    assert [one.to_state for one in seen] == ["DRAFT", "REVIEWED"]


async def test_a_change_can_be_told_by_hand_and_is_enriched() -> None:
    seen: list[StateChange] = []
    async with RegistrationPipeline(GatedStore()) as pipeline:
        pipeline.on("stateChange", seen.append)
        pipeline.emit_state_change("m", "DRAFT", "REVIEWED", {"correlation_id": "mine", "x": 1})
        pipeline.emit_state_change("m", None, "DRAFT")

    assert seen[0].metadata["correlation_id"] == "mine"
    assert seen[0].metadata["x"] == 1
    assert seen[0].metadata["event_id"] != seen[1].metadata["event_id"]
    assert seen[1].metadata["correlation_id"] == seen[1].metadata["event_id"]


async def test_other_events_and_coroutines_cannot_be_subscribed() -> None:
    async def handler(_change: StateChange) -> None: ...

    async with RegistrationPipeline(GatedStore()) as pipeline:
        with pytest.raises(BadRequestError, match="known: stateChange"):
            pipeline.on("statechange", print)
        with pytest.raises(BadRequestError, match="plain function"):
            pipeline.on("stateChange", handler)  # type: ignore[arg-type]
