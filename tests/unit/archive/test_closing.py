"""The mark of a clean end is written last, and only where nothing failed before."""

import errno
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from daemon.archive.closing import finish
from daemon.errors import DaemonError, DiskFailedError
from daemon.journal.checkpoint import BatchEnd
from daemon.journal.clean import has_clean
from daemon.journal.reserve import Reserve
from tests.support.faulty_disk import FaultyDisk

if TYPE_CHECKING:
    from daemon.archive.archiver import Archiver
    from daemon.archive.housekeeping import Housekeeping

DATA = Path("/data")
FAILED = DiskFailedError("redacting", OSError(errno.EIO, "broken"))


class Behind:
    """What works behind the journal: it does as it is told, or fails at one step."""

    def __init__(self, fails_at: str) -> None:
        self._fails_at = fails_at
        self.steps: list[str] = []

    def _step(self, name: str) -> None:
        self.steps.append(name)
        if name == self._fails_at:
            raise FAILED

    async def archive_now(self) -> None:
        """See `Archiver`."""
        self._step("archive")

    async def finish(self) -> None:
        """See `Housekeeping`."""
        self._step("redact")


@pytest.mark.parametrize(
    ("fails_at", "steps", "is_clean"),
    [
        ("", ["archive", "redact"], True),
        ("archive", ["archive"], False),
        ("redact", ["archive", "redact"], False),
    ],
)
async def test_an_end_is_clean_where_all_of_it_worked(
    fails_at: str, steps: list[str], *, is_clean: bool
) -> None:
    disk, behind = FaultyDisk(), Behind(fails_at)
    disk.make_directory(DATA)
    failures: list[DaemonError] = []

    await finish(
        disk,
        DATA,
        cast("Archiver", behind),
        cast("Housekeeping", behind),
        Reserve(disk, DATA, 0),
        lambda: BatchEnd(1, b"h"),
        failures.append,
    )

    assert behind.steps == steps
    assert has_clean(disk, DATA) == is_clean
    assert failures == []  # The archiver says what failed.
