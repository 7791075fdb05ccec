"""`events.log`: one manifest's events, one line each; line n holds version n.

Promise:  whoever reads a log goes through `checked_events`: a line that is damaged, missing, out of
          its place or of another chain is `DamagedStoreError`, naming file, line and seq.
Assume:   the caller knows how many versions are archived. Bytes after them are not looked at: they
          belong to a batch that is being written, or that a crash cut short.
Not here: writing (`writer.py`), and what to do with bytes that a crash left (`merge.py`).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from daemon.errors import DamagedStoreError
from daemon.journal.disk import Disk
from protocol.events import GENESIS, CommittedEvent, DamagedEventError

# One read that holds the last event of nearly every log. For a larger one the whole log is read.
TAIL_SIZE_BYTES: Final = 16 << 10


def read_log(disk: Disk, path: Path) -> bytes:
    """Return the whole log; nothing when there is no file."""
    try:
        return disk.read(path)
    except FileNotFoundError:
        return b""


def checked_events(
    path: Path, data: bytes, manifest_id: str, *, after_version: int, upto_version: int
) -> Iterator[CommittedEvent]:
    """Yield the events of `data` (a log from its first byte) with these versions.

    Raises:
        DamagedStoreError: one of them is not there, or not as it was written.
    """
    check_length(path, data, upto_version)
    lines = data.split(b"\n", upto_version)
    prev = GENESIS if after_version == 0 else None
    for version in range(after_version + 1, upto_version + 1):
        event = _checked(path, lines[version - 1], manifest_id, version)
        if prev is not None and event.core.prev != prev:
            reason = "it does not continue the hash chain"
            raise DamagedStoreError(path, reason, line=version, seq=event.seq)
        prev = event.hash
        yield event


def check_length(path: Path, data: bytes, upto_version: int) -> None:
    """Raise `DamagedStoreError` when the log `data` has fewer than `upto_version` whole lines."""
    found = data.count(b"\n")
    if found < upto_version:
        reason = f"it ends after version {found}, but version {upto_version} was archived"
        raise DamagedStoreError(path, reason, line=found + 1)


def _checked(path: Path, line: bytes, manifest_id: str, version: int) -> CommittedEvent:
    try:
        event = CommittedEvent.read(line)
    except DamagedEventError as error:
        raise DamagedStoreError(path, error.reason, line=version) from error
    if (event.core.manifest_id, event.core.version) != (manifest_id, version):
        reason = f"it holds version {event.core.version} of {event.core.manifest_id}"
        raise DamagedStoreError(path, reason, line=version, seq=event.seq)
    return event


def last_event(disk: Disk, path: Path) -> tuple[int, CommittedEvent | None]:
    """Return a log's size in bytes and its last event.

    The event is None when the log does not end in a whole and undamaged line; the size is 0 when
    there is no log.
    """
    try:
        size = disk.size(path)
    except FileNotFoundError:
        return 0, None
    tail = disk.read(path, max(0, size - TAIL_SIZE_BYTES))
    if not tail.endswith(b"\n"):
        return size, None
    if b"\n" not in tail[:-1]:
        tail = disk.read(path)
    return size, last_event_in(tail)


def last_event_in(data: bytes) -> CommittedEvent | None:
    """Return the event in the last line; None when that is not whole and undamaged."""
    if not data.endswith(b"\n"):
        return None
    try:
        return CommittedEvent.read(data[:-1].rpartition(b"\n")[2])
    except DamagedEventError:
        return None
