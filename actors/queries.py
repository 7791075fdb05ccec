"""The reads: what is asked of manifests, catalog and store without changing anything.

Promise:  only committed state is answered. A read that takes long runs as a task, and the number
          of those is bounded.
Not here: `status`, `health`, `whoami` and `probe`, which are about the process (`daemon.service`).
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from actors.actor import Answer
from actors.decide import judge, resolve
from actors.directory import Directory
from actors.guards import Question
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
    Transition,
    Verify,
)
from protocol.errors import (
    BadRequestError,
    CommandError,
    CorruptError,
    InternalError,
    NotFoundError,
    OverloadedError,
    UnknownOpError,
)
from protocol.events import (
    GENESIS,
    CommittedEvent,
    DamagedEventError,
    read_event,
    state_name,
)
from protocol.lifecycle import Lifecycle
from protocol.limits import PAGE_BYTES_MAX, PAGE_SIZE_MAX
from protocol.principals import Peer, permitting_roles
from protocol.replies import (
    ExplainResult,
    Explanation,
    FeedResult,
    GetResult,
    HistoryResult,
    LifecycleResult,
    ListResult,
    LookupResult,
    RecoverResult,
    VerifyResult,
)
from protocol.snapshots import ReplayError, StateSnapshot, encode_snapshot, replay
from protocol.statechart.diagram import mermaid, text

log: Final = logging.getLogger(__name__)

SLOW_READS_MAX: Final = 128  # At once; each holds a page of events or a manifest's history.
RETRY_AFTER_MS: Final = 100


class Queries:
    """Answers reads; `handle` is the only entrance."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._catalog = directory.catalog
        self._store = directory.store
        self._rules = directory.rules
        self._slow = 0
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

    def _with_state(
        self,
        manifest_id: str,
        answer: Answer,
        result: Callable[[StateSnapshot], msgspec.Struct],
    ) -> None:
        def then(state: StateSnapshot | CommandError | None) -> None:
            if state is None:
                answer(NotFoundError.manifest(manifest_id))
            elif isinstance(state, CommandError):
                answer(state)
            else:
                try:
                    answer(result(state))
                except CommandError as error:
                    answer(error)

        self._directory.read(manifest_id, then)

    def _slowly(self, answer: Answer, result: Callable[[], Awaitable[msgspec.Struct]]) -> None:
        if self._slow >= SLOW_READS_MAX:
            what = "the number of slow reads"
            raise OverloadedError.full(what, limit=SLOW_READS_MAX, retry_after_ms=RETRY_AFTER_MS)
        self._slow += 1

        async def run() -> None:
            try:
                answer(await result())
            except CommandError as error:
                answer(error)
            except (ReplayError, DamagedEventError) as error:
                answer(CorruptError(str(error)))
            except Exception:
                log.exception("a read crashed")
                answer(InternalError("the read failed inside the daemon; its log says how"))
            finally:
                self._slow -= 1

        self._directory.spawn(run(), "read")

    def _require(self, manifest_id: str) -> None:
        if manifest_id not in self._catalog:
            raise NotFoundError.manifest(manifest_id)

    # One manifest.

    def _get(self, request: Get, _peer: Peer, answer: Answer) -> None:
        if request.as_of is None:
            self._with_state(request.manifest_id, answer, self._get_result)
            return
        self._require(request.manifest_id)
        as_of = request.as_of

        async def result() -> GetResult:
            events = [
                event
                async for event in self._events(request.manifest_id)
                if (event.core.version if isinstance(as_of, int) else event.core.at) <= as_of
            ]
            state = replay(events)
            if state is None or (isinstance(as_of, int) and state.version != as_of):
                message = f"{request.manifest_id} has no version as of {as_of}"
                raise NotFoundError(message, path="/as_of")
            return self._get_result(state)

        self._slowly(answer, result)

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

        self._slowly(answer, result)

    def _explain(self, request: Explain, peer: Peer, answer: Answer) -> None:
        principal = resolve(peer, request.principal, self._rules.policy)

        def result(state: StateSnapshot) -> ExplainResult:
            lifecycle = self._rules.lifecycles.get(state.lifecycle)
            would_be = Transition(manifest_id=state.manifest_id, reason="…")
            question = Question(state, would_be, principal, self._rules)
            return ExplainResult(
                manifest_id=state.manifest_id,
                state=state.state,
                version=state.version,
                principal=principal.name,
                events=[_explanation(lifecycle, event, question) for event in lifecycle.events],
            )

        self._with_state(request.manifest_id, answer, result)

    def _recover(self, request: Recover, _peer: Peer, answer: Answer) -> None:
        self._require(request.manifest_id)

        async def result() -> RecoverResult:
            loaded = await self._store.load(request.manifest_id)
            current = replay(loaded.tail, loaded.snapshot)
            assert current is not None
            events = [
                event
                async for event in self._events(request.manifest_id)
                if event.core.version <= current.version
            ]
            rebuilt = replay(events)
            assert rebuilt is not None
            return RecoverResult(
                manifest_id=request.manifest_id,
                events=len(events),
                version=rebuilt.version,
                state=rebuilt.state,
                identical=encode_snapshot(rebuilt) == encode_snapshot(current),
            )

        self._slowly(answer, result)

    def _verify(self, request: Verify, _peer: Peer, answer: Answer) -> None:
        if request.manifest_id is not None:
            self._require(request.manifest_id)
        ids = self._catalog.ids() if request.manifest_id is None else [request.manifest_id]

        async def result() -> VerifyResult:
            last_seq, count = self._store.last_seq, 0
            for manifest_id in ids:
                prev, version = GENESIS, 0
                async for event in self._events(manifest_id):
                    core = read_event(event.line)
                    if core.prev != prev or core.version != version + 1:
                        message = f"{manifest_id}: version {core.version} breaks the hash chain"
                        details = {"manifest_id": manifest_id, "seq": event.seq}
                        raise CorruptError(message, details=details)
                    prev, version = core.hash, core.version
                    count += 1
            return VerifyResult(manifests=len(ids), events=count, last_seq=last_seq)

        self._slowly(answer, result)

    async def _events(self, manifest_id: str) -> Any:  # noqa: ANN401 (an async generator)
        after = 0
        while page := await self._store.history(manifest_id, after, PAGE_SIZE_MAX):
            for event in page:
                yield event
            after = page[-1].core.version

    # All manifests.

    def _list(self, request: List, _peer: Peer, answer: Answer) -> None:
        as_of_seq, after = _cursor(request.cursor, self._store.last_seq)
        states = None if request.state is None else self._states_below(request.state)
        page = self._catalog.page(
            after, request.limit, states=states, kind=request.kind, author=request.author
        )
        answer(
            ListResult(
                manifests=page.manifests,
                cursor=None if page.after is None else f"{as_of_seq}.{page.after}",
                as_of_seq=as_of_seq,
            )
        )

    def _states_below(self, state: str) -> frozenset[str]:
        """Return the leaves that `state` stands for in any lifecycle."""
        lifecycles = [self._rules.lifecycles.get(name) for name in self._rules.lifecycles.names()]
        leaves = {
            leaf
            for lifecycle in lifecycles
            if state in lifecycle.chart.nodes
            for leaf in lifecycle.chart.leaves_below(state)
        }
        if not leaves:
            known = sorted({name for one in lifecycles for name in one.chart.nodes} - {"manifest"})
            message = f"no lifecycle has a state {state!r}; known: {', '.join(known)}"
            raise BadRequestError(message, path="/state")
        return frozenset(leaves)

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

        self._slowly(answer, result)

    def _lookup(self, request: Lookup, _peer: Peer, answer: Answer) -> None:
        urn = self._catalog.resolve(request.urn)
        owner = None if urn is None else self._catalog.urn_owner(urn)
        if urn is None or owner is None:
            message = f"nothing is registered under {request.urn}"
            raise NotFoundError(
                message, path="/urn", suggestion="manifestctl list --state REGISTERED"
            )

        def result(state: StateSnapshot) -> LookupResult:
            return LookupResult(
                urn=urn,
                manifest_id=state.manifest_id,
                kind=state.kind,
                version=state.version,
                digest=state.digest,
                manifest=state.document,
            )

        self._with_state(owner, answer, result)

    def _lifecycle(self, request: LifecycleRequest, _peer: Peer, answer: Answer) -> None:
        if request.manifest_id is None:
            name = request.lifecycle or self._rules.lifecycle_for("").name
            answer(self._lifecycle_result(self._rules.lifecycles.get(name), request.format, ()))
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


