"""What decisions are made by: kinds, lifecycles and policy, gathered when the daemon starts."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from protocol.kinds import KindRegistry, Problem
from protocol.lifecycle import DEFAULT_LIFECYCLE, Lifecycle, LifecycleRegistry
from protocol.principals import Policy
from protocol.snapshots import StateSnapshot

VALIDATED_MAX: Final = 4096  # Remembered verdicts; one is asked for twice on the way to REGISTERED.


def nobody(_urn: str) -> str | None:
    """Answer that a URN has no owner."""
    return None


class Rules:
    """The constants of deciding. `urn_owner(urn)` is the registered owner of a URN, or None."""

    def __init__(
        self,
        kinds: KindRegistry | None = None,
        lifecycles: LifecycleRegistry | None = None,
        policy: Policy | None = None,
        *,
        lifecycle_by_kind: Mapping[str, str] | None = None,
        urn_owner: Callable[[str], str | None] = nobody,
    ) -> None:
        self.kinds = kinds or KindRegistry.builtin()
        self.lifecycles = lifecycles or LifecycleRegistry.builtin()
        self.policy = policy or Policy()
        self.urn_owner = urn_owner
        self._lifecycle_by_kind = dict(lifecycle_by_kind or {})
        self._validated: dict[tuple[str, str], list[Problem]] = {}

    def lifecycle_for(self, kind: str) -> Lifecycle:
        """Return the lifecycle that new manifests of `kind` get."""
        return self.lifecycles.get(self._lifecycle_by_kind.get(kind, DEFAULT_LIFECYCLE))

    def document_of(self, state: StateSnapshot) -> Any:  # noqa: ANN401 (any JSON value)
        """Return the manifest's document as Python values."""
        return msgspec.json.decode(state.document)

    def problems(self, state: StateSnapshot) -> list[Problem]:
        """Return what is wrong with the manifest's document by its kind, remembered by digest."""
        key = (state.kind, state.digest)
        problems = self._validated.get(key)
        if problems is None:
            problems = self.kinds.get(state.kind).problems(self.document_of(state))
            if len(self._validated) >= VALIDATED_MAX:
                self._validated.pop(next(iter(self._validated)))
            self._validated[key] = problems
        return problems
