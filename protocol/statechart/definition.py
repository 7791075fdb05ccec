"""A statechart as data: what a lifecycle file holds, spelled as XState v5 spells it.

Not here: what it means (`compiled.py`), what runs it (`kernel.py`).
"""

from enum import StrEnum

import msgspec


class NodeType(StrEnum):
    """What a state is. Without a type, a state with children is compound, else atomic."""

    ATOMIC = "atomic"
    COMPOUND = "compound"
    PARALLEL = "parallel"
    FINAL = "final"


class TransitionDefinition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One way on an event. Guards must all hold; `because` is what a refused caller is told."""

    target: str | list[str] | None = None
    guard: list[str] = msgspec.field(default_factory=list)
    because: str | None = None
    actions: list[str] = msgspec.field(default_factory=list)
    internal: bool = False


class StateDefinition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One state. Ids are unique in a chart. `on`: an event's candidates, in document order."""

    type: NodeType | None = None
    initial: str | None = None
    tags: list[str] = msgspec.field(default_factory=list)
    on: dict[str, TransitionDefinition | list[TransitionDefinition]] = msgspec.field(
        default_factory=dict
    )
    entry: list[str] = msgspec.field(default_factory=list)
    exit: list[str] = msgspec.field(default_factory=list)
    states: dict[str, "StateDefinition"] = msgspec.field(default_factory=dict)
    description: str | None = None
