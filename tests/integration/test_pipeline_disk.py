"""A pipeline without a daemon around it: what it leaves behind when its disk fails."""

import os
from pathlib import Path

import pytest

import daemon
from daemon.errors import DiskFailedError
from protocol.errors import UnavailableError

DOCUMENT = {"name": "echo", "version": "1.0.0"}


def fail_writes_to(folder: Path) -> None:
    """Put a descriptor that cannot be written behind each that is open for a file in `folder`."""
    unwritable = os.open(os.devnull, os.O_RDONLY)
    for link in Path("/proc/self/fd").iterdir():
        if link.is_symlink() and link.resolve().parent == folder:
            os.dup2(unwritable, int(link.name))
    os.close(unwritable)


async def lose_the_disk(directory: Path) -> None:
    async with daemon.open_pipeline(directory) as pipeline:
        await pipeline.create("first", DOCUMENT, "agent")
        fail_writes_to(directory / "journal")
        with pytest.raises(UnavailableError):
            await pipeline.create("second", DOCUMENT, "agent")


async def test_after_a_failed_disk_the_directory_can_be_opened_again(tmp_path: Path) -> None:
    with pytest.raises(DiskFailedError):
        await lose_the_disk(tmp_path)

    async with daemon.open_pipeline(tmp_path) as pipeline:
        assert (await pipeline.load_state("first")).state == "DRAFT"
        await pipeline.create("second", DOCUMENT, "agent")
