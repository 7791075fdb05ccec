"""Guards and actions of an XState machine: names, with parameters, and never code."""

import re
from typing import Any, Final, TypeGuard

from protocol.lifecycle.xstate import CALL, GUARD_PARAMS, split_call
from protocol.lifecycle.xstate_tree import Complain, MachineTree

_NAME: Final = re.compile(r"[A-Za-z_][\w.-]{0,99}", re.ASCII)
_CODE: Final = re.compile(r"=>|\bfunction\b|[{};]")
_MEMBERS: Final = {  # What the guards of ours that are no names have in `params`.
    "and": "guards",
    "or": "guards",
    "not": "guard",
    "stateIn": "state",
    "cel": "expression",
}
_RAISES: Final = ("raise", "xstate.raise")
_ASSIGNS: Final = ("assign", "xstate.assign")


class NameReader:
    """Reads what a transition asks and does; complains with a path about what is no name."""

    def __init__(self, tree: MachineTree, complain: Complain) -> None:
        self._tree = tree
        self._complain = complain

    def _refuse(self, path: str, what: str, value: object) -> None:
        is_code = isinstance(value, str) and _CODE.search(value) is not None
        if is_code or not isinstance(value, str | dict):
            reason = (
                f"{value!r:.80} is code, and no code runs here; write the name of {what}, or "
                + (
                    "{type: 'cel', params: {expression: '...'}}"
                    if what == "a guard"
                    else "{type: 'assign', params: {member: 'a CEL expression'}}"
                )
            )
        else:
            reason = f"{value!r:.80} is not the name of {what}; write NAME or {{type, params}}"
        self._complain(path, reason)

    # Guards.

    def guard(self, path: str, raw: object) -> Any:  # noqa: ANN401 (as a file spells a guard)
        """Return a guard as a lifecycle file spells it, or None."""
        if raw is None:
            return None
        if isinstance(raw, str):
            if CALL.fullmatch(raw) is None:
                self._refuse(path, "a guard", raw)
            return raw
        if not isinstance(raw, dict) or not isinstance(raw.get("type"), str):
            self._refuse(path, "a guard", raw)
            return None
        name, params = raw["type"], raw.get("params") or {}
        if set(raw) - {"type", "params"} or not isinstance(params, dict):
            self._complain(path, "a guard with parameters is {type, params}, params an object")
            return None
        if name in _MEMBERS:
            return self._form(path, name, dict(params))
        if _NAME.fullmatch(name) is None:
            self._refuse(path, "a guard", name)
        return self._call(path, name, params)

    def _form(self, path: str, name: str, params: dict[str, Any]) -> Any:  # noqa: ANN401
        because, member = params.pop("because", None), _MEMBERS[name]
        value: Any = params.pop(member, None)
        place = f"{path}/params/{member}"
        kinds: dict[str, tuple[type, ...]] = {"guards": (list,), "guard": (str, dict)}
        if (
            params
            or type(value) not in kinds.get(member, (str,))
            or not isinstance(because, str | None)
        ):
            self._complain(f"{path}/params", f"{name} takes {member!r}, and 'because', a text")
            return None
        found: Any
        if member == "guards":
            found = [self.guard(f"{place}/{n}", one) for n, one in enumerate(value)]
            is_plain = name == "and"
        elif name == "not":
            found, is_plain = self.guard(place, value), False
        elif name == "cel":
            found, is_plain = value, split_call(value) is None
        else:
            name, found, is_plain = "in", self._state(place, value), False
        if because is not None:
            return {name: found, "because": because}
        return found if is_plain else {name: found}

    def _state(self, path: str, name: str) -> str:
        tree = self._tree
        if name.startswith("#"):
            node = tree.find(path, tree.root, name)
        else:
            node = tree.states.get(name)
            if node is None:
                self._complain(path, tree.unknown(name, list(tree.states)))
        return name if node is None else node.key

    def _call(self, path: str, name: str, params: dict[str, Any]) -> str:
        if not params:
            return str(name)
        known = GUARD_PARAMS.get(name, ())
        values = (
            params["args"]
            if set(params) == {"args"}
            else [params[member] for member in known if member in params]
        )
        is_known = set(params) == {"args"} or set(params) <= set(known)
        if not is_known or not isinstance(values, list) or not all(map(_is_argument, values)):
            takes = f"takes {', '.join(known)}" if known else "takes no parameters"
            self._complain(f"{path}/params", f"{name} {takes}; write numbers and names")
        return f"{name}({', '.join(map(str, values))})"

    # Actions.

    def actions(self, path: str, raw: object) -> list[str | dict[str, Any]]:
        """Return actions as a lifecycle file spells them."""
        found = [
            self._action(f"{path}/{n}" if isinstance(raw, list) else path, one)
            for n, one in enumerate(listed(raw))
        ]
        return [one for one in found if one is not None]

    def _action(self, path: str, raw: object) -> str | dict[str, Any] | None:
        form = {"type": raw} if isinstance(raw, str) else raw
        if not isinstance(form, dict) or not isinstance(form.get("type"), str):
            self._refuse(path, "an action", raw)
            return None
        name, params = form["type"], form.get("params")
        if name in _RAISES:
            return self._raise(path, form)
        if name in _ASSIGNS:
            return self._assign(path, form)
        if _NAME.fullmatch(name) is None or name.startswith("xstate."):
            self._refuse(path, "an action", raw if isinstance(raw, dict) else name)
            return None
        if set(form) - {"type", "params"} or params:
            self._complain(path, f"the action {name!r} takes no parameters; take them out")
        return str(name)

    def _raise(self, path: str, form: dict[str, Any]) -> dict[str, Any] | None:
        params = form.get("params")
        source = params if isinstance(params, dict) else form
        event = source.get("event")
        if isinstance(event, dict) and set(event) == {"type"}:
            event = event["type"]
        if isinstance(event, str) and set(source) <= {"type", "event"}:
            return {"raise": event}
        hint = "a raised event has a name and nothing else; write a delay as a key of 'after'"
        self._complain(path, hint)
        return None

    def _assign(self, path: str, form: dict[str, Any]) -> dict[str, Any] | None:
        params = form.get("params")
        if set(form) == {"type", "params"} and isinstance(params, dict) and params:
            texts = [value for value in params.values() if isinstance(value, str)]
            if len(texts) == len(params) and not any("=>" in value for value in texts):
                return {"assign": params}
        reason = "values are CEL here; write {type: 'assign', params: {member: 'a CEL expression'}}"
        self._complain(path, reason)
        return None


def listed(raw: object) -> list[Any]:
    """Return one or many as a list."""
    if raw is None:
        return []
    return raw if isinstance(raw, list) else [raw]


def is_text_list(value: object) -> TypeGuard[list[str]]:
    """Tell whether `value` is a list of texts."""
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _is_argument(value: object) -> bool:
    if isinstance(value, str):
        return CALL.fullmatch(value) is not None or value.isdigit()
    return isinstance(value, int) and not isinstance(value, bool)
