"""What the guards of a lifecycle answer in a rehearsal.

An answer in the table goes first. Else `and`, `or`, `not` and `in` are evaluated, `has_role` when
the step gives roles, `reason_given` when it gives a reason, `approvals_at_least` over the approvals
that the case recorded, CEL when the case gives a manifest. Everything else holds.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from protocol.events import state_name
from protocol.lifecycle.expressions import EvaluationError, Expression
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
from protocol.lifecycle.rehearsal_table import Case, Step, names_of
from protocol.statechart.compiled import Chart


class Approval(NamedTuple):
    """Who approved in a rehearsal, as far as the step said so."""

    principal: str | None
    roles: list[str] | None
    event: str | None


class Moment(NamedTuple):
    """What a guard may look at while a step is taken."""

    chart: Chart
    case: Case
    step: Step
    leaves: tuple[str, ...]
    approvals: list[Approval]
    context: Mapping[str, Any]
    now: str


class Asked:
    """One guard, asked at one moment; `refused`: which of its parts refused, and what they say."""

    def __init__(self, moment: Moment) -> None:
        self._moment = moment
        self.refused: list[str] = []

    def holds(self, form: GuardForm) -> bool:
        """Tell whether the guard holds."""
        answer = self._answer(form)
        found = self._evaluated(form) if answer is None else answer
        if found:
            return True
        if answer is False or not isinstance(form, And | Or | Named):
            self.refused.append(describe(form))
        if isinstance(form, Named | Builtin):
            self.refused.append(form.name)
        if form.because is not None:
            self.refused.append(form.because)
        return False

    def _answer(self, form: GuardForm) -> bool | None:
        """Return what the table says about a guard: by its text, else by its name alone."""
        for name in names_of(form):
            for answers in (self._moment.step.guards, self._moment.case.guards):
                if name in answers:
                    return answers[name]
        return None

    def _evaluated(self, form: GuardForm) -> bool:
        match form:
            case Builtin():
                found = self._built_in(form)
            case Cel(expression=expression):
                found = self._expression(expression)
            case And(guards=guards):
                found = all(map(self.holds, guards))
            case Or(guards=guards):
                found = self._any(guards)
            case Not(guard=guard):
                found = not Asked(self._moment).holds(guard)
            case In(state=state):
                found = self._moment.chart.is_in(self._moment.leaves, state)
            case Named(guard=guard):
                found = self.holds(guard)
        return found

    def _any(self, guards: Iterable[GuardForm]) -> bool:
        asked = Asked(self._moment)
        if any(map(asked.holds, guards)):
            return True
        self.refused += asked.refused
        return False

    def _built_in(self, form: Builtin) -> bool:
        step = self._moment.step
        if form.name == "has_role" and step.roles is not None:
            return set(form.arguments) <= set(step.roles)
        if form.name == "reason_given" and step.reason is not None:
            return bool(step.reason.strip())
        if form.name == "approvals_at_least":
            wanted, *roles = form.arguments
            counted = [
                one
                for one in self._moment.approvals
                if not roles or one.roles is None or roles[0] in one.roles
            ]
            people = {one.principal for one in counted if one.principal is not None}
            nobodies = sum(one.principal is None for one in counted)
            return len(people) + nobodies >= int(wanted)
        return True

    def _expression(self, expression: Expression) -> bool:
        if self._moment.case.manifest is None:
            return True
        try:
            return expression.evaluate(variables_of(self._moment)) is True
        except EvaluationError as error:
            self.refused.append(str(error))
            return False


def variables_of(moment: Moment) -> dict[str, object]:
    """Return what expressions see. What a rehearsal does not know of a manifest is null."""
    case, step = moment.case, moment.step
    return {
        "manifest": case.manifest,
        "state": {
            "id": case.name,
            "kind": case.kind,
            "name": state_name(moment.leaves),
            "names": list(moment.leaves),
            "context": dict(moment.context),
            **dict.fromkeys(("version", "digest", "author", "urn", "rejection", "lifecycle")),
            "contributors": [],
            "registered": [],
        },
        "principal": {
            "name": step.principal or "",
            "authenticated": True,
            "roles": sorted(step.roles or []),
            "via": None,
        },
        "command": {
            "event": step.event,
            "reason": step.reason,
            "context": step.context,
            **dict.fromkeys(("target", "digest", "expected_version")),
        },
        "approvals": [
            {
                "principal": one.principal,
                "roles": one.roles or [],
                "event": one.event,
                "current": True,
                **dict.fromkeys(("digest", "at", "version", "via")),
            }
            for one in moment.approvals
        ],
        "now": moment.now,
    }
