"""`lifecycles/<id>@<version>.json`: every definition that an event of this store names.

Promise:  a definition is durable before the first event names it, and never replaced by another.
Not here: what a definition means; here it is bytes.
"""

import threading
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

from actors.ports import LifecycleChangedError
from daemon.errors import DiskFailedError
from daemon.journal.disk import Disk
from protocol.errors import UnavailableError

LIFECYCLES_NAME: Final = "lifecycles"
_SUFFIX: Final = ".json"


class LifecyclePins:
    """The pinned definitions of one store. Calls block; any thread may make them."""

    def __init__(self, disk: Disk, data_directory: Path) -> None:
        self._disk = disk
        self._directory = data_directory / LIFECYCLES_NAME
        self._lock = threading.Lock()  # Two actors may pin one lifecycle at the same moment.

    def pin(self, name: str, definition: bytes) -> None:
        """Keep `definition` under `name`.

        Raises:
            LifecycleChangedError: the store holds another one under that name.
            DiskFailedError: it could not be written.
        """
        file_name = f"{quote(name, safe='@')}{_SUFFIX}"
        with self._lock:
            try:
                if file_name not in self._disk.list_names(self._directory):
                    self._disk.make_directory(self._directory)
                    self._disk.write_durably(self._directory / file_name, definition)
                    self._disk.sync_directory(self._directory.parent)
                elif self._disk.read(self._directory / file_name) != definition:
                    raise LifecycleChangedError(name)
            except OSError as error:
                what = f"keeping the lifecycle {name}"
                raise DiskFailedError(what, error) from error

    def read(self) -> dict[str, bytes]:
        """Return every definition that was ever pinned, by `id@version`.

        Raises:
            UnavailableError: a file cannot be read at the moment.
        """
        try:
            return {
                unquote(file_name.removesuffix(_SUFFIX)): self._disk.read(
                    self._directory / file_name
                )
                for file_name in sorted(self._disk.list_names(self._directory))
                if file_name.endswith(_SUFFIX)
            }
        except OSError as error:
            message = f"the lifecycles in {self._directory} cannot be read: {error.strerror}"
            raise UnavailableError(message) from error
