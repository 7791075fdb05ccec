"""How a long operation tells how far it is: on the PUB socket, and to the service manager.

Promise:  `start`, `complete` and `error` are always sent; what comes between at most every 50 ms,
          and what is held back is not made up for: the next event says more.
Assume:   one operation at a time per reporter, from one thread at a time. The sink is called on
          that thread.
Not here: what an event holds (`protocol.progress`).
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from actors.ports import Publisher
from daemon.journal.disk import OperatingSystemDisk
from daemon.journal.segment import JOURNAL_NAME, segment_first
from daemon.readiness import ServiceManager
from protocol.events import timestamp
from protocol.progress import (
    ProgressEvent,
    ProgressType,
    overall_progress,
    progress_text,
    progress_topic,
)

INTERVAL_NS: Final = 50_000_000  # Between two events; a screen shows no more than 20 a second.
RECOVERY: Final = "recovery"
RECOVERY_STAGES: Final = ("index", "journal", "manifests")
VERIFY: Final = "verify"

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


def published(publisher: Publisher, manager: ServiceManager | None = None) -> ProgressSink:
    """Return a sink that broadcasts, and tells the service manager; any thread may call it."""
    loop = asyncio.get_running_loop()

    def send(event: ProgressEvent) -> None:
        publisher.publish(progress_topic(event.operation), msgspec.json.encode(event))
        if manager is not None:
            manager.status(progress_text(event))

    def sink(event: ProgressEvent) -> None:
        loop.call_soon_threadsafe(send, event)

    return sink


class RecoveringDisk(OperatingSystemDisk):
    """The real disk, which tells by what start-up reads how far recovery is.

    Recovery reads the index, then each segment after the checkpoint as a whole, then the manifests
    that those are about; so its reads say where it is without a word in its own code.
    """

    def __init__(self, directory: Path, reporter: ProgressReporter) -> None:
        super().__init__()
        self._directory = directory
        self._reporter: ProgressReporter | None = reporter
        self._segment_sizes_bytes: dict[str, int] = {}
        self._read_bytes = 0
        self._manifests = 0

    def recovered(self) -> None:
        """Stop telling: from now on reads are the daemon's daily work."""
        self._reporter = None

    def read(self, path: Path, offset: int = 0, size: int = -1) -> bytes:
        """See `Disk`."""
        data = super().read(path, offset, size)
        if self._reporter is not None:
            self._tell(self._reporter, path, len(data))
        return data

    def _tell(self, reporter: ProgressReporter, path: Path, size_bytes: int) -> None:
        folder = path.relative_to(self._directory).parts[0]
        if folder == JOURNAL_NAME and segment_first(path.name) is not None:
            if reporter.stage_name != JOURNAL_NAME:
                self._segment_sizes_bytes = self._segments_from(path)
                reporter.stage(JOURNAL_NAME)
            self._read_bytes += size_bytes
            total_bytes = sum(self._segment_sizes_bytes.values())
            reporter.progress(
                self._read_bytes / max(total_bytes, 1),
                bytes=self._read_bytes,
                bytes_total=total_bytes,
            )
        elif folder in ("index", "manifests"):
            if reporter.stage_name != folder:
                reporter.stage(folder)
            if folder == "manifests":
                self._manifests += 1
                reporter.progress(0.0, manifests=self._manifests)

    def _segments_from(self, first: Path) -> dict[str, int]:
        names = self.list_names(first.parent)
        return {
            name: self.size(first.with_name(name))
            for name in names
            if name >= first.name and segment_first(name) is not None
        }
