"""Charts drawn at random (hypothesis), with all that a chart may have; and what a legal one is.

Promise:  every drawn form compiles: targets, initial states and defaults of history states can be
          active together. Labels of actions tell which state or transition ran.
Not here: what they do; the reference interpreter says (`reference_statechart.py`).
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from hypothesis import strategies as st

from protocol.statechart.compiled import Chart
from protocol.statechart.definition import (
    Action,
    Cancel,
    NodeType,
    Raise,
    Send,
    StateForm,
    TransitionForm,
)

EVENTS: Final = ("a", "a.b", "a.b.c", "b", "c")
DESCRIPTORS: Final = ("a", "a.b", "a.*", "b", "c", "*")
DELAYS_MS: Final = (10, 20)

DEPTH_MAX: Final = 3
STATES_MAX: Final = 10  # More make a chart slow to draw, and nothing new.


class Guard(NamedTuple):
    """A guard: what it asks ("yes", "no", "in" a state, "ran" an action), and of what."""

    asks: str
    name: str = ""
    negate: bool = False

    def holds(self, is_in: bool, actions: Sequence[str]) -> bool:  # noqa: FBT001
        """Answer, where `is_in` says whether the state `name` is active."""
        answers = {"yes": True, "no": False, "in": is_in, "ran": self.name in actions}
        return answers[self.asks] is not self.negate


class Place(NamedTuple):
    """One state of a shape, before it has transitions."""

    name: str
    type: NodeType
    ancestors: tuple[str, ...]  # From the parent to the one below the root.
    children: "list[Place]"


class Skeleton:
    """The states of a chart: their types, and which can be active together."""

    def __init__(self, roots: list[Place]) -> None:
        self.roots = roots
        self.places: dict[str, Place] = {}
        self._add(roots)

    def _add(self, places: list[Place]) -> None:
        for place in places:
            self.places[place.name] = place
            self._add(place.children)

    def below(self, place: Place) -> list[str]:
        """Return all states inside `place`, history states too."""
        return [name for name, one in self.places.items() if place.name in one.ancestors]

    def together(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return the longest start of `names` that can be active together, leaving others out.

        A history state stands for all that is in its parent.
        """
        kept: list[str] = []
        for name in names:
            if all(self._compatible(name, other) for other in kept):
                kept.append(name)
        return tuple(kept)

    def _compatible(self, one: str, other: str) -> bool:
        first, second = self._line(one), self._line(other)
        common = next((name for name in first if name in second), None)
        if common is None or common in (first[0], second[0]):
            return False
        return self.places[common].type is NodeType.PARALLEL

    def _line(self, name: str) -> tuple[str, ...]:
        place = self.places[name]
        if place.type is NodeType.HISTORY:
            return place.ancestors
        return (name, *place.ancestors)


@st.composite
def skeletons(draw: st.DrawFn) -> Skeleton:
    """Draw the states of a chart: nested compound and parallel ones, final and history states."""
    count = 0
    remembers = draw(st.booleans())  # Without history states the kernel takes another way.

    def build(prefix: str, kind: NodeType, ancestors: tuple[str, ...]) -> list[Place]:
        nonlocal count
        width = draw(st.integers(1, 3))
        count += width
        places = [one(f"{prefix}{index}", kind, ancestors) for index in range(width)]
        if remembers and draw(st.booleans()):
            place = Place(f"{prefix}h", NodeType.HISTORY, ancestors, [])
            places.insert(draw(st.integers(0, len(places))), place)
        return places

    def one(name: str, parent: NodeType, ancestors: tuple[str, ...]) -> Place:
        kinds = [NodeType.ATOMIC]
        if parent is not NodeType.PARALLEL and (ancestors or draw(st.booleans())):
            kinds.append(NodeType.FINAL)
        if len(ancestors) < DEPTH_MAX and count < STATES_MAX:
            kinds += [NodeType.COMPOUND, NodeType.COMPOUND, NodeType.PARALLEL, NodeType.PARALLEL]
        kind = draw(st.sampled_from(kinds))
        has_states = kind in (NodeType.COMPOUND, NodeType.PARALLEL)
        children = build(f"{name}_", kind, (name, *ancestors)) if has_states else []
        return Place(name, kind, ancestors, children)

    return Skeleton(build("s", NodeType.COMPOUND, ()))


