"""`manifestd` with the journal's fdatasync taken out: what the power-cut test has to catch.

python -m tests.support.daemon_without_sync --dev --data-dir DIR …
"""

import sys

from daemon.command_line import main
from daemon.journal import disk


def do_not_sync(_file: object) -> None:
    """Say that it is safe, as the worst of disks does."""


if __name__ == "__main__":
    setattr(disk._OperatingSystemFile, "sync", do_not_sync)  # noqa: B010, SLF001 (the point of it)
    sys.exit(main())
