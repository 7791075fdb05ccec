"""What the daemon answers, op by op (design 5)."""

from typing import Any

import msgspec

from protocol.events import StateName
from protocol.record import Approval, Rejection
from protocol.snapshots import StateSnapshot
from protocol.timers import Timer

UNSET = msgspec.UNSET
Unset = msgspec.UnsetType


class TransitionResult(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The state of a manifest after an accepted command.

    `replayed`: the command had been accepted before, and this is what it was answered then.
    `changed` is there, and false, when the command asked for what is already so.
    """

    manifest_id: str
    kind: str
    state: StateName
    version: int
    seq: int
    digest: str
    urn: str | None
    author: str
    allowed_events: list[str]
    replayed: bool = False
    changed: bool | Unset = UNSET
    dry_run: bool | Unset = UNSET


class ManifestSummary(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A row of `list`, and of the store's index.

    `registered`: the URNs that `lookup` finds; `withdrawn`: those that it finds no more, and that
    nobody else gets. `timers`: the armed ones. Each is left out where there are none.
    """

    manifest_id: str
    kind: str
    lifecycle: str
    state: StateName
    version: int
    seq: int
    digest: str
    urn: str | None
    author: str
    created_seq: int
    created_at: str
    updated_at: str
    registered: tuple[str, ...] = ()
    withdrawn: tuple[str, ...] = ()
    timers: tuple[Timer, ...] = ()

    @classmethod
    def of(cls, snapshot: StateSnapshot) -> "ManifestSummary":
        """Return the row of a manifest in state `snapshot`."""
        return cls(
            manifest_id=snapshot.manifest_id,
            kind=snapshot.kind,
            lifecycle=snapshot.lifecycle,
            state=snapshot.state,
            version=snapshot.version,
            seq=snapshot.seq,
            digest=snapshot.digest,
            urn=snapshot.urn,
            author=snapshot.author,
            created_seq=snapshot.created_seq,
            created_at=snapshot.created_at,
            updated_at=snapshot.updated_at,
            registered=tuple(one.urn for one in snapshot.registered if not one.withdrawn),
            withdrawn=tuple(one.urn for one in snapshot.registered if one.withdrawn),
            timers=snapshot.timers,
        )


class Registered(msgspec.Struct, frozen=True, kw_only=True):
    """Content that is, or was, found under `urn`; `lookup` has the document."""

    urn: str
    version: int
    digest: str
    at: str
    withdrawn: bool


class GetResult(msgspec.Struct, frozen=True, kw_only=True):
    """One manifest with its document. The members of `TransitionResult`, and the record."""

    manifest_id: str
    kind: str
    lifecycle: str
    state: StateName
    version: int
    seq: int
    digest: str
    urn: str | None
    author: str
    allowed_events: list[str]
    created_at: str
    updated_at: str
    contributors: list[str]
    approvals: list[Approval]
    rejection: Rejection | None
    registered: list[Registered]
    timers: list[Timer]
    context: dict[str, Any]
    manifest: msgspec.Raw


class HistoryResult(msgspec.Struct, frozen=True, kw_only=True):
    """A page of one manifest's events; `next_version` is None on the last page."""

    events: list[msgspec.Raw]
    next_version: int | None


class FeedResult(msgspec.Struct, frozen=True, kw_only=True):
    """A page of all events; ask again with `after_seq = next_seq - 1`. `last_seq` is durable."""

    events: list[msgspec.Raw]
    next_seq: int
    last_seq: int


class ListResult(msgspec.Struct, frozen=True, kw_only=True):
    """A page of manifests; `cursor` is None on the last one."""

    manifests: list[ManifestSummary]
    cursor: str | None
    as_of_seq: int


class LookupResult(msgspec.Struct, frozen=True, kw_only=True):
    """The registered content behind a URN.

    `version` is the manifest's when it was registered; `state` is the manifest's now: it may be
    deprecated, or a draft of its next revision.
    """

    urn: str
    manifest_id: str
    kind: str
    state: StateName
    version: int
    digest: str
    manifest: msgspec.Raw


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """One event of the lifecycle, seen from a manifest's state and a principal.

    Allowed, it leads to `target` and does `actions` to the record; else `reason` says what is in
    the way, and `guard` which one. `roles` permit it, any one of them; none: every role does.
    """

    event: str
    allowed: bool
    target: StateName | None
    roles: list[str]
    guard: str | None = None
    reason: str | None = None
    actions: list[str] = msgspec.field(default_factory=list)


class ExplainResult(msgspec.Struct, frozen=True, kw_only=True):
    """What may happen now, and why the rest may not."""

    manifest_id: str
    state: StateName
    version: int
    principal: str
    events: list[Explanation]


class LifecycleResult(msgspec.Struct, frozen=True, kw_only=True):
    """A lifecycle: its definition or its diagram, and how many manifests are in each state."""

    lifecycle: str
    known: list[str]
    counts: dict[str, int]
    definition: Any = None  # An object. (msgspec cannot decode `Raw | None`.)
    diagram: str | None = None


class RecoverResult(msgspec.Struct, frozen=True, kw_only=True):
    """A manifest rebuilt from its events, compared with its snapshot."""

    manifest_id: str
    events: int
    version: int
    state: StateName
    identical: bool


class VerifyResult(msgspec.Struct, frozen=True, kw_only=True):
    """Hash chains checked; damage is answered with `CORRUPT` and never with a result.

    `log_hash` covers every event up to `last_seq`, for whoever keeps it elsewhere; null for one
    manifest, and where the feed no longer begins with the first event.
    """

    manifests: int
    events: int
    last_seq: int
    log_hash: str | None = None


class BackupResult(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a backup that ends at `seq`; ask again with `after_seq = next_seq - 1`.

    The answer that opens it has no events, but `log_hash` at `seq`, and the definitions that events
    name, by `id@version`.
    """

    store_id: str
    seq: int
    next_seq: int
    events: list[msgspec.Raw]
    log_hash: str | Unset = UNSET
    lifecycles: dict[str, msgspec.Raw] | Unset = UNSET


class Usage(msgspec.Struct, frozen=True):
    """How full something bounded is; `refused`: how often it was too full, where that is counted."""

    used: int
    limit: int | None
    refused: int | None = None


class StatusResult(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of a running daemon.

    `redactions_pending`: accepted, and not yet carried out in every file; 0: what was redacted is
    gone from the store. `limits`: what is bounded, by name (docs/operations.md).
    """

    version: str
    pid: int
    store_id: str
    started_at: str
    uptime_s: float
    last_seq: int
    archived_seq: int
    redactions_pending: int
    manifests: int
    states: dict[str, int]
    actors_active: int
    mailboxes_waiting: int
    commands: int
    refusals: int
    published: int
    dropped: dict[str, int]
    writable: bool
    limits: dict[str, Usage]
    endpoints: dict[str, list[str]]


class HealthResult(msgspec.Struct, frozen=True, kw_only=True):
    """Readiness: `status` is `ok`, `read-only` or `draining`."""

    status: str
    protocol: int
    version: str
    store_id: str
    last_seq: int


class WhoamiResult(msgspec.Struct, frozen=True, kw_only=True):
    """Who the daemon thinks is asking."""

    principal: str
    authenticated: bool
    via: str | None
    roles: list[str]
    may_impersonate: bool
    uid: int | None
    gid: int | None


class ProbeResult(msgspec.Struct, frozen=True, kw_only=True):
    """The probe was published at `last_seq`."""

    token: str
    last_seq: int
