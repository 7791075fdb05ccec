"""The index: one row for each manifest, so that neither `list` nor start-up opens every folder.

    index/manifests.jsonl := block*
    block := row*  {"rows":N,"seq":S,"sha256":"H"}\\n       row = a ManifestSummary and a newline

    H covers the H of the block before it (64 zeros for the first), the rows and N and S.

Promise:  an index that `read_index` accepts is whole, in order, and current to the `seq` of its last
          block: the last row of a manifest is its state then, or later. `flush` is durable on return.
Assume:   the caller flushes rows of archived manifests only, with a `seq` up to which all are.
Not here: rebuilding (`archive/opening.py`); it is a derived file, and a damaged one is thrown away.
"""

import hashlib
import re
from collections.abc import Collection
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from daemon.errors import DiskFailedError
from daemon.journal.disk import AppendFile, Disk
from protocol.events import GENESIS
from protocol.replies import ManifestSummary

INDEX_NAME: Final = "index"
FILE_NAME: Final = "manifests.jsonl"
STALE_ROWS_MIN: Final = 16_384  # Below it a compaction saves nothing that anybody would notice.

_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(ManifestSummary)
_SEAL: Final = b'{"rows":%d,"seq":%d,"sha256":"%b"}\n'
_SEAL_LINE: Final = re.compile(
    rb'^\{"rows":(\d{1,18}),"seq":(\d{1,19}),"sha256":"([0-9a-f]{64})"\}\n', re.MULTILINE
)


class LoadedIndex(NamedTuple):
    """Every manifest's row, the seq they are current to, and the file as `IndexFile` needs it."""

    rows: dict[str, ManifestSummary]
    seq: int
    rows_written: int
    chain: bytes
    size_bytes: int
    is_torn: bool = False

    @property
    def seq_max(self) -> int:
        """The greatest seq of a row: the store has archived that event."""
        return max((row.seq for row in self.rows.values()), default=0)


def index_path(data_directory: Path) -> Path:
    """Return the path of the index."""
    return data_directory / INDEX_NAME / FILE_NAME


def read_index(disk: Disk, data_directory: Path) -> LoadedIndex | None:
    """Return the index; None when it is missing or damaged, so that it has to be rebuilt.

    A last block that a crash cut short is left out, and `is_torn` says so: whoever wrote it had not
    written the checkpoint that would need it.
    """
    try:
        data = disk.read(index_path(data_directory))
    except FileNotFoundError:
        return None
    rows: dict[str, ManifestSummary] = {}
    loaded = LoadedIndex(rows, 0, 0, GENESIS.encode(), 0)
    for seal in _SEAL_LINE.finditer(data):
        block = data[loaded.size_bytes : seal.start()]
        count, seq, chain = int(seal[1]), int(seal[2]), seal[3]
        if _digest(loaded.chain, block, count, seq) != chain:
            return None
        try:
            found = _decoder.decode_lines(block)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None
        rows.update((row.manifest_id, row) for row in found)
        loaded = LoadedIndex(rows, seq, loaded.rows_written + count, chain, seal.end())
    if not loaded.size_bytes or _SEAL_LINE.search(data, loaded.size_bytes):
        return None
    return loaded._replace(is_torn=loaded.size_bytes < len(data))


class IndexFile:
    """The one writer of the index. All calls block; one caller at a time."""

    def __init__(self, disk: Disk, data_directory: Path, loaded: LoadedIndex | None) -> None:
        self.seq = 0 if loaded is None else loaded.seq
        self._disk = disk
        self._path = index_path(data_directory)
        self._chain = GENESIS.encode() if loaded is None else loaded.chain
        self._size_bytes = 0 if loaded is None else loaded.size_bytes
        self._rows_written = 0 if loaded is None else loaded.rows_written
        self._live = set() if loaded is None else set(loaded.rows)
        self._file: AppendFile | None = None

    def flush(self, rows: Collection[ManifestSummary], seq: int) -> None:
        """Add `rows`, and note that the index is current to `seq`.

        Raises:
            OSError: a write failed; where it found no room, flush again later.
            DiskFailedError: the sync failed.
        """
        seq = max(seq, self.seq)
        self._live.update(row.manifest_id for row in rows)
        stale = self._rows_written + len(rows) - len(self._live)
        if stale > max(STALE_ROWS_MIN, len(self._live)):
            self.rewrite(self._current(rows), seq)
            return
        block, chain = _block(self._chain, rows, seq)
        file = self._opened()
        try:
            file.write(block)
        except OSError:
            file.truncate(self._size_bytes)  # Synced with the next block; until then only stale.
            raise
        try:
            file.sync()
        except OSError as error:
            what = "syncing the index"
            raise DiskFailedError(what, error) from error
        self._advance(block, chain, len(rows), seq)

    def rewrite(self, rows: Collection[ManifestSummary], seq: int) -> None:
        """Replace the whole index by one block of `rows`, one for each manifest; durable."""
        self.close()
        self._disk.make_directory(self._path.parent)
        block, chain = _block(GENESIS.encode(), rows, seq)
        self._disk.write_durably(self._path, block)
        self._disk.sync_directory(self._path.parent.parent)
        self._live = {row.manifest_id for row in rows}
        self._size_bytes = self._rows_written = 0
        self._advance(block, chain, len(rows), seq)

    def close(self) -> None:
        """Release the descriptor."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _advance(self, block: bytes, chain: bytes, rows: int, seq: int) -> None:
        self.seq = seq
        self._chain = chain
        self._size_bytes += len(block)
        self._rows_written += rows

    def _current(self, rows: Collection[ManifestSummary]) -> Collection[ManifestSummary]:
        loaded = read_index(self._disk, self._path.parent.parent)
        assert loaded is not None
        loaded.rows.update((row.manifest_id, row) for row in rows)
        return loaded.rows.values()

    def _opened(self) -> AppendFile:
        if self._file is None:
            self._file = self._disk.open_append(self._path, create=False)
        return self._file


def encode_index(rows: Collection[ManifestSummary], seq: int) -> bytes:
    """Return a whole index of one block, current to `seq`: one row for each manifest."""
    return _block(GENESIS.encode(), rows, seq)[0]


def _block(chain: bytes, rows: Collection[ManifestSummary], seq: int) -> tuple[bytes, bytes]:
    data = b"".join([_encoder.encode(row) + b"\n" for row in rows])
    digest = _digest(chain, data, len(rows), seq)
    return data + _SEAL % (len(rows), seq, digest), digest


def _digest(chain: bytes, rows: bytes, count: int, seq: int) -> bytes:
    checked = hashlib.sha256(b"%b|%d|%d|" % (chain, count, seq))
    checked.update(rows)
    return checked.hexdigest().encode()
