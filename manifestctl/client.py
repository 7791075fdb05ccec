"""The async client: the ops of `protocol.commands` as methods, with the same member names.

    async with Client() as client:
        await client.create({"name": "echo", "version": "1.0.0", ...}, kind="agent")
        await client.submit("echo@1.0.0", principal="author-7")

`sync_client.py` is the same, blocking; a test compares the two, and both with the table.
"""

import asyncio
import inspect
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Literal, Unpack

from manifestctl.answers import Updated
from manifestctl.connection import Connection
from manifestctl.requests import (
    Document,
    ListFilters,
    WriteOptions,
    decided_again,
    fresh_token,
    raw_document,
)
from manifestctl.retry import conflict_pause_s
from manifestctl.script import ReceivedEvent, receive
from protocol import commands as ops
from protocol import replies
from protocol.errors import OptimisticLockError
from protocol.limits import PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX

Decision = ops.Write | None
Decide = Callable[[replies.GetResult], Decision | Awaitable[Decision]]


class Client(Connection):
    """A client of one daemon, for one event loop; any number of requests may be under way.

    Every method raises the `CommandError` that the daemon answered with, or `UnavailableError`
    when nobody answered in `retry.timeout_s` seconds. Every write takes the `WriteOptions`; its
    `command_id` is made up when left out, and stays the same over all retries.
    """

    async def create(
        self,
        manifest: Document,
        *,
        manifest_id: str | None = None,
        kind: str | None = None,
        lifecycle: str | None = None,
        reason: str | None = None,
        context: dict[str, Any] | None = None,
        **options: Unpack[WriteOptions],
    ) -> replies.TransitionResult:
        """Create a manifest; without `manifest_id`: `<name>@<version>`, else a UUIDv7."""
        request = ops.Create(
            manifest=raw_document(manifest),
            manifest_id=manifest_id,
            kind=kind,
            lifecycle=lifecycle,
            reason=reason,
            context=context,
            **options,
        )
        return await self.exchange(request, replies.TransitionResult)

    async def revise(
        self,
        manifest_id: str,
        *,
        manifest: Document | None = None,
        patch: Document | None = None,
        reason: str | None = None,
        context: dict[str, Any] | None = None,
        **options: Unpack[WriteOptions],
    ) -> replies.TransitionResult:
        """Replace the document by `manifest`, or merge `patch` into it (RFC 7396)."""
        request = ops.Revise(
            manifest_id=manifest_id,
            manifest=ops.ABSENT if manifest is None else raw_document(manifest),
            patch=ops.ABSENT if patch is None else raw_document(patch),
            reason=reason,
            context=context,
            **options,
        )
        return await self.exchange(request, replies.TransitionResult)

    async def transition(
        self,
        manifest_id: str,
        *,
        event: str | None = None,
        target: str | None = None,
        reason: str | None = None,
        context: dict[str, Any] | None = None,
        digest: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> replies.TransitionResult:
        """Take a step of the lifecycle, by `event` or by `target` state."""
        request = ops.Transition(
            manifest_id=manifest_id,
            event=event,
            target=target,
            reason=reason,
            context=context,
            digest=digest,
            **options,
        )
        return await self.exchange(request, replies.TransitionResult)

    async def submit(
        self, manifest_id: str, *, reason: str | None = None, **options: Unpack[WriteOptions]
    ) -> replies.TransitionResult:
        """Submit a draft for review."""
        return await self.transition(
            manifest_id, event="submit_for_review", reason=reason, **options
        )

    async def approve(
        self,
        manifest_id: str,
        *,
        reason: str | None = None,
        digest: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> replies.TransitionResult:
        """Approve a reviewed manifest; with `digest`, only that content."""
        return await self.transition(
            manifest_id, event="approve", reason=reason, digest=digest, **options
        )

    async def reject(
        self, manifest_id: str, *, reason: str, **options: Unpack[WriteOptions]
    ) -> replies.TransitionResult:
        """Send a pending manifest back to its author, who is told the `reason`."""
        return await self.transition(manifest_id, event="reject", reason=reason, **options)

    async def register(
        self, manifest_id: str, *, reason: str | None = None, **options: Unpack[WriteOptions]
    ) -> replies.TransitionResult:
        """Register an approved manifest under its URN."""
        return await self.transition(manifest_id, event="register", reason=reason, **options)

    async def revert(
        self, manifest_id: str, *, reason: str | None = None, **options: Unpack[WriteOptions]
    ) -> replies.TransitionResult:
        """Undo the last transition, by a compensating event."""
        request = ops.Revert(manifest_id=manifest_id, reason=reason, **options)
        return await self.exchange(request, replies.TransitionResult)

    async def comment(
        self, manifest_id: str, *, text: str, **options: Unpack[WriteOptions]
    ) -> replies.TransitionResult:
        """Leave a remark; changes nothing but the version."""
        request = ops.Comment(manifest_id=manifest_id, text=text, **options)
        return await self.exchange(request, replies.TransitionResult)

    async def redact(
        self,
        manifest_id: str,
        *,
        version: int,
        reason: str,
        field: ops.RedactedField = "all",
        force: bool = False,
        **options: Unpack[WriteOptions],
    ) -> replies.TransitionResult:
        """Take personal data out of one version, for good; `status` says when it is gone."""
        request = ops.Redact(
            manifest_id=manifest_id,
            version=version,
            field=field,
            reason=reason,
            force=force,
            **options,
        )
        return await self.exchange(request, replies.TransitionResult)

    async def migrate(
        self,
        manifest_id: str,
        lifecycle: str,
        *,
        states: dict[str, str] | None = None,
        reason: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> replies.TransitionResult:
        """Put a manifest under another lifecycle; `states` maps states that it calls otherwise."""
        request = ops.Migrate(
            manifest_id=manifest_id, lifecycle=lifecycle, states=states, reason=reason, **options
        )
        return await self.exchange(request, replies.TransitionResult)

    async def update(self, manifest_id: str, decide: Decide, attempts: int = 3) -> Updated:
        """Read a manifest, let `decide` make a command of it, and write that if nobody was faster.

        `decide` gets what `get` answered and returns a write (`protocol.commands`), or None when
        nothing is to be done. Where somebody else was faster it decides anew on what they left.

        Raises:
            OptimisticLockError: somebody else was faster `attempts` times.
        """
        for attempt in range(1, attempts + 1):
            started_s = time.monotonic()
            state = await self.get(manifest_id)
            decided = decide(state)
            decision = await decided if inspect.isawaitable(decided) else decided
            if decision is None:
                return Updated(None, attempt)
            request = decided_again(decision, state.version)
            try:
                result = await self.exchange(request, replies.TransitionResult)
            except OptimisticLockError:
                if attempt == attempts:
                    raise
                round_s = time.monotonic() - started_s
                await asyncio.sleep(
                    conflict_pause_s(self.retry, attempt, random.random, round_s=round_s)
                )
            else:
                return Updated(result, attempt)
        message = f"attempts is at least 1, not {attempts}"
        raise ValueError(message)

    async def get(self, manifest_id: str, *, as_of: int | str | None = None) -> replies.GetResult:
        """Return a manifest; `as_of` a version or a time (RFC 3339)."""
        return await self.exchange(ops.Get(manifest_id=manifest_id, as_of=as_of), replies.GetResult)

    async def history(
        self, manifest_id: str, *, after_version: int = 0, limit: int = PAGE_SIZE_DEFAULT
    ) -> replies.HistoryResult:
        """Return a page of a manifest's events; `every_event` goes over all of them."""
        request = ops.History(manifest_id=manifest_id, after_version=after_version, limit=limit)
        return await self.exchange(request, replies.HistoryResult)

    async def every_event(
        self, manifest_id: str, *, after_version: int = 0
    ) -> AsyncIterator[ReceivedEvent]:
        """Iterate over the events of a manifest, oldest first."""
        while True:
            page = await self.history(manifest_id, after_version=after_version, limit=PAGE_SIZE_MAX)
            for line in page.events:
                event = receive(bytes(line))
                yield event
                after_version = event.version
            if page.next_version is None or not page.events:
                return

    async def explain(
        self, manifest_id: str, *, principal: str | None = None
    ) -> replies.ExplainResult:
        """Return what may happen now, and for each event why not."""
        request = ops.Explain(manifest_id=manifest_id, principal=principal)
        return await self.exchange(request, replies.ExplainResult)

    async def feed(
        self, *, after_seq: int = 0, limit: int = PAGE_SIZE_DEFAULT
    ) -> replies.FeedResult:
        """Return a page of all events; `Subscriber` follows them."""
        return await self.exchange(ops.Feed(after_seq=after_seq, limit=limit), replies.FeedResult)

    async def lookup(self, urn: str) -> replies.LookupResult:
        """Return the registered manifest behind a URN."""
        return await self.exchange(ops.Lookup(urn=urn), replies.LookupResult)

    async def lifecycle(
        self,
        lifecycle: str | None = None,
        *,
        manifest_id: str | None = None,
        format: Literal["data", "mermaid", "text"] = "data",  # noqa: A002 (its name on the wire)
    ) -> replies.LifecycleResult:
        """Return a lifecycle, as data or as a diagram."""
        request = ops.LifecycleRequest(lifecycle=lifecycle, manifest_id=manifest_id, format=format)
        return await self.exchange(request, replies.LifecycleResult)

    async def recover(self, manifest_id: str) -> replies.RecoverResult:
        """Rebuild a manifest from its events and compare it with its snapshot."""
        return await self.exchange(ops.Recover(manifest_id=manifest_id), replies.RecoverResult)

    async def verify(self, manifest_id: str | None = None) -> replies.VerifyResult:
        """Check the hash chain of one manifest, or of all; `CorruptError` names the damage."""
        return await self.exchange(ops.Verify(manifest_id=manifest_id), replies.VerifyResult)

    async def backup(
        self,
        *,
        token: str,
        after_seq: int = 0,
        upto_seq: int | None = None,
        limit: int = PAGE_SIZE_MAX,
    ) -> replies.BackupResult:
        """Open a backup, or return its next page; `manifestctl backup` makes a file of them."""
        request = ops.Backup(token=token, after_seq=after_seq, upto_seq=upto_seq, limit=limit)
        return await self.exchange(request, replies.BackupResult)

    async def status(self) -> replies.StatusResult:
        """Return the daemon's figures."""
        return await self.exchange(ops.Status(), replies.StatusResult)

    async def health(self) -> replies.HealthResult:
        """Return whether the daemon is ready, and its protocol version."""
        return await self.exchange(ops.Health(), replies.HealthResult)

    async def whoami(self, *, principal: str | None = None) -> replies.WhoamiResult:
        """Return who the daemon thinks is asking."""
        return await self.exchange(ops.Whoami(principal=principal), replies.WhoamiResult)

    async def probe(self, token: str | None = None) -> replies.ProbeResult:
        """Have `probe/<token>` published on the PUB socket; a token is made up when left out."""
        return await self.exchange(ops.Probe(token=token or fresh_token()), replies.ProbeResult)

    async def every_manifest(
        self, **filters: Unpack[ListFilters]
    ) -> AsyncIterator[replies.ManifestSummary]:
        """Iterate over the manifests that match, oldest first."""
        cursor: str | None = None
        while True:
            page = await self.list(cursor=cursor, limit=PAGE_SIZE_MAX, **filters)
            for summary in page.manifests:
                yield summary
            cursor = page.cursor
            if cursor is None:
                return

    async def list(
        self,
        *,
        cursor: str | None = None,
        limit: int = PAGE_SIZE_DEFAULT,
        **filters: Unpack[ListFilters],
    ) -> replies.ListResult:
        """Return a page of manifests; `every_manifest` goes over all of them."""
        request = ops.List(cursor=cursor, limit=limit, **filters)
        return await self.exchange(request, replies.ListResult)
