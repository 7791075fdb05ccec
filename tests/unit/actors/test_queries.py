"""The reads: what is answered, page by page, and what is refused."""

import asyncio
from typing import Any, Literal, NoReturn

import msgspec
import pytest

from actors import queries as queries_module
from actors import slow_reads
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
    Verify,
)
from protocol.errors import CorruptError, HistoryCompactedError
from protocol.principals import Peer
from tests.support.engines import (
    DOCUMENT,
    comment,
    open_house,
    step,
)


async def test_get_answers_the_whole_record() -> None:
    async with open_house() as house:
        await house.make(state="APPROVED")

        got = await house.get()

        assert bytes(got.manifest) == DOCUMENT
        assert (got.state, got.version, got.seq, got.author) == ("APPROVED", 3, 3, "alice")
        assert (got.contributors, got.allowed_events) == (["alice"], ["register", "reject"])
        assert [one.principal for one in got.approvals] == ["bob"]
        assert got.created_at < got.updated_at


async def test_a_read_answers_what_is_committed_and_does_not_wait_for_more() -> None:
    async with open_house() as house:
        await house.make()
        house.store.held = True
        writing = house.send(comment())

        assert (await house.get()).version == 1
        house.store.held = False
        house.store.commit()
        await writing
        assert (await house.get()).version == 2


@pytest.mark.parametrize(("version", "state"), [(1, "DRAFT"), (2, "REVIEWED"), (3, "APPROVED")])
async def test_a_manifest_as_of_a_version(version: int, state: str) -> None:
    async with open_house() as house:
        await house.make(state="REGISTERED")

        got = await house.ask(Get(manifest_id="m", as_of=version))

        assert (got.version, got.state, got.urn) == (version, state, None)


@pytest.mark.parametrize("version", [0, 5, 1 << 50])
async def test_a_version_that_never_was_is_not_found(version: int) -> None:
    async with open_house() as house:
        await house.make(state="REGISTERED")

        error = await house.refusal(Get(manifest_id="m", as_of=version))

        assert (error.code, error.path) == ("NOT_FOUND", "/as_of")


@pytest.mark.parametrize(
    ("at", "version"),
    [
        ("2026-11-23T15:00:01Z", 1),
        ("2026-11-23T15:00:01.999999Z", 1),
        ("2026-11-23T15:00:02Z", 2),
        ("2026-11-23T16:00:03+01:00", 3),
        ("2030-01-01T00:00:00Z", 4),
    ],
)
async def test_a_manifest_as_of_a_time(at: str, version: int) -> None:
    async with open_house() as house:
        await house.make(state="REGISTERED")

        assert (await house.ask(Get(manifest_id="m", as_of=at))).version == version


async def test_a_time_before_its_creation_is_not_found_and_no_time_is_a_bad_request() -> None:
    async with open_house() as house:
        await house.make()

        early = await house.refusal(Get(manifest_id="m", as_of="2026-11-23T15:00:00.999999Z"))
        wrong = await house.refusal(Get(manifest_id="m", as_of="noon"))

        assert (early.code, early.path) == ("NOT_FOUND", "/as_of")
        assert (wrong.code, wrong.path) == ("BAD_REQUEST", "/as_of")


async def test_a_clock_that_went_back_does_not_tear_the_past_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with open_house() as house:
        await house.make()
        stamp = house.engine.stamper.stamp
        times = iter(["2026-11-23T16:00:00.000000Z", "2026-11-23T15:30:00.000000Z"])
        monkeypatch.setattr(house.engine.stamper, "stamp", lambda: stamp()._replace(at=next(times)))
        await house.ask(comment())
        await house.ask(comment())

        got = await house.ask(Get(manifest_id="m", as_of="2026-11-23T15:45:00Z"))
        later = await house.ask(Get(manifest_id="m", as_of="2026-11-23T16:00:00Z"))

        assert (got.version, later.version) == (1, 3)


async def test_history_is_paged_and_its_last_page_says_so() -> None:
    async with open_house() as house:
        await house.make(state="REGISTERED")
        lines = [event.line for event in house.store.disk.manifests["m"]]

        first = await house.ask(History(manifest_id="m", limit=3))
        second = await house.ask(History(manifest_id="m", after_version=first.next_version - 1))
        beyond = await house.ask(History(manifest_id="m", after_version=4))

        assert [bytes(one) for one in (*first.events, *second.events)] == lines
        assert (first.next_version, second.next_version) == (4, None)
        assert (beyond.events, beyond.next_version) == ([], None)


