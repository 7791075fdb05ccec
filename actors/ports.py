"""What the actors need from the world, and nothing more.

The adapters live in `daemon/`; every `EventStore` passes the conformance class in
`tests/conformance/event_store.py`. All methods are called from the event loop's thread.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol

from protocol.errors import CommandError, ManifestdError
from protocol.events import CommittedEvent, NewEvent
from protocol.replies import ManifestSummary
from protocol.snapshots import StateSnapshot


class Position(NamedTuple):
    """Where a manifest's history ends: its version (0: nothing yet), and the store's own token."""

    version: int
    token: object = None


class AppendOutcome(StrEnum):
    """Why an event did not become a fact."""

    CONFLICT = "conflict"  # Another writer was first: load again and decide again.
    FULL = "full"  # No room, or too much is queued; nothing was written.
    UNKNOWN = "unknown"  # It may become a fact yet; only a later read can tell.


class AppendRefusal(NamedTuple):
    """The answer to an append that did not commit; `error` is what the client is told."""

    outcome: AppendOutcome
    error: CommandError


class Loaded(NamedTuple):
    """A manifest as the store has it: a snapshot, and the committed events after it."""

    snapshot: StateSnapshot | None
    tail: list[CommittedEvent]
    token: object = None


class FeedPage(NamedTuple):
    """Committed events in seq order; `next_seq` is the first that this page does not hold."""

    events: list[CommittedEvent]
    next_seq: int


class LifecycleChangedError(ManifestdError):
    """The store holds another definition under this `id@version`: give the new one a version."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"the lifecycle {name} differs from the one that this store keeps under that name, for "
            "events that name it; give the changed definition a new version"
        )
        self.name = name


CommittedListener = Callable[[Sequence[CommittedEvent]], None]


class EventStore(Protocol):
    """Where events become facts."""

    def on_committed(self, listener: CommittedListener) -> None:
        """Register the one listener, before the first append.

        It is called once per batch, in seq order without gaps, after the batch is durable, and it
        is the only source of what is applied, published and answered: also for events that other
        writers appended.
        """

    def append(
        self, event: NewEvent, expected: Position, refused: Callable[[AppendRefusal], None]
    ) -> None:
        """Queue `event` to follow `expected` in its manifest's history.

        Either the listener gets it, or `refused` is called, once; `refused` may be called before
        `append` returns.
        """

    async def load(self, manifest_id: str) -> Loaded:
        """Return what is durable of a manifest; an empty `Loaded` when there is nothing.

        Raises:
            CorruptError: its files are damaged beyond what can be rebuilt.
        """

    def save_snapshot(self, snapshot: StateSnapshot) -> None:
        """Take note of a manifest's state after a committed event; written behind."""

    def is_clean(self, manifest_id: str) -> bool:
        """Tell whether all of a manifest's events and its snapshot are written where `load` reads."""

    def summaries(self) -> Sequence[ManifestSummary]:
        """Return every manifest there is, by `created_seq`; asked once, at start-up."""

    async def history(
        self, manifest_id: str, after_version: int, limit: int
    ) -> list[CommittedEvent]:
        """Return at most `limit` events of a manifest with a version over `after_version`."""

    async def find_command(self, manifest_id: str, command_id: str) -> CommittedEvent | None:
        """Return the event that `command_id` caused on a manifest, however long ago."""

    async def feed(self, after_seq: int, limit: int) -> FeedPage:
        """Return at most `limit` events with a seq over `after_seq`.

        Raises:
            HistoryCompactedError: the store no longer holds `after_seq + 1`.
        """

    @property
    def last_seq(self) -> int:
        """The seq of the last durable event, 0 when there is none."""

    @property
    def log_hash(self) -> str | None:
        """The log hash after `last_seq` as the store keeps it; None where it keeps none."""

    def reserve(
        self,
        urn: str,
        manifest_id: str,
        version: int,
        answer: Callable[[str | None], None],
    ) -> None:
        """Reserve `urn` for a manifest that is about to commit `version`.

        `answer(None)` when it is reserved, `answer(owner)` when manifest `owner` has it; it may be
        called before `reserve` returns. Reserving again what one holds succeeds.
        """

    def confirm(self, urn: str, manifest_id: str) -> None:
        """The registration committed: the URN is the manifest's for good."""

    def release(self, urn: str, manifest_id: str) -> None:
        """The registration failed: give the reservation back. Unknown ones are ignored."""

    async def pin_lifecycle(self, name: str, definition: bytes) -> None:
        """Keep the definition that events will name; `LifecycleChangedError` when it differs."""

    async def pinned_lifecycles(self) -> dict[str, bytes]:
        """Return every definition that was ever pinned, by `id@version`.

        Raises:
            CorruptError: one cannot be read back.
        """

    async def write_behind(self) -> None:
        """Write now what is written behind; on return nothing committed before is dirty."""

    async def close(self) -> None:
        """Finish what was appended, write behind what is dirty, and release the store."""


class Publisher(Protocol):
    """Where committed events are broadcast."""

    def publish(self, topic: bytes, body: bytes) -> None:
        """Broadcast one message; never waits, never fails because nobody listens."""


class Stamp(NamedTuple):
    """What makes deciding impure, taken out of it: time, identity, salt."""

    at: str
    event_id: str
    salt: str


class Stamper(Protocol):
    """The clock and the source of randomness."""

    def stamp(self) -> Stamp:
        """Return the time and a fresh event id and salt."""

    def now(self) -> str:
        """Return the time alone, as the next stamp would have it."""
