"""The backup file: a store up to one seq, as lines that a stream can carry and anybody can check.

    file      := header  lifecycle*  event*  end            each a line of JSON and a newline
    header    := {"backup":{"format":1,"store_id":"…","seq":S,"log_hash":"L","created_at":"…",
                  "lifecycles":K}}
    lifecycle := {"lifecycle":"<id>@<version>","definition":…}      as the store pinned it
    event     := the event's own line, byte for byte (`protocol.events`), seq 1 to S
    end       := {"end":{"events":S,"manifests":M,"log_hash":"L","sha256":"H"}}
                                                        H = sha256 of every byte before this line

    `manifestctl export --history` writes lifecycle* event* alone; whoever reads it knows no S.

Promise:  what `BackupReader` lets pass to the end is what the store held: every line has its crc
          and hash, `seq` and every `version` are gapless, the hash chains and `log_hash` hold.
          Damage is `BackupError` with the number of its line.
Assume:   the reader is given every line, without its newline; it keeps one small entry for each
          manifest.
Not here: files, and how a store is made of the events.
"""

import hashlib
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple, TypeVar

import msgspec

from protocol.errors import ManifestdError
from protocol.events import GENESIS, CommittedEvent, DamagedEventError, next_log_hash
from protocol.identifiers import is_manifest_id
from protocol.limits import MESSAGE_SIZE_MAX

FORMAT: Final = 1
LINE_SIZE_MAX: Final = MESSAGE_SIZE_MAX  # Bytes. No event and no lifecycle comes near.
_EVENT: Final = b'{"seq":'
_HEADER: Final = b'{"backup":'
_LIFECYCLE: Final = b'{"lifecycle":'
_END: Final = b'{"end":'
_MANIFEST: Final = b'{"manifest_id":'

T = TypeVar("T")


class BackupError(ManifestdError):
    """A backup is not what was written; `line` counts from 1, `mend` is what to do about it."""

    def __init__(self, line: int, reason: str, mend: str) -> None:
        super().__init__(f"line {line}: {reason}; {mend}")
        self.line = line
        self.reason = reason
        self.mend = mend


class BackupHeader(msgspec.Struct, frozen=True, kw_only=True):
    """Which store, up to which seq: everything up to it is in the file, and nothing after it."""

    format: int = FORMAT
    store_id: str
    seq: int
    log_hash: str
    created_at: str
    lifecycles: int


class PinnedLifecycle(msgspec.Struct, frozen=True, kw_only=True):
    """A definition that events name, as the store pinned it."""

    lifecycle: str
    definition: msgspec.Raw


class BackupEnd(msgspec.Struct, frozen=True, kw_only=True):
    """The last line: what the file holds, and the sha256 over all of it."""

    events: int
    manifests: int
    log_hash: str
    sha256: str


class _HeaderLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    backup: BackupHeader


class _EndLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    end: BackupEnd


BackupItem = BackupHeader | PinnedLifecycle | CommittedEvent | BackupEnd


class _Head(NamedTuple):
    version: int
    hash: str


class LogCheck:
    """Checks that events are one store's log from seq 1 on, each in its place in both chains."""

    def __init__(self) -> None:
        self.seq = 0
        self.log_hash = GENESIS
        self._heads: dict[str, _Head] = {}

    @property
    def manifests(self) -> int:
        """How many manifests the events were about."""
        return len(self._heads)

    def add(self, event: CommittedEvent) -> str | None:
        """Take the next event; return what is wrong with its place, or None."""
        if event.seq != self.seq + 1:
            return f"seq {event.seq} stands where seq {self.seq + 1} belongs"
        core = event.core
        head = self._heads.get(core.manifest_id)
        if head is None:
            # Whoever forged a file could else name a folder outside of the store.
            if not is_manifest_id(core.manifest_id):
                return f"{core.manifest_id!r} is no id of a manifest"
            head = _Head(0, GENESIS)
        if core.version != head.version + 1:
            return (
                f"version {core.version} of {core.manifest_id} stands where version "
                f"{head.version + 1} belongs"
            )
        if core.prev != head.hash:
            return f"version {core.version} of {core.manifest_id} does not continue its hash chain"
        self._heads[core.manifest_id] = _Head(core.version, event.hash)
        self.seq = event.seq
        self.log_hash = next_log_hash(self.log_hash.encode(), event.seq, event.hash).decode()
        return None


