"""What becomes of a log that does not end where the archive left it.

That is so after a crash (the end was never synced), and after a write that found no room. The log
is made anew from the lines that were synced and from the journal's copy of those that follow; also
where both agree: after a failed sync the page cache can show bytes that the disk does not have.

| a line after those that were synced | is                                   | becomes             |
|-------------------------------------|--------------------------------------|---------------------|
| one of the journal's                | written before the crash             | stays               |
| the beginning of one                | torn                                 | written again       |
| one of the journal's, and one of    | a crash interrupted a redaction      | the one that lost   |
| the two copies lost its payload     |                                      | more                |
| any other bytes                     | torn, in a way that leaves no prefix | quarantine          |
| one of those that were synced, once | doubled                              | quarantine          |
| more                                |                                      |                     |
| a whole event of another content    | corruption, or the journal's end     | `DamagedStoreError` |
|                                     | was lost                             |                     |

Not here: lines before those that we hold. They were synced, so damage there is damage.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from daemon.archive.log import checked_events
from daemon.errors import DamagedStoreError
from protocol.erasure import more_redacted
from protocol.events import GENESIS, CommittedEvent, DamagedEventError


class Merged(NamedTuple):
    """The log as it should be, and the bytes in it that nobody can read."""

    data: bytes
    damaged: bytes


def merge(path: Path, data: bytes, events: Sequence[CommittedEvent]) -> Merged:
    """Return the log `data` with `events` (of one manifest, in order, at least one) at its end.

    Raises:
        DamagedStoreError: the log contradicts `events`, or lacks one before them.
    """
    kept = _kept(path, data, events[0])
    synced = set(kept.split(b"\n"))
    ours = {event.hash: event for event in events}
    lines = {event.line for event in events}
    damaged: list[bytes] = []
    for line in data[len(kept) :].split(b"\n"):
        if not line or line in lines:
            continue
        copy = _read(line)
        if line in synced:
            damaged.append(line)
        elif copy is not None:
            if copy.hash not in ours:
                reason = f"it holds an event that the journal does not have: {copy.hash}"
                raise DamagedStoreError(path, reason, line=copy.core.version, seq=copy.seq)
            ours[copy.hash] = more_redacted(ours[copy.hash], copy)
        elif not any(own.startswith(line) for own in lines):
            damaged.append(line)
    whole = b"".join(event.line + b"\n" for event in ours.values())
    return Merged(kept + whole, b"\n".join(damaged))


def _kept(path: Path, data: bytes, first: CommittedEvent) -> bytes:
    """Return the part of the log before `first`, after a look at its last event."""
    before = first.core.version - 1
    prev = GENESIS
    if before:
        manifest_id = first.core.manifest_id
        (last,) = checked_events(
            path, data, manifest_id, after_version=before - 1, upto_version=before
        )
        prev = last.hash
    if first.core.prev != prev:
        reason = f"version {before + 1} in the journal does not continue its hash chain"
        raise DamagedStoreError(path, reason, line=before, seq=first.seq)
    rest = data.split(b"\n", before)[-1] if before else data
    return data[: len(data) - len(rest)]


def _read(line: bytes) -> CommittedEvent | None:
    """Return the event in a whole line; None where it is torn."""
    try:
        return CommittedEvent.read(line)
    except DamagedEventError:
        return None