def _explanation(lifecycle: Lifecycle, event: str, question: Question) -> Explanation:
    roles = lifecycle.roles_for(event) or []
    target = None
    try:
        if event in lifecycle.allowed_events(question.state.states):
            permitting_roles(question.principal, lifecycle.roles_for(event), event)
        target = state_name(judge(lifecycle, event, question).leaves)
    except CommandError as error:
        return Explanation(
            event=event,
            allowed=False,
            target=target,
            roles=roles,
            guard=error.details.get("guard"),
            reason=str(error),
        )
    return Explanation(event=event, allowed=True, target=target, roles=roles)


def _fitting(events: list[CommittedEvent]) -> list[CommittedEvent]:
    """Return the events that fit into one reply, at least one."""
    size = 0
    for count, event in enumerate(events):
        size += len(event.line)
        if size > PAGE_BYTES_MAX and count:
            return events[:count]
    return events


def _cursor(cursor: str | None, last_seq: int) -> tuple[int, int]:
    """Return `as_of_seq` and the `created_seq` that a page begins after."""
    if cursor is None:
        return last_seq, 0
    first, _, second = cursor.partition(".")
    if not (first.isdecimal() and second.isdecimal()):
        message = f"{cursor!r} is no cursor of this daemon; begin again without one"
        raise BadRequestError(message, path="/cursor")
    return int(first), int(second)
