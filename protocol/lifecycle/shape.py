"""The collector of a file's mistakes, and the checks that any file would need.

A check looks at one value of a tree and notes what is wrong with it: all mistakes together, each
with its place. Not here: which member takes which check (`members.py`).
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias

from protocol.lifecycle.findings import FINDINGS_MAX, Finding, shown, unknown
from protocol.lifecycle.places import PlacePath, Places, dotted
from protocol.limits import TEXT_SIZE_MAX

_WORDS: Final = {bool: "true or false", int: "a number", float: "a number", str: "a text"}
_WORDS_FOR_MANY: Final = {list: "a list", dict: "a table", type(None): "null"}


class EnoughError(Exception):
    """So much is wrong that nobody would read on."""


class Mistakes:
    """What is wrong with one file, in document order."""

    def __init__(self, places: Places) -> None:
        self.findings: list[Finding] = []
        self.states_count = 0  # So far: the bound on them is one for the whole tree.
        self._places = places

    def add(self, path: PlacePath, message: str) -> None:
        """Note that what stands at `path` is wrong; raise `EnoughError` when too much is."""
        if len(self.findings) == FINDINGS_MAX:
            message = f"there are more than {FINDINGS_MAX} mistakes; mend these first"
            self.findings.append(Finding("", None, message))
            raise EnoughError
        self.findings.append(Finding(dotted(path), self._places.line(path), message))


# What stands at a path, as a parser gave it: any value at all.
Check: TypeAlias = Callable[[Mistakes, Any, PlacePath], None]


def what(value: object) -> str:
    """Return what sort of thing `value` is, in words."""
    return (_WORDS | _WORDS_FOR_MANY).get(type(value), "a date or time")


def text(mistakes: Mistakes, value: object, path: PlacePath) -> None:
    """Check a text for people: printable, and a remark rather than a document."""
    if not isinstance(value, str):
        mistakes.add(path, f"this is a text, not {what(value)}; write it in quotes")
    elif not 0 < len(value) <= TEXT_SIZE_MAX:
        size = f"{len(value)} characters; it may have 1 to {TEXT_SIZE_MAX}"
        mistakes.add(path, f"the text has {size}")
    elif not value.replace("\n", "").replace("\t", "").isprintable():
        mistakes.add(path, "the text holds control characters; leave them out")


def switch(mistakes: Mistakes, value: object, path: PlacePath) -> None:
    """Check a `true` or `false`."""
    if not isinstance(value, bool):
        mistakes.add(path, f"this is true or false without quotes, not {what(value)}")


def named(of: str, pattern: str, rule: str) -> Check:
    """Return the check for a name that `pattern` describes, and `rule` in words."""
    compiled = re.compile(pattern)

    def check(mistakes: Mistakes, value: object, path: PlacePath) -> None:
        if not isinstance(value, str):
            mistakes.add(path, f"this is the name of {of}, not {what(value)}; write it in quotes")
        elif compiled.fullmatch(value) is None:
            mistakes.add(path, f"{shown(value)} cannot be the name of {of}: it has {rule}")

    return check


def one_of(of: str, known: Iterable[str]) -> Check:
    """Return the check for one of the words `known`."""
    words = tuple(known)

    def check(mistakes: Mistakes, value: object, path: PlacePath) -> None:
        if not isinstance(value, str):
            mistakes.add(path, f"this is one of {', '.join(words)}, not {what(value)}")
        elif value not in words:
            mistakes.add(path, unknown(of, value, words))

    return check


def list_of(check: Check, *, empty: str | None = None) -> Check:
    """Return the check for a list; `empty` is what is said about one without items."""

    def check_list(mistakes: Mistakes, value: object, path: PlacePath) -> None:
        if not isinstance(value, list):
            mistakes.add(path, f"this is a list, not {what(value)}; write it in brackets")
            return
        if not value and empty is not None:
            mistakes.add(path, empty)
        for index, item in enumerate(value):
            check(mistakes, item, (*path, index))

    return check_list


def map_of(check_key: Check, check: Check) -> Check:
    """Return the check for a table whose keys are the file's own names."""

    def check_map(mistakes: Mistakes, value: object, path: PlacePath) -> None:
        if not isinstance(value, dict):
            mistakes.add(path, f"this is a table, not {what(value)}; write `key = value` in it")
            return
        for key, inner in value.items():
            check_key(mistakes, key, (*path, key))
            check(mistakes, inner, (*path, key))

    return check_map


def table(mistakes: Mistakes, value: object, path: PlacePath, members: Mapping[str, Check]) -> None:
    """Check a table whose keys are `members`."""
    if not isinstance(value, dict):
        mistakes.add(path, f"this is a table ({', '.join(members)}), not {what(value)}")
        return
    for key, inner in value.items():
        check = members.get(key)
        if check is None:
            mistakes.add((*path, key), unknown("key", key, members))
        elif inner is None:
            mistakes.add((*path, key), "null says nothing; leave the key out")
        else:
            check(mistakes, inner, (*path, key))


def form(
    mistakes: Mistakes,
    value: Mapping[str, object],
    path: PlacePath,
    forms: Mapping[str, Check],
    also: Mapping[str, Check],
) -> None:
    """Check a table that has exactly one key of `forms`, and may have those of `also`."""
    table(mistakes, value, path, {**forms, **also})
    count = sum(key in forms for key in value)
    if count != 1 and value.keys() <= {*forms, *also}:
        said = "none" if count == 0 else "several"
        mistakes.add(path, f"exactly one of {', '.join(forms)} is needed here, not {said}")
