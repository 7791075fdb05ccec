"""`store.json`: which store this is, and in which format.

Promise:  it is written once, durably, before anything else in the directory. A damaged one is
          refused: nothing else says which store the files belong to.
"""

import time
import uuid
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final, NamedTuple

from daemon.errors import ConfigurationError, DamagedStoreError
from daemon.journal.disk import Disk
from daemon.journal.sealed import seal, unseal
from protocol.events import timestamp

IDENTITY_NAME: Final = "store.json"
FORMAT_VERSION: Final = 1
RESTORING_NAME: Final = "restoring"  # The folder of a restore that is under way or was killed.
# What a directory may hold before it is a store. Anything else belongs to somebody.
_BEFORE_A_STORE: Final = frozenset({"lock", f"{IDENTITY_NAME}.tmp", "lost+found"})


class StoreIdentity(NamedTuple):
    """The members of `store.json`; `restored_from` says which store it was, and up to where."""

    store_id: str
    created_at: str
    format_version: int = FORMAT_VERSION
    restored_from: dict[str, Any] | None = None

    def encode(self) -> bytes:
        """Return the bytes of `store.json`."""
        members = self._asdict()
        if self.restored_from is None:
            del members["restored_from"]
        return seal(members)


def refuse_unfinished(data_directory: Path, names: Collection[str]) -> None:
    """Raise `ConfigurationError` if `names` are what a restore left that was not finished."""
    if RESTORING_NAME in names and IDENTITY_NAME not in names:
        message = (
            f"the restore into {data_directory} was not finished; run the same manifestd restore "
            "(or import) again, and it begins anew"
        )
        raise ConfigurationError(message)


def refuse_strangers(data_directory: Path, names: Collection[str]) -> None:
    """Refuse a directory that is no store, and not empty; before a lock is made in it, too.

    Raises:
        DamagedStoreError: `store.json` is missing beside other files.
        ConfigurationError: a restore into the directory was not finished.
    """
    if IDENTITY_NAME in names:
        return
    refuse_unfinished(data_directory, names)
    if found := sorted(set(names) - _BEFORE_A_STORE):
        reason = f"it is missing, but the directory is not empty ({', '.join(found[:3])})"
        raise DamagedStoreError(data_directory / IDENTITY_NAME, reason)


def open_identity(disk: Disk, data_directory: Path) -> StoreIdentity:
    """Return the identity of the store in `data_directory`; an empty directory becomes a store.

    Raises:
        DamagedStoreError: `store.json` is damaged, of another format, or missing beside other files.
        ConfigurationError: a restore into the directory was not finished.
    """
    path = data_directory / IDENTITY_NAME
    names = disk.list_names(data_directory)
    if IDENTITY_NAME in names:
        return _checked(path, disk.read(path))
    refuse_strangers(data_directory, names)
    identity = StoreIdentity(str(uuid.uuid4()), timestamp(time.time_ns()))
    disk.write_durably(path, identity.encode())
    disk.sync_directory(data_directory.parent)
    return identity


def read_identity(disk: Disk, data_directory: Path) -> StoreIdentity:
    """Return the identity of a store that exists; `DamagedStoreError` as `open_identity`."""
    path = data_directory / IDENTITY_NAME
    if IDENTITY_NAME not in disk.list_names(data_directory):
        reason = "it is missing"
        raise DamagedStoreError(path, reason)
    return _checked(path, disk.read(path))


def _checked(path: Path, data: bytes) -> StoreIdentity:
    match unseal(data):
        case {"store_id": str(store_id), "created_at": str(at), "format_version": int(version)}:
            if version != FORMAT_VERSION:
                reason = f"format version {version}; this manifestd reads {FORMAT_VERSION}"
                raise DamagedStoreError(path, reason)
            return StoreIdentity(store_id, at, version)
    raise DamagedStoreError(path, "its sha256 does not match its bytes")
