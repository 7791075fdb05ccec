"""A statechart as data: what the compiler takes, whatever file or test vector it came from.

Promise:  nothing here is evaluated; guards are opaque to the kernel, actions that are text too.
Not here: how a lifecycle file spells it (`protocol.lifecycle`), what it means (`compiled.py`).
"""

from enum import StrEnum

import msgspec


class NodeType(StrEnum):
    """What a state is. Without a type, a state with children is compound, else atomic."""

    ATOMIC = "atomic"
    COMPOUND = "compound"
    PARALLEL = "parallel"
    FINAL = "final"
    HISTORY = "history"


class Raise(msgspec.Struct, frozen=True):
    """Put `event` on the internal queue: it is dealt with before the macrostep ends."""

    event: str


class Send(msgspec.Struct, frozen=True):
    """Arm a timer that sends `event` after `delay_ms` milliseconds; `id` is for `Cancel`."""

    event: str
    delay_ms: int
    id: str | None = None


class Cancel(msgspec.Struct, frozen=True):
    """Disarm the timers with this `id`; unknown ones are ignored."""

    id: str


# A name means nothing to the kernel: it is handed to the caller in the order of execution.
Action = str | Raise | Send | Cancel


class TransitionForm(msgspec.Struct, frozen=True, kw_only=True):
    """One candidate. `internal` as in SCXML; without targets nothing is left or entered."""

    targets: tuple[str, ...] = ()
    guard: object = None
    because: str | None = None
    actions: tuple[Action, ...] = ()
    internal: bool = False


class StateForm(msgspec.Struct, frozen=True, kw_only=True):
    """One state; ids are unique in a chart.

    `initial`: descendants, none for the first child. `on`: (event descriptor, candidate) in
    document order; a descriptor is a name, which matches longer dotted names too, `name.*`, or
    `*`. `after`: (delay in milliseconds, candidate). `is_deep` and `default`, where a history
    state leads while nothing is recorded, are those of history states alone.
    """

    type: NodeType | None = None
    initial: tuple[str, ...] = ()
    initial_actions: tuple[Action, ...] = ()
    is_deep: bool = False
    default: TransitionForm | None = None
    tags: tuple[str, ...] = ()
    on: tuple[tuple[str, TransitionForm], ...] = ()
    always: tuple[TransitionForm, ...] = ()
    after: tuple[tuple[int, TransitionForm], ...] = ()
    entry: tuple[Action, ...] = ()
    exit: tuple[Action, ...] = ()
    states: "dict[str, StateForm]" = msgspec.field(default_factory=dict)
    description: str | None = None