class BackupReader:
    """Checks a backup line by line. With `needs_header` False a stream of events will do, too.

    After the last line call `close`: a file that ends too early has no other sign.
    """

    def __init__(self, *, needs_header: bool = True) -> None:
        self.log = LogCheck()
        self.header: BackupHeader | None = None
        self.end: BackupEnd | None = None
        self.line = 0
        self._needs_header = needs_header
        self._lifecycles = 0
        self._sha256 = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """The sha256 of the lines so far, newlines included, but for the last one of a backup."""
        return self._sha256.hexdigest()

    def read(self, line: bytes) -> BackupItem:
        """Check the next line (without its newline) and return what it holds.

        Raises:
            BackupError: it is damaged, or not what belongs here.
        """
        self.line += 1
        if self.end is not None:
            raise self._error("something follows the last line of the backup", _NOT_ONE_FILE)
        if line.startswith(_END):
            return self._read_end(line)
        self._sha256.update(line)
        self._sha256.update(b"\n")
        if line.startswith(_EVENT):
            return self._read_event(line)
        if line.startswith(_LIFECYCLE):
            self._expect(begun=False)
            self._lifecycles += 1
            return self._decoded(line, PinnedLifecycle)
        if line.startswith(_HEADER):
            return self._read_header(line)
        if line.startswith(_MANIFEST):
            raise self._error("this is a manifest without its history", _NO_HISTORY)
        raise self._error("this is no line of a backup", _DAMAGED)

    def items(self, readline: Callable[[int], bytes]) -> Iterator[BackupItem]:
        """Yield what the lines hold that `readline(size)` returns, as a binary file's does.

        Raises:
            BackupError: as `read` and `close`.
        """
        while line := readline(LINE_SIZE_MAX + 1):
            if not line.endswith(b"\n"):
                self.line += 1
                raise self._error("the line has no end", _DAMAGED)
            yield self.read(line[:-1])
        self.close()

    def close(self) -> None:
        """Say that there are no more lines.

        Raises:
            BackupError: but there should be.
        """
        if self.line == 0:
            self.line = 1
            raise self._error("there is nothing in it", _DAMAGED)
        if self.header is not None and self.end is None:
            self.line += 1
            raise self._error("the backup ends before its last line", _DAMAGED)

    def _read_header(self, line: bytes) -> BackupHeader:
        if self.line != 1:
            raise self._error("a second backup begins here", _NOT_ONE_FILE)
        header = self.header = self._decoded(line, _HeaderLine).backup
        if header.format != FORMAT:
            reason = f"it is of format {header.format}, and this program reads {FORMAT}"
            raise self._error(reason, "use a newer manifestd")
        return header

    def _read_event(self, line: bytes) -> CommittedEvent:
        self._expect(begun=True)
        try:
            event = CommittedEvent.read(line)
        except DamagedEventError as error:
            raise self._error(error.reason, _DAMAGED) from error
        wrong = self.log.add(event)
        if wrong is not None:
            raise self._error(wrong, _INCOMPLETE)
        if self.header is not None and event.seq > self.header.seq:
            raise self._error(f"the backup was to end at seq {self.header.seq}", _DAMAGED)
        return event

    def _read_end(self, line: bytes) -> BackupEnd:
        header = self.header
        if header is None:
            raise self._error("a backup ends here that has no first line", _DAMAGED)
        end = self.end = self._decoded(line, _EndLine).end
        found = {
            "sha256": (end.sha256, self.sha256),
            "events": (end.events, self.log.seq),
            "seq": (header.seq, self.log.seq),
            "manifests": (end.manifests, self.log.manifests),
            "number of lifecycles": (header.lifecycles, self._lifecycles),
            "log_hash": (header.log_hash, self.log.log_hash),
            "log_hash at the end": (end.log_hash, self.log.log_hash),
        }
        for name, (said, counted) in found.items():
            if said != counted:
                reason = f"its {name} is {said}, and what stands before it gives {counted}"
                raise self._error(reason, _DAMAGED)
        return end

    def _expect(self, *, begun: bool) -> None:
        """Check that the header came first, and lifecycles before events."""
        if self.header is None and self._needs_header:
            raise self._error("the first line is not that of a backup", _DAMAGED)
        if not begun and self.log.seq:
            raise self._error("a lifecycle stands behind the first event", _NOT_ONE_FILE)

    def _decoded(self, line: bytes, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(line, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise self._error(f"it cannot be read: {error}", _DAMAGED) from error

    def _error(self, reason: str, mend: str) -> BackupError:
        return BackupError(self.line, reason, mend)


class BackupWriter:
    """Turns what a store answers into the lines of a backup, and checks each by reading it back.

    Every method returns a line with its newline, or raises `BackupError`: then the store, or the
    way from it, is damaged, and there is no backup to be made.
    """

    def __init__(self) -> None:
        self._reader = BackupReader()

    @property
    def seq(self) -> int:
        """The seq of the last event."""
        return self._reader.log.seq

    def header(self, header: BackupHeader) -> bytes:
        """Return the first line."""
        return self._line(msgspec.json.encode(_HeaderLine(header)))

    def lifecycle(self, name: str, definition: bytes) -> bytes:
        """Return the line of a pinned definition."""
        return self._line(lifecycle_line(name, definition))

    def event(self, line: bytes) -> bytes:
        """Return the line of an event."""
        return self._line(line)

    def end(self) -> bytes:
        """Return the last line."""
        reader = self._reader
        end = BackupEnd(
            events=reader.log.seq,
            manifests=reader.log.manifests,
            log_hash=reader.log.log_hash,
            sha256=reader.sha256,
        )
        return self._line(msgspec.json.encode(_EndLine(end)))

    def _line(self, line: bytes) -> bytes:
        self._reader.read(line)
        return line + b"\n"


def is_frame(line: bytes) -> bool:
    """Tell whether `line` is the first or the last one of a backup, and not of what is in it."""
    return line.startswith((_HEADER, _END))


def lifecycle_line(name: str, definition: bytes) -> bytes:
    """Return the line of a pinned definition, without a newline."""
    return msgspec.json.encode(PinnedLifecycle(lifecycle=name, definition=msgspec.Raw(definition)))


_DAMAGED: Final = "it is damaged: use another backup"
_INCOMPLETE: Final = "a store's events are taken as a whole, from seq 1 on and in order"
_NOT_ONE_FILE: Final = "give one file as it was written"
_NO_HISTORY: Final = (
    "take `manifestctl export --history` to move a store, or `manifestctl apply --bulk` to make "
    "drafts of the documents"
)