class Drawing:
    """Draws forms for the states of one skeleton."""

    def __init__(self, draw: st.DrawFn, skeleton: Skeleton) -> None:
        self._draw = draw
        self._skeleton = skeleton
        self._names = list(skeleton.places)
        self._transitions = 0
        self._has_always = draw(st.booleans())

    def one_in(self, number: int) -> bool:
        """Draw yes once in `number` times."""
        return self._draw(st.integers(1, number)) == number

    def states(self, places: list[Place]) -> dict[str, StateForm]:
        """Draw the forms of `places` and of all that is in them."""
        return {place.name: self.state(place) for place in places}

    def state(self, place: Place) -> StateForm:
        """Draw the form of one state."""
        if place.type is NodeType.HISTORY:
            return self._history(place)
        is_final = place.type is NodeType.FINAL
        has_initial = place.type is NodeType.COMPOUND and not self.one_in(3)
        initial = self._inside(place) if has_initial else ()
        return StateForm(
            type=None if place.type in (NodeType.ATOMIC, NodeType.COMPOUND) else place.type,
            initial=initial,
            initial_actions=self._actions(f"initial {place.name}") if initial else (),
            on=() if is_final else self._on(self._draw(st.integers(0, 3))),
            always=() if is_final else self._always(),
            after=() if is_final else self._after(),
            entry=self._actions(f"+{place.name}"),
            exit=self._actions(f"-{place.name}"),
            states=self.states(place.children),
        )

    def root(self) -> StateForm:
        """Draw the form of the whole chart."""
        top = [place.name for place in self._skeleton.roots if place.type is not NodeType.HISTORY]
        initial = self._draw(st.sampled_from([*self._names, *top]))
        return StateForm(
            initial=(initial,) if self.one_in(2) else (),
            on=self._on(1) if self.one_in(3) else (),
            states=self.states(self._skeleton.roots),
        )

    def transition(self, *, always: bool = False) -> TransitionForm:
        """Draw one candidate; an eventless one mostly asks for something that changes."""
        self._transitions += 1
        listed = self._draw(st.lists(st.sampled_from(self._names), max_size=4))
        guard = self._guard() if always or self.one_in(2) else None
        return TransitionForm(
            targets=self._skeleton.together(listed),
            guard=guard,
            actions=self._actions(f"take {self._transitions}"),
            internal=self._draw(st.booleans()),
        )

    def _on(self, count: int) -> tuple[tuple[str, TransitionForm], ...]:
        done = [f"done.state.{name}" for name, one in self._skeleton.places.items() if one.children]
        descriptors = st.sampled_from([*DESCRIPTORS, *done])
        found: list[tuple[str, TransitionForm]] = []
        for _ in range(count):
            form = self.transition()
            found += [
                (event, form) for event in self._draw(st.lists(descriptors, min_size=1, max_size=2))
            ]
        return tuple(found)

    def _always(self) -> tuple[TransitionForm, ...]:
        if not self._has_always or not self.one_in(4):
            return ()
        return tuple(self.transition(always=True) for _ in range(self._draw(st.integers(1, 2))))

    def _after(self) -> tuple[tuple[int, TransitionForm], ...]:
        if not self.one_in(4):
            return ()
        delays = self._draw(st.lists(st.sampled_from(DELAYS_MS), min_size=1, max_size=3))
        return tuple((delay_ms, self.transition()) for delay_ms in delays)

    def _guard(self) -> Guard:
        asks = self._draw(st.sampled_from(["yes", "no", "in", "in", "ran"]))
        name = self._draw(st.sampled_from(self._names)) if asks in ("in", "ran") else ""
        if asks == "ran":
            name = f"+{name}"
        return Guard(asks, name, self._draw(st.booleans()))

    def _actions(self, label: str) -> tuple[Action, ...]:
        extra = self._draw(st.integers(0, 11))
        actions: list[Action] = [label]
        if extra == 9:
            actions.append(Raise(self._draw(st.sampled_from(EVENTS))))
        elif extra == 10:
            actions.insert(0, Send("c", self._draw(st.sampled_from((0, 5))), "timer"))
        elif extra == 11:
            actions.append(Cancel("timer"))
        return tuple(actions)

    def _history(self, place: Place) -> StateForm:
        is_deep = self._draw(st.booleans())
        names = self._names
        parent = self._skeleton.places[place.ancestors[0]] if place.ancestors else None
        inside = self._skeleton.below(parent) if parent is not None else names
        listed = self._draw(st.lists(st.sampled_from(inside), min_size=1, max_size=2))
        real = [n for n in listed if self._skeleton.places[n].type is not NodeType.HISTORY]
        targets = self._skeleton.together(real) or self._first(parent)
        default = TransitionForm(targets=targets, actions=self._actions(f"default {place.name}"))
        return StateForm(type=NodeType.HISTORY, is_deep=is_deep, default=default)

    def _first(self, parent: Place | None) -> tuple[str, ...]:
        places = self._skeleton.roots if parent is None else parent.children
        return tuple(p.name for p in places if p.type is not NodeType.HISTORY)[:1]

    def _inside(self, place: Place) -> tuple[str, ...]:
        below = st.sampled_from(self._skeleton.below(place))
        return self._skeleton.together(self._draw(st.lists(below, min_size=1, max_size=2)))


@st.composite
def forms(draw: st.DrawFn) -> StateForm:
    """Draw a whole chart."""
    return Drawing(draw, draw(skeletons())).root()


@st.composite
def events_for(draw: st.DrawFn, form: StateForm) -> list[str]:
    """Draw a sequence of events that may mean something to the chart: external ones and timers'."""
    heard = sorted(set(_heard(form)))
    names = st.sampled_from([*EVENTS, *heard, *heard])
    return [draw(names) for _ in range(draw(st.integers(4, 8)))]  # Few would show little.


def _heard(form: StateForm) -> Iterator[str]:
    """Yield events that some state of `form` has a transition for, those of its timers too."""
    for name, child in form.states.items():
        delays = dict.fromkeys(delay_ms for delay_ms, _ in child.after)
        yield from (f"after.{name}.{number + 1}" for number in range(len(delays)))
        yield from (event.replace("*", "x") for event, _ in child.on)
        yield from _heard(child)


def is_configuration(chart: Chart, leaves: tuple[str, ...]) -> bool:
    """Tell whether `leaves`, sorted, are a legal configuration (section 3.11)."""
    active = {node for leaf in leaves for node in chart.nodes[leaf].line()}
    if leaves != tuple(sorted(node.id for node in active if node.is_leaf)):
        return False
    for node in active:
        inside = sum(child in active for child in node.children)
        if node.type is NodeType.HISTORY:
            return False
        if node.type is NodeType.COMPOUND and inside != 1:
            return False
        if node.type is NodeType.PARALLEL and inside != len(node.children):
            return False
    return bool(leaves)
