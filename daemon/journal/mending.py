"""What is left of a damaged batch, and what it was.

Promise:  `rebuild` returns the batch that was written or None, never a guess: either its events give
          the header that still stands there, or they give one of the same size that differs from
          what stands there in no more than a damage's worth of bytes. Where a crash interrupted a
          redaction, a line of the second copy may have lost its payload already, or not yet: the
          header then differs in the size alone, and its log hash proves the events all the same.
Not here: whether to use it (`damage.py`), how (`rewriting.py`).
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Final, NamedTuple, Self

from daemon.journal.batch import HEADER_SIZE_MAX, EncodedBatch, encode_batch
from daemon.journal.batches import DamagedBatchError, batch_in
from protocol.events import CommittedEvent, DamagedEventError

# A header of other events has another log_hash: some 60 of its 64 digits differ.
_HEADER_BYTES_CHANGED_MAX: Final = 8


class MendedBatch(NamedTuple):
    """A batch to be written in place of a damaged one."""

    events: list[CommittedEvent]
    encoded: EncodedBatch

    @classmethod
    def of(cls, events: list[CommittedEvent], log_hash: bytes) -> Self:
        """Return the batch of `events` (there may be none), where `log_hash` holds before them."""
        encoded = encode_batch(events, log_hash) if events else EncodedBatch(b"", log_hash, 0)
        return cls(events, encoded)


def intact_start(error: DamagedBatchError, segment: bytes) -> list[CommittedEvent]:
    """Return the events in front of the first damaged line of a batch."""
    events: list[CommittedEvent] = []
    if error.header is not None:
        batch = batch_in(segment, error.path, error.offset, error.header)
        with suppress(DamagedBatchError):
            events.extend(batch.events())
    return events


def rebuild(
    error: DamagedBatchError,
    segment: bytes,
    copies: Mapping[int, bytes],
    log_hash: bytes | None,
    *,
    lines_suffice: bool = False,
) -> MendedBatch | None:
    """Return the batch at `error` as it was written, from its intact lines and from `copies`.

    `segment` is the whole file, `copies` maps seqs to lines of the second copy, `log_hash` holds
    before the batch (None: not known). None when something lacks, or is not proven.
    `lines_suffice`: all lines stand there, whole, and any header of the right size before them
    will do: it follows from them. That is for who was told to repair, not for a start.
    """
    if log_hash is None:
        return None
    rest = segment[error.offset :]
    known = _intact_lines(copies.values()) | _intact_lines(rest.split(b"\n"))
    if error.header is None:
        return _rebuild_with_header(error.seq, rest, known, log_hash, lines_suffice=lines_suffice)
    seqs = range(error.header.first, error.header.last + 1)
    if any(seq not in known for seq in seqs):
        return None
    mended = MendedBatch.of([known[seq] for seq in seqs], log_hash)
    return mended if mended.encoded.log_hash == error.header.log_hash else None


def _rebuild_with_header(
    seq: int,
    rest: bytes,
    known: Mapping[int, CommittedEvent],
    log_hash: bytes,
    *,
    lines_suffice: bool,
) -> MendedBatch | None:
    events: list[CommittedEvent] = []
    size_bytes = 0
    while size_bytes < len(rest) and (event := known.get(seq + len(events))) is not None:
        events.append(event)
        size_bytes += len(event.line) + 1
        if size_bytes + HEADER_SIZE_MAX >= len(rest):
            mended = MendedBatch.of(events, log_hash)
            encoded = mended.encoded.data
            if len(encoded) == len(rest) and (
                _resembles(rest, encoded)
                or (lines_suffice and rest.endswith(encoded[-size_bytes:]))
            ):
                return mended
    return None


def _resembles(damaged: bytes, rebuilt: bytes) -> bool:
    """Whether the header lines differ by no more than an accident; zeros may have been anything."""
    header_size_bytes = rebuilt.index(b"\n") + 1
    pairs = zip(damaged[:header_size_bytes], rebuilt, strict=False)
    changed = sum(1 for was, now in pairs if was not in {now, 0})
    return changed <= _HEADER_BYTES_CHANGED_MAX


def _intact_lines(lines: Iterable[bytes]) -> dict[int, CommittedEvent]:
    intact = {}
    for line in lines:
        with suppress(DamagedEventError):
            event = CommittedEvent.read(line)
            intact[event.seq] = event
    return intact
