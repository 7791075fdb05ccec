"""Places in a lifecycle file: a path of keys and indexes, and the line where it stands."""

import json
import re
from collections.abc import Mapping
from typing import Final, TypeAlias

from protocol.errors import ManifestdError

PlacePath: TypeAlias = tuple[str | int, ...]

NESTING_MAX: Final = 64  # Tables and lists in one another. Sixteen nested states need forty.
VALUES_MAX: Final = 50_000  # Keys and list items of a file: fifty for each of a thousand states.
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_PART_SHOWN_MAX: Final = 80


class FileBoundError(ManifestdError):
    """A file nests too deep or holds too much. Unlike `LifecycleError` nothing was read of it."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self.line = line
        self.reason = reason


class Places:
    """Where each value of a file stands, as far as that is known."""

    def __init__(self, lines: Mapping[PlacePath, int] | None = None) -> None:
        self._lines = lines

    def line(self, path: PlacePath) -> int | None:
        """Return the line of `path`, else of what it is part of; None without a file."""
        if self._lines is None:
            return None
        for size in range(len(path), 0, -1):
            line = self._lines.get(path[:size])
            if line is not None:
                return line
        return 1


class PlaceRecorder:
    """The lines of a file in the making, and the bounds on them."""

    def __init__(self, text: str) -> None:
        self.lines: dict[PlacePath, int] = {}
        self._text = text
        self._line = 1
        self._counted_to = 0

    def line_at(self, offset: int) -> int:
        """Return the line of `offset`; offsets only ever grow."""
        self._line += self._text.count("\n", self._counted_to, offset)
        self._counted_to = offset
        return self._line

    def record(self, path: PlacePath, line: int) -> bool:
        """Note that `path` stands on `line`; False: it had been noted before.

        Raises:
            FileBoundError: the path is too long, or the values are too many.
        """
        self.check_nesting(len(path), line)
        if path in self.lines:
            return False
        if len(self.lines) == VALUES_MAX:
            reason = f"the file holds more than {VALUES_MAX} values; split the lifecycle"
            raise FileBoundError(line, reason)
        self.lines[path] = line
        return True

    def check_nesting(self, depth: int, line: int) -> None:
        """Raise `FileBoundError` when `depth` tables and lists in one another are too many."""
        if depth > NESTING_MAX:
            raise FileBoundError(line, f"more than {NESTING_MAX} tables and lists are nested")


def dotted(path: PlacePath) -> str:
    """Return `path` as TOML spells keys: `states.A.on."*"`, and `[0]` for the first of a list."""
    said = ""
    for part in path:
        if isinstance(part, int):
            said += f"[{part}]"
            continue
        if len(part) > _PART_SHOWN_MAX:
            part = f"{part[:_PART_SHOWN_MAX]}…"  # noqa: PLW2901 - the same part, fit to be shown
        said += "." if said else ""
        said += part if _BARE_KEY.fullmatch(part) else _quoted(part)
    return said


def _quoted(key: str) -> str:
    if key.isprintable():
        return json.dumps(key, ensure_ascii=False)
    return json.dumps(key).replace("\x7f", "\\u007f")  # The one that JSON leaves as it is.