async def test_pages_of_events_are_bounded_in_bytes_and_hold_at_least_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with open_house() as house:
        await house.make(state="REGISTERED")
        two = sum(len(event.line) for event in house.store.disk.journal[:2])
        monkeypatch.setattr(queries_module, "PAGE_BYTES_MAX", two)
        history = await house.ask(History(manifest_id="m"))
        feed = await house.ask(Feed())
        monkeypatch.setattr(queries_module, "PAGE_BYTES_MAX", 1)
        one = await house.ask(Feed(after_seq=2))

        assert (len(history.events), history.next_version) == (2, 3)
        assert (len(feed.events), feed.next_seq, feed.last_seq) == (2, 3, 4)
        assert (len(one.events), one.next_seq) == (1, 4)


async def test_feed_walks_over_all_manifests_and_ends_where_the_store_does() -> None:
    async with open_house() as house:
        for name in ("a", "b", "c"):
            await house.make(name, state="REVIEWED")
        seqs, after = [], 0
        while page := await house.ask(Feed(after_seq=after, limit=4)):
            seqs += [msgspec.json.decode(event)["seq"] for event in page.events]
            if not page.events:
                break
            after = page.next_seq - 1

        assert seqs == [1, 2, 3, 4, 5, 6]
        assert (page.next_seq, page.last_seq) == (7, 6)
        assert (await house.ask(Feed(after_seq=99))).next_seq == 7


async def test_a_feed_that_was_compacted_says_where_it_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def compacted(_after_seq: int, _limit: int) -> NoReturn:
        raise HistoryCompactedError("gone", details={"oldest_seq": 7})

    async with open_house() as house:
        monkeypatch.setattr(house.store, "feed", compacted)

        error = await house.refusal(Feed())

        assert (error.code, error.details) == ("HISTORY_COMPACTED", {"oldest_seq": 7})


async def test_list_by_state_includes_the_states_inside_it() -> None:
    async with open_house() as house:
        for state in ("DRAFT", "REVIEWED", "APPROVED", "REGISTERED"):
            await house.make(state.lower(), state=state)

        async def ids(**members: Any) -> list[str]:  # noqa: ANN401 (members of the struct)
            result = await house.ask(List(**members))
            return [row.manifest_id for row in result.manifests]

        assert await ids(state="PENDING") == ["reviewed", "approved"]
        assert await ids(state="APPROVED") == ["approved"]
        assert await ids() == ["draft", "reviewed", "approved", "registered"]
        assert await ids(author="bob") == []
        assert await ids(kind="agent", author="alice", state="DRAFT") == ["draft"]


@pytest.mark.parametrize("state", ["PENDNG", "manifest", ""])
async def test_a_state_that_no_lifecycle_has_is_refused_with_those_there_are(state: str) -> None:
    async with open_house() as house:
        error = await house.refusal(List(state=state))

        assert (error.code, error.path) == ("BAD_REQUEST", "/state")
        assert "known: APPROVED, DEPRECATED, DRAFT, " in error.message


async def test_the_pages_of_a_list_share_the_seq_of_the_first_one() -> None:
    async with open_house() as house:
        for number in range(5):
            await house.make(f"m{number}")
        first = await house.ask(List(limit=2))
        await house.make("late")
        await house.ask(step("submit_for_review", "m0"))
        second = await house.ask(List(limit=2, cursor=first.cursor))
        third = await house.ask(List(limit=2, cursor=second.cursor))

        assert [first.as_of_seq, second.as_of_seq, third.as_of_seq] == [5, 5, 5]
        rows = [*first.manifests, *second.manifests, *third.manifests]
        assert [row.manifest_id for row in rows] == ["m0", "m1", "m2", "m3", "m4", "late"]
        assert third.cursor is None


@pytest.mark.parametrize("cursor", ["x", "1", "1.", ".1", "1.x", "-1.2", "1.2.3", "1e3.1"])
async def test_a_cursor_that_is_none_of_ours_is_refused(cursor: str) -> None:
    async with open_house() as house:
        error = await house.refusal(List(cursor=cursor))

        assert (error.code, error.path) == ("BAD_REQUEST", "/cursor")


async def test_lookup_finds_a_urn_or_the_highest_version_of_it() -> None:
    async with open_house() as house:
        for version in ("1.10.0", "1.9.0", "2.0.0-rc.1", "1.10.0+linux"):
            document = b'{"name":"echo","version":"%b"}' % version.encode()
            await house.make(version, state="REGISTERED", document=document)

        exact = await house.ask(Lookup(urn="urn:proto:agent:echo@1.9.0"))
        highest = await house.ask(Lookup(urn="urn:proto:agent:echo"))
        missing = await house.refusal(Lookup(urn="urn:proto:agent:echo@3.0.0"))

        assert (exact.manifest_id, exact.urn) == ("1.9.0", "urn:proto:agent:echo@1.9.0")
        assert bytes(exact.manifest) == b'{"name":"echo","version":"1.9.0"}'
        assert highest.manifest_id == "2.0.0-rc.1"
        assert (missing.code, missing.path) == ("NOT_FOUND", "/urn")


