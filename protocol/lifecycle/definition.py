"""The members of a lifecycle file, the same in TOML and in JSON; spelled as XState v5 spells them.

Not here: reading a file with places for its mistakes (`reader.py`), compiling it (`compiler.py`).
"""

from typing import Any, Literal

import msgspec


class TransitionDefinition(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """One way on an event.

    `guard`: see `guards.py`; `because` is what a refused caller is told. An action is the name of
    a built-in one, `{raise = "EVENT"}` or `{assign = {member = "CEL"}}`. `internal` as in SCXML.
    """

    target: str | list[str] | None = None
    guard: Any = None
    because: str | None = None
    actions: list[str | dict[str, Any]] = msgspec.field(default_factory=list)
    internal: bool = False
    description: str | None = None


Candidates = str | TransitionDefinition | list[TransitionDefinition]  # A text is a target.


class StateDefinition(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """One state. Ids are unique in a file.

    `after`: candidates by delay ("14d", "12h30m", "250ms"); `onDone`: when the state's own final
    child is reached, or those of all regions. `history` and `target` belong to history states.
    """

    type: Literal["atomic", "compound", "parallel", "final", "history"] | None = None
    initial: str | None = None
    history: Literal["shallow", "deep"] | None = None
    target: str | list[str] | None = None
    description: str | None = None
    tags: list[str] = msgspec.field(default_factory=list)
    on: dict[str, Candidates] = msgspec.field(default_factory=dict)
    always: Candidates | None = None
    after: dict[str, Candidates] = msgspec.field(default_factory=dict)
    onDone: Candidates | None = None  # noqa: N815 (XState's spelling)
    entry: list[str | dict[str, Any]] = msgspec.field(default_factory=list)
    exit: list[str | dict[str, Any]] = msgspec.field(default_factory=list)
    states: "dict[str, StateDefinition]" = msgspec.field(default_factory=dict)


class LifecycleDefinition(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """A lifecycle file.

    `roles`: for each event the roles that permit it; none: every role does. `guards`: names for
    guards that are used more than once.
    """

    id: str
    version: int
    initial: str
    states: dict[str, StateDefinition]
    roles: dict[str, list[str]] = msgspec.field(default_factory=dict)
    guards: dict[str, Any] = msgspec.field(default_factory=dict)
    description: str | None = None
