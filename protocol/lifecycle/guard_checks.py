"""Whether the guards of a lifecycle are guards, and its expressions are: each part that is none.

Each check yields the path of what is wrong and what to do about it.
Not here: the shape of a guard (`members.py`), which was looked at before; what a guard is and how
large it may be (`guards.py`), which finds one mistake at a time.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

from protocol.lifecycle.expressions import ExpressionError, compile_expression
from protocol.lifecycle.findings import shown, unknown
from protocol.lifecycle.guards import (
    BUILT_INS,
    GuardError,
    Named,
    guard_roles,
    parse_guard,
    parse_guards,
)
from protocol.lifecycle.outline import Outline
from protocol.lifecycle.places import PlacePath
from protocol.lifecycle.structure import Doubt
from protocol.lifecycle.vocabulary import nearly_a_role

PATTERNS_MAX: Final = 100  # In all expressions of a file: each takes up to 20 ms to compile.


def too_many_patterns(outline: Outline) -> Iterator[Doubt]:
    """Yield the first expression that is one too many to compile."""
    count = 0
    for text, path in _texts(outline):
        count += text.count("matches")
        if count > PATTERNS_MAX:
            mend = "use fewer patterns; a guard of the [guards] table counts once"
            yield path, f"more than {PATTERNS_MAX} times 'matches' in a file: {mend}"
            return


def assignments(outline: Outline) -> Iterator[Doubt]:
    """Yield the expressions of actions that are none."""
    for _, path, action in outline.actions():
        for key, expression in _assigned(action):
            try:
                compile_expression(expression)
            except ExpressionError as error:
                where = (*path, "assign", key)
                yield where, f"{shown(expression)} has no value: {error.reason}"


def guards(outline: Outline) -> Iterator[Doubt]:
    """Yield what is wrong in guards; as a whole they are looked at when their parts are right."""
    is_right = True
    for value, path in _guards(outline):
        for doubt in _wrong_parts(outline, value, path):
            is_right = False
            yield doubt
    if not is_right:
        return
    try:
        forms = parse_guards(outline.definition.guards)
    except GuardError as error:
        yield ("guards", *error.path), error.reason
        return
    for candidate in outline.candidates():
        yield from _wrong(candidate.form.guard, (*candidate.path, "guard"), forms)


def unused_guards(outline: Outline) -> Iterator[Doubt]:
    """Yield the named guards that nothing asks."""
    used = {
        part.strip()
        for value, path in _guards(outline)
        for part, _ in _parts(value, path)
        if isinstance(part, str)
    }
    for name in outline.definition.guards:
        if name not in used:
            yield ("guards", name), f"no transition asks the guard {name!r}; leave it out"


def misspelt_roles(outline: Outline) -> Iterator[Doubt]:
    """Yield the guards that ask for a role which is nearly a built-in one."""
    for value, path in _guards(outline):
        for part, where in _parts(value, path):
            if isinstance(part, str) and "(" in part:
                with suppress(GuardError):
                    for role in guard_roles(parse_guard(part)):
                        if (doubt := nearly_a_role(role)) is not None:
                            yield where, doubt


def _wrong_parts(outline: Outline, value: Any, path: PlacePath) -> Iterator[Doubt]:  # noqa: ANN401
    named = outline.definition.guards
    for part, where in _parts(value, path):
        if isinstance(part, dict) and "in" in part:
            if part["in"] not in outline.states:
                yield (*where, "in"), unknown("state", str(part["in"]), outline.states)
        elif not isinstance(part, str) or part.strip() not in named:
            for place, reason in _wrong(part, where, {}):
                is_name = isinstance(part, str) and part.strip().isidentifier()
                yield place, unknown("guard", part, [*named, *BUILT_INS]) if is_name else reason


def _wrong(value: object, path: PlacePath, named: Mapping[str, Named]) -> Iterator[Doubt]:
    if value is None:
        return
    try:
        parse_guard(value, named)
    except GuardError as error:
        yield (*path, *error.path), error.reason


def _texts(outline: Outline) -> Iterator[tuple[str, PlacePath]]:
    """Yield all texts that may be expressions."""
    for value, path in _guards(outline):
        for part, where in _parts(value, path):
            text = part.get("cel", "") if isinstance(part, dict) else part
            yield str(text), where
    for _, path, action in outline.actions():
        for key, expression in _assigned(action):
            yield expression, (*path, "assign", key)


def _assigned(action: str | dict[str, Any]) -> Iterator[tuple[str, str]]:
    if isinstance(action, dict):
        yield from action.get("assign", {}).items()


def _guards(outline: Outline) -> Iterator[tuple[Any, PlacePath]]:
    """Yield all guards of a file, as they stand."""
    for name, value in outline.definition.guards.items():
        yield value, ("guards", name)
    for candidate in outline.candidates():
        yield candidate.form.guard, (*candidate.path, "guard")


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
