"""The open segment: the one place where an event becomes a fact.

Promise:  when `commit` returns, the bytes survive a power cut under their name. When it raises
          `NoRoomError`, the file is, durably, what it was before. After any other error nobody
          knows what the file holds, and the descriptor is never touched again.
Assume:   a new segment's directory entry is the only one that its bytes depend on: recovery made
          the folder itself durable.
Not here: what the bytes are (`batch.py`), who is told (`committer.py`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from daemon.journal.clean import remove_clean
from daemon.journal.disk import SURVIVABLE_ERRNOS, AppendFile, Disk
from daemon.journal.segment import segment_path
from protocol.errors import ManifestdError


class NoRoomError(ManifestdError):
    """A write was refused and is undone. Unlike a failed sync this leaves nothing unknown."""

    def __init__(self, path: Path, cause: OSError) -> None:
        super().__init__(f"{path}: {cause.strerror or cause}")
        self.path = path
        self.cause = cause


class SegmentWriter:
    """Sole owner of the journal's open file. The journal's thread is its only caller."""

    def __init__(
        self,
        disk: Disk,
        data_directory: Path,
        *,
        segment_first: int,
        segment_size_bytes: int,
        segment_size_bytes_max: int,
    ) -> None:
        self.segment_first = segment_first  # 0: there is no segment yet.
        self.durable_size_bytes = segment_size_bytes
        self._disk = disk
        self._data_directory = data_directory
        self._size_bytes_max = segment_size_bytes_max
        self._file: AppendFile | None = None
        self._is_sealed = False
        self._poisoned = False

    def commit(self, first_seq: int, data: bytes) -> None:
        """Make `data`, whose first event is `first_seq`, durable at the journal's end.

        Raises:
            NoRoomError: the disk refused the write; nothing was changed.
            OSError: what is on the disk is unknown; only a restart can tell.
        """
        assert not self._poisoned
        # Poison first, cure on success: no way out of here is forgotten.
        self._poisoned = True
        try:
            file = self._open(first_seq, len(data))
            self._write(file, data)
        except NoRoomError:
            self._poisoned = False
            raise
        file.sync()
        self.durable_size_bytes += len(data)
        self._poisoned = False

    def seal(self) -> None:
        """Append no more to the segment at hand: the next batch begins a new one."""
        assert not self._poisoned
        self.close()
        self._is_sealed = self.segment_first > 0

    def close(self) -> None:
        """Release the descriptor; after a failure it is left to the end of the process."""
        if self._file is not None and not self._poisoned:
            self._file.close()
            self._file = None

    def _open(self, first_seq: int, size_bytes: int) -> AppendFile:
        path = segment_path(self._data_directory, self.segment_first)
        if self._file is None:
            with _refusable(path):
                remove_clean(self._disk, self._data_directory)
            # Also when the mark is gone: whoever removed it may have been killed before his sync.
            self._disk.sync_directory(self._data_directory)
            if self.segment_first and not self._is_sealed:
                with _refusable(path):
                    self._file = self._disk.open_append(path, create=False)
        over = self.durable_size_bytes + size_bytes > self._size_bytes_max
        if self._file is None or (over and self.durable_size_bytes):
            return self._roll(first_seq)
        return self._file

    def _roll(self, first_seq: int) -> AppendFile:
        path = segment_path(self._data_directory, first_seq)
        with _refusable(path):
            file = self._disk.open_append(path, create=True)
        self._disk.sync_directory(path.parent)
        if self._file is not None:
            self._file.close()
        self._file = file
        self._is_sealed = False
        self.segment_first = first_seq
        self.durable_size_bytes = 0
        return file

    def _write(self, file: AppendFile, data: bytes) -> None:
        path = segment_path(self._data_directory, self.segment_first)
        try:
            with _refusable(path):
                file.write(data)
        except NoRoomError:
            # On a file system that turned read-only nothing was written, and cutting would fail.
            if self._disk.size(path) != self.durable_size_bytes:
                file.truncate(self.durable_size_bytes)
                file.sync()
            raise


@contextmanager
def _refusable(path: Path) -> Iterator[None]:
    """Turn "no room" into `NoRoomError`; every other error stays what it is."""
    try:
        yield
    except OSError as error:
        if error.errno in SURVIVABLE_ERRNOS:
            raise NoRoomError(path, error) from error
        raise
