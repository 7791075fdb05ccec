"""Appendix D of the SCXML recommendation, word for word and slow, for comparison with the kernel.

https://www.w3.org/TR/scxml/#AlgorithmforSCXMLInterpretation, without history and executable
content. Names are the appendix's; states are plain strings, looked up in the definition itself.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from protocol.statechart.definition import NodeType, StateDefinition, TransitionDefinition

ROOT = "chart"


class ReferenceTransition(NamedTuple):
    """One transition: where it starts, its place among all transitions, its definition."""

    source: str
    order: int
    form: TransitionDefinition

    @property
    def target(self) -> list[str]:
        """The targets, as a list."""
        target = self.form.target
        return [target] if isinstance(target, str) else target or []


class Reference:
    """A chart interpreted straight from its definition."""

    def __init__(self, root: StateDefinition) -> None:
        self.forms: dict[str, StateDefinition] = {}
        self.parents: dict[str, str | None] = {}
        self.transitions: dict[tuple[str, str], list[ReferenceTransition]] = {}
        self._add(ROOT, root, None)
        count = 0
        for state, form in self.forms.items():
            for event, listed in form.on.items():
                self.transitions[state, event] = []
                for one in listed if isinstance(listed, list) else [listed]:
                    self.transitions[state, event].append(ReferenceTransition(state, count, one))
                    count += 1

    def _add(self, name: str, form: StateDefinition, parent: str | None) -> None:
        self.forms[name], self.parents[name] = form, parent
        for child, below in form.states.items():
            self._add(child, below, name)

    def document_order(self, states: Iterable[str]) -> list[str]:
        """Sort in entry order; reversed it is exit order."""
        return sorted(states, key=list(self.forms).index)

    def is_parallel(self, state: str) -> bool:
        """Whether `state` is a `<parallel>`."""
        return self.forms[state].type is NodeType.PARALLEL

    def is_compound(self, state: str) -> bool:
        """Whether `state` has children, one of which is active."""
        return bool(self.forms[state].states) and not self.is_parallel(state)

    def is_atomic(self, state: str) -> bool:
        """Whether `state` has no children."""
        return not self.forms[state].states

    def proper_ancestors(self, state: str, upper: str | None) -> list[str]:
        """Do `getProperAncestors`."""
        ancestors = []
        parent = self.parents[state]
        while parent is not None and parent != upper:
            ancestors.append(parent)
            parent = self.parents[parent]
        return ancestors

    def is_descendant(self, state: str, ancestor: str) -> bool:
        """Do `isDescendant`."""
        return ancestor in self.proper_ancestors(state, None)

    def select(
        self, configuration: set[str], event: str, allows: Callable[[int], bool]
    ) -> list[ReferenceTransition]:
        """Do `selectTransitions`."""
        enabled: list[ReferenceTransition] = []
        for state in self.document_order(filter(self.is_atomic, configuration)):
            for s in [state, *self.proper_ancestors(state, None)]:
                found = [t for t in self.transitions.get((s, event), []) if allows(t.order)]
                if found:
                    if found[0] not in enabled:
                        enabled.append(found[0])
                    break
        return self.remove_conflicting(configuration, enabled)

    def remove_conflicting(
        self, configuration: set[str], enabled: list[ReferenceTransition]
    ) -> list[ReferenceTransition]:
        """Do `removeConflictingTransitions`."""
        filtered: list[ReferenceTransition] = []
        for t1 in enabled:
            preempted = False
            to_remove = []
            for t2 in filtered:
                if self.exit_set(configuration, [t1]) & self.exit_set(configuration, [t2]):
                    if self.is_descendant(t1.source, t2.source):
                        to_remove.append(t2)
                    else:
                        preempted = True
                        break
            if not preempted:
                filtered = [t for t in filtered if t not in to_remove]
                filtered.append(t1)
        return filtered

    def exit_set(
        self, configuration: set[str], transitions: Iterable[ReferenceTransition]
    ) -> set[str]:
        """Do `computeExitSet`."""
        to_exit = set()
        for t in transitions:
            if t.target:
                domain = self.domain(t)
                to_exit |= {s for s in configuration if self.is_descendant(s, domain)}
        return to_exit

    def domain(self, t: ReferenceTransition) -> str:
        """Do `getTransitionDomain`."""
        if (
            t.form.internal
            and self.is_compound(t.source)
            and all(self.is_descendant(s, t.source) for s in t.target)
        ):
            return t.source
        return self.lcca([t.source, *t.target])

    def lcca(self, states: list[str]) -> str:
        """Do `findLCCA`; the root counts as compound, whatever it is."""
        for ancestor in self.proper_ancestors(states[0], None):
            if (ancestor == ROOT or self.is_compound(ancestor)) and all(
                self.is_descendant(s, ancestor) for s in states[1:]
            ):
                return ancestor
        return ROOT

    def entry_set(self, transitions: Iterable[ReferenceTransition]) -> set[str]:
        """Do `computeEntrySet`."""
        to_enter: set[str] = set()
        for t in transitions:
            for s in t.target:
                self.add_descendants(s, to_enter)
            for s in t.target:
                self.add_ancestors(s, self.domain(t), to_enter)
        return to_enter

    def add_descendants(self, state: str, to_enter: set[str]) -> None:
        """Do `addDescendantStatesToEnter`."""
        to_enter.add(state)
        if self.is_compound(state):
            form = self.forms[state]
            self.add_descendants(form.initial or next(iter(form.states)), to_enter)
        elif self.is_parallel(state):
            self.add_regions(state, to_enter)

    def add_regions(self, state: str, to_enter: set[str]) -> None:
        """Enter the regions that nothing has entered yet."""
        for child in self.forms[state].states:
            if not any(self.is_descendant(s, child) for s in to_enter):
                self.add_descendants(child, to_enter)

    def add_ancestors(self, state: str, ancestor: str, to_enter: set[str]) -> None:
        """Do `addAncestorStatesToEnter`."""
        for anc in self.proper_ancestors(state, ancestor):
            to_enter.add(anc)
            if self.is_parallel(anc):
                self.add_regions(anc, to_enter)
