"""A manifest's events read back in order: replayed, checked, never all at once.

Promise:  the loop is not held up: before every `CHUNK_BYTES_MAX` of lines it gets its turn, or where
          there are `actors.turns` one of those is waited for.
Assume:   `EventStore.history` answers in order and without gaps, or says what is damaged.
Not here: what an event does (`protocol.snapshots`).
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from actors.ports import EventStore
from protocol.erasure import gone_from
from protocol.errors import BadRequestError, CorruptError, HistoryCompactedError
from protocol.events import (
    GENESIS,
    CommittedEvent,
    DamagedEventError,
    digest_hex,
    encode_payload,
    next_log_hash,
    read_event,
)
from protocol.limits import PAGE_SIZE_MAX
from protocol.record import ReplayError
from protocol.replies import ManifestSummary
from protocol.snapshots import StateSnapshot, apply

# Two hundred small events, 10 us each to check; decoding contexts of lists in lists takes 25 ms.
CHUNK_BYTES_MAX: Final = 128 << 10
FEED_PAGE_SIZE: Final = 200  # Events.
_TIME: Final = re.compile(  # RFC 3339, 5.6
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d):(\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:[0-5]\d)", re.ASCII
)


Share = Callable[[], Awaitable[None]]


async def own_turn() -> None:
    """Let everything else have its turn: where nobody divides the time up."""
    await asyncio.sleep(0)


async def chunks(
    store: EventStore, manifest_id: str, share: Share = own_turn
) -> AsyncIterator[Sequence[CommittedEvent]]:
    """Yield a manifest's events from the first one on, a few milliseconds' worth at a time."""
    after = 0
    while page := await store.history(manifest_id, after, PAGE_SIZE_MAX):
        start = 0
        while start < len(page):
            end, size_bytes = start, 0
            while end < len(page) and size_bytes < CHUNK_BYTES_MAX:
                size_bytes += len(page[end].line)
                end += 1
            await share()
            yield page[start:end]
            start = end
        after = page[-1].core.version


async def rebuilt(
    store: EventStore,
    manifest_id: str,
    wanted: Callable[[CommittedEvent], bool] = lambda _: True,
    share: Share = own_turn,
) -> StateSnapshot | None:
    """Return the state made by a manifest's events before the first that is not `wanted`.

    Raises:
        CorruptError: an event does not follow from those before it.
    """
    state: StateSnapshot | None = None
    async for events in chunks(store, manifest_id, share):
        for event in events:
            if not wanted(event):
                return state
            try:
                state = apply(state, event)
            except ReplayError as error:
                raise _corrupt(manifest_id, event, str(error)) from error
    return state


async def verified(store: EventStore, row: ManifestSummary, share: Share = own_turn) -> int:
    """Check every event of a manifest, bytes and chain, and return how many there are.

    Raises:
        CorruptError: with the place; also when the events end before the version in `row`.
    """
    manifest_id, prev, version, seq = row.manifest_id, GENESIS, 0, 0
    remainders = _Remainders(manifest_id)
    async for events in chunks(store, manifest_id, share):
        for event in events:
            try:
                core = read_event(event.line)
            except DamagedEventError as error:
                reason = f"{manifest_id}: version {version + 1} is damaged: {error.reason}"
                raise _corrupt(manifest_id, event, reason) from error
            if (core.manifest_id, core.version, core.prev) != (manifest_id, version + 1, prev):
                reason = f"{manifest_id}: version {core.version} breaks the hash chain"
                raise _corrupt(manifest_id, event, reason)
            if core.seq <= seq:
                reason = f"{manifest_id}: seq {core.seq} of version {core.version} follows {seq}"
                raise _corrupt(manifest_id, event, reason)
            remainders.look_at(event)
            prev, version, seq = core.hash, core.version, core.seq
    if version < row.version:
        message = f"{manifest_id}: its events end after version {version}, not {row.version}"
        raise CorruptError(message, details={"manifest_id": manifest_id, "version": version})
    return version


async def log_hash_of_feed(
    store: EventStore, last_seq: int, kept: str | None, share: Share = own_turn
) -> str | None:
    """Return the log hash over all events up to `last_seq`, as the feed has them.

    `kept` is the one that the store keeps (None: it keeps none). None where the feed no longer
    begins with the first event.

    Raises:
        CorruptError: it is not the one that is kept, or the feed is damaged.
    """
    seq, log_hash = 0, GENESIS.encode()
    while seq < last_seq:
        try:
            page = await store.feed(seq, FEED_PAGE_SIZE)
        except HistoryCompactedError:
            return None
        await share()
        for event in page.events[: last_seq - seq]:
            log_hash = next_log_hash(log_hash, event.seq, event.hash)
        if not page.events or page.events[-1].seq != seq + len(page.events):
            message = f"the feed has a gap after seq {seq}"
            raise CorruptError(message, suggestion="manifestd fsck", details={"seq": seq + 1})
        seq = page.events[-1].seq
    if kept is not None and kept.encode() != log_hash:
        message = f"the events up to seq {last_seq} do not give the log_hash that the journal has"
        raise CorruptError(message, suggestion="manifestd fsck", details={"seq": last_seq})
    return log_hash.decode()


class _Remainders:
    """What redactions left of payloads, held against what they said that they leave.

    A redaction that is not carried out yet, or one whose event a restored store ends before, is no
    contradiction.
    """

    def __init__(self, manifest_id: str) -> None:
        self._manifest_id = manifest_id
        self._left: dict[int, tuple[CommittedEvent, str]] = {}

    def look_at(self, event: CommittedEvent) -> None:
        """Take note of an event, and raise `CorruptError` for what an earlier one should not hold."""
        payload, redacts = event.payload, event.core.redacts
        if payload is None or payload.redacted is not msgspec.UNSET:
            left = b"null" if payload is None else encode_payload(payload)
            self._left[event.core.version] = (event, digest_hex(left))
        if redacts is None or redacts.version not in self._left:
            return
        subject, digest = self._left[redacts.version]
        is_less = not gone_from(subject.payload).issuperset(redacts.fields)
        is_more = not gone_from(subject.payload).issubset(redacts.fields)
        if digest != redacts.payload_digest and not is_less and not is_more:
            reason = (
                f"{self._manifest_id}: version {redacts.version} does not hold what its redaction "
                f"by version {event.core.version} left"
            )
            raise _corrupt(self._manifest_id, subject, reason)


def _corrupt(manifest_id: str, event: CommittedEvent, reason: str) -> CorruptError:
    details = {"manifest_id": manifest_id, "version": event.core.version, "seq": event.seq}
    return CorruptError(reason, suggestion="manifestd fsck", details=details)


def utc_time(text: str, path: str) -> str:
    """Return the RFC 3339 time `text` as events have it: UTC, microseconds, `Z`.

    Raises:
        BadRequestError: it is no such time.
    """
    match = _TIME.fullmatch(text)
    if match is None:
        raise _no_time(text, path)
    day, minute, second, fraction, zone = match.groups()
    if second == "60":  # A leap second: clocks like ours repeat or smear the one before.
        second, fraction = "59", "999999"
    microseconds = f"{fraction or ''}000000"[:6]
    zone = zone.upper().replace("Z", "+00:00")
    try:
        local = datetime.fromisoformat(f"{day}T{minute}:{second}.{microseconds}{zone}")
        utc = local.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError) as error:
        raise _no_time(text, path) from error
    return f"{utc.isoformat(timespec='microseconds')}Z"


def _no_time(text: str, path: str) -> BadRequestError:
    message = f"{text[:80]!r} is no time of RFC 3339, such as 2026-11-23T15:04:05Z"
    return BadRequestError(message, path=path)
