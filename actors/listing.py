"""`list`: pages of manifests, and with `can` what somebody may do something about now.

Promise:  a row is listed under `can` only when the command itself would be accepted at that moment.
Not here: who is asking (`decide.resolve`), rows by age (`catalog.py`).
"""

from collections.abc import Callable
from typing import Final

from actors.catalog import Catalog, states_of
from actors.drafts import REVISE
from actors.explanation import explain_event
from actors.histories import Share, own_turn
from actors.ports import EventStore
from actors.rules import Rules
from actors.steps import REVERT
from protocol.commands import List
from protocol.errors import BadRequestError, CommandError
from protocol.lifecycle.lifecycle import Lifecycle
from protocol.principals import Principal, permitting_roles
from protocol.replies import ListResult, ManifestSummary
from protocol.snapshots import StateSnapshot, replay

LOADED_MAX: Final = 200  # Manifests that a page of `can` looks into; each is a few small files.
Wanted = Callable[[ManifestSummary], bool]


class Listing:
    """Answers `list` from the catalog, and for `can` from the store."""

    def __init__(
        self, catalog: Catalog, store: EventStore, rules: Rules, share: Share = own_turn
    ) -> None:
        self._catalog = catalog
        self._store = store
        self._rules = rules
        self._share = share

    def page(self, request: List) -> ListResult:
        """Return a page by what the rows say; `request.can` is left out of account."""
        return self._page(request, self._wanted(request), request.limit)

    async def inbox(
        self, request: List, principal: Principal, now: Callable[[], str]
    ) -> ListResult:
        """Return a page of those on which `principal` may do `request.can` now.

        It may hold fewer than asked for, or none, and not be the last one.
        """
        event = request.can
        assert event is not None
        by_row, likely = self._wanted(request), self._likely(event, principal)
        page = self._page(
            request, lambda row: by_row(row) and likely(row), min(request.limit, LOADED_MAX)
        )
        allowed = []
        for row in page.manifests:
            loaded = await self._store.load(row.manifest_id)
            await self._share()
            state = replay(loaded.tail, loaded.snapshot)
            if state is not None and self._may(state, event, principal, now()):
                allowed.append(ManifestSummary.of(state))
        return ListResult(manifests=allowed, cursor=page.cursor, as_of_seq=page.as_of_seq)

    def _may(self, state: StateSnapshot, event: str, principal: Principal, now: str) -> bool:
        return explain_event(state, event, principal, self._rules, now).allowed

    def _page(self, request: List, wanted: Wanted, limit: int) -> ListResult:
        as_of_seq, after = _cursor(request.cursor, self._store.last_seq)
        page = self._catalog.page(after, limit, wanted)
        return ListResult(
            manifests=page.manifests,
            cursor=None if page.after is None else f"{as_of_seq}.{page.after}",
            as_of_seq=as_of_seq,
        )

    def _wanted(self, request: List) -> Wanted:
        kind, author, lifecycle = request.kind, request.author, request.lifecycle
        if lifecycle is not None:
            self._rules.lifecycles.get(lifecycle)  # An unknown one has no manifests to wait for.
        leaves = None if request.state is None else self._states_below(request.state)
        return lambda row: (
            (kind is None or row.kind == kind)
            and (author is None or row.author == author)
            and (lifecycle is None or row.lifecycle == lifecycle)
            and (leaves is None or not leaves[row.lifecycle].isdisjoint(states_of(row)))
        )

    def _states_below(self, state: str) -> dict[str, frozenset[str]]:
        """Return for each lifecycle the leaves that `state` stands for."""
        lifecycles = self._lifecycles()
        leaves = {
            one.name: frozenset(
                one.chart.leaves_below(state)
                if state in one.chart.nodes and state != one.chart.root.id
                else ()
            )
            for one in lifecycles
        }
        if not any(leaves.values()):
            known = sorted(
                {node.id for one in lifecycles for node in one.chart.nodes.values()}
                - {one.chart.root.id for one in lifecycles}
            )
            message = f"no lifecycle has a state {state!r}; known: {', '.join(known)}"
            raise BadRequestError(message, path="/state")
        return leaves

    def _likely(self, event: str, principal: Principal) -> Wanted:
        """Return what tells rows apart without their documents: state and roles."""
        lifecycles = self._lifecycles()
        always = (REVISE, REVERT)
        if event not in always and not any(one.knows(event) for one in lifecycles):
            known = sorted({event for one in lifecycles for event in one.events})
            message = f"no lifecycle has an event {event!r}; known: {', '.join(known)}"
            raise BadRequestError(message, path="/can")
        permitting = {one.name for one in lifecycles if _permits(one, event, principal)}

        def likely(row: ManifestSummary) -> bool:
            if event in always:
                return True
            chart = self._rules.lifecycles.get(row.lifecycle).chart
            return row.lifecycle in permitting and chart.accepts(tuple(states_of(row)), event)

        return likely

    def _lifecycles(self) -> list[Lifecycle]:
        return [self._rules.lifecycles.get(name) for name in self._rules.lifecycles.names()]


def _permits(lifecycle: Lifecycle, event: str, principal: Principal) -> bool:
    try:
        permitting_roles(principal, lifecycle.roles_for(event), event)
    except CommandError:
        return False
    return True


def _cursor(cursor: str | None, last_seq: int) -> tuple[int, int]:
    """Return `as_of_seq` and the `created_seq` that a page begins after."""
    if cursor is None:
        return last_seq, 0
    first, _, second = cursor.partition(".")
    if not (first.isdecimal() and second.isdecimal()):
        message = f"{cursor!r} is no cursor of this daemon; begin again without one"
        raise BadRequestError(message, path="/cursor")
    return int(first), int(second)
