"""One step of a statechart: from leaf states and an event to leaf states and actions.

Promise:  pure; the same chart, configuration, event and guard answers give the same step. What is
          selected, preempted, exited and entered, and in which order, is Appendix D of the W3C
          SCXML recommendation (https://www.w3.org/TR/scxml/#AlgorithmforSCXMLInterpretation).
Assume:   `leaves` is a configuration of this chart, sorted by name.
Not here: what a guard or an action means; the caller answers for guards and records actions.
"""

from collections.abc import Callable
from typing import Final

from protocol.statechart.compiled import Chart, Node, Transition
from protocol.statechart.definition import NodeType

MEMO_SIZE_MAX: Final = 10_000  # Steps remembered per chart; parallel regions multiply.


class Step:
    """What one event does. `leaves` is the new configuration, sorted by name."""

    __slots__ = ("actions", "entered", "exited", "leaves", "transitions")

    def __init__(
        self,
        transitions: tuple[Transition, ...],
        exited: tuple[str, ...],
        entered: tuple[str, ...],
        actions: tuple[str, ...],
        leaves: tuple[str, ...],
    ) -> None:
        self.transitions = transitions
        self.exited = exited
        self.entered = entered
        self.actions = actions
        self.leaves = leaves


def initial_step(chart: Chart) -> Step:
    """Return the step that enters the chart."""
    entry: set[Node] = set()
    _enter(chart.root, entry)
    entered = _in_order(entry)
    return Step(
        (),
        (),
        tuple(node.id for node in entered),
        tuple(action for node in entered for action in node.entry),
        _leaves(entry),
    )


def step(
    chart: Chart, leaves: tuple[str, ...], event: str, allows: Callable[[Transition], bool]
) -> Step | None:
    """Return what `event` does in configuration `leaves`, or None when nothing is enabled.

    `allows(transition)` answers whether the transition's guards hold; it is asked in document
    order, and only until it says yes for a leaf.
    """
    enabled = _select(chart, leaves, event, allows)
    if not enabled:
        return None
    key = (leaves, tuple(transition.order for transition in enabled))
    known = chart.memo.get(key)
    if isinstance(known, Step):
        return known
    result = _microstep(chart, leaves, enabled)
    if len(chart.memo) < MEMO_SIZE_MAX:
        chart.memo[key] = result
    return result


def _select(
    chart: Chart, leaves: tuple[str, ...], event: str, allows: Callable[[Transition], bool]
) -> list[Transition]:
    if len(leaves) == 1:
        node = chart.nodes[leaves[0]]
        chosen = _first_enabled(node, event, allows)
        return [] if chosen is None else [chosen]
    selected: list[Transition] = []
    for leaf in sorted((chart.nodes[name] for name in leaves), key=lambda node: node.order):
        chosen = _first_enabled(leaf, event, allows)
        if chosen is not None and chosen not in selected:
            selected.append(chosen)
    return _remove_conflicting(chart, leaves, selected)


def _first_enabled(
    leaf: Node, event: str, allows: Callable[[Transition], bool]
) -> Transition | None:
    for node in (leaf, *leaf.ancestors):
        for transition in node.candidates.get(event, ()):
            if allows(transition):
                return transition
    return None


def _remove_conflicting(
    chart: Chart, leaves: tuple[str, ...], selected: list[Transition]
) -> list[Transition]:
    kept: list[Transition] = []
    for new in selected:
        preempted: list[Transition] = []
        for old in kept:
            if _exit_set(chart, leaves, [new]) & _exit_set(chart, leaves, [old]):
                if old.source not in new.source.ancestors:
                    break  # The earlier one is no ancestor's: it wins.
                preempted.append(old)
        else:
            kept = [old for old in kept if old not in preempted]
            kept.append(new)
    return kept


def _active(chart: Chart, leaves: tuple[str, ...]) -> set[Node]:
    nodes = {chart.nodes[leaf] for leaf in leaves}
    return nodes | {ancestor for node in nodes for ancestor in node.ancestors}


def _domain(transition: Transition) -> Node | None:
    if not transition.targets:
        return None
    source, targets = transition.source, transition.targets
    if (
        transition.internal
        and source.type is NodeType.COMPOUND
        and all(source in target.ancestors for target in targets)
    ):
        return source
    for ancestor in source.ancestors:  # The least common compound ancestor.
        if ancestor.type is NodeType.COMPOUND and all(ancestor in t.ancestors for t in targets):
            return ancestor
    return source  # The root's own: all other states have it, a compound one, in common.


def _exit_set(chart: Chart, leaves: tuple[str, ...], transitions: list[Transition]) -> set[Node]:
    active = _active(chart, leaves)
    exited: set[Node] = set()
    for transition in transitions:
        domain = _domain(transition)
        if domain is not None:
            exited |= {node for node in active if domain in node.ancestors}
    return exited


def _microstep(chart: Chart, leaves: tuple[str, ...], enabled: list[Transition]) -> Step:
    exit_set = _exit_set(chart, leaves, enabled)
    entry_set: set[Node] = set()
    for transition in enabled:
        # All targets before any ancestor: a region that a later target names is not entered by
        # default for the sake of an earlier one.
        for target in transition.targets:
            _enter(target, entry_set)
        domain = _domain(transition)
        for target in transition.targets:
            assert domain is not None
            _enter_ancestors(target, domain, entry_set)
    exited = _in_order(exit_set)[::-1]
    entered = _in_order(entry_set)
    actions = [action for node in exited for action in node.exit]
    actions += [action for transition in enabled for action in transition.actions]
    actions += [action for node in entered for action in node.entry]
    return Step(
        tuple(enabled),
        tuple(node.id for node in exited),
        tuple(node.id for node in entered),
        tuple(actions),
        _leaves((_active(chart, leaves) - exit_set) | entry_set),
    )


def _enter(node: Node, entry: set[Node]) -> None:
    """Add `node` and what it enters by default (addDescendantStatesToEnter)."""
    entry.add(node)
    if node.type is NodeType.COMPOUND:
        assert node.initial is not None
        _enter(node.initial, entry)
    elif node.type is NodeType.PARALLEL:
        for child in node.children:
            if not any(child is other or child in other.ancestors for other in entry):
                _enter(child, entry)


def _enter_ancestors(target: Node, domain: Node, entry: set[Node]) -> None:
    """Add what lies between `target` and `domain` (addAncestorStatesToEnter)."""
    for ancestor in target.ancestors:
        if ancestor is domain:
            return
        entry.add(ancestor)
        if ancestor.type is NodeType.PARALLEL:
            for child in ancestor.children:
                if not any(child is other or child in other.ancestors for other in entry):
                    _enter(child, entry)


def _in_order(nodes: set[Node]) -> list[Node]:
    return sorted(nodes, key=lambda node: node.order)


def _leaves(nodes: set[Node]) -> tuple[str, ...]:
    return tuple(sorted(node.id for node in nodes if node.is_leaf))
