"""From the definition in a lifecycle file to the form that the statechart kernel takes.

Promise:  pure; what a file may spell in several ways becomes one. Guards are parsed and expressions
          compiled here, once.
Assume:   the definition was read by `reader.py`; whatever is wrong all the same is a `ChartError`.
"""

from typing import Any, NamedTuple

from protocol.lifecycle.definition import (
    Candidates,
    LifecycleDefinition,
    StateDefinition,
    TransitionDefinition,
)
from protocol.lifecycle.delays import DelayError, parse_delay_ms
from protocol.lifecycle.expressions import Expression, ExpressionError, compile_expression
from protocol.lifecycle.findings import unknown
from protocol.lifecycle.guards import GuardError, GuardForm, Named, parse_guard, parse_guards
from protocol.record import ACTIONS
from protocol.statechart.compiled import DONE
from protocol.statechart.compiler import ChartError
from protocol.statechart.definition import Action, NodeType, Raise, StateForm, TransitionForm

ASSIGN = "assign."  # Before the number of an assignment, which is what the kernel hands back.
Assignment = dict[str, Expression]  # Member of the context -> its new value.


class Compiled(NamedTuple):
    """The root state, and the assignments that its actions name."""

    form: StateForm
    assignments: dict[str, Assignment]


def to_form(definition: LifecycleDefinition) -> Compiled:
    """Return the root state of `definition`, and what its assignments compute.

    Raises:
        ChartError: a guard or an action is none.
    """
    try:
        named = parse_guards(definition.guards)
    except GuardError as error:
        raise ChartError(_dotted("guards", error), error.reason) from error
    compiler = _Compiler(named)
    states = {
        name: compiler.state(name, state, f"states.{name}")
        for name, state in definition.states.items()
    }
    return Compiled(StateForm(initial=(definition.initial,), states=states), compiler.assignments)


def _dotted(place: str, error: GuardError) -> str:
    return ".".join([place, *map(str, error.path)])


class _Compiler:
    def __init__(self, named: dict[str, Named]) -> None:
        self._named = named
        self.assignments: dict[str, Assignment] = {}

    def state(self, name: str, form: StateDefinition, place: str) -> StateForm:
        on = [
            (event, transition)
            for event, candidates in form.on.items()
            for transition in self._candidates(candidates, f"{place}.on.{event}")
        ]
        if form.onDone is not None:
            done = self._candidates(form.onDone, f"{place}.onDone")
            on += [(DONE + name, transition) for transition in done]
        return StateForm(
            type=None if form.type is None else NodeType(form.type),
            initial=() if form.initial is None else (form.initial,),
            is_deep=form.history == "deep",
            default=TransitionForm(targets=_targets(form.target))
            if form.type == "history"
            else None,
            tags=tuple(form.tags),
            on=tuple(on),
            always=self._candidates(form.always, f"{place}.always"),
            after=tuple(
                (_delay_ms(delay, place), transition)
                for delay, candidates in form.after.items()
                for transition in self._candidates(candidates, f"{place}.after.{delay}")
            ),
            entry=self._actions(form.entry, f"{place}.entry"),
            exit=self._actions(form.exit, f"{place}.exit"),
            states={
                child: self.state(child, state, f"{place}.states.{child}")
                for child, state in form.states.items()
            },
            description=form.description,
        )

    def _candidates(self, candidates: Candidates | None, place: str) -> tuple[TransitionForm, ...]:
        if candidates is None:
            return ()
        if isinstance(candidates, str):
            return (TransitionForm(targets=(candidates,)),)
        listed = candidates if isinstance(candidates, list) else [candidates]
        return tuple(self._transition(one, place) for one in listed)

    def _transition(self, form: TransitionDefinition, place: str) -> TransitionForm:
        return TransitionForm(
            targets=_targets(form.target),
            guard=self._guard(form.guard, f"{place}.guard"),
            because=form.because,
            actions=self._actions(form.actions, f"{place}.actions"),
            internal=form.internal,
        )

    def _guard(self, value: object, place: str) -> GuardForm | None:
        if value is None or value == []:
            return None
        try:
            return parse_guard(value, self._named)
        except GuardError as error:
            raise ChartError(_dotted(place, error), error.reason) from error

    def _actions(self, actions: list[str | dict[str, Any]], place: str) -> tuple[Action, ...]:
        return tuple(self._action(action, place) for action in actions)

    def _action(self, action: str | dict[str, Any], place: str) -> Action:
        if isinstance(action, str):
            if action not in ACTIONS:
                raise ChartError(place, unknown("action", action, ACTIONS))
            return action
        if list(action) == ["raise"] and isinstance(action["raise"], str):
            return Raise(action["raise"])
        if list(action) == ["assign"] and isinstance(action["assign"], dict):
            return self._assign(action["assign"], place)
        shape = "{ raise = 'EVENT' } or { assign = { member = 'CEL' } }"
        raise ChartError(place, f"{action!r} is no action; write a name, {shape}")

    def _assign(self, members: dict[str, Any], place: str) -> str:
        name = f"{ASSIGN}{len(self.assignments) + 1}"
        try:
            self.assignments[name] = {
                member: compile_expression(str(source)) for member, source in members.items()
            }
        except ExpressionError as error:
            raise ChartError(f"{place}.assign", error.reason) from error
        return name


def _delay_ms(delay: str, place: str) -> int:
    try:
        return parse_delay_ms(delay)
    except DelayError as error:
        raise ChartError(f"{place}.after", str(error)) from error


def _targets(target: str | list[str] | None) -> tuple[str, ...]:
    return (target,) if isinstance(target, str) else tuple(target or ())
