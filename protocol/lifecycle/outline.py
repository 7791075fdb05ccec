"""A lifecycle's definition as a tree that can be walked: states, and the ways out of them.

Promise:  each state and each candidate knows its path in the file.
Assume:   nothing about names: they may be unknown, or used twice.
Not here: what a chart does with them (`protocol.statechart`): what is told about a file must not
          depend on its being compiled.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from protocol.lifecycle.definition import (
    Candidates,
    LifecycleDefinition,
    StateDefinition,
    TransitionDefinition,
)
from protocol.lifecycle.delays import DelayError, parse_delay_ms
from protocol.lifecycle.places import PlacePath


@dataclass(frozen=True, eq=False)
class Candidate:
    """One way out of `source`. `member`: where it stands there, `on`, `always`, `after`, `onDone`.

    `event` is the descriptor it listens to, empty for `always` and `after`.
    """

    source: "State"
    member: str
    event: str
    path: PlacePath
    form: TransitionDefinition
    target_path: PlacePath
    delay_ms: int = 0

    @property
    def targets(self) -> tuple[str, ...]:
        """The states that it leads to; none: it stays."""
        return targets_of(self.form.target)

    @property
    def is_guarded(self) -> bool:
        """Whether something can refuse it."""
        return self.form.guard is not None and self.form.guard != []


@dataclass(frozen=True, eq=False)
class State:
    """One state; the root is the chart. `children` are in document order, histories too."""

    id: str
    path: PlacePath
    form: StateDefinition
    parent: "State | None"
    children: list["State"] = field(default_factory=list)
    candidates: list[Candidate] = field(default_factory=list)

    @property
    def type(self) -> str:
        """Its type, also where the file leaves that out."""
        return self.form.type or ("compound" if self.form.states else "atomic")

    @property
    def real_children(self) -> list["State"]:
        """Its children that can be active."""
        return [child for child in self.children if child.type != "history"]

    def lineage(self) -> Iterator["State"]:
        """Yield the state, its parent and so on, up to the root."""
        state: State | None = self
        while state is not None:
            yield state
            state = state.parent

    def is_within(self, other: "State") -> bool:
        """Tell whether this is `other`, or a state in it."""
        return any(state is other for state in self.lineage())

    def ends(self) -> Iterator["State"]:
        """Yield what a final state ends: its parent, then the parallel states around that."""
        parent = self.parent
        while parent is not None and parent.parent is not None:
            yield parent
            if parent.parent.type != "parallel":
                return
            parent = parent.parent

    def below(self) -> Iterator["State"]:
        """Yield the states in this one, in document order."""
        waiting = self.children[::-1]
        while waiting:
            state = waiting.pop()
            yield state
            waiting.extend(state.children[::-1])

    def leaves(self) -> list["State"]:
        """Return the states without states in them, in this one or itself."""
        return [
            state
            for state in (self, *self.below())
            if not state.children and state.type != "history"
        ]


class Outline:
    """All states and candidates of a definition."""

    def __init__(self, definition: LifecycleDefinition) -> None:
        self.definition = definition
        form = StateDefinition(initial=definition.initial, states=definition.states)
        self.root: Final = State(definition.id, (), form, None)
        self.states: dict[str, State] = {}
        self.repeated: list[State] = []  # Their ids belong to another state.
        self._grow()
        for state in (*self.states.values(), *self.repeated):
            state.candidates.extend(_candidates(state))

    def __iter__(self) -> Iterator[State]:
        """Yield the states in document order, those with another's id too."""
        return self.root.below()

    def candidates(self) -> Iterator[Candidate]:
        """Yield the candidates of all states."""
        for state in self:
            yield from state.candidates

    def actions(self) -> Iterator[tuple[State, PlacePath, str | dict[str, Any]]]:
        """Yield each action with the state that it belongs to and its path."""
        for state in self:
            for member in ("entry", "exit"):
                for index, action in enumerate(getattr(state.form, member)):
                    yield state, (*state.path, member, index), action
            for candidate in state.candidates:
                for index, action in enumerate(candidate.form.actions):
                    yield state, (*candidate.path, "actions", index), action

    def _grow(self) -> None:
        waiting = [self.root]
        while waiting:
            parent = waiting.pop()
            for name, form in parent.form.states.items():
                state = State(name, (*parent.path, "states", name), form, parent)
                parent.children.append(state)
            waiting.extend(parent.children[::-1])
            if parent is self.root:
                continue
            if self.states.setdefault(parent.id, parent) is not parent:
                self.repeated.append(parent)


def _candidates(state: State) -> Iterator[Candidate]:
    form = state.form
    for event, listed in form.on.items():
        yield from _listed(state, ("on", event), event, listed)
    if form.onDone is not None:
        yield from _listed(state, ("onDone",), f"done.state.{state.id}", form.onDone)
    if form.always is not None:
        yield from _listed(state, ("always",), "", form.always)
    for delay, listed in form.after.items():
        try:
            delay_ms = parse_delay_ms(delay)
        except DelayError:
            delay_ms = 0  # It has a finding of its own.
        yield from _listed(state, ("after", delay), "", listed, delay_ms)


def _listed(
    state: State, place: tuple[str, ...], event: str, listed: Candidates, delay_ms: int = 0
) -> Iterator[Candidate]:
    path: PlacePath = (*state.path, *place)
    if isinstance(listed, str):
        form = TransitionDefinition(target=listed)
        yield Candidate(state, place[0], event, path, form, path, delay_ms)
        return
    is_list = isinstance(listed, list)
    for index, form in enumerate(listed if isinstance(listed, list) else [listed]):
        where = (*path, index) if is_list else path
        yield Candidate(state, place[0], event, where, form, (*where, "target"), delay_ms)


def targets_of(target: str | list[str] | None) -> tuple[str, ...]:
    """Return the states that a file's `target` names."""
    return (target,) if isinstance(target, str) else tuple(target or ())
