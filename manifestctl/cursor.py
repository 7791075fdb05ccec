"""A file that remembers the last event that was handled: its seq, and the store that it is in.

    812 5d0c2a4e-7f6b-4f0e-9c6e-3a1b2c3d4e5f

A store that was restored has another id: what follows in it is not what followed in the original,
and who went on at 813 would miss events without notice. A person may write the seq alone.

Promise:  it holds the old seq or the new one, never half of one, also after a power cut: a new file,
          synced, takes its place. It is written after the event was handled, so after a crash that
          event comes again: at least once, never not at all.
"""

import re
from pathlib import Path
from typing import Final, NamedTuple

from manifestctl.durable_file import exchange
from manifestctl.session import UsageError

_CONTENT: Final = re.compile(r"([0-9]+)(?: ([0-9a-f-]{36}))?")


class Place(NamedTuple):
    """The last event that was handled; `store_id` is None where nobody said which store's."""

    seq: int
    store_id: str | None = None


class Cursor:
    """The cursor in the file `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Place | None:
        """Return what is stored; None when there is no file yet.

        Raises:
            UsageError: the file holds something else, or cannot be read.
        """
        try:
            text = self._path.read_text().strip()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            message = f"cannot read the cursor {self._path}: {error}"
            raise UsageError(message) from error
        match = _CONTENT.fullmatch(text)
        if match is None:
            message = f"the cursor {self._path} holds {text[:40]!r} and no seq; mend or remove it"
            raise UsageError(message)
        return Place(int(match[1]), match[2])

    def write(self, place: Place) -> None:
        """Store `place`."""
        content = " ".join(str(one) for one in place if one is not None) + "\n"
        try:
            exchange(self._path, content.encode())
        except OSError as error:
            message = f"cannot write the cursor {self._path}: {error.strerror}"
            raise UsageError(message) from error
