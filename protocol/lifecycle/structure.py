"""Whether the states of a lifecycle fit together: ids, types, targets, beginnings.

Each check yields the path of what is wrong and what to do about it. After these a chart can be
drawn; whether it makes sense is asked in `analysis.py`.
"""

from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Final, TypeAlias

from protocol.lifecycle.findings import shown, unknown
from protocol.lifecycle.outline import Outline, State, targets_of
from protocol.lifecycle.places import PlacePath
from protocol.statechart.compiler import ACTIVE_MAX, TRANSITIONS_MAX

Doubt: TypeAlias = tuple[PlacePath, str]

_WAYS_OUT: Final = ("on", "always", "after", "onDone")
_HISTORY_MEMBERS: Final = {"type", "history", "target", "description"}


def repeated_ids(outline: Outline) -> Iterator[Doubt]:
    """Yield the states whose id is taken: targets name states by their id alone."""
    for state in outline.repeated:
        other = ".".join(map(str, outline.states[state.id].path[1::2]))
        mend = f"it is taken by {other}; ids are unique in a file, rename one"
        yield state.path, f"the id {shown(state.id)} is used twice: {mend}"
    namesake = outline.states.get(outline.root.id)
    if namesake is not None:
        mend = "rename the state: ids are unique in a file"
        yield namesake.path, f"{shown(namesake.id)} is the lifecycle's own id; {mend}"


def too_many_transitions(outline: Outline) -> Iterator[Doubt]:
    """Yield the first transition that is one too many."""
    for count, candidate in enumerate(outline.candidates(), 1):
        if count > TRANSITIONS_MAX:
            mend = f"a lifecycle has at most {TRANSITIONS_MAX} transitions; split it"
            yield candidate.path, mend
            return


def too_many_active(outline: Outline) -> Iterator[Doubt]:
    """Yield the outermost parallel state of which too much can be active at once."""
    counts: dict[State, int] = {}
    for state in [*outline][::-1]:  # Children before their parents.
        inside = [counts[child] for child in state.real_children] or [1]
        counts[state] = sum(inside) if state.type == "parallel" else max(inside)
    for state in outline:
        if state.type == "parallel" and counts[state] > ACTIVE_MAX:
            mend = f"{ACTIVE_MAX} may; use fewer regions"
            yield state.path, f"{counts[state]} states in it could be active at once: {mend}"
            return


def members_of_types(outline: Outline) -> Iterator[Doubt]:
    """Yield what a state of its type cannot have, and what it lacks."""
    for state in outline:
        yield from _BY_TYPE[state.type](state)
        if state.type != "history":
            for member in ("history", "target"):
                if getattr(state.form, member) is not None:
                    mend = 'leave it out, or add `type = "history"`'
                    yield (*state.path, member), f"only history states have '{member}'; {mend}"


def _atomic(state: State) -> Iterator[Doubt]:
    if state.form.states:
        mend = "leave them out, or the type"
        yield (*state.path, "states"), f"an atomic state has no states in it; {mend}"
    yield from _without_children(state)


def _final(state: State) -> Iterator[Doubt]:
    for member in _WAYS_OUT:
        if getattr(state.form, member) not in ({}, None):
            mend = 'leave it out, or `type = "final"`'
            yield (*state.path, member), f"a final state is the end, nothing leads out; {mend}"
    if state.form.states:
        yield (*state.path, "states"), "a final state has no states in it; leave them out"
    if state.form.initial is not None:
        yield (*state.path, "initial"), "a final state has no 'initial'; leave it out"
    if state.parent is not None and state.parent.type == "parallel":
        mend = "put it into a region, or give the region states of its own"
        yield state.path, f"a region of {shown(state.parent.id)} cannot be final; {mend}"


def _history(state: State) -> Iterator[Doubt]:
    for member in state.form.__struct_fields__:
        if member not in _HISTORY_MEMBERS and getattr(state.form, member) not in ({}, [], None):
            mend = "it leads to what was active before; leave it out"
            yield (*state.path, member), f"a history state has no '{member}': {mend}"


def _compound(state: State) -> Iterator[Doubt]:
    yield from _with_children(state)


