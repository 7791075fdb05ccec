"""Test vectors of statecharts, written by others, run on our kernel in virtual time.

    python -m tests.support.vectors FILE        passed and failed ids; status 1 where one failed

Promise:  a vector passes when the active leaf states are those it expects after the start and after
          each step, and what it must reach is active after 60 seconds more.
Assume:   one JSON object per line; the members are in `README.md` of the data. What has no meaning
          here (a source, a licence) is passed over; an action or a condition of another sort fails.
Not here: a clock. Sends without delay wait until the macrostep has ended, the others for their time.
"""

import heapq
import json
import math
import re
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from protocol.errors import ManifestdError
from protocol.statechart import kernel
from protocol.statechart.compiled import Chart, Transition
from protocol.statechart.compiler import compile_chart
from protocol.statechart.definition import (
    Action,
    Cancel,
    NodeType,
    Raise,
    Send,
    StateForm,
    TransitionForm,
)
from protocol.statechart.kernel import Macrostep

REACH_MS: Final = 60_000  # What `must_reach` has time for.
EVENTS_MAX: Final = 1_000  # At one instant: a chart that keeps sending to itself never rests.
ROOT: Final = "chart"


class VectorError(ManifestdError):
    """A vector cannot be run: it is malformed, or its chart never comes to rest."""


class Condition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`cond`: whether a state is active, or a constant; negated or not."""

    state: str | None = msgspec.field(name="in", default=None)
    const: bool | None = None
    negate: bool = False

    def holds(self, chart: Chart, leaves: tuple[str, ...]) -> bool:
        """Answer the condition where `leaves` are active; an unknown state never is."""
        if self.state is not None:
            return chart.is_in(leaves, name_of(self.state)) is not self.negate
        if self.const is None:
            raise VectorError("a condition with neither 'in' nor 'const'")
        return self.const is not self.negate


class VectorSend(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`send`: an event for the external queue, after a delay where there is one."""

    event: str
    delay_ms: float = 0
    id: str | None = None


