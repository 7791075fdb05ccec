"""A file that remembers the seq of the last event that was handled.

Promise:  it holds the old seq or the new one, never half of one: a new file takes its place.
          It is written after the event was handled, so after a crash that event comes again:
          at least once, never not at all.
"""

from pathlib import Path

from manifestctl.session import UsageError


class Cursor:
    """The cursor in the file `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> int | None:
        """Return the stored seq; None when there is no file yet.

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
        if not (text.isascii() and text.isdigit()):
            message = f"the cursor {self._path} holds {text[:40]!r} and no seq; mend or remove it"
            raise UsageError(message)
        return int(text)

    def write(self, seq: int) -> None:
        """Store `seq`."""
        beside = self._path.with_name(f"{self._path.name}.new")
        try:
            beside.write_text(f"{seq}\n")
            beside.replace(self._path)
        except OSError as error:
            message = f"cannot write the cursor {self._path}: {error.strerror}"
            raise UsageError(message) from error
