"""Steps that follow from one another without end: `always`, raised events, states that are done.

Promise:  a cycle that nothing can refuse is an error, one that only a guard ends is doubtful.
Assume:   the states fit together (`structure.py` found nothing). Where what is active cannot be
          known from the definition, what may follow is assumed to, and the cycle is doubtful only.
Not here: the bound that ends such a run all the same (`protocol.statechart.kernel`).
"""

from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Final, NamedTuple

from protocol.lifecycle import names
from protocol.lifecycle.analysis import Entries
from protocol.lifecycle.outline import Candidate, Outline, State
from protocol.lifecycle.places import PlacePath

LOOKS_MAX: Final = 500_000  # At candidates and leaves: a second. A real lifecycle needs hundreds.
CYCLES_MAX: Final = 20  # Told of. Each costs a search.
STEPS_SHOWN_MAX: Final = 8


class Runaway(NamedTuple):
    """A cycle: where it begins, what to say about it, and whether nothing can end it."""

    path: PlacePath
    message: str
    is_endless: bool


class _TooManyError(Exception):
    """The chart is too large to be searched."""


class _Followers:
    """What follows from each candidate by itself: candidate -> {candidate: is it sure to}."""

    def __init__(self, outline: Outline) -> None:
        self.graph: dict[Candidate, dict[Candidate, bool]] = {}
        self._outline = outline
        self._entries = Entries(outline)
        self._looks = 0
        self._always: dict[State, list[Candidate]] = {}
        # What may still wait to be dealt with after a candidate: its own events, and others'.
        self._pending: dict[Candidate, set[str]] = {}

    def find(self) -> None:
        """Fill the graph."""
        for candidate in self._outline.candidates():
            self.graph[candidate] = {}
            leaves, is_known = self._leaves_after(candidate)
            self._pending[candidate] = self._follow_at_once(candidate, leaves, is_known=is_known)
        waiting = dict.fromkeys(self.graph)
        while waiting:
            candidate = waiting.popitem()[0]
            for other, pending in self._follow_later(candidate):
                if not pending <= self._pending[other]:
                    self._pending[other] |= pending
                    waiting[other] = None

    def _follow_at_once(
        self, candidate: Candidate, leaves: list[State], *, is_known: bool
    ) -> set[str]:
        """Note what certainly follows, unless a guard says no; return the events raised."""
        followers = self.graph[candidate]
        for leaf in leaves:
            followers |= dict.fromkeys(self._selected(leaf, None), is_known)
        # What is raised waits until nothing happens by itself any more: perhaps elsewhere.
        is_sure = is_known and all(other.is_guarded for other in followers)
        raised: set[str] = set()
        for event, is_alone in self._raised(candidate, leaves):
            raised.add(event)
            takers = [other for leaf in leaves for other in self._selected(leaf, event)]
            for other in takers:
                followers.setdefault(other, is_sure and is_alone)
            is_sure = is_sure and not takers
        return raised

    def _follow_later(self, candidate: Candidate) -> Iterator[tuple[Candidate, set[str]]]:
        """Yield what may follow, with the events that then still wait."""
        followers, pending = self.graph[candidate], self._pending[candidate]
        leaves = self._leaves_after(candidate)[0]
        if pending:
            leaves = [*leaves, *self._beside(candidate)]
        for leaf in leaves:
            for other in self._selected(leaf, None):
                followers.setdefault(other, False)
                yield other, pending
            for event in sorted(pending):
                for other in self._selected(leaf, event):
                    followers.setdefault(other, False)
                    yield other, pending - {event}

    def _leaves_after(self, candidate: Candidate) -> tuple[list[State], bool]:
        """Return the leaves that may be active where `candidate` led, and whether all are."""
        if not candidate.targets:
            leaves = candidate.source.leaves()
            return leaves, len(leaves) == 1
        targets = [self._outline.states[name] for name in candidate.targets]
        histories = [state for state in targets if state.type == "history"]
        entered = self._entries.of(candidate)
        leaves = [state for state in entered if not state.children and state.type != "history"]
        for history in histories:
            assert history.parent is not None, "the root is no history state"
            leaves.extend(history.parent.leaves())
        return leaves, not histories

    def _beside(self, candidate: Candidate) -> list[State]:
        """Return the leaves that may be active in regions that `candidate` does not touch."""
        leaves: list[State] = []
        region = self._entries.domain(candidate) if candidate.targets else candidate.source
        for state in region.lineage():
            if state.type == "parallel":
                for other in state.real_children:
                    leaves += [] if other is region else other.leaves()
            region = state
        return leaves

    def _selected(self, leaf: State, event: str | None) -> list[Candidate]:
        """Return what may be taken for `leaf`: on `event`, or by itself; up to the first sure one."""
        if event is None and leaf in self._always:
            self._look()
            return self._always[leaf]
        found = []
        for candidate in (one for state in leaf.lineage() for one in state.candidates):
            self._look()
            if event is None:
                matches = candidate.member == "always"
            else:
                matches = bool(candidate.event) and names.covers(candidate.event, event)
            if matches:
                found.append(candidate)
                if not candidate.is_guarded:
                    break
        if event is None:
            self._always[leaf] = found
        return found

    def _look(self) -> None:
        self._looks += 1
        if self._looks > LOOKS_MAX:
            raise _TooManyError

    def _raised(self, candidate: Candidate, leaves: list[State]) -> Iterator[tuple[str, bool]]:
        """Yield the events that are raised, and whether nothing more is needed for that."""
        actions = [*candidate.form.actions]
        if candidate.targets:
            domain = self._entries.domain(candidate)
            left = list(candidate.source.lineage())
            for state in left[: left.index(domain)] if domain in left else []:
                actions = [*state.form.exit, *actions]
            around = set(domain.lineage())
            for state in self._entries.of(candidate):
                actions += [] if state in around else state.form.entry
        for action in actions:
            if isinstance(action, dict) and "raise" in action:
                yield str(action["raise"]), True
        for leaf in leaves if candidate.targets else ():
            if leaf.type == "final":
                for state in leaf.ends():  # A parallel one only with the last of its regions.
                    yield f"{names.DONE_PREFIX}{state.id}", state is leaf.parent


