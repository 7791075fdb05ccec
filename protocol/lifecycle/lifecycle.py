"""A lifecycle: a statechart with permissions, compiled, named `id@version`.

Promise:  a `Lifecycle` that was loaded names only states, guards and actions that exist.
Assume:   the text is hostile; nothing in it is ever evaluated.
Not here: what the guards decide (`actors.guards`), what the actions record (`snapshots`).
"""

import re
from typing import Final, Self

import msgspec

from protocol.lifecycle.checks import read_checked
from protocol.lifecycle.compiler import to_form
from protocol.lifecycle.definition import LifecycleDefinition
from protocol.lifecycle.findings import LifecycleError, unknown
from protocol.lifecycle.guards import GuardForm, guard_states
from protocol.lifecycle.reader import Syntax
from protocol.principals import ROLE
from protocol.statechart.compiled import Chart, is_reserved, matches
from protocol.statechart.compiler import ChartError, compile_chart

MUTABLE: Final = "mutable"  # The tag of states in which the document may be revised.
_ID: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")  # Part of a file's name.


class Lifecycle:
    """A compiled lifecycle. Immutable.

    `events`: every event that somebody may send, as described. `assignments`: what actions named
    `assign.N` put into the context; `assigned_members` are all that they name.
    """

    def __init__(self, definition: LifecycleDefinition) -> None:
        self.definition = definition
        self.name = f"{definition.id}@{definition.version}"
        if _ID.fullmatch(definition.id) is None or definition.version < 1:
            reason = "its id is 1 to 63 of a-z 0-9 -, its version a number from 1"
            raise LifecycleError.of(self.name, reason)
        try:
            form, self.assignments = to_form(definition)
            self.assigned_members = frozenset(
                member for assignment in self.assignments.values() for member in assignment
            )
            self.chart: Chart = compile_chart(definition.id, form)
        except ChartError as error:
            raise LifecycleError.of(self.name, error.reason, place=error.place) from error
        self._check_guards()
        self.events: tuple[str, ...] = tuple(
            dict.fromkeys(
                transition.event
                for transition in self.chart.transitions
                if transition.event and not is_reserved(transition.event)
            )
        )
        for event, roles in definition.roles.items():
            if not any(matches(event, one) or matches(one, event) for one in self.events):
                reason = unknown("event", event, self.events)
                raise LifecycleError.of(self.name, reason, place="roles")
            for role in roles:
                if ROLE.fullmatch(role) is None:
                    reason = f"{role!r} is no role; it is 1 to 32 of a-z 0-9 _ -"
                    raise LifecycleError.of(self.name, reason, place=f"roles.{event}")
        # The longest first: who may send `note.private` is not asked of `note`, or of `*`.
        self._roles = sorted(definition.roles.items(), key=_weight, reverse=True)
        self._allowed: dict[tuple[str, ...], list[str]] = {}

    def _check_guards(self) -> None:
        for transition in self.chart.transitions:
            if transition.guard is None:
                continue
            assert isinstance(transition.guard, GuardForm)
            for state in guard_states(transition.guard):
                if state not in self.chart.nodes:
                    place = f"{transition.source.id}.{transition.event or 'always'}"
                    reason = unknown("state", state, self.chart.nodes)
                    raise LifecycleError.of(self.name, reason, place=place)

    def allowed_events(self, states: tuple[str, ...]) -> list[str]:
        """Return the events that `states` has a transition for, sorted; do not change the list."""
        events = self._allowed.get(states)
        if events is None:
            events = self._allowed[states] = self.chart.events(states)
        return events

    def knows(self, event: str) -> bool:
        """Tell whether any state has a transition for `event`."""
        return not is_reserved(event) and any(matches(one, event) for one in self.events)

    def takes_by_name(self, states: tuple[str, ...], event: str) -> bool:
        """Tell whether `states` have a transition for `event`, and not only one for any (`*`)."""
        found = (one for leaf in states for one in self.chart.candidates(leaf, event))
        return any(one.event != "*" for one in found)

    def roles_for(self, event: str) -> list[str] | None:
        """Return the roles that permit `event`, or None when every role does.

        An entry permits what a transition of that name takes: `approve` also `approve.again`,
        which the state would take for `approve`. The longest entry that fits decides.
        """
        roles = self.definition.roles
        if event in roles:
            return roles[event]
        return next((found for name, found in self._roles if matches(name, event)), None)

    def is_mutable(self, states: tuple[str, ...]) -> bool:
        """Tell whether the document may be revised in `states`."""
        return self.chart.has_tag(states, MUTABLE)

    @classmethod
    def read(cls, text: str | bytes, name: str, *, syntax: Syntax | None = None) -> Self:
        """Read the text of a lifecycle file called `name`: TOML, or JSON when it ends with `.json`.

        Raises:
            LifecycleError: it is wrong; its findings say all that is, and where.
        """
        definition, _ = read_checked(text, name, syntax=syntax)
        return cls(definition)

    def to_json(self) -> bytes:
        """Return the definition as JSON, as the store keeps it and the wire sends it."""
        return msgspec.json.encode(self.definition)  # In its own order, which means something.


def _weight(entry: tuple[str, list[str]]) -> int:
    descriptor = entry[0]
    return 0 if descriptor == "*" else len(descriptor.removesuffix(".*"))
