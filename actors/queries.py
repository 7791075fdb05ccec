"""The reads: what is asked of manifests, catalog and store without changing anything.

Promise:  only committed state is answered.
Not here: reads as tasks (`slow_reads.py`); `status`, `health`, `whoami` and `probe`, which are
          about the process (`daemon.service`).
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from actors.decide import resolve
from actors.directory import Directory
from actors.explanation import explain
from actors.histories import log_hash_of_feed, rebuilt, utc_time, verified
from actors.letters import Answer
from actors.listing import Listing
from actors.lookup import looked_up, not_registered
from actors.slow_reads import SlowReads, crashed
from protocol.canonical import values_at_most
from protocol.commands import (
    Explain,
    Feed,
    Get,
    History,
    LifecycleRequest,
    List,
    Lookup,
    Recover,
    Request,
    Verify,
)
from protocol.errors import (
    BadRequestError,
    CommandError,
    CorruptError,
    NotFoundError,
    UnknownOpError,
)
from protocol.events import CommittedEvent
from protocol.identifiers import check_manifest_id
from protocol.lifecycle.diagram import mermaid, text
from protocol.lifecycle.lifecycle import Lifecycle
from protocol.limits import PAGE_BYTES_MAX, PAGE_VALUES_MAX
from protocol.principals import Peer
from protocol.replies import (
    ExplainResult,
    FeedResult,
    GetResult,
    HistoryResult,
    LifecycleResult,
    ListResult,
    RecoverResult,
    Registered,
    Usage,
    VerifyResult,
)
from protocol.snapshots import StateSnapshot, encode_snapshot, replay

log: Final = logging.getLogger(__name__)


class Queries:
    """Answers reads; `handle` is the only entrance."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._catalog = directory.catalog
        self._store = directory.store
        self._rules = directory.rules
        self._share = directory.turns.share
        self._slow = SlowReads(directory)
        self._listing = Listing(self._catalog, self._store, self._rules, self._share)
        self._handlers: dict[type[Request], Callable[[Any, Peer, Answer], None]] = {
            Get: self._get,
            History: self._history,
            List: self._list,
            Explain: self._explain,
            Feed: self._feed,
            Lookup: self._lookup,
            LifecycleRequest: self._lifecycle,
            Recover: self._recover,
            Verify: self._verify,
        }

    def handle(self, request: Request, peer: Peer, answer: Answer) -> None:
        """Answer `request`; raises `CommandError` for what is refused at once."""
        handler = self._handlers.get(type(request))
        if handler is None:
            message = f"{type(request).__name__.lower()} is answered by a running daemon only"
            raise UnknownOpError(message)
        handler(request, peer, answer)

    def read(self, answer: Answer, result: Callable[[], Awaitable[msgspec.Struct]]) -> None:
        """Answer with a read that somebody else makes, as one of ours: bounded, and never silent."""
        self._slow.begin(answer, result)

    def stop(self) -> None:
        """Cut short the reads that can take minutes."""
        self._slow.stop()

    @property
    def slow(self) -> Usage:
        """How many reads wait for the store."""
        return self._slow.usage

    def _with_state(
        self,
        manifest_id: str,
        answer: Answer,
        result: Callable[[StateSnapshot], msgspec.Struct],
    ) -> None:
        def then(state: StateSnapshot | CommandError | None) -> None:
            self._directory.say(answer, self._outcome(manifest_id, state, result))

        self._directory.read(manifest_id, then)

    @staticmethod
    def _outcome(
        manifest_id: str,
        state: StateSnapshot | CommandError | None,
        result: Callable[[StateSnapshot], msgspec.Struct],
    ) -> msgspec.Struct | CommandError:
        if isinstance(state, CommandError):
            return state
        if state is None:
            return _unknown(manifest_id)
        try:
            return result(state)
        except CommandError as error:
            return error
        except Exception:
            log.exception("%s: a read crashed", manifest_id)
            return crashed()

    def _require(self, manifest_id: str) -> None:
        if manifest_id not in self._catalog:
            raise _unknown(manifest_id)

    # One manifest.

    def _get(self, request: Get, _peer: Peer, answer: Answer) -> None:
        if request.as_of is None:
            self._with_state(request.manifest_id, answer, self._get_result)
            return
        self._require(request.manifest_id)
        wanted = _before(request.as_of)

        async def result() -> GetResult:
            state = await rebuilt(self._store, request.manifest_id, wanted, self._share)
            if state is None or (isinstance(request.as_of, int) and state.version != request.as_of):
                message = f"{request.manifest_id} has no version as of {request.as_of}"
                raise NotFoundError(message, path="/as_of")
            return self._get_result(state)

        self._slow.begin(answer, result)

    def _get_result(self, state: StateSnapshot) -> GetResult:
        lifecycle = self._rules.lifecycles.get(state.lifecycle)
        return GetResult(
            manifest_id=state.manifest_id,
            kind=state.kind,
            lifecycle=state.lifecycle,
            state=state.state,
            version=state.version,
            seq=state.seq,
            digest=state.digest,
            urn=state.urn,
            author=state.author,
            allowed_events=lifecycle.allowed_events(state.states),
            created_at=state.created_at,
            updated_at=state.updated_at,
            contributors=list(state.contributors),
            approvals=list(state.approvals),
            rejection=state.rejection,
            registered=[
                Registered(
                    urn=one.urn,
                    version=one.version,
                    digest=one.digest,
                    at=one.at,
                    withdrawn=one.withdrawn,
                )
                for one in state.registered
            ],
            timers=list(state.timers),
            context=state.context,
            manifest=state.document,
        )

    def _history(self, request: History, _peer: Peer, answer: Answer) -> None:
        self._require(request.manifest_id)

        async def result() -> HistoryResult:
            events = await self._store.history(
                request.manifest_id, request.after_version, request.limit
            )
            events = _fitting(events)
            row = self._catalog.get(request.manifest_id)
            last = events[-1].core.version if events else None
            more = last is not None and row is not None and last < row.version
            return HistoryResult(
                events=[msgspec.Raw(event.line) for event in events],
                next_version=last + 1 if last is not None and more else None,
            )

        self._slow.begin(answer, result)

    def _explain(self, request: Explain, peer: Peer, answer: Answer) -> None:
        principal = resolve(peer, request.principal, self._rules.policy)

        def result(state: StateSnapshot) -> ExplainResult:
            return explain(state, principal, self._rules, self._now())

        self._with_state(request.manifest_id, answer, result)

    def _recover(self, request: Recover, _peer: Peer, answer: Answer) -> None:
        self._require(request.manifest_id)

        async def result() -> RecoverResult:
            loaded = await self._store.load(request.manifest_id)
            await self._share()
            current = replay(loaded.tail, loaded.snapshot)
            assert current is not None
            again = await rebuilt(
                self._store,
                request.manifest_id,
                lambda event: event.core.version <= current.version,
                self._share,
            )
            if again is None:
                message = f"{request.manifest_id} has a snapshot and no events"
                raise CorruptError(message, details={"manifest_id": request.manifest_id})
            return RecoverResult(
                manifest_id=request.manifest_id,
                events=again.version,
                version=again.version,
                state=again.state,
                identical=encode_snapshot(again) == encode_snapshot(current),
            )

        self._slow.begin(answer, result)

    def _verify(self, request: Verify, _peer: Peer, answer: Answer) -> None:
        if request.manifest_id is not None:
            self._require(request.manifest_id)
        ids = self._catalog.ids() if request.manifest_id is None else [request.manifest_id]

        async def result() -> VerifyResult:
            last_seq, kept, count = self._store.last_seq, self._store.log_hash, 0
            for manifest_id in ids:
                row = self._catalog.get(manifest_id)
                assert row is not None
                count += await verified(self._store, row, self._share)
            log_hash = None
            if request.manifest_id is None:
                log_hash = await log_hash_of_feed(self._store, last_seq, kept, self._share)
            return VerifyResult(
                manifests=len(ids), events=count, last_seq=last_seq, log_hash=log_hash
            )

        self._slow.begin(answer, result, is_long=True)

    # All manifests.

    def _list(self, request: List, peer: Peer, answer: Answer) -> None:
        if request.can is None:
            self._directory.say(answer, self._listing.page(request))
            return
        principal = resolve(peer, request.principal, self._rules.policy)

        async def result() -> ListResult:
            return await self._listing.inbox(request, principal, self._now)

        self._slow.begin(answer, result)

    def _now(self) -> str:
        return self._directory.stamper.now()

    def _feed(self, request: Feed, _peer: Peer, answer: Answer) -> None:
        async def result() -> FeedResult:
            last_seq = self._store.last_seq
            page = await self._store.feed(request.after_seq, request.limit)
            events = _fitting(page.events)
            next_seq = page.next_seq if len(events) == len(page.events) else events[-1].seq + 1
            return FeedResult(
                events=[msgspec.Raw(event.line) for event in events],
                next_seq=next_seq,
                last_seq=last_seq,
            )

        self._slow.begin(answer, result)

    def _lookup(self, request: Lookup, _peer: Peer, answer: Answer) -> None:
        urn = self._catalog.resolve(request.urn)
        owner = None if urn is None else self._catalog.urn_owner(urn)
        if urn is None or owner is None:
            raise not_registered(request.urn, self._catalog)
        self._with_state(owner, answer, lambda state: looked_up(state, urn))

    def _lifecycle(self, request: LifecycleRequest, _peer: Peer, answer: Answer) -> None:
        if request.manifest_id is None:
            name = request.lifecycle or self._rules.lifecycle_for("").name
            result_of_all = self._lifecycle_result(
                self._rules.lifecycles.get(name), request.format, ()
            )
            self._directory.say(answer, result_of_all)
            return

        def result(state: StateSnapshot) -> LifecycleResult:
            lifecycle = self._rules.lifecycles.get(state.lifecycle)
            return self._lifecycle_result(lifecycle, request.format, state.states)

        self._with_state(request.manifest_id, answer, result)

    def _lifecycle_result(
        self, lifecycle: Lifecycle, form: str, active: tuple[str, ...]
    ) -> LifecycleResult:
        counts = self._catalog.counts(lifecycle.name)
        draw = {"mermaid": mermaid, "text": text}.get(form)
        return LifecycleResult(
            lifecycle=lifecycle.name,
            known=self._rules.lifecycles.names(),
            counts=counts,
            definition=msgspec.Raw(lifecycle.to_json()) if draw is None else None,
            diagram=None if draw is None else draw(lifecycle.chart, counts, active),
        )


def _unknown(manifest_id: str) -> CommandError:
    """Return why there is nothing under `manifest_id`; it may be no id at all."""
    try:
        check_manifest_id(manifest_id)
    except BadRequestError as error:
        return error
    return NotFoundError.manifest(manifest_id)


def _before(as_of: int | str) -> Callable[[CommittedEvent], bool]:
    """Return what tells the events up to a version or a time from the first one after it."""
    if isinstance(as_of, int):
        version = as_of
        return lambda event: event.core.version <= version
    at = utc_time(as_of, "/as_of")
    return lambda event: event.core.at <= at


def _fitting(events: list[CommittedEvent]) -> list[CommittedEvent]:
    """Return the events that fit into one reply, at least one."""
    size = values = 0
    for count, event in enumerate(events):
        size += len(event.line)
        values += values_at_most(event.line)
        if count and (size > PAGE_BYTES_MAX or values > PAGE_VALUES_MAX):
            return events[:count]
    return events
