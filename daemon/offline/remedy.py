"""What can be done about a damaged file: a `Mend`, or `Lost`, which says why nothing can."""

from hashlib import sha256
from pathlib import Path
from typing import NamedTuple


class Mend(NamedTuple):
    """A file and what it is to hold (None: it goes); `source` says where that was taken from.

    `damaged` are its bytes as they are (None: there is no file); they are kept first.
    """

    path: Path
    damaged: bytes | None
    content: bytes | None
    source: str

    def kept_name(self, file: str) -> str:
        """Return the name in `quarantine/` for the damaged bytes; the same ones get it again."""
        digest = sha256(self.damaged or b"").hexdigest()[:16]
        return f"{file.replace('/', '-')[-180:]}-{digest}"


class Lost(NamedTuple):
    """A damaged file that cannot be made what it was."""

    path: Path
    reason: str


Remedy = Mend | Lost