def runaways(outline: Outline) -> list[Runaway]:
    """Return the cycles of steps that follow from one another, one for each knot of them."""
    followers = _Followers(outline)
    graph = followers.graph
    try:
        followers.find()
    except _TooManyError:
        message = "too many steps may follow from one another to look for cycles among them"
        return [Runaway(("states",), message, is_endless=False)]
    sure = {
        candidate: [other for other, is_sure in after.items() if is_sure and not other.is_guarded]
        for candidate, after in graph.items()
        if not candidate.is_guarded
    }
    endless = _cycles(sure)
    told = {candidate for cycle in endless for candidate in cycle}
    rest = {
        candidate: [other for other in after if other not in told]
        for candidate, after in graph.items()
        if candidate not in told
    }
    return [
        *(_runaway(cycle, is_endless=True) for cycle in endless),
        *(_runaway(cycle, is_endless=False) for cycle in _cycles(rest)),
    ]


def _runaway(cycle: list[Candidate], *, is_endless: bool) -> Runaway:
    steps = [f"{one.source.id} ({one.event or one.member})" for one in cycle]
    if len(steps) > STEPS_SHOWN_MAX:
        steps[STEPS_SHOWN_MAX - 1 :] = ["…", steps[-1]]
    said = " -> ".join([*steps, steps[0]])
    if is_endless:
        why = "each step follows from the one before, and no guard ends that"
        return Runaway(cycle[0].path, f"{said} runs for ever: {why}; guard one", is_endless)
    mend = "see that one of its guards always does end it"
    return Runaway(cycle[0].path, f"{said} may run without end; {mend}", is_endless)


def _cycles(graph: Mapping[Candidate, list[Candidate]]) -> list[list[Candidate]]:
    """Return cycles that share no candidate, each from its first one in the document on."""
    order = {candidate: place for place, candidate in enumerate(graph)}
    left = dict(graph)
    cycles: list[list[Candidate]] = []
    while len(cycles) < CYCLES_MAX:
        try:
            TopologicalSorter(left).prepare()
        except CycleError as error:
            *cycle, _ = reversed(error.args[1])  # It goes from each to the one before it.
        else:
            break
        start = cycle.index(min(cycle, key=order.__getitem__))
        cycles.append(cycle[start:] + cycle[:start])
        gone = set(cycle)
        left = {
            one: [other for other in after if other not in gone]
            for one, after in left.items()
            if one not in gone
        }
    return sorted(cycles, key=lambda cycle: order[cycle[0]])
