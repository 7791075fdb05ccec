"""From the definition in a lifecycle file to the form that the statechart kernel takes.

Promise:  pure; what a file may spell in several ways becomes one.
Assume:   the definition was read by `reader.py`; whatever is wrong all the same is a `ChartError`.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

from protocol.lifecycle.definition import (
    Candidates,
    LifecycleDefinition,
    StateDefinition,
    TransitionDefinition,
)
from protocol.lifecycle.delays import parse_delay_ms
from protocol.lifecycle.guards import GuardError, Named, parse_guard, parse_guards
from protocol.statechart.compiled import DONE
from protocol.statechart.compiler import ChartError
from protocol.statechart.definition import Action, NodeType, Raise, StateForm, TransitionForm

_Named: TypeAlias = Mapping[str, Named]


def to_form(definition: LifecycleDefinition) -> StateForm:
    """Return the root state of `definition`; guards in it are `protocol.lifecycle.guards` forms."""
    try:
        named = parse_guards(definition.guards)
    except GuardError as error:
        raise ChartError(".".join(map(str, ("guards", *error.path))), error.reason) from error
    return StateForm(
        initial=(definition.initial,),
        states={name: _state(name, state, named) for name, state in definition.states.items()},
    )


def _state(name: str, form: StateDefinition, named: _Named) -> StateForm:
    on = [
        (event, transition)
        for event, candidates in form.on.items()
        for transition in _candidates(candidates, f"{name}.on.{event}", named)
    ]
    if form.onDone is not None:
        on += [
            (DONE + name, transition)
            for transition in _candidates(form.onDone, f"{name}.onDone", named)
        ]
    return StateForm(
        type=None if form.type is None else NodeType(form.type),
        initial=() if form.initial is None else (form.initial,),
        is_deep=form.history == "deep",
        default=TransitionForm(targets=_targets(form.target)) if form.type == "history" else None,
        tags=tuple(form.tags),
        on=tuple(on),
        always=_candidates(form.always, f"{name}.always", named),
        after=tuple(
            (parse_delay_ms(delay), transition)
            for delay, candidates in form.after.items()
            for transition in _candidates(candidates, f"{name}.after.{delay}", named)
        ),
        entry=_actions(form.entry),
        exit=_actions(form.exit),
        states={child: _state(child, state, named) for child, state in form.states.items()},
        description=form.description,
    )


def _candidates(
    candidates: Candidates | None, place: str, named: _Named
) -> tuple[TransitionForm, ...]:
    if candidates is None:
        return ()
    if isinstance(candidates, str):
        return (TransitionForm(targets=(candidates,)),)
    listed = candidates if isinstance(candidates, list) else [candidates]
    return tuple(_transition(one, place, named) for one in listed)


def _transition(form: TransitionDefinition, place: str, named: _Named) -> TransitionForm:
    try:
        guard = None if form.guard is None else parse_guard(form.guard, named)
    except GuardError as error:
        raise ChartError(".".join(map(str, (place, "guard", *error.path))), error.reason) from error
    return TransitionForm(
        targets=_targets(form.target),
        guard=guard,
        because=form.because,
        actions=_actions(form.actions),
        internal=form.internal,
    )


def _targets(target: str | list[str] | None) -> tuple[str, ...]:
    return (target,) if isinstance(target, str) else tuple(target or ())


def _actions(actions: list[str | dict[str, Any]]) -> tuple[Action, ...]:
    return tuple(_action(action) for action in actions)


def _action(action: str | dict[str, Any]) -> Action:
    if isinstance(action, str):
        return action
    if list(action) == ["raise"] and isinstance(action["raise"], str):
        return Raise(action["raise"])
    raise ChartError("actions", f"{action!r} is no action; write {{raise = 'EVENT'}}")
