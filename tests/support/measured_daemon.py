"""`manifestd` that measures its loop: how long one callback took of the thread's own time.

    python -m tests.support.measured_daemon FILE FAULT --dev --data-dir DIR …

FAULT is one of `broken_daemon.FAULTS`, or `-`. At its end FILE holds a line of JSON for each stretch of at least a millisecond:
`{"ended_s": monotonic time, "took_s": CPU time of the loop's thread, "what": the callback}`.
The loop is asyncio's own, whose callbacks can be seen; what they call is the daemon's.
"""

import asyncio
import atexit
import gc
import sys
import time
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import uvloop

from daemon.command_line import main
from tests.support.broken_daemon import FAULTS

NO_FAULT: Final = "-"
LEAST_S: Final = 0.001


class Stretch(NamedTuple):
    """What the loop did without coming up for air."""

    ended_s: float
    took_s: float
    what: str


def program(file: Path, fault: str = NO_FAULT) -> tuple[str, ...]:
    """Return what Python has to run for a daemon that writes its stretches to `file`."""
    assert fault == NO_FAULT or fault in FAULTS
    return ("-m", "tests.support.measured_daemon", str(file), fault)


def stretches(file: Path) -> list[Stretch]:
    """Return what a daemon that has ended wrote."""
    return [msgspec.json.decode(line, type=Stretch) for line in file.read_bytes().splitlines()]


def measure(file: Path) -> None:
    """Measure every callback of every loop from now on."""
    found: list[Stretch] = []
    real = asyncio.Handle._run  # noqa: SLF001 (where a loop runs a callback)

    def run(handle: Any) -> None:  # noqa: ANN401
        """Run it and look at the clock before and after."""
        what = handle._callback  # noqa: SLF001
        begun_s = time.thread_time()
        real(handle)
        took_s = time.thread_time() - begun_s
        if took_s >= LEAST_S:
            found.append(Stretch(time.monotonic(), took_s, repr(what)[:200]))

    def write() -> None:
        """Write what was found."""
        file.write_bytes(b"".join(msgspec.json.encode(one) + b"\n" for one in found))

    setattr(asyncio.Handle, "_run", run)  # noqa: B010
    setattr(uvloop, "new_event_loop", asyncio.new_event_loop)  # noqa: B010
    atexit.register(write)


if __name__ == "__main__":
    measure(Path(sys.argv.pop(1)))
    if (named := sys.argv.pop(1)) != NO_FAULT:
        FAULTS[named]()
    gc.freeze()  # What is imported is no work of the daemon's.
    sys.exit(main())
