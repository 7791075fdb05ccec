"""What is wrong with a lifecycle file, said so that an editor can jump to it."""

from collections.abc import Iterable, Sequence
from typing import Final, Literal, Self

import msgspec

from protocol.errors import ManifestdError, did_you_mean

FINDINGS_MAX: Final = 100  # Who has so many mends the first ones and asks again.
_NAME_SIZE_MAX: Final = 64  # Longer names are no misspelling of anything; comparing them is slow.
_KNOWN_SHOWN_MAX: Final = 12
_SHOWN_SIZE_MAX: Final = 80


class Finding(msgspec.Struct, frozen=True):
    """One mistake, or something doubtful (`warning`).

    `place` is the dotted path of what is meant, spelled as TOML spells keys, with `[0]` for the
    first of a list; empty for the file as a whole. `line` counts from 1; None: the lifecycle came
    from no file. `message` says what is wrong and how to mend it.
    """

    place: str
    line: int | None
    message: str
    severity: Literal["error", "warning"] = "error"

    def said(self, name: str = "") -> str:
        """Return `name:line: place: message`, without what is not known."""
        message = f"warning: {self.message}" if self.severity == "warning" else self.message
        head = ":".join(part for part in (name, str(self.line or "")) if part)
        return ": ".join(part for part in (head, self.place, message) if part)


class LifecycleError(ManifestdError):
    """A lifecycle file is wrong: all that is, together. Unlike `ChartError` it knows the lines."""

    def __init__(self, name: str, findings: Sequence[Finding]) -> None:
        super().__init__("\n".join(finding.said(name) for finding in findings))
        self.name = name
        self.findings = list(findings)

    @classmethod
    def of(cls, name: str, message: str, *, place: str = "", line: int | None = None) -> Self:
        """Return the error about one mistake."""
        return cls(name, [Finding(place, line, message)])


def shown(text: str) -> str:
    """Return `text` quoted, without control characters, and cut where it is endless."""
    if len(text) <= _SHOWN_SIZE_MAX:
        return repr(text)
    return f"{text[:_SHOWN_SIZE_MAX]!r}… ({len(text)} characters)"


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """Return the message about a `name` that does not exist, with the nearest one that does."""
    names = list(known)
    near = did_you_mean(name, names) if len(name) <= _NAME_SIZE_MAX else None
    said = f"there is no {what} {shown(name)}"
    if near is not None:
        return f"{said}; did you mean {near!r}?"
    if not names:
        return said
    more = ", …" if len(names) > _KNOWN_SHOWN_MAX else ""
    return f"{said}; known: {', '.join(names[:_KNOWN_SHOWN_MAX])}{more}"
