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
    """What follows from each candidate by itself: candidate -> (candidate, is it sure)."""

    def __init__(self, outline: Outline) -> None:
        self._outline = outline
        self._entries = Entries(outline)
        self._looks = 0
        self._always: dict[State, list[Candidate]] = {}

    def of(self, candidate: Candidate) -> dict[Candidate, bool]:
        """Return what may follow `candidate`, and whether it certainly does when unguarded."""
        followers: dict[Candidate, bool] = {}
        leaves, is_known = self._leaves_after(candidate)
        for leaf in leaves:
            for other in self._selected(leaf, None):
                followers.setdefault(other, is_known)
        # What is raised waits until nothing happens by itself any more: perhaps elsewhere.
        is_sure = is_known and all(other.is_guarded for other in followers)
        for event, is_alone, waiting in self._events_after(candidate, leaves):
            for leaf in waiting:
                for other in self._selected(leaf, event):
                    followers.setdefault(other, is_sure and is_alone)
        return followers

    def _events_after(
        self, candidate: Candidate, leaves: list[State]
    ) -> Iterator[tuple[str, bool, list[State]]]:
        """Yield what is raised, whether that is sure to reach one of these leaves, the leaves."""
        for event in self._raised(candidate):
            yield event, True, leaves
            yield event, False, self._beside(candidate)
        for leaf in leaves:
            if leaf.type == "final":
                for state in leaf.ends():  # A parallel one only with the last of its regions.
                    is_alone = state is leaf.parent
                    yield f"{names.DONE_PREFIX}{state.id}", is_alone, [leaf]

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

    def _raised(self, candidate: Candidate) -> list[str]:
        actions = [*candidate.form.actions]
        if candidate.targets:
            domain = self._entries.domain(candidate)
            for state in candidate.source.lineage():
                if state is domain:
                    break
                actions += state.form.exit
            for state in self._entries.of(candidate):
                if state is not domain and state not in domain.lineage():
                    actions += state.form.entry
        return [
            action["raise"] for action in actions if isinstance(action, dict) and "raise" in action
        ]


def runaways(outline: Outline) -> list[Runaway]:
    """Return the cycles of steps that follow from one another, one for each knot of them."""
    followers = _Followers(outline)
    graph: dict[Candidate, dict[Candidate, bool]] = {}
    try:
        for candidate in outline.candidates():
            graph[candidate] = followers.of(candidate)
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
