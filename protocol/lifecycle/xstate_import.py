"""A lifecycle from an XState v5 machine: the JSON that `createMachine` takes, names only.

Promise:  what the machine says is in the lifecycle, or is a problem with its path and what to do;
          nothing is dropped in silence but `meta`, which is not ours to understand.
Assume:   the text is hostile: its depth is bounded, and nothing in it is evaluated.
Not here: whether guards, actions and roles of these names exist (`checks.py`).

Where XState means something else: a transition into its own state stays inside unless it says
`reenter`; ids are unique among siblings only; the most special event descriptor goes first.
"""

from typing import Any, Final, Literal, cast

from protocol.canonical import strict_loads
from protocol.errors import BadRequestError, did_you_mean
from protocol.lifecycle.definition import (
    Candidates,
    LifecycleDefinition,
    StateDefinition,
    TransitionDefinition,
)
from protocol.lifecycle.delays import DELAY_MS_MAX, format_delay
from protocol.lifecycle.names import covers
from protocol.lifecycle.xstate import META, Problem, XStateError
from protocol.lifecycle.xstate_names import NameReader, is_text_list, listed
from protocol.lifecycle.xstate_tree import MachineNode, MachineTree

_MEMBERS: Final = (
    *("id", "type", "initial", "history", "target", "description", "tags", "on", "always"),
    *("after", "onDone", "entry", "exit", "states", "meta"),
)
_MACHINE_MEMBERS: Final = ("id", "initial", "states", "description", "meta", "version", "context")
_TRANSITION_MEMBERS: Final = ("target", "guard", "actions", "reenter", "description", "meta")
_META_MEMBERS: Final = ("version", "roles", "guards")
_WRAP: Final = (
    "the machine itself has none here; put its states into one state, and give it to that"
)
_REFUSED: Final = {  # member -> why, and what to do.
    "invoke": "nothing is invoked while a command is decided; take it out, and let a program that "
    "follows the events do the work",
    "context": "a lifecycle begins without context; take it out, or set members with the action "
    "'assign'",
    "output": "a lifecycle has no output; take it out",
    "data": "a lifecycle has no output; take it out",
    "activities": "nothing runs while a state is active; take it out",
    "route": "there are no routes; write an event under 'on'",
    "cond": "that is XState v4; write 'guard'",
    "internal": "that is XState v4; in v5 'reenter: true' says that the state is left and entered",
    "in": "that is XState v4; write a guard {type: 'stateIn', params: {state: '#ID'}}",
    "delay": "write the milliseconds as a key of 'after'",
    **dict.fromkeys(("on", "always", "after", "onDone", "entry", "exit", "tags"), _WRAP),
    "type": "a machine is compound here; put its regions into a state of type parallel",
}
_Type = Literal["atomic", "compound", "parallel", "final", "history"]
_DELAY_SIZE_MAX: Final = 15  # Digits of milliseconds; beyond that int() would be asked to work.


def import_xstate(text: str, *, version: int | None = None) -> LifecycleDefinition:
    """Return the lifecycle that the machine in the JSON `text` describes.

    `version`: of the lifecycle; without it the one that `export_xstate` left in the machine, or 1.

    Raises:
        XStateError: with every problem: what is not JSON, is no v5 machine, is inline code, or
            has no counterpart in a lifecycle.
    """
    try:
        machine = strict_loads(text.encode())
    except (BadRequestError, UnicodeEncodeError) as error:
        raise XStateError([Problem("/", f"{error}")]) from error
    if not isinstance(machine, dict):
        reason = "a machine is a JSON object, as createMachine() takes it"
        raise XStateError([Problem("/", reason)])
    importer = _Importer(machine)
    definition = importer.machine(machine, version)
    if importer.problems:
        raise XStateError(importer.problems)
    return definition


