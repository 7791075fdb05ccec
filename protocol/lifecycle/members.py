"""Which members a lifecycle file has, and what each may hold.

Promise:  a tree without mistakes is one that `LifecycleDefinition` takes.
Assume:   the tree came from a parser and is bounded in depth and size (`reader.py`).
Not here: whether names mean anything (`checks.py`).
"""

from collections.abc import Mapping
from typing import Final

from protocol.lifecycle import names
from protocol.lifecycle.delays import DelayError, parse_delay_ms
from protocol.lifecycle.findings import Finding, shown
from protocol.lifecycle.places import PlacePath, Places
from protocol.lifecycle.shape import (
    Check,
    EnoughError,
    Mistakes,
    form,
    list_of,
    map_of,
    named,
    one_of,
    switch,
    table,
    text,
    what,
)
from protocol.limits import INTEGER_MAX
from protocol.principals import ROLE

STATES_MAX: Final = 999  # A lifecycle that nobody could draw; the chart itself is one more node.
TARGETS_MAX: Final = 32  # Regions that one transition enters by name: each pair is compared.
STATES_DEPTH_MAX: Final = 16  # States in states.
STATE_TYPES: Final = ("atomic", "compound", "parallel", "final", "history")
HISTORY_TYPES: Final = ("shallow", "deep")
REQUIRED: Final = {  # What a file cannot do without, and how to mend that.
    "id": 'add `id = "…"`, what the lifecycle is called',
    "version": "add `version = 1`; a changed lifecycle gets the next number",
    "initial": "name the state in which a manifest begins",
    "states": "add a table for each state, `[states.NAME]`",
}


def check_shape(tree: object, places: Places) -> list[Finding]:
    """Return what is wrong with a file's `tree`, in document order; none: it can be converted."""
    mistakes = Mistakes(places)
    try:
        table(mistakes, tree, (), {**LIFECYCLE, "$schema": text})
        if isinstance(tree, dict):
            for member, mend in REQUIRED.items():
                if member not in tree:
                    mistakes.add((), f"{member!r} is missing; {mend}")
    except EnoughError:
        pass  # The last finding says so.
    return mistakes.findings


def _version(mistakes: Mistakes, value: object, path: PlacePath) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        mistakes.add(path, f"this is a whole number from 1 without quotes, not {what(value)}")
    elif not 0 < value <= INTEGER_MAX:
        mistakes.add(path, f"a version is a whole number from 1 to {INTEGER_MAX}")


def _target(mistakes: Mistakes, value: object, path: PlacePath) -> None:
    if isinstance(value, list) and len(value) > TARGETS_MAX:
        mistakes.add(path, f"a transition has at most {TARGETS_MAX} targets")
    else:
        (_targets if isinstance(value, list) else _state_name)(mistakes, value, path)


def _descriptor(mistakes: Mistakes, key: str, path: PlacePath) -> None:
    """Check what stands for events in `on` and in `roles`."""
    if not names.is_descriptor(key):
        rule = f"a name has {names.NAME_RULE}"
        mistakes.add(path, f"{shown(key)} is neither an event nor `name.*` nor `*`: {rule}")
    elif names.is_reserved(key):
        word = names.tokens(key)[0]
        mend = f"use the state's own `{word}`, or call the event something else"
        mistakes.add(path, f"events called {word!r} are the chart's own; {mend}")


def _raised(mistakes: Mistakes, value: object, path: PlacePath) -> None:
    _event_name(mistakes, value, path)
    if isinstance(value, str) and (names.is_reserved(value) or names.is_done_event(value)):
        mistakes.add(path, f"{shown(value)} is the chart's own to raise; call it something else")


def _delay(mistakes: Mistakes, key: str, path: PlacePath) -> None:
    try:
        parse_delay_ms(key)
    except DelayError as error:
        mistakes.add(path, f"{shown(key)} cannot be waited for: {error}")


def _guard(mistakes: Mistakes, value: object, path: PlacePath) -> None:
    if isinstance(value, str):
        text(mistakes, value, path)
    elif isinstance(value, list):
        _guards(mistakes, value, path)
    elif isinstance(value, dict):
        form(mistakes, value, path, GUARD_FORMS, {"because": text})
    else:
        forms = "a text, a list of guards, or a table with one of " + ", ".join(GUARD_FORMS)
        mistakes.add(path, f"a guard is {forms}; not {what(value)}")