class VectorAction(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One action: exactly one of the three."""

    event: str | None = msgspec.field(name="raise", default=None)
    send: VectorSend | None = None
    cancel: str | None = None

    def form(self) -> Action:
        """Return the action as our charts spell it."""
        if self.event is not None:
            return Raise(name_of(self.event))
        if self.send is not None:
            return Send(name_of(self.send.event), math.ceil(self.send.delay_ms), self.send.id)
        if self.cancel is not None:
            return Cancel(self.cancel)
        raise VectorError("an action that is none of raise, send and cancel")


Block = list[VectorAction] | VectorAction  # Actions come in blocks, or one by one.


class VectorTransition(msgspec.Struct, frozen=True, kw_only=True):
    """One transition; without events it is eventless."""

    events: list[str] = []
    targets: list[str] = []
    internal: bool = False
    cond: Condition | None = None
    actions: list[Block] = []

    def form(self) -> TransitionForm:
        """Return the candidate as our charts spell it."""
        return TransitionForm(
            targets=tuple(map(name_of, self.targets)),
            guard=self.cond,
            actions=actions_of(self.actions),
            internal=self.internal,
        )


class VectorNode(msgspec.Struct, frozen=True, kw_only=True):
    """One state of a machine, the root too."""

    type: str
    id: str | None = None
    initial: list[str] = []
    initial_actions: list[Block] = []
    history: str = "shallow"
    transitions: list[VectorTransition] = []
    entry: list[Block] = []
    exit: list[Block] = []
    children: "list[VectorNode]" = []


class VectorStep(msgspec.Struct, frozen=True, kw_only=True):
    """One step: let time pass, send an event, and see which leaf states are active."""

    event: str
    expect: list[str]
    after_ms: float = 0


class Vector(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a file of vectors."""

    machine: VectorNode
    initial: list[str] | None = None
    steps: list[VectorStep] = []
    must_reach: str | None = None


def name_of(name: str) -> str:
    """Spell a name of XML with the characters that our names have, each by itself."""
    return re.sub(r"[^A-Za-z0-9_.*-]", lambda found: f"_x{ord(found[0]):x}_", name)


def actions_of(blocks: list[Block]) -> tuple[Action, ...]:
    """Return the actions of all blocks in document order."""
    listed = [block if isinstance(block, list) else [block] for block in blocks]
    return tuple(action.form() for block in listed for action in block)


def load(vector: dict[str, Any]) -> Chart:
    """Return the chart of `vector`, a line of a file of vectors.

    Raises:
        VectorError: it is not of the format.
        ChartError: it is, but its machine is none that can run.
    """
    root = _read(vector).machine
    taken = {name_of(node.id) for node in _nodes(root) if node.id}
    fresh = (name for name in _names() if name not in taken)
    return compile_chart(name_of(root.id or next(fresh)), _form(root, fresh))


def _read(vector: dict[str, Any]) -> Vector:
    try:
        return msgspec.convert(vector, Vector)
    except msgspec.ValidationError as error:
        raise VectorError(f"no vector: {error}") from error


def _nodes(node: VectorNode) -> Iterator[VectorNode]:
    yield node
    for child in node.children:
        yield from _nodes(child)


def _names() -> Iterator[str]:
    """Yield names for states that have none, the root's first."""
    yield ROOT
    number = 0
    while True:
        number += 1
        yield f"state_{number}"


def _form(node: VectorNode, fresh: Iterator[str]) -> StateForm:
    if node.type == "history":
        default = node.transitions[0].form() if node.transitions else None
        return StateForm(type=NodeType.HISTORY, is_deep=node.history == "deep", default=default)
    forms = [(transition, transition.form()) for transition in node.transitions]
    return StateForm(
        type=_type_of(node),
        initial=tuple(map(name_of, node.initial)),
        initial_actions=actions_of(node.initial_actions),
        on=tuple((name_of(event), form) for one, form in forms for event in one.events),
        always=tuple(form for one, form in forms if not one.events),
        entry=actions_of(node.entry),
        exit=actions_of(node.exit),
        states={name_of(child.id or next(fresh)): _form(child, fresh) for child in node.children},
    )


def _type_of(node: VectorNode) -> NodeType | None:
    """Return the type where the children do not tell it."""
    if node.type not in ("root", *NodeType):
        raise VectorError(f"a state of an unknown type, {node.type!r}")
    if node.type == NodeType.FINAL or (node.type == NodeType.PARALLEL and node.children):
        return NodeType(node.type)
    return None


class Machine:
    """A chart that runs: where it is, what waits for it, and what time it is."""

    def __init__(self, chart: Chart) -> None:
        self._chart = chart
        self._history: dict[str, list[str]] = {}
        self._external: deque[str] = deque()
        self._timers: list[tuple[int, int, Send]] = []  # Due, in the order of arming.
        self._now_ms = 0
        self._events = 0  # At this instant.
        self._armed = 0
        self._is_done = False
        self.leaves: tuple[str, ...] = ()
        self._absorb(kernel.start(chart, self._allows))
        self._drain()

    def is_in(self, state: str) -> bool:
        """Tell whether `state` is active."""
        return self._chart.is_in(self.leaves, state)

    def send(self, event: str) -> None:
        """Send an external event, and deal with all that follows at once."""
        self._external.append(event)
        self._drain()

    def let_pass(self, duration_ms: int) -> None:
        """Let virtual time pass; what falls due meanwhile happens in its order."""
        until_ms = self._now_ms + duration_ms
        while self._timers and self._timers[0][0] <= until_ms:
            due_ms, _, timer = heapq.heappop(self._timers)
            if due_ms > self._now_ms:
                self._now_ms, self._events = due_ms, 0
            self.send(timer.event)
        self._now_ms, self._events = until_ms, 0

    def _drain(self) -> None:
        while self._external:
            event = self._external.popleft()
            if self._is_done:
                continue
            self._events += 1
            if self._events > EVENTS_MAX:
                raise VectorError(f"no rest after {EVENTS_MAX} events at one instant")
            result = kernel.step(self._chart, self.leaves, self._history, event, self._allows)
            if result is not None:
                self._absorb(result)

    def _absorb(self, result: Macrostep) -> None:
        self.leaves, self._history = result.leaves, result.history
        for timer in result.timers:
            if isinstance(timer, Cancel):
                kept = [entry for entry in self._timers if entry[2].id != timer.id]
                heapq.heapify(kept)
                self._timers = kept
            elif timer.delay_ms <= 0:
                self._external.append(timer.event)
            else:
                self._armed += 1
                due_ms = self._now_ms + timer.delay_ms
                heapq.heappush(self._timers, (due_ms, self._armed, timer))
        if result.is_done:
            self._is_done = True
            self._timers.clear()

    def _allows(self, one: Transition, leaves: tuple[str, ...], _: Sequence[str]) -> bool:
        return one.guard is None or (
            isinstance(one.guard, Condition) and one.guard.holds(self._chart, leaves)
        )


def run(vector: dict[str, Any]) -> str | None:
    """Run `vector`; return None when it passed, else what differs."""
    try:
        return _run(_read(vector), load(vector))
    except ManifestdError as error:
        return str(error)


def _run(vector: Vector, chart: Chart) -> str | None:
    machine = Machine(chart)
    if vector.initial is not None and (wrong := _differs(machine, vector.initial)):
        return f"at the start: {wrong}"
    for number, step in enumerate(vector.steps, 1):
        machine.let_pass(math.ceil(step.after_ms))
        machine.send(name_of(step.event))
        if wrong := _differs(machine, step.expect):
            return f"step {number}, {step.event}: {wrong}"
    if vector.must_reach is not None:
        machine.let_pass(REACH_MS)
        if not machine.is_in(name_of(vector.must_reach)):
            return f"{vector.must_reach} must be reached, and is in {', '.join(machine.leaves)}"
    return None


def _differs(machine: Machine, expected: list[str]) -> str | None:
    names = sorted(map(name_of, expected))
    if names == sorted(machine.leaves):
        return None
    return f"expected {', '.join(names)}, is in {', '.join(machine.leaves)}"


def results(text: str) -> Iterator[tuple[str, str | None]]:
    """Yield the id of each vector, a line of `text`, and what is wrong with it."""
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            vector = json.loads(line)
        except ValueError as error:
            yield f"line {number}", f"not JSON: {error}"
            continue
        if isinstance(vector, dict):
            yield str(vector.get("id", f"line {number}")), run(vector)
        else:
            yield f"line {number}", "no vector: an object is"


def main(arguments: list[str]) -> int:
    """Run the vectors of the file named; return 1 where one failed or there is none, 2 for usage."""
    if len(arguments) != 1 or not Path(arguments[0]).is_file():
        print("usage: python -m tests.support.vectors FILE", file=sys.stderr)  # noqa: T201
        return 2
    found = list(results(Path(arguments[0]).read_text(encoding="utf-8")))
    for name, wrong in found:
        print(f"passed {name}" if wrong is None else f"FAILED {name}: {wrong}")  # noqa: T201
    passed = sum(wrong is None for _, wrong in found)
    print(f"{passed} passed, {len(found) - passed} failed")  # noqa: T201
    return 0 if found and passed == len(found) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
