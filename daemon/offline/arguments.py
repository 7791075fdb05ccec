"""What the offline commands have in common: their parser, the lock, where the store is, whose it is.

Promise:  a store that a daemon has open is not touched (`StoreLockedError`, exit 75). Whoever is root
          works as the owner of the directory: files of root's own in it would keep the daemon out.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from daemon.archive.identity import IDENTITY_NAME, refuse_unfinished
from daemon.archive.opening import LOCK_NAME
from daemon.errors import ConfigurationError, StoreLockedError, disk_errors, unusable
from daemon.journal.disk import Disk


def offline_parser(name: str, description: str, examples: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser of `manifestd NAME` with `--data-dir`; `examples` are command lines."""
    parser = argparse.ArgumentParser(
        prog=f"manifestd {name}",
        description=description,
        epilog="\n".join(["examples:", *(f"  {example}" for example in examples)]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--data-dir",
        metavar="DIR",
        type=_directory,
        required=True,
        help="the store; no daemon may have it open",
    )
    return parser


def add_output(parser: argparse.ArgumentParser) -> None:
    """Give `parser` the option `-o text|json`."""
    parser.add_argument(
        *("-o", "--output"), choices=("text", "json"), default="text", help="text is the default"
    )


def say(text: str) -> None:
    """Write a result for whoever asked: a line, or several."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


@contextmanager
def locked_store(disk: Disk, data_directory: Path) -> Iterator[None]:
    """Hold the lock of an existing store; the lock's file is not made, so that nothing changes.

    Raises:
        ConfigurationError: there is no store in `data_directory`, only a part of one that a restore
            left, or it is not ours to read.
        StoreLockedError: a daemon works on it.
        DiskFailedError: the disk failed.
    """
    become_owner(data_directory)
    names = _names(disk, data_directory)
    if not names:
        message = f"there is no store in {data_directory}; give the daemon's --data-dir"
        raise ConfigurationError(message)
    if LOCK_NAME not in names:  # No daemon ever opened this copy.
        refuse_unfinished(data_directory, names)
        if IDENTITY_NAME not in names and "journal" not in names:
            message = f"{data_directory} is no store: it has neither {IDENTITY_NAME} nor journal/"
            raise ConfigurationError(message)
        yield
        return
    with disk_errors(data_directory, f"locking {data_directory}"):
        try:
            lock = disk.lock(data_directory / LOCK_NAME)
        except BlockingIOError as error:
            raise StoreLockedError(data_directory) from error
    try:
        refuse_unfinished(data_directory, _names(disk, data_directory))
        yield
    finally:
        disk.unlock(lock)


def become_owner(data_directory: Path) -> None:
    """Go on as the owner of `data_directory`, for good, if we are root and it is not root's.

    Raises:
        ConfigurationError: we may not.
    """
    if os.geteuid() != 0 or not data_directory.is_dir():
        return
    found = data_directory.stat()
    if found.st_uid == 0:
        return
    try:
        os.setgroups([])
        os.setresgid(found.st_gid, found.st_gid, found.st_gid)
        os.setresuid(found.st_uid, found.st_uid, found.st_uid)
    except OSError as error:
        raise unusable(data_directory, error) from error


def _names(disk: Disk, data_directory: Path) -> list[str]:
    with disk_errors(data_directory, f"reading {data_directory}"):
        return disk.list_names(data_directory)


def _directory(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("a path is not empty")
    return Path(text).absolute()