@pytest.mark.parametrize("form", ["mermaid", "text"])
async def test_a_lifecycle_is_drawn_with_its_counts_and_where_a_manifest_is(
    form: Literal["mermaid", "text"],
) -> None:
    async with open_house() as house:
        await house.make("a")
        await house.make("b", state="APPROVED")

        general = await house.ask(LifecycleRequest(format=form))
        mine = await house.ask(LifecycleRequest(manifest_id="b", format=form))

        assert general.counts == mine.counts == {"DRAFT": 1, "APPROVED": 1}
        assert "DRAFT (1)" in general.diagram
        assert "PENDING (1)" in general.diagram
        assert general.diagram != mine.diagram
        assert (general.lifecycle, general.known) == (
            "manifest@1",
            ["manifest-extended@1", "manifest@1"],
        )
        assert general.definition is None


async def test_a_lifecycle_is_data_too_and_an_unknown_one_is_not_found() -> None:
    async with open_house() as house:
        result = await house.ask(LifecycleRequest())
        error = await house.refusal(LifecycleRequest(lifecycle="manifest@9"))

        assert msgspec.json.decode(bytes(result.definition))["initial"] == "DRAFT"
        assert (error.code, error.path) == ("NOT_FOUND", "/lifecycle")


async def test_recover_and_verify_agree_with_the_snapshot() -> None:
    async with open_house() as house:
        await house.make(state="REGISTERED")
        await house.make("other")

        recovered = await house.ask(Recover(manifest_id="m"))
        one = await house.ask(Verify(manifest_id="m"))
        everything = await house.ask(Verify())

        assert (recovered.events, recovered.version, recovered.identical) == (4, 4, True)
        assert (one.manifests, one.events) == (1, 4)
        assert (everything.manifests, everything.events, everything.last_seq) == (2, 5, 5)
        assert one.log_hash is None
        assert everything.log_hash is not None


async def test_a_snapshot_that_the_events_do_not_yield_is_reported() -> None:
    async with open_house() as house:
        await house.make(state="REVIEWED")
        snapshot = house.store.snapshot("m")
        house.store.disk.snapshots["m"] = msgspec.structs.replace(snapshot, author="mallory")

        assert (await house.ask(Recover(manifest_id="m"))).identical is False


async def test_a_damaged_line_is_corrupt_and_says_where() -> None:
    async with open_house() as house:
        await house.make(state="REVIEWED")
        events = house.store.disk.manifests["m"]
        last = events[1]
        bad = last.line.replace(b"alice", b"mallo")
        events[1] = last.__class__(last.seq, bad, last.core, last.payload, last.hash)

        for request in (Verify(), Verify(manifest_id="m")):
            error = await house.refusal(request)
            assert isinstance(error, CorruptError)
            assert error.details == {"manifest_id": "m", "version": 2, "seq": 2}


async def test_slow_reads_are_bounded_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate = asyncio.Event()

    async def history(*_arguments: object) -> list[Any]:
        await gate.wait()
        return []

    async with open_house() as house:
        await house.make()
        monkeypatch.setattr(house.store, "history", history)
        slow = [house.send(History(manifest_id="m")) for _ in range(slow_reads.SLOW_READS_MAX)]

        error = await house.refusal(History(manifest_id="m"))
        quick = await house.get()
        gate.set()
        await asyncio.gather(*slow)

        assert (error.code, error.retry_after_ms) == ("OVERLOADED", 100)
        assert quick.version == 1
        assert (await house.ask(History(manifest_id="m"))).events == []


@pytest.mark.parametrize("active", [False, True])
async def test_a_read_that_crashes_is_internal_and_harms_nobody(
    monkeypatch: pytest.MonkeyPatch, *, active: bool
) -> None:
    async with open_house() as first:
        await first.make()
    async with open_house(first.store.disk) as house:
        if active:
            await house.get()
        monkeypatch.setattr(queries_module, "explain", lambda *_: 1 / 0)
        monkeypatch.setattr(house.store, "feed", lambda *_: 1 / 0)

        assert (await house.refusal(Explain(manifest_id="m"))).code == "INTERNAL"
        assert (await house.refusal(Feed())).code == "INTERNAL"
        assert (await house.get()).version == 1


async def test_what_only_a_daemon_can_say_is_no_op_of_the_engine() -> None:
    async with open_house() as house:
        assert (await house.refusal(Health())).code == "UNKNOWN_OP"


async def test_whoever_has_no_role_reads_nothing() -> None:
    async with open_house() as house:
        await house.make()
        for request in (Get(manifest_id="m"), List(), Feed(), Verify(), LifecycleRequest()):
            error = await house.refusal(request, Peer(name="eve", roles=frozenset()))
            assert error.code == "FORBIDDEN"
