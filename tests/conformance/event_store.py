"""What every `EventStore` promises, as tests: subclass `EventStoreConformance` for each of them.

A subclass gives the fixture `opener`: a function that opens the store, and after `close` opens the
same one again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from actors.ports import (
    AppendOutcome,
    AppendRefusal,
    EventStore,
    LifecycleChangedError,
    Loaded,
    Position,
)
from protocol.events import CommittedEvent, NewEvent
from protocol.limits import REMEMBERED_COMMANDS_MAX
from protocol.snapshots import StateSnapshot, apply, encode_snapshot, replay
from tests.support.events import Chain

Opener = Callable[[], Awaitable[EventStore]]
URN = "urn:proto:mcp-server:io.github.acme/echo@1.0.0"


class Follower:
    """Listens as the actors do: applies what is committed, and saves each snapshot."""

    def __init__(self, store: EventStore) -> None:
        self.store = store
        self.batches: list[list[CommittedEvent]] = []
        self.states: dict[str, StateSnapshot] = {}
        self._waiting: dict[str, asyncio.Future[CommittedEvent | AppendRefusal]] = {}
        store.on_committed(self._committed)

    def append(
        self, event: NewEvent, version: int | None = None
    ) -> asyncio.Future[CommittedEvent | AppendRefusal]:
        """Append `event` after `version`, by default where it belongs; returns its outcome."""
        outcome: asyncio.Future[CommittedEvent | AppendRefusal] = (
            asyncio.get_running_loop().create_future()
        )
        self._waiting[event.hash] = outcome
        expected = Position(event.core.version - 1 if version is None else version)
        self.store.append(event, expected, outcome.set_result)
        return outcome

    async def commit(self, event: NewEvent) -> CommittedEvent:
        """Append `event` and wait until it is committed."""
        outcome = await self.append(event)
        assert isinstance(outcome, CommittedEvent), outcome
        return outcome

    async def state(self, manifest_id: str) -> StateSnapshot | None:
        """Load a manifest as an actor does when it wakes."""
        loaded = await self.store.load(manifest_id)
        state = replay(loaded.tail, loaded.snapshot)
        if state is not None:
            self.states[manifest_id] = state
        return state

    def _committed(self, events: Sequence[CommittedEvent]) -> None:
        self.batches.append(list(events))
        for event in events:
            manifest_id = event.core.manifest_id
            state = apply(self.states.get(manifest_id), event)
            self.states[manifest_id] = state
            self.store.save_snapshot(state)
            if event.hash in self._waiting:
                self._waiting.pop(event.hash).set_result(event)


async def refusal_of(outcome: Awaitable[CommittedEvent | AppendRefusal]) -> AppendRefusal:
    """Return why an append was refused."""
    refusal = await outcome
    assert isinstance(refusal, AppendRefusal)
    return refusal


class EventStoreConformance:
    async def test_events_of_many_manifests_are_committed_in_append_order(
        self, opener: Opener
    ) -> None:
        follower = Follower(await opener())
        outcomes = [follower.append(Chain(f"m-{number}").next()) for number in range(20)]

        committed = await asyncio.gather(*outcomes)

        flat = [event for batch in follower.batches for event in batch]
        assert flat == committed
        assert [event.seq for event in flat] == list(range(1, 21))
        assert follower.store.last_seq == 20
        await follower.store.close()

    async def test_a_committed_event_is_not_heard_of_before_append_returns(
        self, opener: Opener
    ) -> None:
        follower = Follower(await opener())

        outcome = follower.append(Chain("a").next())

        assert not outcome.done()
        assert follower.store.last_seq == 0
        await outcome
        await follower.store.close()

    async def test_seq_goes_on_without_a_gap_after_a_restart(self, opener: Opener) -> None:
        chain = Chain("a")
        for _ in range(3):
            follower = Follower(await opener())
            await follower.state("a")
            await follower.commit(chain.next())
            await follower.commit(chain.next())
            await follower.store.close()

        store = await opener()

        page = await store.feed(0, 100)
        assert [event.seq for event in page.events] == [1, 2, 3, 4, 5, 6]
        assert (store.last_seq, page.next_seq) == (6, 7)
        await store.close()

    async def test_an_event_for_another_version_is_a_conflict(self, opener: Opener) -> None:
        follower = Follower(await opener())
        chain, rival = Chain("a"), Chain("a")
        await follower.commit(chain.next())

        refusal = await refusal_of(follower.append(rival.next(command_id="rival")))

        assert refusal.outcome is AppendOutcome.CONFLICT
        await follower.commit(chain.next())
        assert follower.store.last_seq == 2
        await follower.store.close()

    async def test_the_second_of_two_pending_events_of_one_manifest_is_a_conflict(
        self, opener: Opener
    ) -> None:
        follower = Follower(await opener())
        chain, rival = Chain("a"), Chain("a")

        first = follower.append(chain.next())
        second = follower.append(rival.next(command_id="rival"))

        assert (await refusal_of(second)).outcome is AppendOutcome.CONFLICT
        assert isinstance(await first, CommittedEvent)
        await follower.store.close()

    async def test_what_was_never_created_loads_as_nothing(self, opener: Opener) -> None:
        store = await opener()

        assert await store.load("nobody") == Loaded(None, [], (await store.load("nobody")).token)
        assert await store.history("nobody", 0, 10) == []
        assert await store.find_command("nobody", "c-1") is None
        assert store.is_clean("nobody")
        await store.close()

    @pytest.mark.parametrize("restart", [False, True])
    async def test_load_equals_the_replay_of_all_events_byte_for_byte(
        self, opener: Opener, *, restart: bool
    ) -> None:
        follower = Follower(await opener())
        chain = Chain("io.github.acme/echo@1.0.0")
        events = [await follower.commit(chain.next()) for _ in range(5)]
        if restart:
            await follower.store.close()
            follower = Follower(await opener())

        state = await follower.state(chain.manifest_id)

        expected = replay(events)
        assert state is not None
        assert expected is not None
        assert encode_snapshot(state) == encode_snapshot(expected)
        await follower.store.close()

    @pytest.mark.parametrize("written", [False, True])
    async def test_history_is_paged_by_version(self, opener: Opener, *, written: bool) -> None:
        follower = Follower(await opener())
        chain = Chain("a")
        events = [await follower.commit(chain.next()) for _ in range(7)]
        if written:
            await follower.store.write_behind()
        lines = [event.line for event in events]
        history = follower.store.history

        assert [one.line for one in await history("a", 0, 3)] == lines[:3]
        assert [one.line for one in await history("a", 3, 3)] == lines[3:6]
        assert [one.line for one in await history("a", 6, 3)] == lines[6:]
        assert await history("a", 7, 3) == []
        await follower.store.close()

    async def test_history_goes_from_what_is_written_over_to_what_is_not(
        self, opener: Opener
    ) -> None:
        follower = Follower(await opener())
        chain = Chain("a")
        events = [await follower.commit(chain.next()) for _ in range(4)]
        await follower.store.write_behind()
        events += [await follower.commit(chain.next()) for _ in range(3)]

        page = await follower.store.history("a", 2, 4)

        assert [one.line for one in page] == [one.line for one in events[2:6]]
        await follower.store.close()

    @pytest.mark.parametrize("restart", [False, True])
    async def test_feed_pages_over_all_manifests(self, opener: Opener, *, restart: bool) -> None:
        follower = Follower(await opener())
        chains = [Chain("a"), Chain("b"), Chain("c")]
        events = [await follower.commit(chain.next()) for _ in range(4) for chain in chains]
        if restart:
            await follower.store.close()
            follower = Follower(await opener())

        read: list[CommittedEvent] = []
        next_seq = 1
        while (page := await follower.store.feed(next_seq - 1, 5)).events:
            read += page.events
            next_seq = page.next_seq

        assert [event.line for event in read] == [event.line for event in events]
        assert next_seq == 13
        await follower.store.close()

    async def test_a_reader_ahead_of_the_store_is_told_where_it_ends(self, opener: Opener) -> None:
        follower = Follower(await opener())
        await follower.commit(Chain("a").next())

        page = await follower.store.feed(99, 5)

        assert (page.events, page.next_seq) == ([], 2)
        await follower.store.close()

    async def test_a_command_is_found_after_more_than_are_remembered(self, opener: Opener) -> None:
        follower = Follower(await opener())
        chain = Chain("a")
        for _ in range(REMEMBERED_COMMANDS_MAX + 2):
            await follower.commit(chain.next())
        await follower.store.write_behind()
        await follower.commit(chain.next(command_id="the last"))
        store = follower.store

        oldest = await store.find_command("a", "c-1")
        last = await store.find_command("a", "the last")

        assert oldest is not None
        assert oldest.core.version == 1
        assert last is not None
        assert last.core.version == REMEMBERED_COMMANDS_MAX + 3
        assert await store.find_command("a", "c-") is None
        await store.close()

    async def test_a_command_id_inside_a_payload_is_not_a_command(self, opener: Opener) -> None:
        follower = Follower(await opener())
        trap = b'{"command_id":"trap","version":"1.0.0"}'
        await follower.commit(Chain("a", document=trap).next())
        await follower.store.write_behind()

        assert await follower.store.find_command("a", "trap") is None
        await follower.store.close()

    async def test_a_urn_has_one_owner_until_it_is_released(self, opener: Opener) -> None:
        store = await opener()
        answers: list[str | None] = []

        store.reserve(URN, "a", 4, answers.append)
        store.reserve(URN, "a", 4, answers.append)
        store.reserve(URN, "b", 4, answers.append)
        store.release(URN, "b")
        store.reserve(URN, "b", 4, answers.append)
        store.release(URN, "a")
        store.reserve(URN, "b", 4, answers.append)
        store.release("urn:proto:unknown", "b")

        assert answers == [None, None, "a", "a", None]
        await store.close()

    async def test_a_confirmed_urn_cannot_be_released(self, opener: Opener) -> None:
        store = await opener()
        answers: list[str | None] = []

        store.reserve(URN, "a", 4, answers.append)
        store.confirm(URN, "a")
        store.release(URN, "a")
        store.reserve(URN, "b", 4, answers.append)

        assert answers == [None, "a"]
        await store.close()

    async def test_a_restart_keeps_registered_urns_and_forgets_reserved_ones(
        self, opener: Opener
    ) -> None:
        follower = Follower(await opener())
        chain = Chain("a")
        await follower.commit(chain.next())
        follower.store.reserve(URN, "a", 2, lambda _: None)
        follower.store.reserve(f"{URN}-beta", "a", 2, lambda _: None)
        await follower.commit(chain.next(to="REGISTERED", urn=URN))
        follower.store.confirm(URN, "a")
        await follower.store.close()
        store = await opener()
        answers: list[str | None] = []

        store.reserve(URN, "b", 2, answers.append)
        store.reserve(f"{URN}-beta", "b", 2, answers.append)

        assert answers == ["a", None]
        await store.close()

    async def test_a_lifecycle_is_pinned_once_and_for_all(self, opener: Opener) -> None:
        store = await opener()
        await store.pin_lifecycle("manifest@1", b'{"id":"manifest"}')
        await store.pin_lifecycle("manifest@1", b'{"id":"manifest"}')
        await store.close()
        store = await opener()

        await store.pin_lifecycle("manifest@2", b'{"id":"other"}')
        with pytest.raises(LifecycleChangedError, match="manifest@1"):
            await store.pin_lifecycle("manifest@1", b'{"id":"other"}')
        assert await store.pinned_lifecycles() == {
            "manifest@1": b'{"id":"manifest"}',
            "manifest@2": b'{"id":"other"}',
        }
        await store.close()

    async def test_summaries_are_every_manifest_by_age(self, opener: Opener) -> None:
        follower = Follower(await opener())
        chains = [Chain(name) for name in ("b", "c", "a")]
        for chain in (*chains, *reversed(chains)):
            await follower.commit(chain.next())
        await follower.commit(chains[0].next(to="REVIEWED"))
        await follower.store.close()
        store = await opener()

        rows = store.summaries()

        assert [(row.manifest_id, row.version, row.state) for row in rows] == [
            ("b", 3, "REVIEWED"),
            ("c", 2, "DRAFT"),
            ("a", 2, "DRAFT"),
        ]
        await store.close()

    async def test_a_manifest_is_clean_once_it_is_written_behind(self, opener: Opener) -> None:
        follower = Follower(await opener())
        outcome = follower.append(Chain("a").next())
        assert not follower.store.is_clean("a")
        await outcome

        await follower.store.write_behind()

        assert follower.store.is_clean("a")
        await follower.store.close()

    async def test_close_finishes_what_was_appended_and_refuses_what_comes_after(
        self, opener: Opener
    ) -> None:
        follower = Follower(await opener())
        chain = Chain("a")
        outcome = follower.append(chain.next())

        await follower.store.close()

        assert isinstance(await outcome, CommittedEvent)
        refusal = await refusal_of(follower.append(chain.next()))
        assert (refusal.outcome, refusal.error.code) == (AppendOutcome.FULL, "SHUTTING_DOWN")
        store = await opener()
        assert store.last_seq == 1
        await store.close()
