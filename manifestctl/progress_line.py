"""Progress of what this process does itself, on standard error."""

import sys
import time
from typing import Final

import msgspec

from protocol.progress import (
    Clock,
    ProgressEvent,
    ProgressReporter,
    ProgressSink,
    ProgressType,
    progress_text,
)

CLOCK: Final = Clock(time.time_ns, time.monotonic_ns)
FORMS: Final = ("auto", "none", "text", "json")
_LAST: Final = (ProgressType.COMPLETE, ProgressType.ERROR)


def progress_reporter(form: str) -> ProgressReporter:
    """Return a reporter that prints as text (one line, rewritten), as JSON lines, or nothing.

    `auto` is text where standard error is a terminal.
    """
    if form == "auto":
        form = "text" if sys.stderr.isatty() else "none"
    sinks: dict[str, ProgressSink] = {"text": _text, "json": _json, "none": _nothing}
    return ProgressReporter(sinks[form], CLOCK)


def _text(event: ProgressEvent) -> None:
    end = "\n" if event.type in _LAST else ""
    sys.stderr.write(f"\r\x1b[K{progress_text(event)}{end}")
    sys.stderr.flush()


def _json(event: ProgressEvent) -> None:
    sys.stderr.write(f"{msgspec.json.encode(event).decode()}\n")
    sys.stderr.flush()


def _nothing(_event: ProgressEvent) -> None:
    """Nobody wants to see it."""
