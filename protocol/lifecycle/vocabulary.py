"""Whether the names in a lifecycle mean anything: guards, actions, roles, events.

Each check yields the path of what is doubtful and what to do about it; `ERRORS` are certain.
Not here: names of states (`structure.py`).
"""

from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from graphlib import CycleError, TopologicalSorter
from typing import Any, Final

from protocol.lifecycle import names
from protocol.lifecycle.analysis import is_internal
from protocol.lifecycle.findings import shown, unknown
from protocol.lifecycle.guards import BUILT_INS, GUARD_SIZE_MAX
from protocol.lifecycle.outline import Outline
from protocol.lifecycle.places import PlacePath
from protocol.lifecycle.structure import Doubt
from protocol.principals import ROLES
from protocol.record import ACTIONS

BUILT_IN_GUARDS: Final = tuple(BUILT_INS)
_NEARLY: Final = 0.85  # Alike; `author` and `co-author` are not.


def guards(outline: Outline) -> Iterator[Doubt]:
    """Yield what is wrong in guards: unknown names and states, expressions that are none."""
    named = outline.definition.guards
    for name, value in named.items():
        if name in BUILT_IN_GUARDS:
            yield ("guards", name), f"{name!r} is a built-in guard; call this one something else"
        yield from _guard(outline, value, ("guards", name))
    yield from _endless_or_huge(outline)
    for candidate in outline.candidates():
        yield from _guard(outline, candidate.form.guard, (*candidate.path, "guard"))


def _guard(outline: Outline, value: Any, path: PlacePath) -> Iterator[Doubt]:  # noqa: ANN401
    """Yield what is wrong in one guard; its shape was looked at before."""
    for part, where in _parts(value, path):
        if isinstance(part, str) and part in outline.definition.guards:
            continue
        if isinstance(part, dict) and "in" in part:
            if part["in"] not in outline.states:
                yield (*where, "in"), unknown("state", str(part["in"]), outline.states)
            continue
        if isinstance(part, str) and part.isidentifier() and part not in BUILT_IN_GUARDS:
            known = [*outline.definition.guards, *BUILT_IN_GUARDS]
            yield where, unknown("guard", part, known)


