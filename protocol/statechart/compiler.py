"""From a definition to tables: every name is looked up here, so that no step looks up in vain.

Promise:  whatever `compile_chart` accepts can be stepped, and every step ends in a configuration:
          one child of each active compound state, all of each parallel one.
Assume:   the definition is hostile: every name is checked, depth and size are bounded.
"""

import re
from itertools import combinations
from typing import Final

from protocol.errors import ManifestdError, did_you_mean
from protocol.statechart.compiled import AFTER, Chart, Node, Transition
from protocol.statechart.definition import Cancel, NodeType, Send, StateForm, TransitionForm

STATES_MAX: Final = 1000  # A chart that nobody could draw.
DEPTH_MAX: Final = 16  # Recursion in the compiler has to end.
TRANSITIONS_MAX: Final = 10_000
ACTIVE_MAX: Final = 64  # Leaves at once. Each is asked on every event, and stands in every topic.
# States are joined by `+` and set between slashes in topics; events stand in commands and in logs.
NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
DESCRIPTOR: Final = re.compile(r"\*|[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}(?:\.\*)?")
_NAME_RULE: Final = "1 to 64 of A-Z a-z 0-9 _ . -, beginning with none of the last two"
_SHOWN_MAX: Final = 20


class ChartError(ManifestdError):
    """A statechart definition is wrong; `place` is the dotted path of what is."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"{place}: {reason}")
        self.place = place
        self.reason = reason


def compile_chart(chart_id: str, form: StateForm) -> Chart:
    """Return the tables of `form`, the root state.

    Raises:
        ChartError: a name is unknown or used twice, or a state lacks what its type needs.
    """
    if not form.states:
        raise ChartError(chart_id, "a chart without states; add one under 'states'")
    if form.type not in (None, NodeType.COMPOUND):
        raise ChartError(chart_id, "the root is compound; put regions into a state of their own")
    if form.entry or form.exit or form.after:
        reason = "the root is never entered or left; give its actions and timers to a state in it"
        raise ChartError(chart_id, reason)
    compiler = _Compiler()
    root = compiler.node(chart_id, form, ())
    if (count := _active_max(root)) > ACTIVE_MAX:
        reason = f"{count} states could be active at once, {ACTIVE_MAX} may; use fewer regions"
        raise ChartError(chart_id, reason)
    compiler.targetable = {name: node for name, node in compiler.nodes.items() if node.ancestors}
    for node, one in compiler.forms:
        compiler.link_initial(node, one)
    for node, one in compiler.forms:
        compiler.link(node, one)
    return Chart(root, compiler.nodes, compiler.transitions)


class _Compiler:
    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.targetable: dict[str, Node] = {}  # All but the root, once they are known.
        self.forms: list[tuple[Node, StateForm]] = []
        self.transitions: list[Transition] = []

    # The tree.

    def node(self, node_id: str, form: StateForm, ancestors: tuple[Node, ...]) -> Node:
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
        _check_form(place, form)
        node = Node(node_id, _type_of(form), ancestors)
        node.order = len(self.nodes)
        node.tags = frozenset(form.tags)
        timers = _timers(node_id, form)
        node.entry = (*form.entry, *timers)
        node.exit = (*form.exit, *(Cancel(timer.event) for timer in timers))
        node.initial_actions = form.initial_actions
        node.is_deep = form.is_deep
        self.nodes[node_id] = node
        self.forms.append((node, form))
        below = [
            self.node(child_id, child, (node, *ancestors))
            for child_id, child in form.states.items()
        ]
        node.children = tuple(one for one in below if one.type is not NodeType.HISTORY)
        node.histories = tuple(one for one in below if one.type is NodeType.HISTORY)
        if below and not node.children:
            raise ChartError(place, "it has only history states in it; add a real one")
        return node

    # The names.

    def link_initial(self, node: Node, form: StateForm) -> None:
        if node.type is not NodeType.COMPOUND:
            return
        if not form.initial:
            node.initial = node.children[:1]
            return
        place = f"{_place(node)}.initial"
        for name in form.initial:
            if name not in self.nodes or node not in self.nodes[name].ancestors:
                below = [one.id for one in self.nodes.values() if node in one.ancestors]
                raise ChartError(place, _unknown("initial", name, below))
        node.initial = tuple(self.nodes[name] for name in form.initial)
        check_together(place, node.initial)

    def link(self, node: Node, form: StateForm) -> None:
        place = _place(node)
        on = []
        for event, candidate in form.on:
            where = f"{place}.on.{event}"
            if DESCRIPTOR.fullmatch(event) is None or event.startswith(AFTER):
                reason = (
                    f"an event's name is {_NAME_RULE}; with '.*' behind it, or '*' alone, it takes "
                    f"several; '{AFTER}' is for timers; rename this one"
                )
                raise ChartError(where, reason)
            on.append(self.transition(node, event, candidate, where))
        names = {timer.delay_ms: timer.event for timer in _timers(node.id, form)}
        for delay_ms, candidate in form.after:
            where = f"{place}.after.{delay_ms}"
            event = names[delay_ms]
            on.append(self.transition(node, event, candidate, where, delay_ms))
        node.on = tuple(on)
        node.always = tuple(
            self.transition(node, "", candidate, f"{place}.always") for candidate in form.always
        )
        if node.type is NodeType.HISTORY:
            node.default = self.default(node, form)

    def transition(
        self,
        node: Node,
        event: str,
        form: TransitionForm,
        place: str,
        delay_ms: int | None = None,
    ) -> Transition:
        if len(self.transitions) >= TRANSITIONS_MAX:
            raise ChartError(place, f"a chart has at most {TRANSITIONS_MAX} transitions; split it")
        transition = Transition(node, event, form, len(self.transitions), delay_ms)
        transition.targets = self.targets(place, form.targets)
        self.transitions.append(transition)
        return transition

    def targets(self, place: str, names: tuple[str, ...]) -> tuple[Node, ...]:
        for name in names:
            if name not in self.nodes or not self.nodes[name].ancestors:
                known = [node.id for node in self.nodes.values() if node.ancestors]
                raise ChartError(place, _unknown("target", name, known))
        targets = tuple(self.nodes[name] for name in names)
        check_together(place, targets)
        return targets

    def default(self, node: Node, form: StateForm) -> Transition:
        """Return where a history state leads at first: what it says, or as its parent begins."""
        parent, place = node.ancestors[0], _place(node)
        default = Transition(node, "", form.default or TransitionForm(), -1)
        if form.default is not None and form.default.targets:
            default.targets = self.targets(place, form.default.targets)
        elif parent.type is NodeType.PARALLEL:
            default.targets = parent.children
        else:
            default.targets = parent.initial
        for target in default.targets:
            if target.type is NodeType.HISTORY or parent not in target.ancestors:
                reason = (
                    f"{target.id!r} is where it would lead while nothing is recorded; "
                    f"name a real state inside {parent.id!r} as its target"
                )
                raise ChartError(place, reason)
        return default


def _place(node: Node) -> str:
    return ".".join([*(parent.id for parent in reversed(node.ancestors)), node.id])


def _timers(node_id: str, form: StateForm) -> tuple[Send, ...]:
    """Return what a state arms when it is entered: one timer for each delay."""
    delays = dict.fromkeys(delay_ms for delay_ms, _ in form.after)
    return tuple(
        Send(f"{AFTER}{node_id}.{number}", delay_ms, f"{AFTER}{node_id}.{number}")
        for number, delay_ms in enumerate(delays, 1)
    )


def _active_max(node: Node) -> int:
    """Return how many leaves inside `node` can be active at once."""
    inside = [_active_max(child) for child in node.children] or [1]
    return sum(inside) if node.type is NodeType.PARALLEL else max(inside)


def _type_of(form: StateForm) -> NodeType:
    return form.type or (NodeType.COMPOUND if form.states else NodeType.ATOMIC)


def _check_form(place: str, form: StateForm) -> None:
    """Refuse what a state of this type cannot have."""
    kind = _type_of(form)
    has_states = bool(form.states)
    if kind in (NodeType.COMPOUND, NodeType.PARALLEL) and not has_states:
        raise ChartError(place, f"{kind.value} states have states in them; add 'states'")
    if kind not in (NodeType.COMPOUND, NodeType.PARALLEL) and has_states:
        raise ChartError(place, f"{kind.value} states have no states in them; leave them out")
    if kind is not NodeType.COMPOUND and (form.initial or form.initial_actions):
        raise ChartError(place, f"{kind.value} states have no 'initial'; leave it out")
    moves = bool(form.on or form.always or form.after)
    if kind is NodeType.FINAL and moves:
        raise ChartError(place, "a final state is the end; it takes no events, leave 'on' out")
    if kind is NodeType.HISTORY and (moves or form.entry or form.exit):
        reason = "a history state is never active; it has a target and nothing else"
        raise ChartError(place, reason)
    ends = [name for name, one in form.states.items() if one.type is NodeType.FINAL]
    if kind is NodeType.PARALLEL and ends:
        reason = f"{ends[0]!r} would end one region alone; put it into a compound state of its own"
        raise ChartError(place, reason)
    if kind is not NodeType.HISTORY and (form.default is not None or form.is_deep):
        raise ChartError(place, "only history states have a target or a depth; leave them out")
    if any(delay_ms <= 0 for delay_ms, _ in form.after):
        raise ChartError(place, "a delay is more than nothing; use 'always' for at once")


def check_together(place: str, nodes: tuple[Node, ...]) -> None:
    """Refuse states that cannot be active at once: each two lie in regions of a parallel state.

    A history state leads anywhere inside its parent, so it is taken for it.
    """
    if len(nodes) > ACTIVE_MAX:
        raise ChartError(place, f"{len(nodes)} states at once, {ACTIVE_MAX} may be; name fewer")
    for pair in combinations(nodes, 2):
        one, other = (n.ancestors[0] if n.type is NodeType.HISTORY else n for n in pair)
        common = next((a for a in one.ancestors if a in other.ancestors), None)
        nested = one is other or one in other.ancestors or other in one.ancestors
        if nested or common is None or common.type is not NodeType.PARALLEL:
            names = " and ".join(repr(node.id) for node in pair)
            raise ChartError(place, f"{names} cannot be active at once; keep one of them")


def _unknown(what: str, name: str, known: list[str]) -> str:
    near = did_you_mean(name, known)
    hint = f"did you mean {near!r}?" if near else f"known: {', '.join(known[:_SHOWN_MAX])}"
    return f"{what} {name!r} is no state there; {hint}"
