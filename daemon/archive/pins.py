"""`lifecycles/<id>@<version>.json`: every definition that an event of this store names.

Promise:  a definition is durable before the first event names it, and never replaced by another.
          The file is the definition sealed like every small file of the store: one that changed
          on the disk is refused, not obeyed.
Not here: what a definition means; here it is the bytes of a JSON object.
"""

from pathlib import Path
from threading import Lock
from typing import Final
from urllib.parse import quote, unquote

from actors.ports import LifecycleChangedError
from daemon.errors import DamagedStoreError, DiskFailedError
from daemon.journal.disk import Disk
from daemon.journal.sealed import seal_bytes, unseal_bytes

LIFECYCLES_NAME: Final = "lifecycles"
_SUFFIX: Final = ".json"


class LifecyclePins:
    """The pinned definitions of one store. Calls block; any thread may make them."""

    def __init__(self, disk: Disk, data_directory: Path) -> None:
        self._disk = disk
        self._directory = data_directory / LIFECYCLES_NAME
        self._lock = Lock()  # Two actors may pin one lifecycle at the same moment.

    def pin(self, name: str, definition: bytes) -> None:
        """Keep `definition` under `name`.

        Raises:
            LifecycleChangedError: the store holds another one under that name.
            DamagedStoreError: what the store holds under that name is not what was written.
            DiskFailedError: it could not be written.
        """
        file_name = pin_file_name(name)
        with self._lock:
            try:
                if file_name not in self._disk.list_names(self._directory):
                    self._disk.make_directory(self._directory)
                    self._disk.write_durably(self._directory / file_name, seal_bytes(definition))
                    self._disk.sync_directory(self._directory.parent)
                elif self._definition(file_name) != definition:
                    raise LifecycleChangedError(name)
            except OSError as error:
                what = f"keeping the lifecycle {name}"
                raise DiskFailedError(what, error) from error

    def read(self) -> dict[str, bytes]:
        """Return every definition that was ever pinned, by `id@version`.

        Raises:
            DamagedStoreError: a file is not what was written.
            DiskFailedError: a file cannot be read. Nobody waits for an answer yet: start again.
        """
        try:
            return {
                name: self._definition(file_name)
                for file_name in sorted(self._disk.list_names(self._directory))
                if (name := pinned_name(file_name)) is not None
            }
        except OSError as error:
            what = f"reading the lifecycles in {self._directory}"
            raise DiskFailedError(what, error) from error

    def check(self) -> None:
        """Read every definition; `DamagedStoreError` for one that is not what was written."""
        for file_name in self._disk.list_names(self._directory):
            if pinned_name(file_name) is not None:
                self._definition(file_name)

    def _definition(self, file_name: str) -> bytes:
        path = self._directory / file_name
        definition = unseal_bytes(self._disk.read(path))
        if definition is None:
            reason = "its sha256 does not match its bytes"
            raise DamagedStoreError(path, reason)
        return definition


def pin_file_name(name: str) -> str:
    """Return the name of the file that keeps the lifecycle `name` (`id@version`)."""
    return f"{quote(name, safe='@')}{_SUFFIX}"


def pinned_name(file_name: str) -> str | None:
    """Return the lifecycle that the file keeps; None when it is no such file."""
    if not file_name.endswith(_SUFFIX):
        return None
    return unquote(file_name.removesuffix(_SUFFIX))
