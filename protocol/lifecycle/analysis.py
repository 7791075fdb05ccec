"""What a lifecycle's chart can and cannot do: states that nothing leads to, or out of.

Promise:  told from the definition alone, guards taken for what may hold or not.
Assume:   its states fit together (`structure.py` found nothing), and are bounded in number.
Not here: steps that follow from one another without end (`runaways.py`).
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec

from protocol.lifecycle import names
from protocol.lifecycle.findings import shown
from protocol.lifecycle.outline import Candidate, Outline, State, targets_of
from protocol.lifecycle.places import dotted
from protocol.lifecycle.structure import Doubt

_NO_GUARD: Final = b"null"


class Entries:
    """Which states are entered, by default too, when a transition is taken."""

    def __init__(self, outline: Outline) -> None:
        self._outline = outline
        self._remembered: dict[tuple[tuple[str, ...], str], list[State]] = {}

    def of(self, candidate: Candidate) -> list[State]:
        """Return what `candidate` enters; its targets' parents too, where they may be active."""
        return self.entered(candidate.targets, self.domain(candidate))

    def at_start(self) -> list[State]:
        """Return what is entered first."""
        return self.entered((self._outline.definition.initial,), self._outline.root)

    def domain(self, candidate: Candidate) -> State:
        """Return the state inside which everything happens (SCXML's transition domain)."""
        targets = [self._outline.states[name] for name in candidate.targets]
        source = candidate.source
        if candidate.form.internal and is_internal(source, targets):
            return source
        for state in source.lineage():
            if state is source or state.type != "compound":
                continue
            if all(target.is_within(state) and target is not state for target in targets):
                return state
        return self._outline.root

    def entered(self, target_names: tuple[str, ...], domain: State) -> list[State]:
        """Return the states that entering `target_names` inside `domain` makes active."""
        key = (target_names, domain.id)
        if key not in self._remembered:
            found: dict[State, None] = {}
            targets = [self._outline.states[name] for name in target_names]
            self._enter(targets, domain, found)
            self._remembered[key] = list(found)
        return self._remembered[key]

    def _enter(self, targets: list[State], domain: State, found: dict[State, None]) -> None:
        on_the_way: dict[State, None] = {}
        for target in targets:
            for state in target.lineage():
                if state is domain:
                    break
                on_the_way[state] = None
        for state in on_the_way:
            found[state] = None
            if state in targets:
                self._descend(state, found)
            elif state.type == "parallel":
                for region in state.real_children:
                    if region not in on_the_way:
                        self._descend(region, found)

    def _descend(self, state: State, found: dict[State, None]) -> None:
        found[state] = None
        if state.type == "parallel":
            for region in state.real_children:
                self._descend(region, found)
        elif state.type == "compound":
            self._enter([self.first(state)], state, found)
        elif state.type == "history":
            assert state.parent is not None, "the root is no history state"
            self._enter(self.default(state), state.parent, found)

    def first(self, state: State) -> State:
        """Return where a compound `state` begins."""
        if state.form.initial is not None:
            return self._outline.states[state.form.initial]
        return state.real_children[0]

    def default(self, history: State) -> list[State]:
        """Return where a history state leads while nothing is recorded."""
        parent = history.parent
        assert parent is not None, "the root is no history state"
        if named := targets_of(history.form.target):
            return [self._outline.states[name] for name in named]
        return parent.real_children if parent.type == "parallel" else [self.first(parent)]


def is_internal(source: State, targets: Iterable[State]) -> bool:
    """Tell whether a transition marked `internal` is one: it stays inside its compound source."""
    return source.type == "compound" and all(
        target.is_within(source) and target is not source for target in targets
    )


def unreachable(outline: Outline) -> Iterator[Doubt]:
    """Yield the states that nothing leads to; of those in another only the outermost."""
    entries = Entries(outline)
    reached: dict[State, None] = dict.fromkeys(entries.at_start())
    waiting = list(reached)
    while waiting:
        for candidate in waiting.pop().candidates:
            for state in entries.of(candidate):
                if state not in reached:
                    reached[state] = None
                    waiting.append(state)
    for state in outline:
        if state not in reached and (state.parent in reached or state.parent is outline.root):
            mend = "let a transition lead to it, or leave it out"
            yield state.path, f"nothing leads to {shown(state.id)}: {mend}"


def traps(outline: Outline) -> Iterator[Doubt]:
    """Yield the states that a manifest never gets out of, though they are not the end."""
    exits = _regions_with_exits(outline)
    for leaf in outline.root.leaves():
        parent = leaf.parent
        assert parent is not None, "the root has states"
        if leaf.type != "final":
            if not _is_left(leaf, exits):
                mend = 'add a transition, or `type = "final"` if this is the end'
                yield leaf.path, f"nothing leads out of {shown(leaf.id)}: {mend}"
        elif parent is not outline.root and not _is_left(leaf, exits):
            mend = f"give {shown(parent.id)} an 'onDone', or another way out"
            yield leaf.path, f"this is the end of {shown(parent.id)} alone: {mend}"


