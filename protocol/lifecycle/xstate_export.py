"""A lifecycle as an XState v5 machine: the JSON that `createMachine` takes.

Promise:  the machine goes through the same states as the lifecycle when the guards answer alike,
          and `import_xstate` gives the lifecycle back. What XState could only do otherwise is a
          problem, not a guess.
Assume:   the lifecycle was checked.
Not here: implementations of guards and actions; whoever runs the machine provides them by name.

XState takes an event by its exact name where `approve` here also takes `approve.again`.
"""

import json
from itertools import combinations
from typing import Any, Final

from protocol.lifecycle.definition import (
    Candidates,
    LifecycleDefinition,
    StateDefinition,
    TransitionDefinition,
)
from protocol.lifecycle.delays import DelayError, parse_delay_ms
from protocol.lifecycle.names import DONE_PREFIX, covers, is_done_event
from protocol.lifecycle.xstate import GUARD_PARAMS, META, Problem, XStateError, split_call

_COMBINED: Final = {"and": "guards", "or": "guards", "not": "guard"}


def export_xstate(definition: LifecycleDefinition) -> str:
    """Return `definition` as an XState v5 machine in JSON.

    Raises:
        XStateError: with every place that says what XState has no counterpart for.
    """
    exporter = _Exporter(definition)
    machine = exporter.machine()
    if exporter.problems:
        raise XStateError(exporter.problems)
    return json.dumps(machine, indent=2, ensure_ascii=False) + "\n"


