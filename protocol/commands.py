"""The whole API as one table: every op, its members, its result (design 5).

`docs/protocol.md` is generated from this table and these structs; every verb of `manifestctl` is
an op in it. Member names are fixed: clients in other languages are written against them.
"""

from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec

from protocol import replies
from protocol.limits import (
    MAPPED_STATES_MAX,
    PAGE_SIZE_DEFAULT,
    PAGE_SIZE_MAX,
    TEXT_SIZE_MAX,
    TOKEN_SIZE_MAX,
    URN_SIZE_MAX,
)

Token = Annotated[str, msgspec.Meta(min_length=1, max_length=TOKEN_SIZE_MAX)]
Text = Annotated[str, msgspec.Meta(max_length=TEXT_SIZE_MAX)]
Count = Annotated[int, msgspec.Meta(ge=0, lt=1 << 53)]
Limit = Annotated[int, msgspec.Meta(ge=1, le=PAGE_SIZE_MAX)]
Digest = Annotated[str, msgspec.Meta(max_length=80)]
ProbeToken = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16,64}\Z")]

RedactedField = Literal["reason", "context", "document", "all"]

ABSENT: Final = msgspec.Raw(b"")  # A document that was not sent; `null` would be one that was.


class Request(
    msgspec.Struct,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    tag_field="op",
    gc=False,
):
    """What every request may carry: `v`, the protocol version."""

    v: Literal[1] = 1


class Write(Request, kw_only=True):
    """What every command that changes something may carry.

    `command_id` makes a retry safe; left out, a retry is a new command. `expected_version` is the
    optimistic lock. `principal` names somebody else (takes the role `impersonate`). `dry_run`
    decides and changes nothing. The rest is tracing, recorded in the event.
    """

    manifest_id: str
    command_id: Token | None = None
    expected_version: Count | None = None
    principal: str | None = None
    correlation_id: Token | None = None
    causation_id: Token | None = None
    traceparent: Token | None = None
    dry_run: bool = False


class Create(Write, tag="create", kw_only=True):
    """A new manifest. Without `manifest_id`: `<name>@<version>` of the document, else a UUID."""

    manifest_id: str | None = None  # type: ignore[assignment]
    manifest: msgspec.Raw
    kind: str | None = None
    lifecycle: str | None = None
    reason: Text | None = None
    context: dict[str, Any] | None = None


class Revise(Write, tag="revise", kw_only=True):
    """Another document: `manifest` replaces it, `patch` merges into it (RFC 7396)."""

    manifest: msgspec.Raw = ABSENT
    patch: msgspec.Raw = ABSENT
    reason: Text | None = None
    context: dict[str, Any] | None = None


class Transition(Write, tag="transition", kw_only=True):
    """A step of the lifecycle, by `event` or by `target` state; `digest`: only this content."""

    event: Token | None = None
    target: Token | None = None
    reason: Text | None = None
    context: dict[str, Any] | None = None
    digest: Digest | None = None


class Revert(Write, tag="revert", kw_only=True):
    """One step back, as a compensating event."""

    reason: Text | None = None


class Comment(Write, tag="comment", kw_only=True):
    """A remark; changes nothing but the version. Roles of a lifecycle's own permit it, too."""

    text: Annotated[str, msgspec.Meta(min_length=1, max_length=TEXT_SIZE_MAX)]


class Migrate(Write, tag="migrate", kw_only=True):
    """Put a manifest under another lifecycle; `states` maps leaf states that it calls otherwise."""

    lifecycle: Token
    states: Annotated[dict[Token, Token], msgspec.Meta(max_length=MAPPED_STATES_MAX)] | None = None
    reason: Text | None = None


class Redact(Write, tag="redact", kw_only=True):
    """Take personal data out of one version: a `field` of its payload, or `all` of it, for good.

    The hash chain stays verifiable. `force`: also the document that the manifest, or a registration
    that `lookup` finds, stands on.
    """

    version: Annotated[int, msgspec.Meta(ge=1, lt=1 << 53)]
    field: RedactedField = "all"
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=TEXT_SIZE_MAX)]
    force: bool = False


class Get(Request, tag="get", kw_only=True):
    """One manifest; `as_of` a version (number) or a time (RFC 3339)."""

    manifest_id: str
    as_of: Count | str | None = None


class History(Request, tag="history", kw_only=True):
    """A page of one manifest's events with a version over `after_version`."""

    manifest_id: str
    after_version: Count = 0
    limit: Limit = PAGE_SIZE_DEFAULT


class List(Request, tag="list", kw_only=True):
    """A page of manifests, oldest first; a parent state includes its children.

    `can`: those on which that event would be accepted now from whoever asks, or from `principal`.
    """

    state: Token | None = None
    kind: Token | None = None
    author: Token | None = None
    lifecycle: Token | None = None
    can: Token | None = None
    principal: str | None = None
    cursor: Token | None = None
    limit: Limit = PAGE_SIZE_DEFAULT


