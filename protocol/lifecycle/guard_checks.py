"""Whether the guards of a lifecycle are guards: each part that is none, with its place.

Each check yields the path of what is wrong and what to do about it.
Not here: the shape of a guard (`members.py`), which was looked at before; what a guard is and how
large it may be (`guards.py`), which finds one mistake at a time.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from protocol.lifecycle.findings import unknown
from protocol.lifecycle.guards import BUILT_INS, GuardError, Named, parse_guard, parse_guards
from protocol.lifecycle.outline import Outline
from protocol.lifecycle.places import PlacePath
from protocol.lifecycle.structure import Doubt


def guards(outline: Outline) -> Iterator[Doubt]:
    """Yield what is wrong in guards; as a whole they are looked at when their parts are right."""
    named = outline.definition.guards
    of_candidates = [(one.form.guard, (*one.path, "guard")) for one in outline.candidates()]
    is_right = True
    for value, path in (*((named[name], ("guards", name)) for name in named), *of_candidates):
        for doubt in _wrong_parts(outline, value, path):
            is_right = False
            yield doubt
    if not is_right:
        return
    try:
        forms = parse_guards(named)
    except GuardError as error:
        yield ("guards", *error.path), error.reason
        return
    for value, path in of_candidates:
        yield from _wrong(value, path, forms)


def unused_guards(outline: Outline) -> Iterator[Doubt]:
    """Yield the named guards that nothing asks."""
    named = outline.definition.guards
    values = [candidate.form.guard for candidate in outline.candidates()]
    used = {part for value in (*values, *named.values()) for part in _names(value)}
    for name in named:
        if name not in used:
            yield ("guards", name), f"no transition asks the guard {name!r}; leave it out"


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


def _names(value: Any) -> Iterator[str]:  # noqa: ANN401 (a guard, as it stands)
    """Yield the texts in a guard; some are names of other guards."""
    for part, _ in _parts(value, ()):
        if isinstance(part, str):
            yield part.strip()


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