def _parallel(state: State) -> Iterator[Doubt]:
    yield from _with_children(state)
    if state.form.initial is not None:
        mend = "all its regions are entered; leave it out"
        yield (*state.path, "initial"), f"a parallel state has no 'initial': {mend}"


def _with_children(state: State) -> Iterator[Doubt]:
    if not state.real_children:
        yield state.path, f"a {state.type} state has states in it; add some under 'states'"


def _without_children(state: State) -> Iterator[Doubt]:
    if state.form.initial is not None:
        mend = "it has no states in it; leave it out"
        yield (*state.path, "initial"), f"an atomic state has no 'initial': {mend}"
    if state.form.onDone is not None:
        mend = "use 'always', or give it states and a final one among them"
        yield (*state.path, "onDone"), f"a state without states in it is never done; {mend}"


_BY_TYPE: Final[dict[str, Callable[[State], Iterator[Doubt]]]] = {
    "atomic": _atomic,
    "compound": _compound,
    "parallel": _parallel,
    "final": _final,
    "history": _history,
}


def initial_states(outline: Outline) -> Iterator[Doubt]:
    """Yield each `initial` that names no state inside."""
    if not outline.root.real_children:
        yield ("states",), "a lifecycle has states; add one: [states.NAME]"
        return
    for state in (outline.root, *outline):
        name = state.form.initial
        if name is None or not state.children:
            continue
        inner = outline.states.get(name)
        if inner is None or inner is state or not inner.is_within(state):
            known = [one.id for one in state.below() if one.type != "history"]
            said = unknown("state", name, known)
            if inner is not None:
                said = (
                    f"{shown(name)} is not inside {shown(state.id)}; known: {', '.join(known[:12])}"
                )
            yield (*state.path, "initial"), said


def targets(outline: Outline) -> Iterator[Doubt]:
    """Yield each target that is no state, and those that cannot be active together."""
    for candidate in outline.candidates():
        yield from _targets(outline, candidate.form.target, candidate.target_path)
    for state in outline:
        if state.type == "history":
            yield from _defaults(outline, state)


def _targets(outline: Outline, target: str | list[str] | None, path: PlacePath) -> Iterator[Doubt]:
    found: list[State] = []
    for index, name in enumerate(targets_of(target)):
        state = outline.states.get(name)
        if state is None:
            where = (*path, index) if isinstance(target, list) else path
            yield where, unknown("state", name, outline.states)
        else:
            found.append(state)
    for one, other in combinations(found, 2):
        if not _can_be_active_together(one, other):
            mend = "only states in different regions of a parallel state can; keep one of them"
            yield path, f"{shown(one.id)} and {shown(other.id)} cannot be active at once: {mend}"
            return


def _can_be_active_together(one: State, other: State) -> bool:
    """Tell whether two targets fit; a history state leads anywhere inside its parent."""
    one, other = (
        state.parent if state.type == "history" and state.parent is not None else state
        for state in (one, other)
    )
    if one.is_within(other) or other.is_within(one):
        return False
    common = next(state for state in one.lineage() if other.is_within(state))
    return common.type == "parallel"


def _defaults(outline: Outline, state: State) -> Iterator[Doubt]:
    """Yield what is wrong with where a history state leads while nothing is recorded."""
    parent = state.parent
    assert parent is not None, "the root is no history state"
    names, path = targets_of(state.form.target), (*state.path, "target")
    yield from _targets(outline, state.form.target, path)
    if not names and parent.form.initial is not None:
        names, path = (parent.form.initial,), state.path
    for name in names:
        target = outline.states.get(name)
        if target is None:
            continue
        if target.type == "history":
            mend = f"name a real state inside {shown(parent.id)} as its 'target'"
            yield path, f"while nothing is recorded it leads to a history state again; {mend}"
        elif target is parent or not target.is_within(parent):
            mend = f"a history state leads back into {shown(parent.id)}; name a state in it"
            yield path, f"{shown(name)} is not inside {shown(parent.id)}: {mend}"


STRUCTURE: Final = (
    repeated_ids,
    too_many_transitions,
    too_many_active,
    members_of_types,
    initial_states,
    targets,
)
