"""The states of an XState machine, and which of them a target names.

`sibling`, `sibling.child`, `.child` and `#id`, `#id.child`, as XState's own `resolveTarget` reads
them; a backslash before a full stop makes it part of a name.
"""

from collections.abc import Callable
from typing import Any, Final

from protocol.errors import did_you_mean

Complain = Callable[[str, str], None]  # path, reason
DEFAULT_ID: Final = "(machine)"  # What XState calls a machine without an id.
_TYPES: Final = ("atomic", "compound", "parallel", "final", "history")
_SHOWN_MAX: Final = 20


class MachineNode:
    """One state of the machine; `ancestors` runs from the parent up to the root."""

    __slots__ = ("ancestors", "children", "key", "path", "raw", "type")

    def __init__(
        self, key: str, path: str, raw: dict[str, Any], ancestors: "tuple[MachineNode, ...]"
    ) -> None:
        self.key = key
        self.path = path
        self.raw = raw
        self.ancestors = ancestors
        self.children: dict[str, MachineNode] = {}
        self.type = ""


class MachineTree:
    """All states: `states` by the key that becomes their id here, `ids` by XState's ids."""

    def __init__(self, machine: dict[str, Any], complain: Complain) -> None:
        self._complain = complain
        self.states: dict[str, MachineNode] = {}
        self.ids: dict[str, MachineNode] = {}
        name = machine.get("id")
        self._name = name if isinstance(name, str) else DEFAULT_ID
        self.root = MachineNode(self._name, "", machine, ())
        self.ids[self._name] = self.root
        self._grow(self.root, [self._name])

    def _grow(self, node: MachineNode, keys: list[str]) -> None:
        raw = node.raw.get("states") or {}
        if not isinstance(raw, dict):
            self._complain(f"{node.path}/states", "states are an object: a name, and the state")
            raw = {}
        node.type = self._type(node, has_states=bool(raw))
        for key, state in raw.items():
            path = f"{node.path}/states/{key}"
            if not isinstance(state, dict):
                self._complain(path, "a state is an object; {} is one that only is there")
                state = {}  # noqa: PLW2901 (the reader goes on, to find what else is wrong)
            child = MachineNode(key, path, state, (node, *node.ancestors))
            other = self.states.setdefault(key, child)
            if other is not child:
                reason = (
                    f"{key!r} is the name of {other.path}, too; names are unique here, rename one"
                )
                self._complain(path, reason)
            self._enlist(child, [*keys, key])
            node.children[key] = child
            self._grow(child, [*keys, key])

    def _type(self, node: MachineNode, *, has_states: bool) -> str:
        found = node.raw.get("type")
        if found in _TYPES:
            return str(found)
        if found is not None:
            near = did_you_mean(str(found), list(_TYPES))
            hint = f"did you mean {near!r}?" if near else f"known: {', '.join(_TYPES)}"
            self._complain(f"{node.path}/type", f"{found!r:.60} is no type of state; {hint}")
        if has_states:
            return "compound"
        return "history" if node.raw.get("history") else "atomic"

    def _enlist(self, node: MachineNode, keys: list[str]) -> None:
        explicit = node.raw.get("id")
        if explicit is not None and not isinstance(explicit, str):
            self._complain(f"{node.path}/id", f"{explicit!r:.60} is no text")
            explicit = None
        name = explicit or ".".join(keys)
        if self.ids.setdefault(name, node) is not node:
            self._complain(f"{node.path}/id", f"{name!r} is the id of another state; rename one")

    def find(self, path: str, node: MachineNode, target: str) -> MachineNode | None:
        """Return the state that `target` names at `node`; else complain about `path`."""
        first, *rest = _split(target)
        found: MachineNode | None
        if target.startswith("#"):
            found, known = self.ids.get(first[1:]), [f"#{name}" for name in self.ids]
        elif not first and node.type != "history":
            found, known = node, []
        else:
            parent = node.ancestors[0]
            found, known = parent.children.get(first), list(parent.children)
        for key in rest:
            if found is not None:
                known = list(found.children)
                found = found.children.get(key)
        if found is not None and found is not self.root:
            return found
        reason, elsewhere = self.unknown(target, known), self.states.get(target)
        if elsewhere is not None:
            reason += f"; {elsewhere.path} has to be named by its id, as '#ID'"
        self._complain(path, reason)
        return None

    @staticmethod
    def unknown(name: object, known: list[str]) -> str:
        """Return that `name` is no state, and which one might be meant."""
        near = did_you_mean(str(name), known)
        hint = f"did you mean {near!r}?" if near else f"known: {', '.join(known[:_SHOWN_MAX])}"
        return f"{name!r:.80} is no state there; {hint}"


def _split(target: str) -> list[str]:
    keys, key, is_escaped = [], "", False
    for char in target:
        if char == "." and not is_escaped:
            keys.append(key)
            key = ""
        elif char == "\\" and not is_escaped:
            is_escaped = True
            continue
        else:
            key += char
        is_escaped = False
    return [*keys, key]
