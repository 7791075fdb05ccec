"""What start-up makes of a journal.

Promise:  what comes back is durable: every acknowledged event after the checkpoint, in order, and
          perhaps events of the last batch that were written and not acknowledged. It is never a
          guess: bytes that are not proven are cut only where a power cut tore a batch that nobody
          was told of, and refused everywhere else. Recovery may be killed at any moment.
Assume:   the caller holds the lock of the data directory.
Not here: reading and deciding (`inspection.py`, `damage.py`), writing (`rewriting.py`).
"""

from pathlib import Path
from typing import NamedTuple

from daemon.errors import DiskFailedError
from daemon.journal.checkpoint import BatchEnd
from daemon.journal.disk import Disk
from daemon.journal.inspection import Inspection, SecondCopy
from protocol.events import CommittedEvent


class JournalEnd(NamedTuple):
    """Where the journal ends after recovery: what `Journal` needs to go on from there."""

    seq: int
    log_hash: bytes
    segment_first: int  # 0: there is no segment yet.
    segment_size_bytes: int
    batch_ends: tuple[BatchEnd, ...]  # After the checkpoint.


class RecoveredJournal(NamedTuple):
    """`tail` is every event after `checkpoint`; `notes` are sentences for the operator's log.

    `checkpoint` is `checkpoint.NOTHING` where there is none. Its log hash is empty when the file
    is damaged and retention removed the segments that would tell it.
    """

    end: JournalEnd
    checkpoint: BatchEnd
    tail: list[CommittedEvent]
    notes: list[str]


def recover_journal(
    disk: Disk,
    data_directory: Path,
    *,
    second_copy: SecondCopy,
    archived_seq_max: int | None,
) -> RecoveredJournal:
    """Check the journal after the checkpoint, mend what may be mended, and make it durable.

    `second_copy(first, last)` returns the lines (no newline) that the archive has of those seqs,
    by seq; it is called only when something is damaged. `archived_seq_max` is the highest seq
    known to be archived (None: not known).

    Raises:
        DamagedStoreError: bytes are damaged that were perhaps acknowledged; nothing was changed.
        DiskFailedError: the disk failed, or has no room for the rewrite; start again.
    """
    try:
        found = Inspection(disk, data_directory, second_copy, archived_seq_max).run()
    except OSError as error:
        what = f"reading the journal in {data_directory}"
        raise DiskFailedError(what, error) from error
    try:
        found.work.carry_out(disk, data_directory)
    except OSError as error:
        what = f"rewriting the journal in {data_directory}"
        raise DiskFailedError(what, error) from error
    end = JournalEnd(
        found.end.seq,
        found.end.log_hash,
        found.segment_first,
        found.segment_size_bytes,
        tuple(found.batch_ends),
    )
    return RecoveredJournal(end, found.checkpoint, found.tail, found.notes)
