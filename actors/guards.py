"""Guards put together: what a transition asks before it is taken.

Promise:  pure; a guard that cannot be answered refuses and says so, under `not` too. What the
          lifecycle's author wrote as `because` comes first, then what the guard saw.
Not here: what built-in guards ask (`builtin_guards.py`), how a guard is spelled
          (`protocol.lifecycle.guards`).
"""

from typing import Final

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

    `details.guard` is the part that refused, `details.because` what the lifecycle says about it,
    `details.error` why it could not be answered.
    """
    assert isinstance(form, GuardForm)
    refusal = _ask(form, question)
    if refusal is not None and form.because is not None:
        say_because(refusal, form.because)
    return refusal


def say_because(refusal: CommandError, because: str) -> None:
    """Tell the caller what the lifecycle's author wants him told, and then what the guard saw."""
    refusal.details["because"] = because
    refusal.message = f"{because} ({refusal.message})"
    refusal.args = (refusal.message,)


def _ask(form: GuardForm, question: Question) -> CommandError | None:  # noqa: PLR0911 (a table)
    match form:
        case Builtin(name=name, arguments=arguments):
            return GUARDS[name](question, *arguments)
        case Cel():
            return _expression(form, question)
        case And(guards=guards):
            refusals = (refusal_of(guard, question) for guard in guards)
            return next((refusal for refusal in refusals if refusal is not None), None)
        case Or():
            return _any(form, question)
        case Not():
            return _not(form, question)
        case In():
            return _in(form, question)
        case Named(guard=guard):
            return refusal_of(guard, question)


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
