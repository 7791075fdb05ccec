"""A process that appends to a journal and says what was acknowledged; made to be killed.

    python appending.py DATA_DIRECTORY [no-sync]      says "open", "ack 1", "ack 2", …, "closed"

It ends with 74 when the journal fails. With `no-sync` file syncs do nothing: the negative control.
"""

import asyncio
import os
import sys
from pathlib import Path

from daemon.errors import DaemonError
from daemon.journal.disk import AppendFile, OperatingSystemDisk
from tests.unit.journal.journals import Running, recover_from

EVENTS = 12


class NoSyncDisk(OperatingSystemDisk):
    """A disk whose open files never sync."""

    def open_append(self, path: Path, *, create: bool) -> AppendFile:
        """Open a file that says that it synced."""
        file = super().open_append(path, create=create)
        file.sync = lambda: None  # type: ignore[method-assign]
        return file


def say(text: str) -> None:
    """Write a line past every buffer."""
    os.write(1, f"{text}\n".encode())


async def append_all(disk: OperatingSystemDisk, data_directory: Path) -> None:
    """Append one event after the other, each when the one before it is durable."""
    end = recover_from(disk, data_directory).end
    running = Running(disk, end, data_directory, segment_size_bytes=4096)
    say("open")
    for seq in range(end.seq + 1, EVENTS + 1):
        await running.commit(seq)
        if running.failures:
            raise running.failures[0]
        say(f"ack {seq}")
    await running.journal.close()
    say("closed")


if __name__ == "__main__":
    try:
        asyncio.run(
            append_all(
                NoSyncDisk() if "no-sync" in sys.argv else OperatingSystemDisk(),
                Path(sys.argv[1]),
            )
        )
    except DaemonError as failure:
        say(f"failed {failure}")
        sys.exit(failure.exit_status)