class Explain(Request, tag="explain", kw_only=True):
    """What may happen now and for whom, and for each event why not."""

    manifest_id: str
    principal: str | None = None


class Feed(Request, tag="feed", kw_only=True):
    """A page of all events with a seq over `after_seq`."""

    after_seq: Count = 0
    limit: Limit = PAGE_SIZE_DEFAULT


class Lookup(Request, tag="lookup", kw_only=True):
    """The registered manifest behind a URN; without `@version` the highest registered one."""

    urn: Annotated[str, msgspec.Meta(min_length=1, max_length=URN_SIZE_MAX)]


class LifecycleRequest(Request, tag="lifecycle", kw_only=True):
    """A lifecycle, as data or as a diagram; with `manifest_id` that manifest's state is marked."""

    lifecycle: Token | None = None
    manifest_id: str | None = None
    format: Literal["data", "mermaid", "text"] = "data"


class Recover(Request, tag="recover", kw_only=True):
    """Rebuild one manifest from its events and compare it with its snapshot."""

    manifest_id: str


class Verify(Request, tag="verify", kw_only=True):
    """Check hash chains: of one manifest, or of all."""

    manifest_id: str | None = None


class Backup(Request, tag="backup", kw_only=True):
    """A page of a backup, from the first event on, wherever `feed` begins by now.

    Without `upto_seq` it opens a backup: the answer says at which `seq` it ends, and its `log_hash`
    there. Then ask for `upto_seq` = that seq and the events after `after_seq`, page by page, until
    `next_seq` is over it. `token` (16 to 64 lower-case hex digits of yours) is the same throughout.
    """

    token: ProbeToken
    after_seq: Count = 0
    upto_seq: Count | None = None
    limit: Limit = PAGE_SIZE_MAX


class Status(Request, tag="status", kw_only=True):
    """Figures of the running daemon."""


class Health(Request, tag="health", kw_only=True):
    """Readiness and protocol version."""


class Whoami(Request, tag="whoami", kw_only=True):
    """Who the daemon thinks is asking."""

    principal: str | None = None


class Probe(Request, tag="probe", kw_only=True):
    """Publish `probe/<token>` on the PUB socket; `token`: 16 to 64 lower-case hex digits."""

    token: ProbeToken


class Op(NamedTuple):
    """A row of the table. `roles`: which of them permit it; None: any; (): nobody is asked."""

    name: str
    request: type[Request]
    result: type[msgspec.Struct]
    writes: bool
    roles: tuple[str, ...] | None


_WRITERS: Final = ("author", "reviewer", "approver", "registrar")

OPS: Final[dict[str, Op]] = {
    op.name: op
    for op in (
        Op("create", Create, replies.TransitionResult, writes=True, roles=("author",)),
        Op("revise", Revise, replies.TransitionResult, writes=True, roles=("author",)),
        Op("transition", Transition, replies.TransitionResult, writes=True, roles=None),
        Op("revert", Revert, replies.TransitionResult, writes=True, roles=None),
        Op("comment", Comment, replies.TransitionResult, writes=True, roles=_WRITERS),
        Op("migrate", Migrate, replies.TransitionResult, writes=True, roles=("admin",)),
        Op("redact", Redact, replies.TransitionResult, writes=True, roles=("admin",)),
        Op("get", Get, replies.GetResult, writes=False, roles=None),
        Op("history", History, replies.HistoryResult, writes=False, roles=None),
        Op("list", List, replies.ListResult, writes=False, roles=None),
        Op("explain", Explain, replies.ExplainResult, writes=False, roles=None),
        Op("feed", Feed, replies.FeedResult, writes=False, roles=None),
        Op("lookup", Lookup, replies.LookupResult, writes=False, roles=None),
        Op("lifecycle", LifecycleRequest, replies.LifecycleResult, writes=False, roles=None),
        Op("recover", Recover, replies.RecoverResult, writes=False, roles=None),
        Op("verify", Verify, replies.VerifyResult, writes=False, roles=None),
        Op("backup", Backup, replies.BackupResult, writes=False, roles=None),
        Op("status", Status, replies.StatusResult, writes=False, roles=None),
        Op("health", Health, replies.HealthResult, writes=False, roles=()),
        Op("whoami", Whoami, replies.WhoamiResult, writes=False, roles=()),
        Op("probe", Probe, replies.ProbeResult, writes=False, roles=None),
    )
}

OP_BY_REQUEST: Final[dict[type[Request], Op]] = {op.request: op for op in OPS.values()}

AnyRequest = (
    Create
    | Revise
    | Transition
    | Revert
    | Comment
    | Migrate
    | Redact
    | Get
    | History
    | List
    | Explain
    | Feed
    | Lookup
    | LifecycleRequest
    | Recover
    | Verify
    | Backup
    | Status
    | Health
    | Whoami
    | Probe
)
