"""Whether the names in a lifecycle mean anything: actions, roles, events.

Each check yields the path of what is doubtful and what to do about it; `ERRORS` are certain.
Not here: names of states (`structure.py`), and guards (`guard_checks.py`).
"""

from collections.abc import Callable, Iterator
from difflib import get_close_matches
from typing import Final

from protocol.lifecycle import names
from protocol.lifecycle.analysis import is_internal
from protocol.lifecycle.findings import shown, unknown
from protocol.lifecycle.outline import Outline
from protocol.lifecycle.places import PlacePath
from protocol.lifecycle.structure import Doubt
from protocol.principals import ROLES
from protocol.record import ACTIONS

_NEARLY: Final = 0.85  # Alike; `author` and `co-author` are not.


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
    sent = {
        one.event: None
        for one in outline.candidates()
        if one.member == "on" and not names.is_done_event(one.event)
    }
    for event in outline.definition.roles:
        path = ("roles", event)
        if names.is_done_event(event):
            yield path, "nobody sends the end of a state, the chart raises it; leave it out"
        elif not any(names.overlaps(event, other) for other in sent):
            yield path, unknown("event", event, sent)


def misspelt_roles(outline: Outline) -> Iterator[Doubt]:
    """Yield the roles that are nearly a built-in one; a lifecycle may have roles of its own."""
    for event, permitted in outline.definition.roles.items():
        for index, role in enumerate(permitted):
            if (doubt := nearly_a_role(role)) is not None:
                yield ("roles", event, index), doubt


def nearly_a_role(role: str) -> str | None:
    """Return what is doubtful about the name of a role, if anything is."""
    near = get_close_matches(role, ROLES, n=1, cutoff=_NEARLY)
    if not near or near[0] == role:
        return None
    mend = f"did you mean {near[0]!r}? If it is one of your own, call it something else"
    return f"{role!r} is nearly a built-in role; {mend}"


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
    actions,
    done_events,
    roles,
)
WARNINGS: Final[tuple[Callable[[Outline], Iterator[Doubt]], ...]] = (
    misspelt_roles,
    unsendable_events,
    unheard_events,
    idle_members,
)
