"""`manifestd` with small segments, which kills itself at the n-th call of a redaction.

    python -m tests.support.dying_daemon N --dev --data-dir DIR …

Counted is every system call on the store that opens, writes, syncs, renames, removes or cuts, in any
thread, from the moment on when the first `redacted` event is durable.
"""

import os
import signal
import sys
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from daemon.command_line import main
from daemon.journal import disk
from daemon.redaction.pending import Erasure, PendingErasures
from tests.support.small_daemon import SEGMENT_SIZE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

COUNTED: Final = frozenset(
    ("open", "write", "pwrite", "fsync", "fdatasync", "replace", "rename", "unlink", "ftruncate")
)


class Dying:
    """The module `os` for the disk: it ends the process instead of its `at`-th counted call."""

    def __init__(self, at: int) -> None:
        self._at = at
        self._calls = count(1)  # Thread-safe: a call of C.
        self._is_begun = False
        real: Callable[[PendingErasures, Erasure], None] = PendingErasures.add

        def add(pending: PendingErasures, erasure: Erasure) -> None:
            """Begin to count."""
            self._is_begun = True
            real(pending, erasure)

        setattr(PendingErasures, "add", add)  # noqa: B010

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 (whatever `os` has)
        found = getattr(os, name)
        if name in COUNTED and self._is_begun and next(self._calls) == self._at:
            os.kill(os.getpid(), signal.SIGKILL)
        return found


def program(at: int) -> tuple[str, ...]:
    """Return what Python has to run for a daemon that dies at that call."""
    return ("-m", "tests.support.dying_daemon", str(at))


if __name__ == "__main__":
    os.environ["MANIFESTD_STORE__SEGMENT_BYTES"] = str(SEGMENT_SIZE_BYTES)
    setattr(disk, "os", Dying(int(sys.argv.pop(1))))  # noqa: B010
    sys.exit(main())
