"""`redactions.json`: which redactions are facts, and not yet carried out in every file.

    {"redactions":[{"manifest_id":"…","version":3,"fields":["reason"]}],"sha256":"…"}

Promise:  before the checkpoint passes a `redacted` event, the file names it; it leaves the file when
          the data is gone, durably. So start-up finds what is left to do here, or in the journal's
          tail, and nowhere else.
Not here: doing it (`eraser.py`), when (`archive/housekeeping.py`).
"""

from collections.abc import Iterable
from pathlib import Path
from threading import Lock
from typing import Any, Final, NamedTuple, Self

from daemon.archive.log import read_log
from daemon.archive.reader import ArchiveReader
from daemon.journal.disk import Disk
from daemon.journal.sealed import seal, unseal
from protocol.erasure import erased
from protocol.events import CommittedEvent, DamagedEventError

REDACTIONS_NAME: Final = "redactions.json"
_NEEDLE: Final = b'"type":"redacted"'


class Erasure(NamedTuple):
    """These fields leave the payload of this version of a manifest."""

    manifest_id: str
    version: int
    fields: tuple[str, ...]

    @classmethod
    def of(cls, event: CommittedEvent) -> Self | None:
        """Return what `event` orders; None when it is no redaction."""
        redacts = event.core.redacts
        if redacts is None:
            return None
        return cls(event.core.manifest_id, redacts.version, tuple(redacts.fields))


class PendingErasures:
    """What is left to do. `add` is the loop's; the rest any thread may call, one at a time."""

    def __init__(self, disk: Disk, data_directory: Path, erasures: Iterable[Erasure] = ()) -> None:
        self._disk = disk
        self._path = data_directory / REDACTIONS_NAME
        self._erasures = dict.fromkeys(erasures)
        self._lock = Lock()
        self._is_saved = not self._erasures  # Those from the journal's tail may not be in the file.

    def __len__(self) -> int:
        """Return how many are left to do."""
        return len(self._erasures)

    def add(self, erasure: Erasure) -> None:
        """Take note of one whose event is durable."""
        with self._lock:
            self._erasures[erasure] = None
            self._is_saved = False

    def entries(self) -> list[Erasure]:
        """Return what is left to do now, the oldest first."""
        with self._lock:
            return list(self._erasures)

    def settle(self, done: Iterable[Erasure]) -> None:
        """Forget what was carried out durably, and save the rest."""
        with self._lock:
            for erasure in done:
                self._erasures.pop(erasure, None)
                self._is_saved = False
        self.save()

    def save(self) -> None:
        """Make the file say what is pending; an `OSError` leaves the one before it as it was."""
        with self._lock:
            if self._is_saved:
                return
            entries, self._is_saved = list(self._erasures), True
        try:
            if entries:
                members = {"redactions": [one._asdict() for one in entries]}
                self._disk.write_durably(self._path, seal(members))
            else:
                self._disk.remove(self._path)
                self._disk.sync_directory(self._path.parent)
        except OSError:
            self._is_saved = False
            raise


def find_erasures(
    disk: Disk, data_directory: Path, tail: Iterable[CommittedEvent], notes: list[str]
) -> list[Erasure]:
    """Return what may be left to do at start-up, `tail` being the events after the checkpoint.

    Where the file is damaged, that is every redaction there ever was: to do one again is harmless.
    """
    found = read_pending(disk, data_directory)
    if found is None:
        notes.append(f"{REDACTIONS_NAME} is damaged; every redaction is carried out again")
        found = _all_in_archive(disk, data_directory)
    ordered = (Erasure.of(event) for event in tail)
    return [*dict.fromkeys([*found, *(one for one in ordered if one is not None)])]


def read_pending(disk: Disk, data_directory: Path) -> list[Erasure] | None:
    """Return what the file names; None when it is damaged."""
    if REDACTIONS_NAME not in disk.list_names(data_directory):
        return []
    match unseal(disk.read(data_directory / REDACTIONS_NAME)):
        case {"redactions": list(entries)}:
            return [_erasure(entry) for entry in entries]
    return None


def _erasure(entry: dict[str, Any]) -> Erasure:
    return Erasure(entry["manifest_id"], entry["version"], tuple(entry["fields"]))


def _all_in_archive(disk: Disk, data_directory: Path) -> list[Erasure]:
    found = []
    for path in ArchiveReader(disk, data_directory).log_paths():
        for line in read_log(disk, path).split(b"\n"):
            if _NEEDLE not in line:
                continue
            try:
                erasure = Erasure.of(CommittedEvent.read(line))
            except DamagedEventError:
                continue  # Whoever reads the log says so.
            if erasure is not None:
                found.append(erasure)
    return found


def carried_out(
    events: Iterable[CommittedEvent], erasures: Iterable[Erasure]
) -> list[CommittedEvent]:
    """Return `events` as they are once `erasures` are carried out."""
    fields: dict[tuple[str, int], set[str]] = {}
    for one in erasures:
        fields.setdefault((one.manifest_id, one.version), set()).update(one.fields)
    if not fields:
        return list(events)
    return [
        erased(event, fields.get((event.core.manifest_id, event.core.version), ()))
        for event in events
    ]