class _Exporter:
    def __init__(self, definition: LifecycleDefinition) -> None:
        self.definition = definition
        self.problems: list[Problem] = []
        self.ancestors: dict[str, tuple[str, ...]] = {}  # Of each state, its parent first.
        self.forms: dict[str, StateDefinition] = {}
        self.needs_id: set[str] = set()
        self._enlist(definition.states, ())

    def _enlist(self, states: dict[str, StateDefinition], ancestors: tuple[str, ...]) -> None:
        for name, form in states.items():
            self.ancestors[name] = ancestors
            self.forms[name] = form
            self._enlist(form.states, (name, *ancestors))

    def problem(self, path: str, reason: str) -> None:
        self.problems.append(Problem(path, reason))

    def machine(self) -> dict[str, Any]:
        definition = self.definition
        ours = _filled(version=definition.version, roles=definition.roles, guards=definition.guards)
        states = {name: self.state(name, form) for name, form in definition.states.items()}
        self._name_targets(states)
        return _filled(
            id=definition.id,
            description=definition.description,
            initial=self.initial("", definition.initial, definition.states),
            states=states,
            meta={META: ours},
        )

    def _name_targets(self, states: dict[str, Any]) -> None:
        """Give an id to every state that some target names by it."""
        for name, state in states.items():
            if name in self.needs_id:
                members = dict(state)
                state.clear()
                state.update(id=name, **members)
            self._name_targets(state.get("states", {}))

    def state(self, name: str, form: StateDefinition) -> dict[str, Any]:
        self.check_events(name, form)
        initial = None
        if form.states and form.type in (None, "compound"):
            initial = self.initial(name, form.initial or next(iter(form.states)), form.states)
        target, on, done = form.target, dict(form.on), form.onDone
        if done is None:
            done = on.pop(DONE_PREFIX + name, None)
        return _filled(
            type=form.type,
            history=form.history,
            description=form.description,
            tags=form.tags,
            initial=initial,
            target=None if target is None else self.targets(name, target, name),
            entry=[self.action(action) for action in form.entry],
            exit=[self.action(action) for action in form.exit],
            on={event: self.candidates(name, f"{name}.on.{event}", c) for event, c in on.items()},
            always=self.optional(name, "always", form.always),
            after=self.after(name, form),
            onDone=self.optional(name, "onDone", done),
            states={child: self.state(child, below) for child, below in form.states.items()},
        )

    def initial(self, name: str, initial: str, states: dict[str, StateDefinition]) -> str:
        if initial not in states:
            reason = f"{initial!r} is no child; XState begins in a child, whose 'initial' goes on"
            self.problem(f"{name}.initial".lstrip("."), reason)
        return initial

    def check_events(self, name: str, form: StateDefinition) -> None:
        for one in filter(is_done_event, form.on):
            if one == DONE_PREFIX + name and form.onDone is None:
                continue
            reason = "XState gives the end of a state another name; write 'onDone' there"
            self.problem(f"{name}.on.{one}", reason)
        for one, other in combinations(form.on, 2):
            if covers(one, other):
                reason = f"XState asks for {other!r} before {one!r}; write them in this order"
                self.problem(f"{name}.on.{one}", reason)

    # Transitions.

    def after(self, name: str, form: StateDefinition) -> dict[str, Any]:
        found: dict[str, list[Any]] = {}
        for delay, candidates in form.after.items():
            try:
                delay_ms = parse_delay_ms(delay)
            except DelayError as error:
                self.problem(f"{name}.after.{delay}", str(error))
                continue
            found.setdefault(str(delay_ms), []).append(
                self.candidates(name, f"{name}.after.{delay}", candidates)
            )
        return {
            delay: listed[0]
            if len(listed) == 1
            else [one for many in listed for one in _many(many)]
            for delay, listed in found.items()
        }

    def optional(self, name: str, member: str, candidates: Candidates | None) -> Any:  # noqa: ANN401
        if candidates is None:
            return None
        return self.candidates(name, f"{name}.{member}", candidates)

    def candidates(self, name: str, path: str, candidates: Candidates) -> Any:  # noqa: ANN401
        if isinstance(candidates, list):
            return [self.transition(name, path, one) for one in candidates]
        if isinstance(candidates, TransitionDefinition):
            return self.transition(name, path, candidates)
        target = self.targets(name, candidates, path)
        return {"target": target, "reenter": True} if self.is_inside(name, [candidates]) else target

    def transition(self, name: str, path: str, form: TransitionDefinition) -> dict[str, Any]:
        targets = [form.target] if isinstance(form.target, str) else list(form.target or [])
        is_inside = self.is_inside(name, targets)
        stays = form.internal and is_inside and name not in targets and self.is_compound(name)
        ours = _filled(because=form.because, internal=form.internal and not stays)
        return _filled(
            target=None if form.target is None else self.targets(name, form.target, path),
            reenter=is_inside and not stays,
            guard=self.guard(form.guard, path),
            actions=[self.action(action) for action in form.actions],
            description=form.description,
            meta={META: ours} if ours else None,
        )

    def is_compound(self, name: str) -> bool:
        form = self.forms[name]
        return bool(form.states) and form.type in (None, "compound")

    def is_inside(self, name: str, targets: list[str]) -> bool:
        """Tell whether all targets are the state or in it: XState would not leave it for them."""
        return bool(targets) and all(
            one == name or name in self.ancestors.get(one, ()) for one in targets
        )

    def targets(self, name: str, target: str | list[str], path: str) -> str | list[str]:
        if isinstance(target, str):
            return self.target(name, target, path)
        return [self.target(name, one, path) for one in target]

    def target(self, name: str, target: str, path: str) -> str:
        if target not in self.ancestors:
            self.problem(path, f"target {target!r} is no state of this lifecycle")
            return target
        above = self.ancestors[target]
        escaped = target.replace(".", "\\.")
        if above == self.ancestors[name]:
            return escaped
        if above[:1] == (name,):
            return f".{escaped}"
        self.needs_id.add(target)
        return f"#{escaped}"

    # Names.

    def guard(self, guard: Any, path: str) -> Any:  # noqa: ANN401 (as a file spells it)
        found: Any = None
        match guard:
            case None:
                pass
            case str():
                found = self.named(guard)
            case list():
                found = self.combined("and", guard, None, path)
            case {"in": str(state), **rest}:
                self.needs_id.add(state)
                params = {"state": "#" + state.replace(".", "\\.")}
                found = self.form("stateIn", params, rest.get("because"))
            case {"cel": str(expression), **rest}:
                found = self.form("cel", {"expression": expression}, rest.get("because"))
            case {"and": value, **rest} | {"or": value, **rest} | {"not": value, **rest}:
                name = next(one for one in _COMBINED if one in guard)
                found = self.combined(name, value, rest.get("because"), path)
            case _:
                self.problem(path, f"{guard!r:.80} is no guard")
        return found

    def combined(self, name: str, value: Any, because: object, path: str) -> dict[str, Any]:  # noqa: ANN401
        found: Any
        if name == "not":
            found = self.guard(value, path)
        else:
            found = [self.guard(one, path) for one in value]
        return self.form(name, {_COMBINED[name]: found}, because)

    @staticmethod
    def form(name: str, params: dict[str, Any], because: object) -> dict[str, Any]:
        return {"type": name, "params": {**params, **({"because": because} if because else {})}}

    def named(self, text: str) -> str | dict[str, Any]:
        call = split_call(text)
        if call is None:
            return {"type": "cel", "params": {"expression": text}}
        name, arguments = call
        if not arguments:
            return name
        members = GUARD_PARAMS.get(name, ())
        if len(arguments) > len(members):
            return {"type": name, "params": {"args": arguments}}
        return {"type": name, "params": dict(zip(members, arguments, strict=False))}

    def action(self, action: str | dict[str, Any]) -> str | dict[str, Any]:
        if isinstance(action, str):
            return action
        if "raise" in action:
            return {"type": "raise", "params": {"event": action["raise"]}}
        return {"type": "assign", "params": action.get("assign", {})}


def _filled(**members: Any) -> dict[str, Any]:  # noqa: ANN401 (any JSON value)
    """Return the members that say something."""
    return {name: value for name, value in members.items() if value not in (None, False, [], {})}


def _many(candidates: Any) -> list[Any]:  # noqa: ANN401
    return candidates if isinstance(candidates, list) else [candidates]
