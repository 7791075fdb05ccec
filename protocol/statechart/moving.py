"""One microstep: which states are left and entered by some transitions, and what that runs.

Promise:  pure. Sets and orders are those of Appendix D of the W3C SCXML recommendation
          (https://www.w3.org/TR/scxml/#AlgorithmforSCXMLInterpretation); the functions below say
          which of its procedures they are.
Assume:   the transitions do not conflict; `leaves` is a configuration of the chart.
Not here: which transitions are enabled (`kernel.py`).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from protocol.statechart.compiled import DONE, Chart, Node, Transition
from protocol.statechart.compiler import check_together
from protocol.statechart.definition import Action, Cancel, NodeType, Raise, Send

History = Mapping[str, Sequence[str]]  # By the id of a history state: the states it recorded.


class Microstep:
    """What some transitions do. `raised`: internal events; `history`: what was recorded."""

    __slots__ = ("actions", "history", "leaves", "raised", "timers")

    def __init__(
        self, leaves: tuple[str, ...], executed: Iterable[Action], history: dict[str, list[str]]
    ) -> None:
        actions: list[str] = []
        raised: list[str] = []
        timers: list[Send | Cancel] = []
        for action in executed:
            if isinstance(action, str):
                actions.append(action)
            elif isinstance(action, Raise):
                raised.append(action.event)
            else:
                timers.append(action)
        self.leaves = leaves
        self.actions = tuple(actions)
        self.raised = tuple(raised)
        self.timers = tuple(timers)
        self.history = history


def enter_chart(chart: Chart) -> Microstep:
    """Return the microstep that enters the chart by the root's initial states."""
    entry = _Entry(chart, {}, {chart.root})
    for target in chart.root.initial:
        entry.descend(target)
    for target in chart.root.initial:
        entry.ascend(target, chart.root)
    executed = [*chart.root.initial_actions, *entry.executed()]
    return Microstep(_leaves(entry.nodes), executed, {})


class Placed(NamedTuple):
    """A configuration without a way to it, and the timers that its states arm."""

    leaves: tuple[str, ...]
    sends: tuple[Send, ...]


def place(chart: Chart, targets: tuple[Node, ...]) -> Placed:
    """Return the configuration with `targets` in it, the rest of it as it is entered by default.

    Raises:
        ChartError: they cannot be active at once.
    """
    check_together("states", targets)
    entry = _Entry(chart, {}, {chart.root})
    for target in targets:
        entry.descend(target)
    for target in targets:
        entry.ascend(target, chart.root)
    entered = sorted(entry.nodes, key=_order)
    sends = [action for node in entered for action in node.entry if isinstance(action, Send)]
    return Placed(_leaves(entry.nodes), tuple(sends))


def move(
    chart: Chart, leaves: tuple[str, ...], history: History, taken: Sequence[Transition]
) -> Microstep:
    """Return what `taken`, in document order of their leaves, do together (microstep)."""
    active = active_nodes(chart, leaves)
    domains = [domain_of(chart, one, history) for one in taken]
    left = {node for domain in domains if domain for node in active if domain in node.ancestors}
    leaving = sorted(left, key=_order, reverse=True)
    recorded = _record(active, leaving)
    now = {**history, **recorded}
    executed: list[Action] = [action for node in leaving for action in node.exit]
    for one in taken:
        executed += one.actions
    staying = active - left
    entry = _Entry(chart, now, staying | {chart.root})
    for one in taken:
        for target in one.targets:
            entry.descend(target)
        for target in effective_targets(chart, one.targets, now):
            entry.ascend(target, chart.root)
    executed += entry.executed()
    return Microstep(_leaves(staying | entry.nodes), executed, recorded)


def active_nodes(chart: Chart, leaves: Iterable[str]) -> set[Node]:
    """Return the configuration behind `leaves`, without the root."""
    nodes = {node for leaf in leaves for node in chart.nodes[leaf].line()}
    nodes.discard(chart.root)
    return nodes


def domain_of(chart: Chart, transition: Transition, history: History) -> Node | None:
    """Return the state whose insides are left (getTransitionDomain), None without targets."""
    targets = effective_targets(chart, transition.targets, history)
    if not targets:
        return None
    source = transition.source
    if (
        transition.internal
        and source.type is NodeType.COMPOUND
        and all(source in target.ancestors for target in targets)
    ):
        return source
    for ancestor in source.ancestors:  # findLCCA
        if ancestor.type is NodeType.COMPOUND and all(ancestor in t.ancestors for t in targets):
            return ancestor
    return chart.root  # The root's own transition.


