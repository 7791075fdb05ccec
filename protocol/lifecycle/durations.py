"""Delays as people write them: `14d`, `1d12h`, `30m`, `10s`, `250ms`."""

import re
from typing import Final

from protocol.errors import ManifestdError

_UNITS_MS: Final = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_DURATION: Final = re.compile(
    r"(?=\d)(?:(\d{1,6})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m(?!s))?(?:(\d{1,9})s)?(?:(\d{1,12})ms)?",
    re.ASCII,
)


class DurationError(ManifestdError):
    """A text is no delay; whether a delay is too short or too long is for others to say."""

    def __init__(self, text: str) -> None:
        super().__init__(
            f"{text!r} is no delay; write days, hours, minutes, seconds, milliseconds "
            f"in this order, such as 14d, 1d12h or 250ms"
        )
        self.text = text


def parse_duration(text: str) -> int:
    """Return the milliseconds that `text` stands for; `DurationError` when it is no delay."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise DurationError(text)
    return sum(
        int(number) * unit_ms
        for number, unit_ms in zip(found.groups(), _UNITS_MS.values(), strict=True)
        if number is not None
    )


def format_duration(delay_ms: int) -> str:
    """Return `delay_ms` milliseconds as a person would write them, the largest units first."""
    parts = []
    rest = delay_ms
    for unit, unit_ms in _UNITS_MS.items():
        number, rest = divmod(rest, unit_ms)
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts) or "0ms"
