"""A statechart compiled to tables: nodes in document order, candidates by event.

Promise:  whatever `compile_chart` accepts can be stepped without a look-up that fails, and every
          step ends in a configuration: one leaf of each compound state, all of each parallel one.
Assume:   the definition is hostile: every name is checked, depth and size are bounded.
Not here: eventless and delayed transitions and history states, which no definition can spell yet.
"""

import re
from itertools import combinations
from typing import Final

from protocol.errors import ManifestdError, did_you_mean
from protocol.statechart.definition import NodeType, StateDefinition, TransitionDefinition

STATES_MAX: Final = 1000  # A chart that nobody could draw.
DEPTH_MAX: Final = 16  # Recursion in the compiler has to end.
# States are joined by `+` and set between slashes in topics; events stand in commands and in logs.
NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_NAME_RULE: Final = "1 to 64 of A-Z a-z 0-9 _ . -, beginning with none of the last two"


class ChartError(ManifestdError):
    """A statechart definition is wrong; `place` is the dotted path of what is."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"{place}: {reason}")
        self.place = place
        self.reason = reason


class Transition:
    """One compiled candidate. `order` is its place in the document, unique in the chart."""

    __slots__ = ("actions", "because", "event", "guards", "internal", "order", "source", "targets")

    def __init__(self, source: "Node", event: str, form: TransitionDefinition, order: int) -> None:
        self.source = source
        self.event = event
        self.guards = tuple(form.guard)
        self.because = form.because
        self.actions = tuple(form.actions)
        self.internal = form.internal
        self.order = order
        self.targets: tuple[Node, ...] = ()


class Node:
    """One compiled state. `ancestors` runs from the parent up to the root."""

    __slots__ = (
        "ancestors",
        "candidates",
        "children",
        "entry",
        "exit",
        "id",
        "initial",
        "order",
        "tags",
        "type",
    )

    def __init__(self, node_id: str, node_type: NodeType, ancestors: "tuple[Node, ...]") -> None:
        self.id = node_id
        self.type = node_type
        self.ancestors = ancestors
        self.order = 0
        self.children: tuple[Node, ...] = ()
        self.initial: Node | None = None
        self.tags: frozenset[str] = frozenset()
        self.entry: tuple[str, ...] = ()
        self.exit: tuple[str, ...] = ()
        self.candidates: dict[str, tuple[Transition, ...]] = {}

    @property
    def is_leaf(self) -> bool:
        """Tell whether the state has no children."""
        return self.type in (NodeType.ATOMIC, NodeType.FINAL)


class Chart:
    """The tables of one statechart. Immutable once compiled, but for the kernel's memo."""

    def __init__(self, root: Node, nodes: dict[str, Node], transitions: list[Transition]) -> None:
        self.root = root
        self.nodes = nodes
        self.transitions = tuple(transitions)
        self.memo: dict[object, object] = {}

    def events(self, leaves: tuple[str, ...]) -> list[str]:
        """Return the events that some active state has a candidate for, sorted."""
        return sorted(
            {
                event
                for leaf in leaves
                for node in (self.nodes[leaf], *self.nodes[leaf].ancestors)
                for event in node.candidates
            }
        )

    def is_in(self, leaves: tuple[str, ...], state: str) -> bool:
        """Tell whether `state`, a leaf or one of its ancestors, is active."""
        return any(
            leaf == state or any(node.id == state for node in self.nodes[leaf].ancestors)
            for leaf in leaves
        )

    def has_tag(self, leaves: tuple[str, ...], tag: str) -> bool:
        """Tell whether an active state carries `tag`."""
        return any(
            tag in node.tags
            for leaf in leaves
            for node in (self.nodes[leaf], *self.nodes[leaf].ancestors)
        )

    def leaves_below(self, state: str) -> list[str]:
        """Return the leaf states at or below `state`, in document order."""
        node = self.nodes[state]
        return sorted(
            (
                other.id
                for other in self.nodes.values()
                if other.is_leaf and (other is node or node in other.ancestors)
            ),
            key=lambda name: self.nodes[name].order,
        )


def compile_chart(chart_id: str, definition: StateDefinition) -> Chart:
    """Return the tables of `definition`, the root state.

    Raises:
        ChartError: a name is unknown or used twice, or a state lacks what its type needs.
    """
    if not definition.states:
        raise ChartError(chart_id, "a chart without states; add one under 'states'")
    if definition.type not in (None, NodeType.COMPOUND):
        raise ChartError(chart_id, "the root is compound; put regions into a state of their own")
    compiler = _Compiler()
    root = compiler.node(chart_id, definition, ())
    for node, form in compiler.forms:
        compiler.link(node, form)
    return Chart(root, compiler.nodes, compiler.transitions)