def effective_targets(chart: Chart, targets: Sequence[Node], history: History) -> tuple[Node, ...]:
    """Return `targets` with history states replaced (getEffectiveTargetStates)."""
    if not chart.has_histories:
        return tuple(targets)
    found: dict[Node, None] = {}
    for target in targets:
        if target.type is not NodeType.HISTORY:
            found[target] = None
        elif target.id in history:
            found.update((chart.nodes[name], None) for name in history[target.id])
        else:
            assert target.default is not None
            for one in effective_targets(chart, target.default.targets, history):
                found[one] = None
    return tuple(found)


def _record(active: set[Node], leaving: Sequence[Node]) -> dict[str, list[str]]:
    """Return what the history states in `leaving` record before anything is left (exitStates)."""
    recorded = {}
    for node in leaving:
        for one in node.histories:
            kept = [
                other
                for other in active
                if (
                    (other.is_leaf and node in other.ancestors)
                    if one.is_deep
                    else other.ancestors[0] is node
                )
            ]
            recorded[one.id] = [other.id for other in sorted(kept, key=_order)]
    return recorded


class _Entry:
    """The set of states to enter (computeEntrySet), and why each is entered.

    `staying`: what is active and not left, the root too.
    """

    def __init__(self, chart: Chart, history: History, staying: set[Node]) -> None:
        self.nodes: set[Node] = set()
        self._chart = chart
        self._history = history
        self._staying = staying
        self._by_default: set[Node] = set()
        self._content: dict[Node, tuple[Action, ...]] = {}

    def descend(self, node: Node) -> None:
        """Add `node` and what it enters by default (addDescendantStatesToEnter)."""
        if node.type is NodeType.HISTORY:
            self._remember(node)
            return
        self.nodes.add(node)
        if node.type is NodeType.COMPOUND:
            self._by_default.add(node)
            for child in node.initial:
                self.descend(child)
            for child in node.initial:
                self.ascend(child, node)
        elif node.type is NodeType.PARALLEL:
            self._regions(node)

    def ascend(self, node: Node, top: Node) -> None:
        """Add what lies between `node` and `top` (addAncestorStatesToEnter), up to what stays.

        The appendix stops at the transition's domain, which is active and stays, but not where it
        follows a history state up to its parent: so it enters what was never left. And it asks
        for the domain after history was recorded, when it may be inside what was left.
        """
        for ancestor in node.ancestors:
            if ancestor is top or ancestor in self._staying:
                return
            self.nodes.add(ancestor)
            if ancestor.type is NodeType.PARALLEL:
                self._regions(ancestor)

    def executed(self) -> list[Action]:
        """Return what entering runs and raises, in document order (enterStates)."""
        executed: list[Action] = []
        entered = set(self._staying)
        for node in sorted(self.nodes, key=_order):
            entered.add(node)
            executed += node.entry
            if node in self._by_default:
                executed += node.initial_actions
            executed += self._content.get(node, ())
            if node.type is NodeType.FINAL and not node.is_end:
                executed += _done(node, entered)
        return executed

    def _regions(self, node: Node) -> None:
        for child in node.children:
            if not any(child in other.ancestors for other in self.nodes):
                self.descend(child)

    def _remember(self, node: Node) -> None:
        parent = node.ancestors[0]
        names = self._history.get(node.id)
        if names is None:
            assert node.default is not None
            targets: Sequence[Node] = node.default.targets
            self._content[parent] = node.default.actions
        else:
            targets = [self._chart.nodes[name] for name in names]
        for target in targets:
            self.descend(target)
        for target in targets:
            self.ascend(target, parent)


def _done(node: Node, entered: set[Node]) -> list[Action]:
    """Return the events that entering the final state `node` raises, from the inside out.

    The appendix stops at the grandparent, so that a parallel state whose last region to end is a
    parallel state itself never would; section 3.4 says that it does.
    """
    parent, *others = node.ancestors
    raised: list[Action] = [Raise(DONE + parent.id)]
    for ancestor in others:
        if ancestor.type is not NodeType.PARALLEL or not _is_done(ancestor, entered):
            break
        raised.append(Raise(DONE + ancestor.id))
    return raised


def _is_done(node: Node, active: set[Node]) -> bool:
    """Tell whether a state has reached its end (isInFinalState)."""
    if node.type is NodeType.COMPOUND:
        return any(child.type is NodeType.FINAL and child in active for child in node.children)
    if node.type is NodeType.PARALLEL:
        return all(_is_done(child, active) for child in node.children)
    return False


def _order(node: Node) -> int:
    return node.order


def _leaves(nodes: set[Node]) -> tuple[str, ...]:
    return tuple(sorted(node.id for node in nodes if node.is_leaf))
