"""`manifestd` whose journal waits in every sync for as long as a test likes.

    python -m tests.support.held_daemon FOLDER FAULT --dev --data-dir DIR …

While `FOLDER/hold` is there, a sync waits until somebody opens `FOLDER/gate`, a fifo, for writing.
FAULT is one of `broken_daemon.FAULTS`, or `-`.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from daemon.command_line import main
from daemon.journal import disk
from tests.support.broken_daemon import FAULTS

HOLD: Final = "hold"
GATE: Final = "gate"
NO_FAULT: Final = "-"


def program(folder: Path, fault: str = NO_FAULT) -> tuple[str, ...]:
    """Return what Python has to run for a daemon that `held` in `folder` holds."""
    assert fault == NO_FAULT or fault in FAULTS
    return ("-m", "tests.support.held_daemon", str(folder), fault)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold every sync that begins in the block until its end."""
    os.mkfifo(folder / GATE)
    (folder / HOLD).touch()
    try:
        yield
    finally:
        (folder / HOLD).unlink()
        # Read and write, so that it opens also where nobody waits, and whoever waits is let go.
        descriptor = os.open(folder / GATE, os.O_RDWR)
        os.write(descriptor, b"x" * 64)
        os.close(descriptor)


def hold_syncs(folder: Path) -> None:
    """Make the journal's syncs wait at the gate."""
    real = disk._OperatingSystemFile.sync  # noqa: SLF001 (the point of it)

    def sync(file: Any) -> None:  # noqa: ANN401
        """Wait, then sync."""
        if (folder / HOLD).exists():
            with (folder / GATE).open("rb", buffering=0) as gate:
                gate.read(1)
        real(file)

    setattr(disk._OperatingSystemFile, "sync", sync)  # noqa: B010, SLF001


if __name__ == "__main__":
    hold_syncs(Path(sys.argv.pop(1)))
    if (named := sys.argv.pop(1)) != NO_FAULT:
        FAULTS[named]()
    sys.exit(main())
