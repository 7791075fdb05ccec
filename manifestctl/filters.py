"""Which events a subscriber wants to be told of."""

from collections.abc import Collection
from typing import NamedTuple

from protocol.events import Event, state_names
from protocol.replies import ManifestSummary


class EventFilter(NamedTuple):
    """What has to hold for an event to be handed out; None and empty mean: anything.

    `state` is a leaf state that the manifest is in after the event, `manifest_id` a prefix,
    `types` are event types such as `transitioned`.
    """

    kind: str | None = None
    manifest_id: str | None = None
    state: str | None = None
    types: Collection[str] = ()

    def accepts(self, event: Event) -> bool:
        """Tell whether `event` is wanted."""
        if self.types and event.type not in self.types:
            return False
        return (
            self.kind in (None, event.kind)
            and event.manifest_id.startswith(self.manifest_id or "")
            and (self.state is None or self.state in state_names(event.states_to))
        )

    def accepts_manifest(self, summary: ManifestSummary) -> bool:
        """Tell whether the state of a manifest is wanted; `types` says nothing about that."""
        return (
            self.kind in (None, summary.kind)
            and summary.manifest_id.startswith(self.manifest_id or "")
            and (self.state is None or self.state in state_names(summary.state))
        )