def _parts(value: Any, path: PlacePath) -> Iterator[tuple[Any, PlacePath]]:  # noqa: ANN401
    """Yield what a guard is put together from."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _parts(item, (*path, index))
    elif isinstance(value, dict) and "not" in value:
        yield from _parts(value["not"], (*path, "not"))
    elif isinstance(value, dict) and ("and" in value or "or" in value):
        form = "and" if "and" in value else "or"
        yield from _parts(value[form], (*path, form))
    elif value is not None:
        yield value, path


def _references(value: Any, named: Mapping[str, Any]) -> list[str]:  # noqa: ANN401
    return [part for part, _ in _parts(value, ()) if isinstance(part, str) and part in named]


def _endless_or_huge(outline: Outline) -> Iterator[Doubt]:
    """Yield the guards that ask themselves, else those that are huge when written out."""
    named = outline.definition.guards
    follows = {name: _references(value, named) for name, value in named.items()}
    sizes: dict[str, int] = {}
    try:
        for name in TopologicalSorter(follows).static_order():
            sizes[name] = _size(named[name], sizes)
    except CycleError as error:
        cycle = [str(name) for name in reversed(error.args[1])]
        yield (
            ("guards", cycle[0]),
            f"{' -> '.join(cycle)}: a guard cannot ask itself; leave one out",
        )
        return
    for candidate in outline.candidates():
        if _size(candidate.form.guard, sizes) > GUARD_SIZE_MAX:
            mend = f"{GUARD_SIZE_MAX} are allowed; ask for less"
            yield (*candidate.path, "guard"), f"written out, this guard has too many parts: {mend}"


def _size(value: Any, sizes: Mapping[str, int]) -> int:  # noqa: ANN401 (a guard, as it stands)
    """Return how many parts a guard has, names in it replaced by what they stand for."""
    return sum(
        1 + (sizes.get(part, 0) if isinstance(part, str) else 0) for part, _ in _parts(value, ())
    )


def unused_guards(outline: Outline) -> Iterator[Doubt]:
    """Yield the named guards that nothing asks."""
    named = outline.definition.guards
    values = [candidate.form.guard for candidate in outline.candidates()]
    used = {name for value in (*values, *named.values()) for name in _references(value, named)}
    for name in named:
        if name not in used:
            yield ("guards", name), f"no transition asks the guard {name!r}; leave it out"


def actions(outline: Outline) -> Iterator[Doubt]:
    """Yield the actions that are none."""
    for _, path, action in outline.actions():
        if isinstance(action, str) and action not in ACTIONS:
            yield path, unknown("action", action, ACTIONS)


def done_events(outline: Outline) -> Iterator[Doubt]:
    """Yield the `done.state.X` that never come."""
    for candidate in outline.candidates():
        name = candidate.event.removeprefix(names.DONE_PREFIX)
        is_done_event = candidate.event.startswith(names.DONE_PREFIX)
        if candidate.member != "on" or not is_done_event or name == "*":
            continue
        state = outline.states.get(name)
        if state is None:
            yield candidate.path, unknown("state", name, outline.states)
        elif not state.real_children:
            yield candidate.path, f"{shown(name)} has no states in it and is never done"


def roles(outline: Outline) -> Iterator[Doubt]:
    """Yield the events of roles that no state has."""
    heard = {one.event: None for one in outline.candidates() if one.member == "on"}
    for event in outline.definition.roles:
        path = ("roles", event)
        if names.is_done_event(event):
            yield path, "nobody sends the end of a state, the chart raises it; leave it out"
        elif not any(names.overlaps(event, other) for other in heard):
            yield path, unknown("event", event, heard)


def misspelt_roles(outline: Outline) -> Iterator[Doubt]:
    """Yield the roles that are nearly a built-in one; a lifecycle may have roles of its own."""
    for event, permitted in outline.definition.roles.items():
        for index, role in enumerate(permitted):
            near = _nearly(role)
            if near not in (None, role):
                mend = f"did you mean {near!r}? If it is one of your own, call it something else"
                yield ("roles", event, index), f"{role!r} is nearly a built-in role; {mend}"


def _nearly(role: str) -> str | None:
    near = get_close_matches(role, ROLES, n=1, cutoff=_NEARLY)
    return near[0] if near else None


def unsendable_events(outline: Outline) -> Iterator[Doubt]:
    """Yield the events that nobody may send, and that the chart does not raise either."""
    raised = [name for _, _, name in _raised(outline)]
    for event, permitted in outline.definition.roles.items():
        if not permitted and not any(names.covers(event, name) for name in raised):
            mend = "name its roles, or leave it out to permit every one"
            yield ("roles", event), f"nobody may send {shown(event)}: the list is empty; {mend}"


def unheard_events(outline: Outline) -> Iterator[Doubt]:
    """Yield what is raised and no state listens to."""
    heard = {one.event for one in outline.candidates() if one.member == "on"}
    known = [event for event in heard if not names.is_done_event(event)]
    for path, _, name in _raised(outline):
        if not any(names.covers(event, name) for event in heard):
            said = unknown("transition on", name, sorted(known))
            yield path, f"raised for nobody: {said}"


def _raised(outline: Outline) -> Iterator[tuple[PlacePath, str, str]]:
    for state, path, action in outline.actions():
        if isinstance(action, dict) and "raise" in action:
            yield (*path, "raise"), state.id, str(action["raise"])


def idle_members(outline: Outline) -> Iterator[Doubt]:
    """Yield members that change nothing: `because` that nobody is told, `internal` that is not."""
    for candidate in outline.candidates():
        if candidate.form.because is not None and not candidate.is_guarded:
            mend = "add the guard, or make it a description"
            yield (
                (*candidate.path, "because"),
                f"nothing refuses here, so nobody is told this; {mend}",
            )
        if candidate.form.internal:
            found = [outline.states[name] for name in candidate.targets]
            if not found or not is_internal(candidate.source, found):
                mend = "it is for ways from a compound state to one inside it; leave it out"
                yield (*candidate.path, "internal"), f"it changes nothing here: {mend}"


ERRORS: Final[tuple[Callable[[Outline], Iterator[Doubt]], ...]] = (
    guards,
    actions,
    done_events,
    roles,
)
WARNINGS: Final[tuple[Callable[[Outline], Iterator[Doubt]], ...]] = (
    unused_guards,
    misspelt_roles,
    unsendable_events,
    unheard_events,
    idle_members,
)
