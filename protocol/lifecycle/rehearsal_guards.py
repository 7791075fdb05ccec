"""What the guards of a lifecycle answer in a rehearsal.

An answer in the table goes first. Else `and`, `or`, `not` and `in` are evaluated, `has_role` when
the step gives roles, `reason_given` when it gives a reason, `approvals_at_least` over the approvals
that the case recorded, CEL when the case gives a manifest. Everything else holds.
"""

from typing import Any, NamedTuple

from protocol.lifecycle.definition import Candidates, StateDefinition, TransitionDefinition
from protocol.lifecycle.lifecycle import Lifecycle
from protocol.lifecycle.rehearsal_table import Case, Step, name_of
from protocol.lifecycle.xstate import split_call
from protocol.statechart.compiled import Chart


class Approval(NamedTuple):
    """Who approved in a rehearsal, as far as the step said so."""

    principal: str | None
    roles: list[str] | None


class Asked:
    """One guard, asked at one moment; `refused`: which of its parts refused, and what they say."""

    def __init__(
        self,
        lifecycle: Lifecycle,
        case: Case,
        step: Step,
        leaves: tuple[str, ...],
        approvals: list[Approval],
    ) -> None:
        self.lifecycle = lifecycle
        self.case = case
        self.step = step
        self.leaves = leaves
        self.approvals = approvals
        self.refused: list[str] = []

    def holds(self, guard: Any) -> bool:  # noqa: ANN401 (as a file spells it)
        """Tell whether `guard` holds."""
        if guard is None:
            return True
        if isinstance(guard, str):
            return self._named(guard)
        if isinstance(guard, list):
            return all(map(self.holds, guard))
        found = self._form(guard)
        if not found and guard.get("because"):
            self.refused.append(guard["because"])
        return found

    def _form(self, guard: dict[str, Any]) -> bool:
        match guard:
            case {"and": value}:
                return all(map(self.holds, value))
            case {"or": value}:
                asked = self._again()
                found = any(map(asked.holds, value))
                refused = asked.refused
            case {"not": value}:
                found, refused = not self._again().holds(value), [f"not {value}"]
            case {"in": str(state)}:
                found, refused = self.lifecycle.chart.is_in(self.leaves, state), [f"in {state}"]
            case {"cel": str(text)}:
                return self._expression(text)
            case _:
                raise AssertionError(guard)
        if not found:
            self.refused += refused
        return found

    def _again(self) -> "Asked":
        return Asked(self.lifecycle, self.case, self.step, self.leaves, self.approvals)

    def _answer(self, text: str) -> bool | None:
        """Return what the table says about a guard: by its text, else by its name alone."""
        for name in (text, name_of(text)):
            for answers in (self.step.guards, self.case.guards):
                if name in answers:
                    return answers[name]
        return None

    def _named(self, text: str) -> bool:
        found = self._answer(text)
        if found is None:
            named = self.lifecycle.definition.guards
            if text in named:
                found = self.holds(named[text])
            else:
                call = split_call(text)
                if call is None:
                    return self._expression(text)
                found = self._built_in(*call)
        if not found:
            self.refused += dict.fromkeys((text, name_of(text)))
        return found

    def _built_in(self, name: str, arguments: list[Any]) -> bool:
        one = self.step
        if name == "has_role" and one.roles is not None:
            return set(arguments) <= set(one.roles)
        if name == "reason_given" and one.reason is not None:
            return bool(one.reason.strip())
        if name == "approvals_at_least" and arguments:
            wanted, *roles = arguments
            counted = [
                approval
                for approval in self.approvals
                if not roles or approval.roles is None or roles[0] in approval.roles
            ]
            people = {one.principal for one in counted if one.principal is not None}
            return len(people) + sum(one.principal is None for one in counted) >= int(wanted)
        return True

    def _expression(self, text: str) -> bool:
        found = self._answer(text)
        if found is None:
            found = True
        if not found:
            self.refused.append(text)
        return found


def raw_guards(lifecycle: Lifecycle) -> dict[int, Any]:
    """Return the guard of each transition as its file spells it, by the transition's order."""
    chart, found = lifecycle.chart, dict[int, Any]()
    states = list(lifecycle.definition.states.items())
    while states:
        name, state = states.pop()
        states += state.states.items()
        _pair(chart, name, state, found)
    return found


def _pair(chart: Chart, name: str, state: StateDefinition, found: dict[int, Any]) -> None:
    node = chart.nodes[name]
    forms = [one for many in state.on.values() for one in _listed(many)]
    forms += _listed(state.onDone)
    forms += [one for many in state.after.values() for one in _listed(many)]
    always = _listed(state.always)
    assert len(forms) == len(node.on), name
    assert len(always) == len(node.always), name
    for transition, form in zip((*node.on, *node.always), (*forms, *always), strict=True):
        found[transition.order] = form.guard


def _listed(candidates: Candidates | None) -> list[TransitionDefinition]:
    if candidates is None:
        return []
    listed = candidates if isinstance(candidates, list) else [candidates]
    return [TransitionDefinition(target=one) if isinstance(one, str) else one for one in listed]
