"""What decisions are made by: kinds, lifecycles and policy, gathered when the daemon starts."""

from collections.abc import Callable, Mapping
from copy import copy
from typing import Final, Self

import msgspec

from protocol.canonical import loads
from protocol.errors import ManifestInvalidError
from protocol.kinds import KindRegistry, Problem, Verdict
from protocol.lifecycle.lifecycle import Lifecycle
from protocol.lifecycle.registry import DEFAULT_LIFECYCLE, LifecycleRegistry
from protocol.principals import EVERYDAY_ROLES, Policy
from protocol.record import NO_DOCUMENT
from protocol.snapshots import StateSnapshot

VERDICTS_MAX: Final = 4096  # Remembered; one is asked for four times on the way to REGISTERED.


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
        lifecycle: str = DEFAULT_LIFECYCLE,
        lifecycle_by_kind: Mapping[str, str] | None = None,
        urn_owner: Callable[[str], str | None] = nobody,
    ) -> None:
        self.kinds = kinds or KindRegistry.builtin()
        self.lifecycles = lifecycles or LifecycleRegistry.builtin()
        self.policy = policy or Policy()
        self.urn_owner = urn_owner
        self._lifecycle = lifecycle
        self._lifecycle_by_kind = dict(lifecycle_by_kind or {})
        self._verdicts: dict[tuple[str, str, bool], Verdict] = {}
        self._decoded: tuple[msgspec.Raw, object] = (msgspec.Raw(b"null"), None)

    def with_urn_owner(self, urn_owner: Callable[[str], str | None]) -> Self:
        """Return the same rules over another catalog; a caller may share rules between engines."""
        bound = copy(self)
        bound.urn_owner = urn_owner
        return bound

    @property
    def roles(self) -> frozenset[str]:
        """All roles that there are but `admin`: the built-in ones, and those of the lifecycles."""
        return EVERYDAY_ROLES | self.lifecycles.roles()

    def lifecycle_for(self, kind: str) -> Lifecycle:
        """Return the lifecycle that new manifests of `kind` get."""
        return self.lifecycles.get(self._lifecycle_by_kind.get(kind, self._lifecycle))

    def verdict(self, state: StateSnapshot) -> Verdict:
        """Return what the manifest's kind says of its document, remembered by digest."""
        key = (state.kind, state.digest, state.document == NO_DOCUMENT)  # It may be redacted.
        verdict = self._verdicts.get(key)
        if verdict is None:
            verdict = self.kinds.get(state.kind).verdict(self.document(state))
            if len(self._verdicts) >= VERDICTS_MAX:
                self._verdicts.pop(next(iter(self._verdicts)))
            self._verdicts[key] = verdict
        return verdict

    def document(self, state: StateSnapshot) -> object:
        """Return the manifest's document as Python has it; do not change it. Remembers the last."""
        if state.document is not self._decoded[0]:
            self._decoded = (state.document, loads(state.document))
        return self._decoded[1]

    def urn(self, state: StateSnapshot) -> str:
        """Return the URN of the manifest's document; `ManifestInvalidError` when it has none."""
        urn = self.verdict(state).urn
        if isinstance(urn, Problem):  # A new error each time: whoever gets it may write on it.
            raise ManifestInvalidError(urn.reason, path=urn.path, details={"guard": "urn_free"})
        return urn
