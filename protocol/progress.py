"""Progress of an operation that takes long: what is broadcast as `progress/<operation>` (design 10).

    start  { stage-start  progress*  stage-complete }*  complete | error

Promise:  within one operation `overall_progress` and `elapsed_ms` never go back; the first event is
          `start`, the last one `complete` or `error`.
Assume:   each stage is an equal part of the whole. Which part really takes longest depends on the
          machine, and a wrong guess would look just as even.
Not here: when an event is worth sending (`daemon.progress`).
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

import msgspec

TOPIC_PREFIX: Final = "progress/"


class ProgressType(StrEnum):
    """What a progress event says."""

    START = "start"
    STAGE_START = "stage-start"
    PROGRESS = "progress"
    STAGE_COMPLETE = "stage-complete"
    COMPLETE = "complete"
    ERROR = "error"


class ProgressEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One message about an operation.

    `stage_index` counts from 1; it is 0, and `stage` None, outside of every stage. Both kinds of
    progress are from 0 to 1. `elapsed_ms` is since `start`, `timestamp` RFC 3339 in UTC.
    """

    type: ProgressType
    operation: str
    stage: str | None
    stage_index: int
    total_stages: int
    stage_progress: float
    overall_progress: float
    elapsed_ms: int
    timestamp: str
    metadata: Mapping[str, Any]


def progress_topic(operation: str) -> bytes:
    """Return the topic that an operation's progress is published under."""
    return f"{TOPIC_PREFIX}{operation}".encode()


def overall_progress(stage_index: int, total_stages: int, stage_progress: float) -> float:
    """Return how much of the whole is done when stage `stage_index` (from 1) is so far."""
    if not stage_index or not total_stages:
        return 0.0
    return round((stage_index - 1 + stage_progress) / total_stages, 4)


def progress_text(event: ProgressEvent) -> str:
    """Return the event in one line, for a person who waits."""
    if event.type is ProgressType.ERROR:
        return f"{event.operation} failed: {event.metadata.get('message', 'no reason given')}"
    if event.type is ProgressType.COMPLETE:
        return f"{event.operation} complete after {event.elapsed_ms / 1000:.1f} s"
    stage = "" if event.stage is None else f" ({event.stage})"
    return f"{event.operation} {event.overall_progress:.0%}{stage}"