class _Compiler:
    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.forms: list[tuple[Node, StateDefinition]] = []
        self.transitions: list[Transition] = []

    def node(self, node_id: str, form: StateDefinition, ancestors: tuple[Node, ...]) -> Node:
        place = ".".join([*(node.id for node in reversed(ancestors)), node_id])
        if NAME.fullmatch(node_id) is None:
            raise ChartError(place, f"a state's id is {_NAME_RULE}; rename this one")
        if len(ancestors) > DEPTH_MAX:
            raise ChartError(place, f"states are nested deeper than {DEPTH_MAX}; flatten them")
        if len(self.nodes) >= STATES_MAX:
            raise ChartError(place, f"a chart has at most {STATES_MAX} states; split it")
        if node_id in self.nodes:
            what = "used twice" if self.nodes[node_id].ancestors else "the chart's own"
            reason = f"the id {node_id!r} is {what}; ids are unique in a chart, rename this one"
            raise ChartError(place, reason)
        node = Node(node_id, _type_of(place, form), ancestors)
        node.order = len(self.nodes)
        node.tags = frozenset(form.tags)
        node.entry, node.exit = tuple(form.entry), tuple(form.exit)
        self.nodes[node_id] = node
        self.forms.append((node, form))
        node.children = tuple(
            self.node(child_id, child, (node, *ancestors))
            for child_id, child in form.states.items()
        )
        node.initial = self.initial(place, node, form.initial)
        return node

    @classmethod
    def initial(cls, place: str, node: Node, name: str | None) -> Node | None:
        if node.type is not NodeType.COMPOUND:
            if name is None:
                return None
            reason = f"{node.type.value} states have no 'initial'; leave it out"
            raise ChartError(place, reason)
        children = {child.id: child for child in node.children}
        if name is None:
            return node.children[0]
        if name not in children:
            place = f"{place}.initial"
            raise ChartError(place, cls.unknown("initial", name, list(children)))
        return children[name]

    def link(self, node: Node, form: StateDefinition) -> None:
        place = ".".join([*(parent.id for parent in reversed(node.ancestors)), node.id])
        if node.type is NodeType.FINAL and form.on:
            raise ChartError(place, "a final state is the end; it takes no events, leave 'on' out")
        for event, candidates in form.on.items():
            where = f"{place}.on.{event}"
            if NAME.fullmatch(event) is None:
                raise ChartError(where, f"an event's name is {_NAME_RULE}; rename this one")
            forms = candidates if isinstance(candidates, list) else [candidates]
            compiled = []
            for candidate in forms:
                transition = Transition(node, event, candidate, len(self.transitions))
                transition.targets = self.targets(where, candidate.target)
                self.transitions.append(transition)
                compiled.append(transition)
            if compiled:
                node.candidates[event] = tuple(compiled)

    def targets(self, place: str, names: str | list[str] | None) -> tuple[Node, ...]:
        listed = [names] if isinstance(names, str) else names or []
        known = {name: node for name, node in self.nodes.items() if node.ancestors}
        for name in listed:
            if name not in known:
                raise ChartError(place, self.unknown("target", name, list(known)))
        targets = tuple(known[name] for name in listed)
        for one, other in combinations(targets, 2):
            common = next((a for a in one.ancestors if a in other.ancestors), None)
            nested = one is other or one in other.ancestors or other in one.ancestors
            if nested or common is None or common.type is not NodeType.PARALLEL:
                reason = f"{one.id!r} and {other.id!r} cannot be active at once; keep one of them"
                raise ChartError(place, reason)
        return targets

    @staticmethod
    def unknown(what: str, name: str, known: list[str]) -> str:
        near = did_you_mean(name, known)
        hint = f"did you mean {near!r}?" if near else f"known: {', '.join(known[:20])}"
        return f"{what} {name!r} is no state there; {hint}"


def _type_of(place: str, form: StateDefinition) -> NodeType:
    if form.type is NodeType.HISTORY:
        raise ChartError(place, "history states cannot be spelled here yet; leave it out")
    if form.type in (NodeType.COMPOUND, NodeType.PARALLEL) and not form.states:
        raise ChartError(place, f"{form.type.value} states have states in them; add 'states'")
    if form.type in (NodeType.ATOMIC, NodeType.FINAL) and form.states:
        raise ChartError(place, f"{form.type.value} states have no states in them; leave them out")
    return form.type or (NodeType.COMPOUND if form.states else NodeType.ATOMIC)
