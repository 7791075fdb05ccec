"""Where a manifest's own folder is.

    manifests/3f/io.github.acme%2Fecho@1.0.0/events.log     its events, JSON Lines, append-only
                                            /state.json     its snapshot

`3f` is the start of sha256(id). The id is percent-encoded into one part of a path; over 180 bytes
it is cut there and ends in `~` and the sha256 of the whole id: `~` occurs in no id, so a cut name
meets no other one, and 245 bytes fit where a file system takes 255.
"""

import hashlib
import os
from functools import lru_cache
from pathlib import Path
from typing import Final

from protocol.identifiers import quote_id

MANIFESTS_NAME: Final = "manifests"
QUARANTINE_NAME: Final = "quarantine"
LOG_NAME: Final = "events.log"
STATE_NAME: Final = "state.json"
LOG_TEMPORARY_NAME: Final = "events.log.tmp"
STATE_TEMPORARY_NAME: Final = "state.json.tmp"
NAME_SIZE_MAX: Final = 180  # Bytes of a quoted id that stay readable; see above.


class Layout:
    """Paths in one data directory; as text where many are needed: to join it costs a tenth."""

    def __init__(self, data_directory: Path) -> None:
        self.manifests = data_directory / MANIFESTS_NAME
        self.quarantine = data_directory / QUARANTINE_NAME
        self._prefixes = _prefixes(self.manifests)

    def folder(self, manifest_id: str) -> Path:
        """Return the path of a manifest's own folder."""
        return Path(self.folder_text(manifest_id))

    def folder_text(self, manifest_id: str) -> str:
        """Return the path of a manifest's own folder, as text."""
        digest = hashlib.sha256(manifest_id.encode())
        name = quote_id(manifest_id)
        if len(name) > NAME_SIZE_MAX:
            name = f"{name[:NAME_SIZE_MAX]}~{digest.hexdigest()}"
        return self._prefixes[digest.digest()[0]] + name

    def log(self, manifest_id: str) -> Path:
        """Return the path of a manifest's `events.log`."""
        return self.folder(manifest_id) / LOG_NAME

    def state(self, manifest_id: str) -> Path:
        """Return the path of a manifest's `state.json`."""
        return self.folder(manifest_id) / STATE_NAME


@lru_cache(maxsize=4)
def _prefixes(manifests: Path) -> list[str]:
    """Return the 256 folders below `manifests`; every part of one store asks for the same."""
    return [f"{manifests / f'{number:02x}'}{os.sep}" for number in range(256)]
