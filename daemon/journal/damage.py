"""What damage to a batch means: a table, and the facts that are looked up in it.

    missing bytes    the file ends before the batch does, or within its header
    zeroed sector    the 512 bytes between two multiples of 512 in the file, or as many of them as
                     lie in the batch, are all zero: the size reached the disk, that sector did not

Promise:  every combination of facts meets exactly one row of `DAMAGES`.
Assume:   a batch is written only after the one before it was synced, so only the last one can be
          torn by a power cut; JSON holds no zero byte.
Not here: finding damage (`batches.py`), mending it (`mending.py`).
"""

import re
from enum import StrEnum
from typing import Final, NamedTuple

from daemon.journal.batch import find_header
from daemon.journal.batches import DamagedBatchError

SECTOR_SIZE_BYTES: Final = 512  # The least that a disk writes as a whole.
_ZEROS: Final = re.compile(rb"\0+")


class Place(StrEnum):
    """Where the damaged batch stands."""

    EARLIER = "earlier"  # A later batch, or a later segment, was begun: this batch was synced.
    LAST = "last"


class Form(StrEnum):
    """What the damage looks like."""

    TORN = "torn"  # Bytes are missing, or sectors are zero: a write that a power cut ended.
    CHANGED = "changed"  # The bytes are there and are others.
    CONTRADICTION = "contradiction"  # Every checksum is good, and they do not fit one another.


class Standing(StrEnum):
    """Whether clients were told of events in the damaged batch."""

    POSSIBLE = "possible"
    PROVEN = "proven"  # It is archived, or below the checkpoint, or the shutdown was clean.


class Copy(StrEnum):
    """Whether the batch can be put together again, from what is intact and the second copy."""

    COMPLETE = "complete"  # And its checksums prove that it is the same.
    LACKING = "lacking"


class Verdict(StrEnum):
    """What recovery does about it."""

    CUT = "cut"  # From the first damaged line on; quarantined first.
    REPAIR = "repair"  # With the proven bytes; the damaged ones are quarantined first.
    REFUSE = "refuse"  # Do not start, change nothing.


class Damage(NamedTuple):
    """The facts about one damaged batch."""

    place: Place
    form: Form
    standing: Standing
    copy: Copy


class Row(NamedTuple):
    """One kind of damage; an empty set stands for every value."""

    places: frozenset[Place]
    forms: frozenset[Form]
    standings: frozenset[Standing]
    copies: frozenset[Copy]
    verdict: Verdict
    because: str

    def matches(self, damage: Damage) -> bool:
        """Whether this row speaks about `damage`."""
        return (
            (not self.places or damage.place in self.places)
            and (not self.forms or damage.form in self.forms)
            and (not self.standings or damage.standing in self.standings)
            and (not self.copies or damage.copy in self.copies)
        )


_ANY: Final[frozenset[Standing]] = frozenset()
_ANY_COPY: Final[frozenset[Copy]] = frozenset()
_EARLIER: Final = frozenset({Place.EARLIER})
_LAST: Final = frozenset({Place.LAST})
_TORN: Final = frozenset({Form.TORN})
_CHANGED: Final = frozenset({Form.CHANGED})
_PROVEN: Final = frozenset({Standing.PROVEN})
_COMPLETE: Final = frozenset({Copy.COMPLETE})
_LACKING: Final = frozenset({Copy.LACKING})

DAMAGES: Final = (
    Row(
        *(_EARLIER, frozenset(), _ANY, _ANY_COPY, Verdict.REFUSE),
        "a later batch stands behind it, so it was acknowledged",
    ),
    Row(
        *(_LAST, frozenset({Form.CONTRADICTION}), _ANY, _ANY_COPY, Verdict.REFUSE),
        "no accident makes such bytes",
    ),
    Row(
        *(_LAST, _TORN, frozenset({Standing.POSSIBLE}), _ANY_COPY, Verdict.CUT),
        "a write that was not finished, so nothing in it was acknowledged",
    ),
    Row(
        *(_LAST, _TORN, _PROVEN, _COMPLETE, Verdict.REPAIR),
        "it was acknowledged and lost bytes since; the second copy has them",
    ),
    Row(
        *(_LAST, _TORN, _PROVEN, _LACKING, Verdict.REFUSE),
        "it was acknowledged and lost bytes since; the second copy does not have them",
    ),
    Row(
        *(_LAST, _CHANGED, _ANY, _COMPLETE, Verdict.REPAIR),
        "its bytes changed; what they were is proven",
    ),
    Row(
        *(_LAST, _CHANGED, _ANY, _LACKING, Verdict.REFUSE),
        "its bytes changed, it was perhaps acknowledged, and no second copy has them",
    ),
)


def judge(damage: Damage) -> Row:
    """Return the one row of `DAMAGES` that speaks about `damage`."""
    (row,) = (row for row in DAMAGES if row.matches(damage))
    return row


def place_of(error: DamagedBatchError, segment: bytes, *, is_last_segment: bool) -> Place:
    """Return whether something was written behind the damaged batch; `segment` is the whole file."""
    if not is_last_segment:
        return Place.EARLIER
    if error.header is not None:
        end_offset = error.offset + error.header.size_bytes
        return Place.EARLIER if end_offset < len(segment) else Place.LAST
    later = find_header(segment, error.offset, first_min=error.seq + 1)
    return Place.LAST if later is None else Place.EARLIER


def form_of(error: DamagedBatchError, segment: bytes) -> Form:
    """Return what the damage at `error` in `segment` looks like."""
    if error.is_contradiction:
        return Form.CONTRADICTION
    if error.header is not None:
        end_offset = error.offset + error.header.size_bytes
        if end_offset > len(segment):
            return Form.TORN
    else:
        # How long the batch was is unknown, so only the header line itself bears witness: zeros
        # behind it may be the next batch's, torn while this one was acknowledged.
        end_offset = segment.find(b"\n", error.offset) + 1
        if not end_offset:
            return Form.TORN
    is_torn = has_zeroed_sector(segment, error.offset, end_offset)
    return Form.TORN if is_torn else Form.CHANGED


def has_zeroed_sector(segment: bytes, start: int, end: int) -> bool:
    """Whether a sector, or the part of one that lies between `start` and `end`, is all zero."""
    for zeros in _ZEROS.finditer(segment, start, end):
        first = zeros.start() // SECTOR_SIZE_BYTES * SECTOR_SIZE_BYTES
        for sector in range(first, zeros.end(), SECTOR_SIZE_BYTES):
            sector_start = max(sector, start)
            sector_end = min(sector + SECTOR_SIZE_BYTES, end)
            if zeros.start() <= sector_start and sector_end <= zeros.end():
                return True
    return False
