"""Lifecycles: a statechart with permissions, named `id@version`, read from TOML.

Promise:  a `Lifecycle` that was loaded names only guards and actions that exist.
Assume:   the text is hostile; nothing in it is ever evaluated.
Not here: what the guards decide (`actors.guards`), what the actions record (`snapshots`).
"""

import re
import tomllib
from typing import Final, Self

import msgspec

from protocol.errors import ManifestdError, did_you_mean
from protocol.principals import ROLES
from protocol.snapshots import ACTIONS
from protocol.statechart.compiled import Chart, ChartError, compile_chart
from protocol.statechart.definition import StateDefinition

MUTABLE: Final = "mutable"  # The tag of states in which the document may be revised.
GUARDS: Final = (
    "manifest_valid",
    "reason_given",
    "digest_matches",
    "four_eyes",
    "content_approved",
    "urn_free",
)


_ID: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")  # Part of a file's name.


class LifecycleError(ManifestdError):
    """A lifecycle file is wrong. Unlike `ChartError` it knows which file."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"lifecycle {name}: {reason}")
        self.name = name
        self.reason = reason


class LifecycleDefinition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A lifecycle file. `roles`: for each event the roles that permit it; none: every role."""

    id: str
    version: int
    initial: str
    states: dict[str, StateDefinition]
    roles: dict[str, list[str]] = msgspec.field(default_factory=dict)
    description: str | None = None


class Lifecycle:
    """A compiled lifecycle. Immutable."""

    def __init__(self, definition: LifecycleDefinition) -> None:
        self.definition = definition
        self.name = f"{definition.id}@{definition.version}"
        if _ID.fullmatch(definition.id) is None or definition.version < 1:
            reason = "its id is 1 to 63 of a-z 0-9 -, its version a number from 1"
            raise LifecycleError(self.name, reason)
        root = StateDefinition(initial=definition.initial, states=definition.states)
        try:
            self.chart: Chart = compile_chart(definition.id, root)
        except ChartError as error:
            raise LifecycleError(self.name, str(error)) from error
        self._check_actions_and_guards()
        self.events: tuple[str, ...] = tuple(
            dict.fromkeys(transition.event for transition in self.chart.transitions)
        )
        for event, roles in definition.roles.items():
            self._check("roles", "event", event, list(self.events))
            for role in roles:
                self._check(f"roles.{event}", "role", role, list(ROLES))
        self._allowed: dict[tuple[str, ...], list[str]] = {}

    def _check_actions_and_guards(self) -> None:
        for transition in self.chart.transitions:
            place = f"{transition.source.id}.on.{transition.event}"
            for guard in transition.guards:
                self._check(place, "guard", guard, list(GUARDS))
            for action in transition.actions:
                self._check(place, "action", action, list(ACTIONS))
        for node in self.chart.nodes.values():
            for action in (*node.entry, *node.exit):
                self._check(node.id, "action", action, list(ACTIONS))

    def _check(self, place: str, what: str, name: str, known: list[str]) -> None:
        if name not in known:
            near = did_you_mean(name, known)
            hint = f"; did you mean {near!r}?" if near else f"; known: {', '.join(known)}"
            raise LifecycleError(self.name, f"{place}: there is no {what} {name!r}{hint}")

    def allowed_events(self, states: tuple[str, ...]) -> list[str]:
        """Return the events that `states` has a transition for, sorted; do not change the list."""
        events = self._allowed.get(states)
        if events is None:
            events = self._allowed[states] = self.chart.events(states)
        return events

    def roles_for(self, event: str) -> list[str] | None:
        """Return the roles that permit `event`, or None when every role does."""
        return self.definition.roles.get(event)

    def is_mutable(self, states: tuple[str, ...]) -> bool:
        """Tell whether the document may be revised in `states`."""
        return self.chart.has_tag(states, MUTABLE)

    @classmethod
    def from_toml(cls, text: str, name: str = "?") -> Self:
        """Read a lifecycle file; `LifecycleError` says what is wrong and where."""
        try:
            data = tomllib.loads(text)
            definition = msgspec.convert(data, LifecycleDefinition)
        except (tomllib.TOMLDecodeError, msgspec.ValidationError, RecursionError) as error:
            raise LifecycleError(name, str(error)) from error
        return cls(definition)

    def to_json(self) -> bytes:
        """Return the definition as JSON, as the store keeps it and the wire sends it."""
        return msgspec.json.encode(self.definition, order="deterministic")
