"""What `verify` and `fsck` found: a list of findings, notes, figures; as text or as JSON.

A finding is damage (exit 70). A note is what an operator may want to know and a start mends by
itself: a tail that a power cut tore, an archive that lags because the daemon was killed.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec


class Finding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One damage: `file` from the data directory on, `line` from 1, `offset` in bytes from 0."""

    file: str
    reason: str
    line: int | None = None
    seq: int | None = None
    offset: int | None = None

    def text(self) -> str:
        """Return it as one line."""
        place = "".join(
            f", {what} {number}"
            for what, number in (("line", self.line), ("seq", self.seq), ("byte", self.offset))
            if number is not None
        )
        return f"{self.file}{place}: {self.reason}"


class Report:
    """Everything that was found, in the order in which it was."""

    def __init__(self, data_directory: Path) -> None:
        self.findings: list[Finding] = []
        self.notes: list[str] = []
        self.figures: dict[str, Any] = {}
        self._directory = data_directory
        self._damaged: set[str] = set()

    def find(
        self,
        path: Path,
        reason: str,
        *,
        line: int | None = None,
        seq: int | None = None,
        offset: int | None = None,
    ) -> None:
        """Add a damage of `path`, a file in the data directory."""
        name = self.name(path)
        self._damaged.add(name)
        self.findings.append(Finding(file=name, reason=reason, line=line, seq=seq, offset=offset))

    def name(self, path: Path) -> str:
        """Return `path` as a report names it."""
        return str(path.relative_to(self._directory))

    def is_damaged(self, path: Path) -> bool:
        """Whether anything was found in `path`."""
        return self.name(path) in self._damaged

    def as_json(self) -> dict[str, Any]:
        """Return everything as members of a JSON object."""
        return {
            "ok": not self.findings,
            **self.figures,
            "findings": self.findings,
            "notes": self.notes,
        }

    def figure_lines(self) -> Iterator[str]:
        """Yield the figures, one line each."""
        width = max(map(len, self.figures), default=0)
        for name, value in self.figures.items():
            if value is not None:
                words = {True: "yes", False: "no"} if isinstance(value, bool) else {}
                yield f"{name:<{width}}  {words.get(value, value)}"
