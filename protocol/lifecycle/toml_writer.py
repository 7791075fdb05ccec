"""A lifecycle as the text of a lifecycle file: TOML, as a person would write it.

Promise:  reading the text gives the lifecycle back, the order of states and events included; the
          same lifecycle gives the same text.
Not here: comments; a definition does not remember them.
"""

import re
from typing import Any, Final

from protocol.lifecycle.definition import (
    Candidates,
    LifecycleDefinition,
    StateDefinition,
    TransitionDefinition,
)

LINE_SIZE_MAX: Final = 100  # A longer list gets a line for each member.
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_ESCAPES: Final = {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}
_TO_ESCAPE: Final = re.compile(r"[\x00-\x1f\x7f\"\\]")
_TO_ESCAPE_IN_LINES: Final = re.compile(r'[\x00-\x08\x0b-\x1f\x7f\\]|"(?=""|\Z)')
_INDENT: Final = "    "


def write_toml(definition: LifecycleDefinition) -> str:
    """Return the text of a lifecycle file."""
    lines = [
        *_pairs(
            id=definition.id,
            version=definition.version,
            description=definition.description,
            initial=definition.initial,
        )
    ]
    for name, table in (("roles", definition.roles), ("guards", definition.guards)):
        if table:
            lines += ["", f"[{name}]"]
            lines += [_pair(key, value) for key, value in table.items()]
    for name, state in definition.states.items():
        lines += _state(f"states.{_key(name)}", state)
    if not definition.states:
        lines += ["", "[states]"]
    return "\n".join(lines) + "\n"


def _state(path: str, state: StateDefinition) -> list[str]:
    inline: dict[str, Candidates] = {}
    tables: list[str] = []
    for member, one in (("always", state.always), ("onDone", state.onDone)):
        if one is None:
            continue
        if _is_inline(one):
            inline[member] = one
        else:
            tables += _candidates(f"{path}.{member}", one)
    pairs = _pairs(
        description=state.description,
        type=state.type,
        history=state.history,
        target=state.target,
        tags=state.tags or None,
        initial=state.initial,
        entry=state.entry or None,
        exit=state.exit or None,
        **{member: _value_of(one) for member, one in inline.items()},
    )
    below = _events(f"{path}.on", state.on) + _events(f"{path}.after", state.after) + tables
    for name, child in state.states.items():
        below += _state(f"{path}.states.{_key(name)}", child)
    head = ["", f"[{path}]", *pairs] if pairs or not below else []
    return [*head, *below]


def _events(path: str, events: dict[str, Candidates]) -> list[str]:
    """Return the tables of `events` in their order, which decides where several take an event.

    Lines of a table stand before its sub-tables. Where that would change the order, all of them
    are lines.
    """
    if not events:
        return []
    are_inline = [_is_inline(one) for one in events.values()]
    fits = are_inline == sorted(are_inline, reverse=True)
    lines = [] if fits and not are_inline[0] else ["", f"[{path}]"]
    for name, candidates in events.items():
        if not fits or _is_inline(candidates):
            lines.append(_pair(name, _value_of(candidates)))
        else:
            lines += _candidates(f"{path}.{_key(name)}", candidates)
    return lines


def _is_inline(candidates: Candidates) -> bool:
    return isinstance(candidates, str) or candidates == []


def _candidates(path: str, candidates: Candidates) -> list[str]:
    assert not isinstance(candidates, str)
    if isinstance(candidates, TransitionDefinition):
        return ["", f"[{path}]", *_pairs(**_members(candidates))]
    return [line for one in candidates for line in ("", f"[[{path}]]", *_pairs(**_members(one)))]


def _value_of(candidates: Candidates) -> Any:  # noqa: ANN401 (any TOML value)
    if isinstance(candidates, TransitionDefinition):
        return _members(candidates)
    if isinstance(candidates, list):
        return [_members(one) for one in candidates]
    return candidates


def _members(transition: TransitionDefinition) -> dict[str, Any]:
    members = {
        "description": transition.description,
        "target": transition.target,
        "guard": transition.guard,
        "because": transition.because,
        "actions": transition.actions or None,
        "internal": transition.internal or None,
    }
    return {name: value for name, value in members.items() if value is not None}


# Values.


def _pairs(**members: Any) -> list[str]:  # noqa: ANN401
    return [_pair(name, value) for name, value in members.items() if value is not None]


def _pair(name: str, value: Any) -> str:  # noqa: ANN401
    if isinstance(value, str) and "\n" in value:
        return f'{_key(name)} = """\n{_TO_ESCAPE_IN_LINES.sub(_escaped, value)}"""'
    line = f"{_key(name)} = {_value(value)}"
    if isinstance(value, list) and len(line) > LINE_SIZE_MAX:
        members = "".join(f"{_INDENT}{_value(one)},\n" for one in value)
        return f"{_key(name)} = [\n{members}]"
    return line


def _key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else _text(name)


def _value(value: Any) -> str:  # noqa: ANN401
    match value:
        case str():
            return _text(value)
        case bool():
            return "true" if value else "false"
        case list():
            return f"[{', '.join(map(_value, value))}]"
        case dict():
            pairs = ", ".join(f"{_key(name)} = {_value(one)}" for name, one in value.items())
            return f"{{ {pairs} }}" if pairs else "{}"
    return repr(value)  # TOML writes numbers as Python does.


def _text(text: str) -> str:
    is_quoting = '"' in text and "'" not in text
    if is_quoting and _TO_ESCAPE.search(text.replace('"', "").replace("\\", "")) is None:
        return f"'{text}'"  # CEL full of quotes stays readable.
    return f'"{_TO_ESCAPE.sub(_escaped, text)}"'


def _escaped(found: re.Match[str]) -> str:
    char = found.group()
    if char in '"\\':
        return f"\\{char}"
    return _ESCAPES.get(char) or f"\\u{ord(char):04x}"
