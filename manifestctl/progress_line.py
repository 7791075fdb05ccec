"""Progress of what this process does itself, on standard error."""

import sys
import time
from typing import Final

from protocol.progress import Clock, ProgressEvent, ProgressReporter, progress_output

CLOCK: Final = Clock(time.time_ns, time.monotonic_ns)


def progress_reporter(form: str) -> ProgressReporter:
    """Return a reporter that writes to standard error, in one of `protocol.progress.FORMS`."""

    def sink(event: ProgressEvent) -> None:
        sys.stderr.write(progress_output(event, form, is_terminal=sys.stderr.isatty()))
        sys.stderr.flush()

    return ProgressReporter(sink, CLOCK)
