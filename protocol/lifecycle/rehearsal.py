"""Walks a lifecycle through the cases of a table, on the real kernel, and says what differs.

Promise:  pure; time is virtual. What a case says nothing about holds: guards that would look at a
          store or at people are answered by the table.
Assume:   the table was read for this lifecycle (`rehearsal_table.py`).
Not here: what the built-in guards really decide (`actors.builtin_guards`).

Really evaluated: `and`, `or`, `not` and `in`; `has_role` when the step gives roles, `reason_given`
when it gives a reason, `approvals_at_least` over the approvals that the case recorded, and CEL when
the case gives a manifest. An answer in the table goes before all of that.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from protocol.lifecycle.delays import parse_delay_ms
from protocol.lifecycle.expressions import EvaluationError
from protocol.lifecycle.guards import GuardForm
from protocol.lifecycle.lifecycle import Lifecycle
from protocol.lifecycle.rehearsal_guards import Approval, Asked, Moment, variables_of
from protocol.lifecycle.rehearsal_table import Case, Step, Table
from protocol.statechart.compiled import Transition
from protocol.statechart.definition import Cancel, Send
from protocol.statechart.kernel import Macrostep, RunawayError, start, step

FIRINGS_MAX: Final = 1000  # Timers that go off in one step; one that arms itself has no end.


class Outcome(NamedTuple):
    """How a case went: `difference` is None when it went as expected, else what did not; `line`
    is where the table expects it.
    """

    case: str
    line: int | None
    difference: str | None


def rehearse(lifecycle: Lifecycle, table: Table) -> list[Outcome]:
    """Return how each case of `table` went, in order; a case ends with its first difference."""
    outcomes = []
    for number, case in enumerate(table.cases):
        stage = _Stage(lifecycle, case)
        index, difference = stage.play()
        path = ("case", number) if index is None else ("case", number, "steps", index)
        outcomes.append(Outcome(case.name, table.places.line(path), difference))
    return outcomes


class _Armed(NamedTuple):
    due_ms: int
    number: int  # In the order of arming.
    timer: str
    event: str


class _Stage:
    """One case in play."""

    def __init__(self, lifecycle: Lifecycle, case: Case) -> None:
        self.lifecycle = lifecycle
        self.case = case
        self.leaves: tuple[str, ...] = ()
        self.history: dict[str, list[str]] = {}
        self.approvals: list[Approval] = []
        self.context: dict[str, Any] = {}
        self.armed: list[_Armed] = []
        self.now_ms = 0
        self.count = 0
        self.step = Step()
        self.refusals: list[str] = []  # Of guards asked in this step: what refused, what it said.

    def play(self) -> tuple[int | None, str | None]:
        """Return the index of the step that differed, and how; None: none did."""
        try:
            begun = start(self.lifecycle.chart, self.allows)
            self.context = self.assigned(begun)
            self.accept(begun)
        except (RunawayError, EvaluationError) as error:
            return None, f"it never begins: {error}"
        for index, one in enumerate(self.case.steps):
            self.step = one
            self.refusals = []
            what = one.event or f"after {one.after}"
            try:
                refusal = self.take(one)
            except RunawayError as error:
                return index, f"step {index + 1} ({what}): {error}"
            difference = self.compared(one, refusal)
            if difference is not None:
                return index, f"step {index + 1} ({what}): {difference}"
        return None, None

    def compared(self, one: Step, refusal: str | None) -> str | None:
        """Return how what happened differs from what the step expects."""
        at = " + ".join(self.leaves)
        if one.refused:
            expected = "a refusal" if one.refused is True else f"a refusal by {one.refused!r}"
            if refusal is None:
                return f"expected {expected}, it was taken and is {at}"
            if one.refused is not True and one.refused not in self.refusals:
                return f"expected {expected}, it was refused by {refusal}"
        elif refusal is not None:
            expected = (
                f"expected {' + '.join(one.states)}" if one.states else "expected to be taken"
            )
            return f"{expected}, it was refused by {refusal} and is {at}"
        if one.states and not self.is_exactly(one.states):
            return f"expected {' + '.join(one.states)}, it is {at}"
        return None

    def is_exactly(self, states: Sequence[str]) -> bool:
        """Tell whether all `states` are active, and every active leaf is one of them or in one."""
        chart = self.lifecycle.chart
        return all(chart.is_in(self.leaves, state) for state in states) and all(
            any(node.id in states for node in chart.nodes[leaf].line()) for leaf in self.leaves
        )

    # What happens.

    def take(self, one: Step) -> str | None:
        """Do what a step says; return what refused it, in words, or None."""
        if one.event is None:
            assert one.after is not None
            self.pass_time(parse_delay_ms(one.after))
            return None
        if not self.lifecycle.chart.accepts(self.leaves, one.event):
            self.refusals = ["event"]
            return "the state: nothing there listens to it ('event')"
        permitted = self.lifecycle.roles_for(one.event)
        if None not in (permitted, one.roles) and not set(permitted or ()) & set(one.roles or ()):
            self.refusals = ["roles"]
            return f"the roles ('roles'): it takes {' or '.join(permitted or ()) or 'nobody'}"
        taken = step(self.lifecycle.chart, self.leaves, self.history, one.event, self.allows)
        if taken is None:
            return " and ".join(f"'{refusal}'" for refusal in dict.fromkeys(self.refusals))
        try:
            assigned = self.assigned(taken)
        except EvaluationError as error:
            self.refusals = ["assign"]
            return f"an assignment without a value ('assign'): {error}"
        self.context |= one.context | assigned
        self.accept(taken)
        return None

    def assigned(self, taken: Macrostep) -> dict[str, Any]:
        """Return what the step's assignments put into the context, if the case gives a manifest.

        Raises:
            EvaluationError: one of them has no value here.
        """
        if self.case.manifest is None:
            return {}
        variables = variables_of(self.moment(self.leaves, self.approvals))
        return {
            member: expression.evaluate(variables)
            for action in taken.actions
            for member, expression in self.lifecycle.assignments.get(action, {}).items()
        }

    def moment(self, leaves: tuple[str, ...], approvals: list[Approval]) -> Moment:
        chart = self.lifecycle.chart
        return Moment(chart, self.case, self.step, leaves, approvals, self.context, self.now)

    def accept(self, taken: Macrostep) -> None:
        self.leaves, self.history = taken.leaves, taken.history
        self.approvals = self.approvals_after(taken.actions)
        for change in taken.timers:
            if isinstance(change, Cancel):
                self.armed = [one for one in self.armed if one.timer != change.id]
            else:
                self.arm(change)

    def arm(self, send: Send) -> None:
        self.count += 1
        due_ms = self.now_ms + send.delay_ms
        self.armed.append(_Armed(due_ms, self.count, send.id or "", send.event))

    def pass_time(self, delay_ms: int) -> None:
        end_ms = self.now_ms + delay_ms
        for _ in range(FIRINGS_MAX):
            first = min(self.armed, default=None)
            if first is None or first.due_ms > end_ms:
                break
            self.armed.remove(first)
            self.now_ms = first.due_ms
            chart = self.lifecycle.chart
            taken = step(chart, self.leaves, self.history, first.event, self.allows)
            if taken is not None:
                with suppress(EvaluationError):  # Refused: the timer is gone, nothing else is.
                    self.context |= self.assigned(taken)
                    self.accept(taken)
        self.now_ms = end_ms

    def approvals_after(self, actions: Sequence[str]) -> list[Approval]:
        approvals = list(self.approvals)
        for action in actions:
            if action == "record_approval":
                approvals.append(Approval(self.step.principal, self.step.roles, self.step.event))
            elif action == "void_approvals":
                approvals = []
        return approvals

    # Guards.

    def allows(
        self, transition: Transition, leaves: tuple[str, ...], actions: Sequence[str]
    ) -> bool:
        assert isinstance(transition.guard, GuardForm)
        asked = Asked(self.moment(leaves, self.approvals_after(actions)))
        if asked.holds(transition.guard):
            return True
        self.refusals += asked.refused
        if transition.because is not None:
            self.refusals.append(transition.because)
        return False

    @property
    def now(self) -> str:
        at = datetime.fromisoformat(self.case.now).astimezone(UTC)
        return (at + timedelta(milliseconds=self.now_ms)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
