"""Redactions in a store that is read offline: which were ordered, and where the data still stands.

    ordered        by a `redacted` event of the archive or of the journal, or by `redactions.json`
    pending        those that the next start carries out: named by the file, or after the checkpoint
    left behind    ordered, not pending, and a copy holds the data all the same

Promise:  two copies of one event that differ in the payload are no damage where a redaction of it
          was ordered, and are damage where none was. What is left behind is found.
Not here: taking the data out (`daemon/redaction/`): the next start does that, and no repair.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from daemon.redaction.pending import Erasure, carried_out
from protocol.erasure import gone_from, more_redacted
from protocol.events import CommittedEvent


class RedactionsSeen:
    """The redactions that a reading came by."""

    def __init__(self) -> None:
        self.ordered: dict[Erasure, int] = {}  # With the seq of the event that orders it.
        # Of those the archive holds the data still, wherever they may be noted.
        self.undone: dict[Erasure, None] = {}
        # The journal's events to which the archive has another payload.
        self.differing: list[CommittedEvent] = []

    def see(self, event: CommittedEvent, archived: Mapping[int, bytes] | None = None) -> None:
        """Take note of an event, one of the archive's with the lines before it, by version."""
        erasure = Erasure.of(event)
        if erasure is None:
            return
        self.ordered.setdefault(erasure, event.seq)
        subject = (archived or {}).get(erasure.version)
        if subject is None:
            return
        if not gone_from(CommittedEvent.read(subject).payload).issuperset(erasure.fields):
            self.undone[erasure] = None

    def judge(self, named: Iterable[Erasure], checkpoint_seq: int) -> "Judged":
        """Judge what was seen, `named` being the redactions of `redactions.json`."""
        in_tail = (one for one, seq in self.ordered.items() if seq > checkpoint_seq)
        pending = {*named, *in_tail}
        left_behind = {one: None for one in self.undone if one not in pending}
        unordered = []
        for event in self.differing:
            subject = (event.core.manifest_id, event.core.version)
            orders = [one for one in (*pending, *self.ordered) if one[:2] == subject]
            if not orders:
                unordered.append(event)
            elif pending.isdisjoint(orders):
                left_behind |= dict.fromkeys(orders)
        return Judged(pending, list(left_behind), unordered)


class Judged(NamedTuple):
    """Pending redactions, those left behind, and events whose copies differ for no reason."""

    pending: set[Erasure]
    left_behind: list[Erasure]
    unordered: list[CommittedEvent]


def lesser(known: dict[int, bytes], version: int, line: bytes) -> bytes:
    """Return `line`, without what the copy of the same event in `known` has lost."""
    other = known.get(version)
    if other is None or other == line:
        return line
    ours, theirs = CommittedEvent.read(line), CommittedEvent.read(other)
    return more_redacted(ours, theirs).line if ours.hash == theirs.hash else line


def without_ordered(
    events: list[CommittedEvent], erasures: Collection[Erasure]
) -> list[CommittedEvent]:
    """Return one manifest's events without what they themselves, or `erasures`, order to go."""
    own = (Erasure.of(event) for event in events)
    return carried_out(events, [*erasures, *(one for one in own if one is not None)])
