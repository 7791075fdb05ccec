"""Reads a lifecycle file: TOML, or JSON of the same shape.

Promise:  either the definition, or all that is wrong with the file, each mistake with its line and
          a mend; in time and memory bounded by the limits below, whatever the file holds.
Assume:   nothing. No text of a file is ever evaluated.
Not here: whether its names mean anything (`checks.py`), what guards may say (`guards.py`).
"""

import json
import re
import tomllib
from typing import Any, Final, Literal, NoReturn, TypeAlias

import msgspec

from protocol.lifecycle.definition import LifecycleDefinition
from protocol.lifecycle.findings import FINDINGS_MAX, Finding, LifecycleError
from protocol.lifecycle.json_places import json_places
from protocol.lifecycle.members import check_shape
from protocol.lifecycle.places import FileBoundError, Places, dotted
from protocol.lifecycle.toml_places import toml_places

FILE_SIZE_MAX: Final = 1 << 20  # Bytes. A lifecycle of a thousand states needs a fifth of it.
Syntax: TypeAlias = Literal["toml", "json"]
_TOML_PLACE: Final = re.compile(r" \(at (?:line ([0-9]+), column [0-9]+|end of document)\)$")
_YAML_LINE: Final = re.compile(r"\s*(?:- )?[\w.-]+:(?:\s|$)|---")
_TOML_HINTS: Final = {
    "Cannot": "; a key or a table stands there twice, leave one out",
    "Invalid value": "; a text stands in quotes",
}
_REASON_SIZE_MAX: Final = 200  # Characters; a parser quotes the offending key in full.
_DEEP: Final = "its tables and lists are nested too deep; flatten them"


class Source:
    """A file that was read: its definition, and where everything stands in it."""

    def __init__(self, definition: LifecycleDefinition, places: Places) -> None:
        self.definition = definition
        self.places = places


def read_lifecycle(
    text: str | bytes, name: str, *, syntax: Syntax | None = None
) -> LifecycleDefinition:
    """Return the definition in a file's `text`; see `read_source`."""
    return read_source(text, name, syntax=syntax).definition


def read_source(text: str | bytes, name: str, *, syntax: Syntax | None = None) -> Source:
    """Return the definition in a file's `text`, and the places of its members.

    `syntax` is TOML unless given, or `name` ends with `.json`.

    Raises:
        LifecycleError: the file is wrong; its findings are all that is.
    """
    if name.lower().endswith((".yaml", ".yml")) and syntax is None:
        _refuse(name, "YAML is not read; write the lifecycle as TOML or JSON", None)
    decoded = _decoded(text, name)
    if syntax is None:
        syntax = "json" if name.lower().endswith(".json") else "toml"
    try:
        tree, places = (_json if syntax == "json" else _toml)(decoded, name)
    except FileBoundError as error:
        _refuse(name, error.reason, error.line)
    findings = check_shape(tree, places)
    if findings:
        raise LifecycleError(name, findings)
    tree.pop("$schema", None)  # For editors.
    try:
        return Source(msgspec.convert(tree, LifecycleDefinition), places)
    except msgspec.ValidationError as error:  # A member whose check takes too much.
        raise LifecycleError.of(name, str(error)) from error


def _decoded(text: str | bytes, name: str) -> str:
    """Return `text` as text without what no lifecycle has."""
    if len(text) > FILE_SIZE_MAX:
        _refuse(name, f"the file is larger than {FILE_SIZE_MAX} bytes; split the lifecycle", None)
    if isinstance(text, bytes):
        try:
            text = text.decode()
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            _refuse(name, f"byte {error.start} is no UTF-8; save the file as UTF-8", line)
    nul = text.find("\0")
    if nul >= 0:
        line = text.count("\n", 0, nul) + 1
        _refuse(name, "there is a NUL byte: a lifecycle file is text, in UTF-8", line)
    if text.startswith("\ufeff"):
        _refuse(name, "the file begins with a byte order mark; save it as UTF-8 without one", 1)
    return text


def _toml(text: str, name: str) -> tuple[dict[str, Any], Places]:
    places = toml_places(text)
    try:
        return tomllib.loads(text), places
    except RecursionError:
        _refuse(name, _DEEP, None)
    except ValueError as error:  # Of tomllib's own class, or a number of thousands of digits.
        reason, line = str(error), None
        if match := _TOML_PLACE.search(reason):
            line = int(match[1]) if match[1] else text.count("\n") + 1
            reason = reason[: match.start()]
        if len(reason) > _REASON_SIZE_MAX:
            reason = f"{reason[:_REASON_SIZE_MAX]}…"
        _refuse(name, f"this is no TOML: {reason}{_toml_hint(text, reason, line)}", line)


def _toml_hint(text: str, reason: str, line: int | None) -> str:
    if text.lstrip()[:1] == "{":
        return "; it looks like JSON: let the file's name end with .json"
    lines = text.split("\n", line or 1)
    if line is not None and _YAML_LINE.match(lines[line - 1]):
        return "; it looks like YAML, which is not read: a key is written `key = value`"
    return next((hint for start, hint in _TOML_HINTS.items() if reason.startswith(start)), "")


def _json(text: str, name: str) -> tuple[Any, Places]:
    try:
        tree = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        _refuse(name, _DEEP, None)
    except json.JSONDecodeError as error:
        _refuse(name, f"this is no JSON: {error.msg} (column {error.colno})", error.lineno)
    except ValueError as error:  # NaN, or a number of thousands of digits.
        _refuse(name, f"this is no JSON: {error}", None)
    places, repeated = json_places(text)
    inner = set(repeated)
    findings = [
        Finding(dotted(path), places.line(path), "the key stands there twice; leave one out")
        for path in repeated
        if not any(path[:size] in inner for size in range(1, len(path)))
    ]
    if findings:
        raise LifecycleError(name, findings[:FINDINGS_MAX])
    return tree, places


def _refuse_constant(constant: str) -> NoReturn:
    message = f"{constant} is no number"
    raise ValueError(message)


def _refuse(name: str, message: str, line: int | None) -> NoReturn:
    raise LifecycleError.of(name, message, line=line)
