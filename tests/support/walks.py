"""Charts written down in a test, and a walk through them by events.

Not here: charts drawn at random (`random_charts.py`), charts of others (`vectors.py`).
"""

from collections.abc import Sequence

from protocol.statechart import kernel
from protocol.statechart.compiled import Chart, Transition
from protocol.statechart.compiler import compile_chart
from protocol.statechart.definition import Action, NodeType, StateForm, TransitionForm

FINAL = StateForm(type=NodeType.FINAL)
On = tuple[str, TransitionForm]


def on(event: str, *targets: str, run: tuple[Action, ...] = (), internal: bool = False) -> On:
    """Return a transition on `event`."""
    return event, TransitionForm(targets=targets, actions=run, internal=internal)


def to(*targets: str, guard: object = None) -> TransitionForm:
    """Return a candidate that a guard may refuse."""
    return TransitionForm(targets=targets, guard=guard)


def state(
    name: str,
    *transitions: On,
    kind: NodeType | None = None,
    run: tuple[Action, ...] = (),
    states: dict[str, StateForm] | None = None,
    **more: StateForm,
) -> StateForm:
    """Return a state that tells when it is entered and left, and does `run` when entered."""
    return StateForm(
        type=kind,
        on=transitions,
        entry=(f"+{name}", *run),
        exit=(f"-{name}",),
        states={**(states or {}), **more},
    )


def parallel(name: str, *transitions: On, **states: StateForm) -> StateForm:
    """Return a parallel state that tells when it is entered and left."""
    return state(name, *transitions, kind=NodeType.PARALLEL, states=states)


def history(*default: str, is_deep: bool = False) -> StateForm:
    """Return a history state that leads to `default` while nothing is recorded."""
    return StateForm(type=NodeType.HISTORY, is_deep=is_deep, default=to(*default))


class Walk:
    """A chart and where it is.

    A guard is an answer, or the name of a state that must be active or an action that has run.
    """

    def __init__(self, *transitions: On, **states: StateForm) -> None:
        self.chart: Chart = compile_chart("chart", StateForm(on=transitions, states=states))
        self.last: kernel.Macrostep | None = kernel.start(self.chart, self._allows)
        self._now: kernel.Macrostep = self.last

    @property
    def leaves(self) -> str:
        """The active leaf states."""
        return " ".join(self._now.leaves)

    @property
    def result(self) -> kernel.Macrostep:
        """What the last event did; it must have done something."""
        assert self.last is not None
        return self.last

    @property
    def actions(self) -> str:
        """What the last event ran, the start at first; empty where it did nothing."""
        return " ".join(self.last.actions) if self.last else ""

    def send(self, *events: str) -> "Walk":
        """Send `events`, one after another."""
        for event in events:
            now = self._now
            self.last = kernel.step(self.chart, now.leaves, now.history, event, self._allows)
            self._now = self.last or now
        return self

    def _allows(self, one: Transition, leaves: tuple[str, ...], ran: Sequence[str]) -> bool:
        if isinstance(one.guard, str):
            return self.chart.is_in(leaves, one.guard) or one.guard in ran
        return bool(one.guard)
