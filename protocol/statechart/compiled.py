"""A statechart compiled to tables: nodes in document order, candidates by leaf and event.

Promise:  immutable, but for memos that only save time and are bounded.
Not here: what is accepted (`compiler.py`), what a step does (`kernel.py`).
"""

from collections.abc import Iterator
from typing import Final

from protocol.statechart.definition import Action, NodeType, TransitionForm

AFTER: Final = "after."  # Events of timers: sent by nobody, matched by their own candidates alone.
DONE: Final = "done.state."  # Events that the kernel raises when a state is done.
CANDIDATES_MAX: Final = 10_000  # Remembered: clients choose the names of events.


class Transition:
    """One compiled candidate.

    `event` is its descriptor, empty for an eventless one. `order` is its place in the document,
    unique in the chart. `delay_ms` is the delay of one that a timer takes, else None.
    """

    __slots__ = (
        "actions",
        "because",
        "delay_ms",
        "event",
        "guard",
        "internal",
        "order",
        "source",
        "targets",
    )

    def __init__(
        self,
        source: "Node",
        event: str,
        form: TransitionForm,
        order: int,
        delay_ms: int | None = None,
    ) -> None:
        self.source = source
        self.event = event
        self.guard = form.guard
        self.because = form.because
        self.actions = form.actions
        self.internal = form.internal
        self.order = order
        self.delay_ms = delay_ms
        self.targets: tuple[Node, ...] = ()


class Node:
    """One compiled state. `ancestors` runs from the parent up to the root.

    `children` are the real states in it, `histories` the others; `default` is where a history
    state leads while nothing is recorded.
    """

    __slots__ = (
        "always",
        "ancestors",
        "children",
        "default",
        "entry",
        "exit",
        "histories",
        "id",
        "initial",
        "initial_actions",
        "is_deep",
        "on",
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
        self.histories: tuple[Node, ...] = ()
        self.initial: tuple[Node, ...] = ()
        self.initial_actions: tuple[Action, ...] = ()
        self.is_deep = False
        self.default: Transition | None = None
        self.tags: frozenset[str] = frozenset()
        self.entry: tuple[Action, ...] = ()
        self.exit: tuple[Action, ...] = ()
        self.on: tuple[Transition, ...] = ()
        self.always: tuple[Transition, ...] = ()

    @property
    def is_leaf(self) -> bool:
        """Tell whether the state has no states in it."""
        return self.type in (NodeType.ATOMIC, NodeType.FINAL)

    @property
    def is_end(self) -> bool:
        """Tell whether the whole chart is done in this state: a final child of the root."""
        return self.type is NodeType.FINAL and len(self.ancestors) == 1

    def line(self) -> Iterator["Node"]:
        """Yield the state and its ancestors, from the inside out."""
        yield self
        yield from self.ancestors


class Chart:
    """The tables of one statechart. `nodes` is in document order, the root first."""

    def __init__(self, root: Node, nodes: dict[str, Node], transitions: list[Transition]) -> None:
        self.root = root
        self.nodes = nodes
        self.transitions = tuple(transitions)
        self.has_always = any(node.always for node in nodes.values())
        self.has_histories = any(node.histories for node in nodes.values())
        self.memo: dict[object, object] = {}  # The kernel's.
        self._candidates: dict[tuple[str, str], tuple[Transition, ...]] = {}

    def candidates(self, leaf: str, event: str) -> tuple[Transition, ...]:
        """Return what `leaf` and its ancestors may do on `event`, first choice first."""
        key = (leaf, event)
        known = self._candidates.get(key)
        if known is None:
            node = self.nodes[leaf]
            line = () if node.is_end else node.line()
            known = tuple(one for n in line for one in n.on if matches(one.event, event))
            if len(self._candidates) < CANDIDATES_MAX:
                self._candidates[key] = known
        return known

    def accepts(self, leaves: tuple[str, ...], event: str) -> bool:
        """Tell whether an active state has a candidate for `event`, and somebody may send it."""
        if len(leaves) == 1:  # The way of nearly every command.
            return bool(self.candidates(leaves[0], event)) and not is_reserved(event)
        return not is_reserved(event) and any(self.candidates(leaf, event) for leaf in leaves)

    def events(self, leaves: tuple[str, ...]) -> list[str]:
        """Return the events that an active state has a candidate for, as described, sorted."""
        active = {node for leaf in leaves for node in self._line(leaf)}
        found = {one.event for node in active for one in node.on}
        return sorted(event for event in found if not is_reserved(event))

    def is_in(self, leaves: tuple[str, ...], state: str) -> bool:
        """Tell whether `state`, a leaf or one of its ancestors, is active."""
        return any(node.id == state for leaf in leaves for node in self.nodes[leaf].line())

    def has_tag(self, leaves: tuple[str, ...], tag: str) -> bool:
        """Tell whether an active state carries `tag`."""
        return any(tag in node.tags for leaf in leaves for node in self.nodes[leaf].line())

    def leaves_below(self, state: str) -> list[str]:
        """Return the leaf states at or below `state`, in document order."""
        top = self.nodes[state]
        return [node.id for node in self.nodes.values() if node.is_leaf and top in node.line()]

    def _line(self, leaf: str) -> Iterator[Node]:
        node = self.nodes[leaf]
        return iter(()) if node.is_end else node.line()


def is_reserved(event: str) -> bool:
    """Tell whether only the chart itself sends events of this name."""
    return event.startswith((AFTER, DONE))


def matches(descriptor: str, event: str) -> bool:
    """Tell whether `descriptor` takes `event`, as in SCXML (section 3.12.1); timers' only exactly.

    `approve` takes `approve` and `approve.again`; so does `approve.*`; `*` takes everything.
    """
    if descriptor == event:
        return True
    if event.startswith(AFTER) or descriptor.startswith(AFTER):
        return False
    if descriptor == "*":
        return True
    prefix = descriptor.removesuffix(".*").removesuffix(".")
    return event == prefix or event.startswith(prefix + ".")