def _action(mistakes: Mistakes, value: object, path: PlacePath) -> None:
    if isinstance(value, str):
        _action_name(mistakes, value, path)
    elif isinstance(value, dict):
        form(mistakes, value, path, ACTION_FORMS, {})
    else:
        forms = "the name of a built-in one, { raise = … } or { assign = { … } }"
        mistakes.add(path, f"an action is {forms}; not {what(value)}")


def _transition(mistakes: Mistakes, value: object, path: PlacePath) -> None:
    table(mistakes, value, path, TRANSITION)


def _candidates(mistakes: Mistakes, value: object, path: PlacePath) -> None:
    if isinstance(value, str):
        _state_name(mistakes, value, path)
    elif isinstance(value, list):
        _transitions(mistakes, value, path)
    else:
        _transition(mistakes, value, path)


def _state(mistakes: Mistakes, value: object, path: PlacePath) -> None:
    table(mistakes, value, path, STATE)


def _states(mistakes: Mistakes, value: object, path: PlacePath) -> None:
    if isinstance(value, dict):
        mistakes.states_count += len(value)
        if mistakes.states_count > STATES_MAX:
            mistakes.add(path, f"a lifecycle has at most {STATES_MAX} states; split it")
            raise EnoughError
        if len(path) > 2 * STATES_DEPTH_MAX:
            mistakes.add(path, f"states nest at most {STATES_DEPTH_MAX} deep; flatten them")
            return
    _states_by_name(mistakes, value, path)


_state_name: Final = named("a state", names.NAME_PATTERN, names.NAME_RULE)
_event_name: Final = named("an event", names.NAME_PATTERN, names.NAME_RULE)
_action_name: Final = named("an action", names.NAME_PATTERN, names.NAME_RULE)
_guard_name: Final = named("a guard", names.GUARD_NAME_PATTERN, names.GUARD_NAME_RULE)
_tag: Final = named("a tag", names.NAME_PATTERN, names.NAME_RULE)
_role: Final = named("a role", ROLE.pattern, "1 to 32 of a-z 0-9 _ -, beginning with a letter")
_context_name: Final = named("a member", names.NAME_PATTERN, names.NAME_RULE)
_targets: Final = list_of(_state_name, empty="no target; leave it out to stay in the state")
_guards: Final = list_of(_guard, empty="no guard; leave it out when nothing guards the way")
_transitions: Final = list_of(_transition, empty="no transition; leave it out")
_actions: Final = list_of(_action)
_states_by_name: Final = map_of(_state_name, _state)

GUARD_FORMS: Final[Mapping[str, Check]] = {
    "and": _guards,
    "or": _guards,
    "not": _guard,
    "in": _state_name,
    "cel": text,
}
ACTION_FORMS: Final[Mapping[str, Check]] = {
    "raise": _raised,
    "assign": map_of(_context_name, text),
}
TRANSITION: Final[Mapping[str, Check]] = {
    "target": _target,
    "guard": _guard,
    "because": text,
    "actions": _actions,
    "internal": switch,
    "description": text,
}
STATE: Final[Mapping[str, Check]] = {
    "type": one_of("type of state", STATE_TYPES),
    "initial": _state_name,
    "history": one_of("history", HISTORY_TYPES),
    "target": _target,
    "description": text,
    "tags": list_of(_tag),
    "on": map_of(_descriptor, _candidates),
    "always": _candidates,
    "after": map_of(_delay, _candidates),
    "onDone": _candidates,
    "entry": _actions,
    "exit": _actions,
    "states": _states,
}
LIFECYCLE: Final[Mapping[str, Check]] = {
    "id": named("a lifecycle", names.LIFECYCLE_ID_PATTERN, names.LIFECYCLE_ID_RULE),
    "version": _version,
    "initial": _state_name,
    "states": _states,
    "roles": map_of(_descriptor, list_of(_role)),
    "guards": map_of(_guard_name, _guard),
    "description": text,
}
