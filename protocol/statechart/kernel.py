"""One step of a statechart: an event, and everything that it causes (a macrostep).

Promise:  pure; the same chart, configuration, history, event and guard answers give the same step.
          What is selected, preempted and run, and in which order, is Appendix D of the W3C SCXML
          recommendation (https://www.w3.org/TR/scxml/#AlgorithmforSCXMLInterpretation). A step
          that would never end is reported.
Assume:   `leaves` is a configuration of this chart, sorted by name; `history` is what the steps
          before recorded.
Not here: what a guard or an action means; the caller answers for guards and records actions.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from protocol.errors import ManifestdError
from protocol.statechart.compiled import Chart, Transition
from protocol.statechart.definition import Cancel, Send
from protocol.statechart.moving import (
    History,
    Microstep,
    active_nodes,
    domain_of,
    enter_chart,
    move,
)

MEMO_SIZE_MAX: Final = 10_000  # Microsteps remembered per chart; parallel regions multiply.
MICROSTEPS_MAX: Final = 100  # Eventless and internal ones after one event; a cycle has no end.
NO_HISTORY: Final[History] = {}

# A candidate, the leaves that are active when it is asked for, and the actions run so far.
Allows = Callable[[Transition, tuple[str, ...], Sequence[str]], bool]


class RunawayError(ManifestdError):
    """A step went on and on: `always` transitions or raised events make a cycle."""

    def __init__(self, chart_id: str, event: str | None, leaves: tuple[str, ...]) -> None:
        what = "entering it" if event is None else event
        super().__init__(
            f"{chart_id}: {what} is still not finished in {' + '.join(leaves)} after "
            f"{MICROSTEPS_MAX} steps of its own; break the cycle of 'always' and 'raise'"
        )
        self.event = event
        self.leaves = leaves


class Macrostep:
    """What one event does.

    `leaves`: the new configuration, sorted by name; `history`: what history states hold then;
    `transitions`, `actions`, `timers`: all that were taken, run, armed and cancelled, in order;
    `is_done`: the chart has reached its end.
    """

    __slots__ = ("actions", "history", "is_done", "leaves", "timers", "transitions")

    def __init__(
        self,
        chart: Chart,
        leaves: tuple[str, ...],
        history: History,
        transitions: tuple[Transition, ...],
        actions: tuple[str, ...],
        timers: tuple[Send | Cancel, ...],
    ) -> None:
        self.leaves = leaves
        self.history = {name: list(states) for name, states in history.items()}
        self.transitions = transitions
        self.actions = actions
        self.timers = timers
        self.is_done = len(leaves) == 1 and chart.nodes[leaves[0]].is_end


def start(chart: Chart, allows: Allows) -> Macrostep:
    """Return the step that enters the chart; `RunawayError` when it never ends."""
    known = chart.memo.get(None)
    if isinstance(known, Macrostep):
        return known
    first = enter_chart(chart)
    result = _settle(chart, None, first, {}, (), allows)
    if _is_settled(chart, first):
        chart.memo[None] = result  # No guard was asked.
    return result


def step(
    chart: Chart, leaves: tuple[str, ...], history: History, event: str, allows: Allows
) -> Macrostep | None:
    """Return what `event` does in configuration `leaves`, or None when nothing is enabled.

    `allows` answers whether the guard of a candidate holds; it is asked in document order, and
    only until it says yes for a leaf. `RunawayError`: the step never ends.
    """
    if len(leaves) == 1:
        for one in chart.candidates(leaves[0], event):
            if one.guard is None or allows(one, leaves, ()):
                enabled: tuple[Transition, ...] = (one,)
                break
        else:
            return None
    else:
        enabled = _enabled(chart, leaves, history, event, (), allows)
        if not enabled:
            return None
    if chart.has_histories:
        first = move(chart, leaves, history, enabled)
        return _settle(chart, event, first, history, enabled, allows)
    key = (leaves, enabled)
    known = chart.memo.get(key)
    if isinstance(known, Macrostep):
        return known
    first = move(chart, leaves, NO_HISTORY, enabled)
    result = _settle(chart, event, first, NO_HISTORY, enabled, allows)
    if _is_settled(chart, first) and len(chart.memo) < MEMO_SIZE_MAX:
        chart.memo[key] = result  # No guard was asked after the first: it is always so.
    return result


def _is_settled(chart: Chart, microstep: Microstep) -> bool:
    """Tell whether nothing can follow from `microstep`."""
    if chart.has_always:
        return False
    return not any(
        chart.candidates(leaf, event) for event in microstep.raised for leaf in microstep.leaves
    )


def _settle(
    chart: Chart,
    event: str | None,
    first: Microstep,
    history: History,
    enabled: tuple[Transition, ...],
    allows: Allows,
) -> Macrostep:
    """Go on from the first microstep until nothing is enabled (the inner loop of mainEventLoop)."""
    queue = deque(first.raised)
    leaves = first.leaves
    kept = {**history, **first.history}
    transitions, actions, timers = list(enabled), list(first.actions), list(first.timers)
    taken = 0
    while not chart.nodes[leaves[0]].is_end:
        chosen: tuple[Transition, ...] = ()
        if chart.has_always:
            chosen = _enabled(chart, leaves, kept, None, actions, allows)
        if not chosen:
            if not queue:
                break
            chosen = _enabled(chart, leaves, kept, queue.popleft(), actions, allows)
            if not chosen:
                continue
        taken += 1
        if taken > MICROSTEPS_MAX:
            raise RunawayError(chart.root.id, event, leaves)
        following = move(chart, leaves, kept, chosen)
        leaves = following.leaves
        kept.update(following.history)
        queue.extend(following.raised)
        transitions += chosen
        actions += following.actions
        timers += following.timers
    return Macrostep(chart, leaves, kept, tuple(transitions), tuple(actions), tuple(timers))


def _enabled(
    chart: Chart,
    leaves: tuple[str, ...],
    history: History,
    event: str | None,
    actions: Sequence[str],
    allows: Allows,
) -> tuple[Transition, ...]:
    """Return the transitions to take (selectTransitions; without event selectEventless…)."""
    selected: dict[Transition, None] = {}
    ordered = (
        leaves if len(leaves) == 1 else sorted(leaves, key=lambda name: chart.nodes[name].order)
    )
    for leaf in ordered:
        if event is None:
            candidates = [one for node in chart.nodes[leaf].line() for one in node.always]
        else:
            candidates = list(chart.candidates(leaf, event))
        for one in candidates:
            if one in selected or one.guard is None or allows(one, leaves, actions):
                selected[one] = None
                break
    if len(selected) < 2:  # noqa: PLR2004 (one alone conflicts with nothing)
        return tuple(selected)
    return _without_conflicts(chart, leaves, history, list(selected))


def _without_conflicts(
    chart: Chart, leaves: tuple[str, ...], history: History, selected: list[Transition]
) -> tuple[Transition, ...]:
    """Keep of those that leave the same states the innermost, else the first."""
    active = active_nodes(chart, leaves)
    left = {}
    for one in selected:
        domain = domain_of(chart, one, history)
        left[one] = {node for node in active if domain in node.ancestors} if domain else set()
    kept: list[Transition] = []
    for new in selected:
        preempted = []
        for old in kept:
            if left[new] & left[old]:
                if old.source not in new.source.ancestors:
                    break  # The earlier one is no ancestor's: it wins.
                preempted.append(old)
        else:
            kept = [old for old in kept if old not in preempted]
            kept.append(new)
    return tuple(kept)
