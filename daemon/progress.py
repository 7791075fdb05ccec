"""Where progress goes: to the PUB socket, the service manager, a terminal; and recovery's own.

Not here: what an event holds and when it is worth sending (`protocol.progress`).
"""

import asyncio
import sys
import time
from pathlib import Path
from typing import Final

import msgspec

from actors.ports import Publisher
from daemon.journal.disk import OperatingSystemDisk
from daemon.journal.segment import JOURNAL_NAME, segment_first
from daemon.readiness import ServiceManager
from protocol.progress import (
    Clock,
    ProgressEvent,
    ProgressReporter,
    ProgressSink,
    progress_output,
    progress_text,
    progress_topic,
)

RECOVERY: Final = "recovery"
RECOVERY_STAGES: Final = ("index", "journal", "manifests")
VERIFY: Final = "verify"


def terminal_reporter(form: str) -> ProgressReporter:
    """Return a reporter that writes to standard error, in one of `protocol.progress.FORMS`."""

    def sink(event: ProgressEvent) -> None:
        sys.stderr.write(progress_output(event, form, is_terminal=sys.stderr.isatty()))
        sys.stderr.flush()

    return ProgressReporter(sink, Clock(time.time_ns, time.monotonic_ns))


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
