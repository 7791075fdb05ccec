"""Personal data is taken out of the files: first of the manifest's log, then of the journal.

    events.log   the line without it, a whole new file: written, synced, renamed, folder synced
    *.tmp        of that manifest, which a crash left: removed, folder synced
    journal      the segment with the line replaced and its batch's header made anew, likewise

Promise:  killed at any moment, each file is what it was or what it is to be, and to begin again is
          harmless. Hashes, log hashes and chains stay; what stands in the files afterwards does not
          hold the data.
Assume:   the `redacted` event is archived, and so is a `state.json` that is not older than it. Nobody
          else writes in `manifests/`, and nobody appends to a segment that `erase_from_journal` is given.
Not here: what is left of an event (`protocol/erasure.py`), what is pending (`pending.py`).
          `quarantine/` is left alone: it holds what could not be read.
"""

import logging
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from daemon.archive.layout import LOG_TEMPORARY_NAME, STATE_TEMPORARY_NAME, Layout
from daemon.archive.log import check_length, read_log
from daemon.errors import DamagedStoreError
from daemon.journal.batch import encode_lines
from daemon.journal.batches import DamagedBatchError, read_batches, read_from
from daemon.journal.disk import Disk
from daemon.journal.rewriting import write_temporary
from daemon.journal.segment import JOURNAL_NAME, list_segments, segment_path, temporary_path
from daemon.redaction.pending import Erasure
from protocol.erasure import erased
from protocol.events import CommittedEvent, DamagedEventError

log: Final = logging.getLogger(__name__)


def erase_from_archive(
    disk: Disk, data_directory: Path, erasures: Iterable[Erasure]
) -> list[tuple[int, Erasure]]:
    """Take the data out of the manifests' own folders; durable on return.

    Returns what was done, each with the seq of its event. Where a log is damaged that is said, and
    the erasure stays pending: `fsck` comes first then.
    """
    done = []
    layout = Layout(data_directory)
    for erasure in erasures:
        folder = layout.folder(erasure.manifest_id)
        try:
            seq = _erase_from_log(disk, layout.log(erasure.manifest_id), erasure)
        except DamagedStoreError as error:
            log.error("%s; what is to be redacted there stays until it is mended", error)  # noqa: TRY400
            continue
        disk.remove(folder / LOG_TEMPORARY_NAME)
        disk.remove(folder / STATE_TEMPORARY_NAME)
        disk.sync_directory(folder)
        done.append((seq, erasure))
    return done


def _erase_from_log(disk: Disk, path: Path, erasure: Erasure) -> int:
    """Return the seq of the event that lost its data."""
    data = read_log(disk, path)
    check_length(path, data, erasure.version)
    lines = data.split(b"\n")
    try:
        event = CommittedEvent.read(lines[erasure.version - 1])
    except DamagedEventError as error:
        raise DamagedStoreError(path, error.reason, line=erasure.version) from error
    if (event.core.manifest_id, event.core.version) != (erasure.manifest_id, erasure.version):
        reason = f"it holds version {event.core.version} of {event.core.manifest_id}"
        raise DamagedStoreError(path, reason, line=erasure.version, seq=event.seq)
    left = erased(event, erasure.fields)
    if left is not event:
        lines[erasure.version - 1] = left.line
        disk.write_durably(path, b"\n".join(lines))
    return event.seq


def erase_from_journal(
    disk: Disk,
    data_directory: Path,
    fields: Mapping[int, Collection[str]],
    exchange: Callable[[int, Callable[[], None]], None],
) -> set[int]:
    """Take `fields` of the events with these seqs out of the journal; durable on return.

    `exchange(first, replace)` calls `replace` at a moment when nobody reads the segment. Returns the
    seqs in segments that are damaged; what retention removed is gone anyway.
    """
    damaged = set()
    for first, seqs in _by_segment(disk, data_directory, fields).items():
        path = segment_path(data_directory, first)
        try:
            segment, content = _erased_segment(disk, path, first, fields)
        except DamagedStoreError as error:
            log.error("%s; what is to be redacted there stays until it is mended", error)  # noqa: TRY400
            damaged |= seqs
            continue
        if content != segment:
            write_temporary(disk, path, content)
            exchange(first, partial(disk.replace, temporary_path(path), path))
    # Also where nothing was to be done: who did it may have been killed before his sync.
    disk.sync_directory(data_directory / JOURNAL_NAME)
    return damaged


def _by_segment(disk: Disk, data_directory: Path, seqs: Iterable[int]) -> dict[int, set[int]]:
    firsts = list_segments(disk, data_directory)
    held: dict[int, set[int]] = {}
    for seq in seqs:
        index = bisect_right(firsts, seq) - 1
        if index >= 0:
            held.setdefault(firsts[index], set()).add(seq)
    return held


def _erased_segment(
    disk: Disk, path: Path, first: int, fields: Mapping[int, Collection[str]]
) -> tuple[bytes, bytes]:
    """Return what a segment holds, and what it is to hold."""
    segment = disk.read(path)
    parts = []
    try:
        for batch in read_batches(
            read_from(segment), path, offset=0, end_offset=len(segment), seq=first
        ):
            header = batch.header
            if any(header.first <= seq <= header.last for seq in fields):
                lines = [erased(one, fields.get(one.seq, ())).line for one in batch.events()]
                parts.append(encode_lines(header.first, lines, header.log_hash).data)
            else:
                parts.append(segment[batch.offset : batch.end_offset])
    except DamagedBatchError as error:
        line = segment.count(b"\n", 0, error.offset) + 1 + error.line
        raise DamagedStoreError(path, error.reason, line=line, seq=error.seq) from error
    return segment, b"".join(parts)
