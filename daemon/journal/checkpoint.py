"""`checkpoint.json`: how far archive and index are synced, so that start-up need not read before it.

Promise:  a checkpoint on the disk is the end of a batch of the journal, and everything up to it can
          be read without the journal; it is replaced as a whole or not at all.
Assume:   the caller synced archive and index up to `seq` before `write_checkpoint`.
Not here: which seq that is (the archive), which batch ends there are (`Journal.checkpoint_at`).
"""

from pathlib import Path
from typing import Final, NamedTuple

from daemon.journal.disk import Disk
from daemon.journal.sealed import seal, unseal
from protocol.events import GENESIS

CHECKPOINT_NAME: Final = "checkpoint.json"
_LOG_HASH_SIZE: Final = len(GENESIS)


class BatchEnd(NamedTuple):
    """The end of a batch: its last event's seq, and the log hash (64 hex digits) after it."""

    seq: int
    log_hash: bytes


NOTHING: Final = BatchEnd(0, GENESIS.encode())  # Where a journal without events ends.


def write_checkpoint(disk: Disk, data_directory: Path, end: BatchEnd) -> None:
    """Replace `checkpoint.json`; durable on return. An `OSError` is fatal (design 3, rule 3)."""
    disk.write_durably(data_directory / CHECKPOINT_NAME, encode_end(end))


def read_checkpoint(disk: Disk, data_directory: Path) -> BatchEnd | None:
    """Return the checkpoint, or None when it is missing or damaged: it can be rebuilt."""
    if CHECKPOINT_NAME not in disk.list_names(data_directory):
        return None
    return decode_end(disk.read(data_directory / CHECKPOINT_NAME))


def encode_end(end: BatchEnd) -> bytes:
    """Return the sealed bytes of `checkpoint.json` and `clean`."""
    return seal({"seq": end.seq, "log_hash": end.log_hash.decode()})


def decode_end(data: bytes) -> BatchEnd | None:
    """Return what `encode_end` encoded; None when it was changed."""
    match unseal(data):
        case {"seq": int(seq), "log_hash": str(log_hash)} if len(log_hash) == _LOG_HASH_SIZE:
            return BatchEnd(seq, log_hash.encode())
    return None
