"""`manifestd` with segments of 4 KiB, so that a short script rolls the journal over.

    python -m tests.support.small_daemon [short-write=N | short-write=N+] --dev --data-dir DIR …

`short-write=N`: the N-th write to the store takes half of its bytes, and what would take the rest is
refused with ENOSPC, as a file system does that fills up; with `+` so are all writes after it.
"""

import errno
import os
import sys
from typing import Final

from daemon.command_line import main
from daemon.journal import disk

PROGRAM: Final = ("-m", "tests.support.small_daemon")
SEGMENT_SIZE_BYTES: Final = 4096


class FillingUp:
    """The module `os` for the disk, but for `write`."""

    def __init__(self, when: str) -> None:
        self._at = int(when.removesuffix("+"))
        self._is_persistent = when.endswith("+")
        self._writes = 0

    def __getattr__(self, name: str) -> object:
        return getattr(os, name)

    def write(self, descriptor: int, data: bytes) -> int:
        """Write what there is room for."""
        self._writes += 1
        if self._writes == self._at:
            return os.write(descriptor, data[: max(1, len(data) // 2)])
        if self._writes == self._at + 1 or (self._is_persistent and self._writes > self._at):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return os.write(descriptor, data)


if __name__ == "__main__":
    os.environ["MANIFESTD_STORE__SEGMENT_BYTES"] = str(SEGMENT_SIZE_BYTES)
    if sys.argv[1].startswith("short-write="):
        filling = FillingUp(sys.argv.pop(1).removeprefix("short-write="))
        setattr(disk, "os", filling)  # noqa: B010
    sys.exit(main())
