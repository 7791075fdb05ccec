"""Progress of an operation that takes long: what is broadcast as `progress/<operation>` (design 10).

    start  { stage-start  progress*  stage-complete }*  complete | error

Promise:  within one operation `overall_progress` and `elapsed_ms` never go back; the first event is
          `start`, the last one `complete` or `error`. These are always sent; what comes between at
          most every 50 ms, and what is held back is not made up for: the next event says more.
Assume:   each stage is an equal part of the whole. Which part really takes longest depends on the
          machine, and a wrong guess would look just as even. A reporter tells of one operation at a
          time, from one thread at a time; its sink is called on that thread.
Not here: clocks (they are handed in), and where events go (`daemon.progress`, `manifestctl`).
"""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple

import msgspec

from protocol.events import timestamp

INTERVAL_NS: Final = 50_000_000  # Between two events; a screen shows no more than 20 a second.
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


FORMS: Final = (
    "auto",
    "none",
    "text",
    "json",
)  # What a command line offers; `auto`: if a terminal.
_LAST: Final = (ProgressType.COMPLETE, ProgressType.ERROR)


def progress_output(event: ProgressEvent, form: str, *, is_terminal: bool) -> str:
    """Return what to write for the event in one of `FORMS`; text is one line, written over."""
    if form == "json":
        return f"{msgspec.json.encode(event).decode()}\n"
    if form == "text" or (form == "auto" and is_terminal):
        return f"\r\x1b[K{progress_text(event)}" + ("\n" if event.type in _LAST else "")
    return ""


ProgressSink = Callable[[ProgressEvent], None]


class Clock(NamedTuple):
    """Two clocks in nanoseconds: the time of day, and one that is never set."""

    wall_ns: Callable[[], int]
    monotonic_ns: Callable[[], int]


class ProgressReporter:
    """Tells `sink` how far an operation is."""

    def __init__(self, sink: ProgressSink, clock: Clock) -> None:
        self._sink = sink
        self._clock = clock
        self._operation = ""
        self._stages: Sequence[str] = ()
        self._stage: str | None = None
        self._fraction = 0.0
        self._overall = 0.0
        self._started_ns = 0
        self._sent_ns = 0

    def start(self, operation: str, stages: Sequence[str], **metadata: object) -> None:
        """Begin `operation`, whose stages will come in this order; some may be left out."""
        self._operation, self._stages = operation, stages
        self._stage, self._fraction, self._overall = None, 0.0, 0.0
        self._started_ns = self._clock.monotonic_ns()
        self._send(ProgressType.START, metadata)

    @property
    def stage_name(self) -> str | None:
        """The stage that runs; None before the first one and after the last."""
        return self._stage

    def stage(self, name: str, **metadata: object) -> None:
        """Begin the stage `name`; the one before it is complete."""
        assert name in self._stages
        self._end_stage()
        self._stage, self._fraction = name, 0.0
        self._send_sometimes(ProgressType.STAGE_START, metadata)

    def progress(self, fraction: float, **metadata: object) -> None:
        """Tell how much of the stage is done, from 0 to 1; it never goes back."""
        self._fraction = max(self._fraction, min(fraction, 1.0))
        self._send_sometimes(ProgressType.PROGRESS, metadata)

    def complete(self, **metadata: object) -> None:
        """End the operation well."""
        self._end_stage()
        self._stage, self._fraction, self._overall = None, 1.0, 1.0
        self._send(ProgressType.COMPLETE, metadata)

    def error(self, message: str, **metadata: object) -> None:
        """End the operation where it is; `message` says why."""
        self._send(ProgressType.ERROR, {"message": message, **metadata})

    def _end_stage(self) -> None:
        if self._stage is not None:
            self._fraction = 1.0
            self._send_sometimes(ProgressType.STAGE_COMPLETE, {})

    def _send_sometimes(self, kind: ProgressType, metadata: dict[str, Any]) -> None:
        if self._clock.monotonic_ns() - self._sent_ns >= INTERVAL_NS:
            self._send(kind, metadata)

    def _send(self, kind: ProgressType, metadata: dict[str, Any]) -> None:
        now_ns = self._sent_ns = self._clock.monotonic_ns()
        index = 0 if self._stage is None else self._stages.index(self._stage) + 1
        done = overall_progress(index, len(self._stages), self._fraction)
        self._overall = max(self._overall, done)
        self._sink(
            ProgressEvent(
                type=kind,
                operation=self._operation,
                stage=self._stage,
                stage_index=index,
                total_stages=len(self._stages),
                stage_progress=round(self._fraction, 4),
                overall_progress=self._overall,
                elapsed_ms=(now_ns - self._started_ns) // 1_000_000,
                timestamp=timestamp(self._clock.wall_ns()),
                metadata=metadata,
            )
        )
