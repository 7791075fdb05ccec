"""Delays as a lifecycle file spells them: `14d`, `12h30m`, `250ms`."""

import re
from typing import Final

from protocol.errors import ManifestdError

DELAY_MS_MAX: Final = 10 * 365 * 86_400_000  # Ten years: who waits longer has written it wrong.
_UNITS_MS: Final = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
DELAY_PATTERN: Final = (
    r"(?=[0-9])(?:([0-9]{1,12})d)?(?:([0-9]{1,12})h)?(?:([0-9]{1,12})m(?!s))?"
    r"(?:([0-9]{1,12})s)?(?:([0-9]{1,12})ms)?"
)
_DELAY: Final = re.compile(DELAY_PATTERN)


class DelayError(ManifestdError):
    """A text is no delay, or one that is too short or too long."""


def parse_delay_ms(text: str) -> int:
    """Return the milliseconds that `text` stands for, 1 to `DELAY_MS_MAX`; `DelayError` else."""
    match = _DELAY.fullmatch(text[:80])
    if match is None or len(text) > 80:  # noqa: PLR2004
        raise DelayError(
            "a delay is written in days, hours, minutes, seconds, milliseconds, in this order: "
            "14d, 1d12h, 30m, 10s, 250ms"
        )
    counts = (int(count or 0) for count in match.groups())
    delay_ms = sum(map(int.__mul__, counts, _UNITS_MS.values()))
    if not 0 < delay_ms <= DELAY_MS_MAX:
        raise DelayError("a delay is longer than nothing and no longer than ten years (3650d)")
    return delay_ms


def format_delay(delay_ms: int) -> str:
    """Return the shortest text that `parse_delay_ms` reads as `delay_ms`."""
    said = ""
    for unit, unit_ms in _UNITS_MS.items():
        count, delay_ms = divmod(delay_ms, unit_ms)
        said += f"{count}{unit}" if count else ""
    return said