def _is_left(leaf: State, exits: Mapping[State, set[State]]) -> bool:
    """Tell whether something leads out of `leaf`, or follows when it is the end of something."""
    done_events: list[str] = []
    if leaf.type == "final":
        done_events = [f"{names.DONE_PREFIX}{state.id}" for state in leaf.ends()]
    region = leaf
    for state in leaf.lineage():
        if exits.get(state, set()) - {region}:
            return True
        for candidate in state.candidates:
            if names.is_done_event(candidate.event):
                if any(names.covers(candidate.event, event) for event in done_events):
                    return True
            elif any(name != leaf.id for name in candidate.targets):
                return True
        region = state
    return False


def _regions_with_exits(outline: Outline) -> dict[State, set[State]]:
    """Return for each parallel state the regions with a way out, which is one for the others."""
    exits: dict[State, set[State]] = {}
    for candidate in outline.candidates():
        targets = [outline.states[name] for name in candidate.targets]
        for region in candidate.source.lineage():
            whole = region.parent
            stays = all(target.is_within(region) for target in targets)
            if whole is not None and whole.type == "parallel" and not stays:
                exits.setdefault(whole, set()).add(region)
    return exits


def never_done(outline: Outline) -> Iterator[Doubt]:
    """Yield what keeps a state from being done though something waits for that."""
    awaited: dict[State, Candidate] = {}
    for candidate in outline.candidates():
        state = outline.states.get(candidate.event.removeprefix(names.DONE_PREFIX))
        if names.is_done_event(candidate.event) and state is not None:
            awaited.setdefault(state, candidate)
    for state, candidate in awaited.items():
        if state.type == "compound" and not _can_be_done(state):
            mend = f'no state in it is final; give one of {shown(state.id)}\'s `type = "final"`'
            yield candidate.path, f"{shown(state.id)} is never done: {mend}"
        elif state.type == "parallel":
            for region in state.real_children:
                if not _can_be_done(region):
                    mend = "but no state in this one is final, so it never is"
                    said = f"{shown(state.id)} is done when all its regions are"
                    yield region.path, f"{said}, {mend}; add a final state"


def _can_be_done(state: State) -> bool:
    if state.type == "parallel":
        return all(_can_be_done(region) for region in state.real_children)
    return any(child.type == "final" for child in state.children)


def greedy_wildcards(outline: Outline) -> Iterator[Doubt]:
    """Yield the `on."*"` that take the end of a state too, for which nothing else waits."""
    for state in outline:
        for candidate in state.candidates:
            if candidate.member == "on" and names.tokens(candidate.event) in ((), ("done",)):
                for inner in (state, *state.below()):
                    if (
                        inner.real_children
                        and _can_be_done(inner)
                        and not _is_caught(inner, candidate)
                    ):
                        mend = f"name the events, or give {shown(inner.id)} an 'onDone'"
                        yield candidate.path, f"it also takes done.state.{inner.id}; {mend}"
                        break


def _is_caught(inner: State, wildcard: Candidate) -> bool:
    """Tell whether the end of `inner` is dealt with before `wildcard` is asked."""
    event = f"{names.DONE_PREFIX}{inner.id}"
    for state in inner.lineage():
        for candidate in state.candidates:
            if candidate is wildcard:
                return False
            is_sure = candidate.event and not candidate.is_guarded
            if is_sure and names.covers(candidate.event, event):
                return True
    return False


def hidden_candidates(outline: Outline) -> Iterator[Doubt]:
    """Yield the candidates that are never tried: one before them takes every such event."""
    for state in outline:
        earlier: dict[tuple[str, ...], dict[bytes, Candidate]] = {}
        for candidate in state.candidates:
            if candidate.member == "after":
                continue
            place = ("on", *names.tokens(candidate.event))
            if candidate.member == "always":
                place = ("always",)
            guard = _guard_key(candidate)
            for size in range(1, len(place) + 1):
                before = earlier.get(place[:size], {})
                hiding = before.get(_NO_GUARD) or before.get(guard)
                if hiding is not None:
                    yield candidate.path, _hidden_by(hiding)
                    break
            earlier.setdefault(place, {}).setdefault(guard, candidate)
        yield from _hidden_timers(state)


def _guard_key(candidate: Candidate) -> bytes:
    if not candidate.is_guarded:
        return _NO_GUARD
    return msgspec.json.encode(candidate.form.guard, order="sorted")


def _hidden_by(other: Candidate) -> str:
    place = dotted(other.path[len(other.source.path) :])
    if other.is_guarded:
        return f"never taken: {place} stands before it with the same guard; leave one out"
    return f"never taken: {place} stands before it without a guard; guard that one, or move it down"


def _hidden_timers(state: State) -> Iterator[Doubt]:
    leaving: Candidate | None = None
    timers = [candidate for candidate in state.candidates if candidate.member == "after"]
    for candidate in sorted(timers, key=lambda timer: timer.delay_ms):
        if leaving is not None:
            yield candidate.path, _hidden_by(leaving)
        elif candidate.targets and not candidate.is_guarded and not candidate.form.internal:
            leaving = candidate
