"""Appendix D of the SCXML recommendation, word for word and slow, for comparison with the kernel.

https://www.w3.org/TR/scxml/#AlgorithmforSCXMLInterpretation. The names are the appendix's; states
are plain strings, looked up in the form itself, and nothing is computed before it is needed.

Ours, where the appendix is silent or ends: states have timers (`after`), which arm after the other
entry actions and are disarmed after the other exit actions, and whose events only their own
transitions match; the root may have transitions, which leave all that is in it; a parallel state
whose last region to end is a parallel state itself is done too (section 3.4); what a transition
left is entered again, though its history may have moved its domain meanwhile, and what it did not
leave is not entered, though it may lie below the parent of a history state that it leads to; and a
run of microsteps that does not end is an error. `invoke`, data and `exitInterpreter` are not ours.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

from protocol.statechart.definition import (
    Action,
    Cancel,
    NodeType,
    Raise,
    Send,
    StateForm,
    TransitionForm,
)

ROOT = "chart"

# guard, configuration, names of the actions that this macrostep has run
Condition = Callable[[object, set[str], list[str]], bool]


class ReferenceRunawayError(Exception):
    """A macrostep took more microsteps than it may."""


class Taken(NamedTuple):
    """One transition: where it starts, what it waits for ("" for nothing), its form."""

    source: str
    event: str
    form: TransitionForm


class Entry(NamedTuple):
    """`statesToEnter`, `statesForDefaultEntry` and `defaultHistoryContent`."""

    states: set[str]
    by_default: set[str]
    content: dict[str, tuple[Action, ...]]


def name_match(descriptor: str, event: str) -> bool:
    """Tell whether the tokens of `descriptor` are the first ones of `event` (section 3.12.1)."""
    if event.startswith("after."):
        return descriptor == event
    tokens = descriptor.split(".")
    if tokens[-1] in ("*", ""):
        tokens.pop()
    return event.split(".")[: len(tokens)] == tokens


class Reference:
    """A chart interpreted straight from its form, one macrostep after another."""

    def __init__(self, root: StateForm, condition: Condition, microsteps_max: int) -> None:
        self.forms: dict[str, StateForm] = {}
        self.parents: dict[str, str | None] = {}
        self._add(ROOT, root, None)
        self.condition = condition
        self.microsteps_max = microsteps_max
        self.configuration: set[str] = set()
        self.history_value: dict[str, list[str]] = {}
        self.internal_queue: deque[str] = deque()
        self.running = True
        # What the last macrostep did.
        self.actions: list[str] = []
        self.timers: list[Send | Cancel] = []
        self.taken: list[Taken] = []

    def _add(self, name: str, form: StateForm, parent: str | None) -> None:
        self.forms[name], self.parents[name] = form, parent
        for child, below in form.states.items():
            self._add(child, below, name)

    # The event loop.

    def start(self) -> None:
        """Do `interpret`, up to the first wait for an external event."""
        self.execute(self.forms[ROOT].initial_actions)
        entry = Entry(set(), set(), {})
        for s in self.initial_of(ROOT):
            self.add_descendants(s, entry)
        for s in self.initial_of(ROOT):
            self.add_ancestors(s, ROOT, entry)
        self.enter(entry)
        self.complete()

    def step(self, event: str) -> bool:
        """Deal with one external event; tell whether any transition was taken."""
        self.actions, self.timers, self.taken = [], [], []
        enabled = self.select_transitions(event) if self.running else []
        if not enabled:
            return False
        self.microstep(enabled)
        self.complete()
        return True

    def complete(self) -> None:
        """Do the inner loop of `mainEventLoop`: eventless transitions and internal events."""
        microsteps = 0
        while self.running:
            enabled = self.select_transitions(None)
            if not enabled:
                if not self.internal_queue:
                    return
                enabled = self.select_transitions(self.internal_queue.popleft())
            if enabled:
                microsteps += 1
                if microsteps > self.microsteps_max:
                    raise ReferenceRunawayError
                self.microstep(enabled)

    def microstep(self, enabled: list[Taken]) -> None:
        """Do `microstep`."""
        self.taken += enabled
        domains = [self.domain(t) for t in enabled if t.form.targets]
        self.exit_states(enabled)
        for t in enabled:
            self.execute(t.form.actions)
        self.enter_states([t for t in enabled if t.form.targets], domains)

    def execute(self, actions: Iterable[Action]) -> None:
        """Do `executeContent`."""
        for action in actions:
            if isinstance(action, str):
                self.actions.append(action)
            elif isinstance(action, Raise):
                self.internal_queue.append(action.event)
            else:
                self.timers.append(action)

    # What is enabled.

    def transitions_of(self, state: str) -> list[Taken]:
        """Return all transitions of `state`, in document order."""
        form = self.forms[state]
        found = [Taken(state, event, one) for event, one in form.on]
        found += [Taken(state, self.timer_of(state, ms), one) for ms, one in form.after]
        return found + [Taken(state, "", one) for one in form.always]

    def timer_of(self, state: str, delay_ms: int) -> str:
        """Return the event and id of the timer of `state` with this delay."""
        delays = list(dict.fromkeys(ms for ms, _ in self.forms[state].after))
        return f"after.{state}.{delays.index(delay_ms) + 1}"

    def select_transitions(self, event: str | None) -> list[Taken]:
        """Do `selectTransitions`, for None `selectEventlessTransitions`."""
        enabled: list[Taken] = []
        for state in self.document_order(filter(self.is_atomic, self.configuration)):
            for s in [state, *self.proper_ancestors(state, None)]:
                found = [
                    t
                    for t in self.transitions_of(s)
                    if (t.event == "" if event is None else t.event and name_match(t.event, event))
                    and self.condition(t.form.guard, self.configuration, self.actions)
                ]
                if found:
                    if found[0] not in enabled:
                        enabled.append(found[0])
                    break
        return self.remove_conflicting(enabled)

    def remove_conflicting(self, enabled: list[Taken]) -> list[Taken]:
        """Do `removeConflictingTransitions`."""
        filtered: list[Taken] = []
        for t1 in enabled:
            preempted = False
            to_remove = []
            for t2 in filtered:
                if self.exit_set([t1]) & self.exit_set([t2]):
                    if self.is_descendant(t1.source, t2.source):
                        to_remove.append(t2)
                    else:
                        preempted = True
                        break
            if not preempted:
                filtered = [t for t in filtered if t not in to_remove]
                filtered.append(t1)
        return filtered

    # What is left.

    def exit_states(self, enabled: list[Taken]) -> None:
        """Do `exitStates`."""
        to_exit = list(reversed(self.document_order(self.exit_set(enabled))))
        for s in to_exit:
            for h, form in self.forms[s].states.items():
                if form.type is NodeType.HISTORY:
                    self.history_value[h] = [
                        s0
                        for s0 in self.document_order(self.configuration)
                        if (
                            self.is_atomic(s0) and self.is_descendant(s0, s)
                            if form.is_deep
                            else self.parents[s0] == s
                        )
                    ]
        for s in to_exit:
            self.execute(self.forms[s].exit)
            delays = dict.fromkeys(ms for ms, _ in self.forms[s].after)
            self.execute(Cancel(self.timer_of(s, ms)) for ms in delays)
            self.configuration.remove(s)

    def exit_set(self, transitions: Iterable[Taken]) -> set[str]:
        """Do `computeExitSet`."""
        to_exit = set()
        for t in transitions:
            if t.form.targets:
                domain = self.domain(t)
                to_exit |= {s for s in self.configuration if self.is_descendant(s, domain)}
        return to_exit

    def domain(self, t: Taken) -> str:
        """Do `getTransitionDomain`."""
        targets = self.effective_targets(t.form.targets)
        if (
            t.form.internal
            and self.is_compound(t.source)
            and all(self.is_descendant(s, t.source) for s in targets)
        ):
            return t.source
        return self.lcca([t.source, *targets])

    def lcca(self, states: list[str]) -> str:
        """Do `findLCCA`; the root counts as compound, whatever it is."""
        for ancestor in self.proper_ancestors(states[0], None):
            if (ancestor == ROOT or self.is_compound(ancestor)) and all(
                self.is_descendant(s, ancestor) for s in states[1:]
            ):
                return ancestor
        return ROOT

    def effective_targets(self, targets: Iterable[str]) -> list[str]:
        """Do `getEffectiveTargetStates`."""
        found: list[str] = []
        for s in targets:
            if not self.is_history(s):
                found.append(s)
            elif s in self.history_value:
                found += self.history_value[s]
            else:
                found += self.effective_targets(self.default_of(s).targets)
        return list(dict.fromkeys(found))

    # What is entered.

    def enter_states(self, enabled: list[Taken], domains: list[str]) -> None:
        """Do `enterStates`, up to its loop, with `computeEntrySet`."""
        entry = Entry(set(), set(), {})
        for t, domain in zip(enabled, domains, strict=True):
            for s in t.form.targets:
                self.add_descendants(s, entry)
            for s in self.effective_targets(t.form.targets):
                self.add_ancestors(s, domain, entry)
        self.enter(entry)

    def enter(self, entry: Entry) -> None:
        """Do the loop of `enterStates`."""
        for s in self.document_order(entry.states):
            form = self.forms[s]
            self.configuration.add(s)
            self.execute(form.entry)
            for ms in dict.fromkeys(ms for ms, _ in form.after):
                self.execute([Send(self.timer_of(s, ms), ms, self.timer_of(s, ms))])
            if s in entry.by_default:
                self.execute(form.initial_actions)
            self.execute(entry.content.get(s, ()))
            if form.type is NodeType.FINAL:
                self.enter_final(s)

    def enter_final(self, s: str) -> None:
        """Do what `enterStates` does for a final state, and go on as section 3.4 demands."""
        parent = self.parents[s]
        assert parent is not None
        if parent == ROOT:
            self.running = False
            return
        self.internal_queue.append(f"done.state.{parent}")
        above = self.parents[parent]
        while above is not None and self.is_parallel(above):
            if not all(map(self.is_in_final_state, self.child_states(above))):
                return
            self.internal_queue.append(f"done.state.{above}")
            above = self.parents[above]

    def is_in_final_state(self, s: str) -> bool:
        """Do `isInFinalState`."""
        if self.is_compound(s):
            return any(
                self.forms[child].type is NodeType.FINAL and child in self.configuration
                for child in self.child_states(s)
            )
        return self.is_parallel(s) and all(map(self.is_in_final_state, self.child_states(s)))

    def add_descendants(self, state: str, entry: Entry) -> None:
        """Do `addDescendantStatesToEnter`."""
        if self.is_history(state):
            parent = self.parents[state]
            assert parent is not None
            if state not in self.history_value:
                entry.content[parent] = self.default_of(state).actions
            targets = self.history_value.get(state, self.default_of(state).targets)
            for s in targets:
                self.add_descendants(s, entry)
            for s in targets:
                self.add_ancestors(s, parent, entry)
            return
        entry.states.add(state)
        if self.is_compound(state):
            entry.by_default.add(state)
            for s in self.initial_of(state):
                self.add_descendants(s, entry)
            for s in self.initial_of(state):
                self.add_ancestors(s, state, entry)
        elif self.is_parallel(state):
            self.add_regions(state, entry)

    def add_regions(self, state: str, entry: Entry) -> None:
        """Enter the regions in which nothing is entered yet."""
        for child in self.child_states(state):
            if not any(self.is_descendant(s, child) for s in entry.states):
                self.add_descendants(child, entry)

    def add_ancestors(self, state: str, ancestor: str, entry: Entry) -> None:
        """Do `addAncestorStatesToEnter`."""
        for anc in self.proper_ancestors(state, ancestor):
            if anc in self.configuration:
                return
            entry.states.add(anc)
            if self.is_parallel(anc):
                self.add_regions(anc, entry)

    # What states are.

    def initial_of(self, state: str) -> tuple[str, ...]:
        """Return the targets of the initial transition."""
        return self.forms[state].initial or tuple(self.child_states(state)[:1])

    def default_of(self, history: str) -> TransitionForm:
        """Return the transition of a history state; without targets it leads where its parent does."""
        form = self.forms[history].default or TransitionForm()
        if form.targets:
            return form
        parent = self.parents[history]
        assert parent is not None
        targets = self.child_states(parent) if self.is_parallel(parent) else self.initial_of(parent)
        return TransitionForm(targets=tuple(targets), actions=form.actions)

    def child_states(self, state: str) -> list[str]:
        """Do `getChildStates`."""
        return [child for child in self.forms[state].states if not self.is_history(child)]

    def document_order(self, states: Iterable[str]) -> list[str]:
        """Sort in entry order; reversed it is exit order."""
        return sorted(states, key=list(self.forms).index)

    def is_history(self, state: str) -> bool:
        """Do `isHistoryState`."""
        return self.forms[state].type is NodeType.HISTORY

    def is_parallel(self, state: str) -> bool:
        """Do `isParallelState`."""
        return self.forms[state].type is NodeType.PARALLEL

    def is_compound(self, state: str) -> bool:
        """Do `isCompoundState`."""
        return bool(self.forms[state].states) and not self.is_parallel(state)

    def is_atomic(self, state: str) -> bool:
        """Do `isAtomicState`."""
        return not self.forms[state].states and not self.is_history(state)

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
