"""Guards put together: what a transition asks before it is taken.

Promise:  pure; a guard that cannot be answered refuses and says so, under `not` too. What the
          lifecycle's author wrote as `because` comes first, then what the guard saw.
Not here: what built-in guards ask (`builtin_guards.py`), how a guard is spelled
          (`protocol.lifecycle.guards`).
"""

from collections.abc import Callable
from typing import Any, Final

from actors.builtin_guards import GUARDS
from actors.question import Question
from protocol.errors import CommandError, GuardRejectedError
from protocol.lifecycle.expressions import EvaluationError
from protocol.lifecycle.guards import (
    And,
    Builtin,
    Cel,
    GuardForm,
    In,
    Named,
    Not,
    Or,
    describe,
)

_UNANSWERED: Final = "error"  # Of details: why a guard could not be answered.
_KINDS: Final = {str: "a text", int: "a number", float: "a number", list: "a list", dict: "a map"}


def refusal_of(form: object, question: Question) -> CommandError | None:
    """Return why the guard `form` refuses, None when it does not.

    `details.guard` is the part that refused, by its name if it has one, `details.because` what the
    lifecycle says about it, `details.error` why it could not be answered.
    """
    refusal = _ASK[type(form)](form, question)
    if refusal is None:
        return None
    assert isinstance(form, GuardForm)
    if form.because is not None:
        say_because(refusal, form.because)
    return refusal


def say_because(refusal: CommandError, because: str) -> None:
    """Tell the caller what the lifecycle's author wants him told, and then what the guard saw."""
    refusal.details["because"] = because
    refusal.message = f"{because} ({refusal.message})"
    refusal.args = (refusal.message,)


def _built_in(form: Builtin, question: Question) -> CommandError | None:
    return GUARDS[form.name](question, *form.arguments)


def _all(form: And, question: Question) -> CommandError | None:
    for guard in form.guards:
        refusal = refusal_of(guard, question)
        if refusal is not None:
            return refusal
    return None


def _named(form: Named, question: Question) -> CommandError | None:
    """Ask what the name stands for; what is no built-in guard is called by the name."""
    refusal = refusal_of(form.guard, question)
    if refusal is not None and isinstance(form.guard, Cel | Not | Or | In):
        refusal.details["guard"] = form.name
    return refusal


def _expression(form: Cel, question: Question) -> CommandError | None:
    try:
        value = form.expression.evaluate(question.variables, question.allowance)
    except EvaluationError as error:
        return _unanswered(form, str(error))
    if value is True:
        return None
    if value is False:
        return _rejected(form, f"{describe(form)} is not so")
    kind = _KINDS.get(type(value), "null")
    return _unanswered(form, f"its value is {kind}, neither true nor false")


def _any(form: Or, question: Question) -> CommandError | None:
    refusals = []
    for guard in form.guards:
        refusal = refusal_of(guard, question)
        if refusal is None:
            return None
        refusals.append(refusal)
    if len(refusals) == 1:
        return refusals[0]
    joined = _rejected(form, "; and ".join(refusal.message for refusal in refusals))
    joined.details["refusals"] = [{"code": one.code, **one.details} for one in refusals]
    errors = [one.details[_UNANSWERED] for one in refusals if _UNANSWERED in one.details]
    if errors:
        joined.details[_UNANSWERED] = errors[0]
    return joined


def _not(form: Not, question: Question) -> CommandError | None:
    refusal = refusal_of(form.guard, question)
    if refusal is None:
        return _rejected(form, f"{describe(form.guard)} is so, and must not be")
    return refusal if _UNANSWERED in refusal.details else None


def _in(form: In, question: Question) -> CommandError | None:
    chart = question.rules.lifecycles.get(question.state.lifecycle).chart
    if chart.is_in(question.leaves, form.state):
        return None
    active = " + ".join(question.leaves)
    return _rejected(form, f"{question.state.manifest_id} is in {active}, not in {form.state}")


def _rejected(form: GuardForm, message: str) -> GuardRejectedError:
    return GuardRejectedError(message, details={"guard": describe(form)})


def _unanswered(form: GuardForm, error: str) -> GuardRejectedError:
    refusal = _rejected(form, f"{describe(form)} could not be answered: {error}")
    refusal.details[_UNANSWERED] = error
    return refusal


# By its class: on the way of every command a look-up is a third of what `match` takes.
_ASK: Final[dict[type, Callable[[Any, Question], CommandError | None]]] = {
    Builtin: _built_in,
    Cel: _expression,
    And: _all,
    Or: _any,
    Not: _not,
    In: _in,
    Named: _named,
}