class _Importer:
    def __init__(self, machine: dict[str, Any]) -> None:
        self.problems: list[Problem] = []
        self.tree = MachineTree(machine, self.problem)
        self.names = NameReader(self.tree, self.problem)

    def problem(self, path: str, reason: str) -> None:
        self.problems.append(Problem(path or "/", reason))

    def members(self, path: str, raw: dict[str, Any], known: tuple[str, ...]) -> None:
        for name, value in raw.items():
            if name in known or value in ([], {}, None):
                continue
            reason = _REFUSED.get(name)
            if reason is None:
                near = did_you_mean(name, list(known))
                hint = f"did you mean {near!r}?" if near else f"known: {', '.join(known)}"
                reason = f"there is no such member; {hint}"
            self.problem(f"{path}/{name}", reason)

    def text(self, path: str, raw: dict[str, Any], name: str) -> str | None:
        value = raw.get(name)
        if value is None or isinstance(value, str):
            return value
        self.problem(f"{path}/{name}", f"{value!r:.60} is no text; write it in quotes")
        return None

    # The machine and its states.

    def machine(self, raw: dict[str, Any], version: int | None) -> LifecycleDefinition:
        root = self.tree.root
        if raw.get("type") == "compound":
            raw = {name: value for name, value in raw.items() if name != "type"}
        self.members("", raw, _MACHINE_MEMBERS)
        if raw.get("context"):
            self.problem("/context", _REFUSED["context"])
        lifecycle_id = self.text("", raw, "id")
        initial = self.initial(root)
        if not lifecycle_id:
            self.problem("/id", "a lifecycle has an id; give the machine one")
        if not root.children:
            self.problem("/states", "a machine without states; add one")
        elif initial is None:
            self.problem("/initial", "name the state to begin in")
        meta = self.meta("", raw, _META_MEMBERS)
        found = meta.get("version", 1)
        if not isinstance(found, int):
            self.problem(f"/meta/{META}/version", "a version is a number from 1")
            found = 1
        return LifecycleDefinition(
            id=lifecycle_id or "",
            version=found if version is None else version,
            initial=initial or "",
            states={name: self.state(child) for name, child in root.children.items()},
            roles=self.roles(meta.get("roles", {})),
            guards=self.guards(meta.get("guards", {})),
            description=self.text("", raw, "description"),
        )

    def roles(self, raw: object) -> dict[str, list[str]]:
        if isinstance(raw, dict) and all(map(is_text_list, raw.values())):
            return raw
        self.problem(f"/meta/{META}/roles", "write {event: [role, ...]}")
        return {}

    def guards(self, raw: object) -> dict[str, Any]:
        if isinstance(raw, dict):
            return raw
        self.problem(f"/meta/{META}/guards", "write {name: guard}")
        return {}

    def meta(self, path: str, raw: dict[str, Any], known: tuple[str, ...]) -> dict[str, Any]:
        """Return our own part of `meta`; the rest is documentation of somebody else's."""
        meta = raw.get("meta") or {}
        ours = meta.get(META, {}) if isinstance(meta, dict) else None
        if not isinstance(ours, dict):
            self.problem(f"{path}/meta", "meta, and what is in it for manifestd, are objects")
            return {}
        self.members(f"{path}/meta/{META}", ours, known)
        return ours

    def state(self, node: MachineNode) -> StateDefinition:
        raw, path = node.raw, node.path
        self.members(path, raw, _MEMBERS)
        self.meta(path, raw, ())
        is_typed = "type" in raw or node.type == "history"
        return StateDefinition(
            type=cast("_Type", node.type) if is_typed else None,
            initial=self.initial(node),
            history=self.history(node),
            target=self.targets(f"{path}/target", node, raw.get("target")),
            description=self.text(path, raw, "description"),
            tags=self.tags(node),
            on=self.events(node),
            always=self.optional(node, "always"),
            after=self.after(node),
            onDone=self.optional(node, "onDone"),
            entry=self.names.actions(f"{path}/entry", raw.get("entry")),
            exit=self.names.actions(f"{path}/exit", raw.get("exit")),
            states={name: self.state(child) for name, child in node.children.items()},
        )

    def history(self, node: MachineNode) -> Literal["shallow", "deep"] | None:
        found = node.raw.get("history")
        if found in (None, False):
            return None
        if found is True:
            return "shallow"
        if found not in ("shallow", "deep"):
            self.problem(f"{node.path}/history", "history is shallow or deep")
        return "deep" if found == "deep" else "shallow"

    def initial(self, node: MachineNode) -> str | None:
        value, path = node.raw.get("initial"), f"{node.path}/initial"
        if isinstance(value, dict):
            if set(value) - {"target"}:
                reason = "the way to the initial state has no actions here; use the state's 'entry'"
                self.problem(path, reason)
            value = value.get("target")
        if value is None:
            return None
        if isinstance(value, str) and value in node.children:
            return value
        self.problem(path, self.tree.unknown(value, list(node.children)))
        return None

    def tags(self, node: MachineNode) -> list[str]:
        tags = listed(node.raw.get("tags"))
        if is_text_list(tags):
            return tags
        self.problem(f"{node.path}/tags", "tags are texts")
        return []

    # Transitions.

    def record(self, node: MachineNode, name: str) -> dict[str, Any]:
        value = node.raw.get(name)
        if value is None or isinstance(value, dict):
            return value or {}
        self.problem(f"{node.path}/{name}", "an object is wanted: what happens, and then what")
        return {}

    def events(self, node: MachineNode) -> dict[str, Candidates]:
        raw = self.record(node, "on")
        names = list(raw)
        if any(covers(one, two) for n, one in enumerate(names) for two in names[n + 1 :]):
            # XState asks for the exact name first, then for the longest pattern.
            names.sort(key=lambda name: (name == "*", name.endswith(".*"), -len(name)))
        return {
            name: self.candidates(f"{node.path}/on/{name}", node, raw[name])
            for name in names
            if raw[name] != []
        }

    def after(self, node: MachineNode) -> dict[str, Candidates]:
        found: dict[str, Candidates] = {}
        for delay, raw in self.record(node, "after").items():
            path = f"{node.path}/after/{delay}"
            if not (delay.isascii() and delay.isdigit() and len(delay) <= _DELAY_SIZE_MAX):
                self.problem(path, "a delay by name is code; write the milliseconds as a number")
                continue
            if not 0 < int(delay) <= DELAY_MS_MAX:
                self.problem(path, "a delay is from 1 ms to ten years; at once is 'always'")
                continue
            found[format_delay(int(delay))] = self.candidates(path, node, raw)
        return found

    def optional(self, node: MachineNode, name: str) -> Candidates | None:
        raw = node.raw.get(name)
        return None if raw in (None, []) else self.candidates(f"{node.path}/{name}", node, raw)

    def candidates(self, path: str, node: MachineNode, raw: object) -> Candidates:
        if not isinstance(raw, list):
            return self.transition(path, node, raw)
        found = [self.transition(f"{path}/{n}", node, one) for n, one in enumerate(raw)]
        return [TransitionDefinition(target=o) if isinstance(o, str) else o for o in found]

    def transition(self, path: str, node: MachineNode, raw: object) -> str | TransitionDefinition:
        if isinstance(raw, str):
            target, internal = self.aim(path, node, raw, reenter=False)
            is_plain = isinstance(target, str) and not internal
            return (
                cast("str", target)
                if is_plain
                else TransitionDefinition(target=target, internal=internal)
            )
        if not isinstance(raw, dict):
            self.problem(path, "a transition is the name of a state, or an object with a target")
            return TransitionDefinition()
        self.members(path, raw, _TRANSITION_MEMBERS)
        reenter = raw.get("reenter", False)
        if not isinstance(reenter, bool):
            self.problem(f"{path}/reenter", "write true or false")
        target, internal = self.aim(
            f"{path}/target", node, raw.get("target"), reenter=bool(reenter)
        )
        if reenter and set(raw) == {"target", "reenter"} and isinstance(target, str):
            return target
        ours = self.meta(path, raw, ("because", "internal"))
        return TransitionDefinition(
            target=target,
            guard=self.names.guard(f"{path}/guard", raw.get("guard")),
            because=self.text(f"{path}/meta/{META}", ours, "because"),
            actions=self.names.actions(f"{path}/actions", raw.get("actions")),
            internal=internal or ours.get("internal") is True,
            description=self.text(path, raw, "description"),
        )

    def targets(self, path: str, node: MachineNode, raw: object) -> str | list[str] | None:
        if raw is None or raw == []:
            return None
        if not is_text_list(listed(raw)):
            self.problem(path, "a target is the name of a state, or a list of names")
            return None
        names = [found.key for one in listed(raw) if (found := self.tree.find(path, node, one))]
        return names[0] if isinstance(raw, str) and names else names or None

    def aim(
        self, path: str, node: MachineNode, raw: object, *, reenter: bool
    ) -> tuple[str | list[str] | None, bool]:
        """Return targets and whether the way to them is internal, as SCXML means it."""
        target = self.targets(path, node, raw)
        nodes = [self.tree.states[name] for name in listed(target)]
        if reenter or not nodes or not all(one is node or node in one.ancestors for one in nodes):
            return target, False
        if node.type == "parallel":
            if any(node.raw.get(name) for name in ("entry", "exit", "after")):
                reason = (
                    "a way from a parallel state into itself leaves and enters it here, with its "
                    "actions and timers; write 'reenter: true' when that is meant"
                )
                self.problem(path, reason)
            return target, False
        if node not in nodes:
            return target, True
        if len(nodes) > 1:
            self.problem(path, "a state and what is in it cannot be targets of one transition")
        if node.type == "atomic":
            return None, False  # It stays as it is: neither left nor entered.
        initial = node.raw.get("initial")
        is_named = isinstance(initial, str) and initial in node.children
        return initial if is_named else next(iter(node.children), None), True
