"""The file system that the measured store is on: which it is, and a fresh part of it."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

DISK: Final = Path("/var/tmp")  # noqa: S108 (what is there survives a restart, says the FHS)
MEMORY_FILESYSTEMS: Final = frozenset({"tmpfs", "ramfs"})

_GET_FLAGS: Final = 0x8008_6601  # FS_IOC_GETFLAGS and FS_IOC_SETFLAGS (ioctl_iflags(2)).
_SET_FLAGS: Final = 0x4008_6602
_TOP_OF_HIERARCHY: Final = 0x0002_0000  # FS_TOPDIR_FL, `chattr +T`.


def filesystem_of(path: Path, mounts: str | None = None) -> str:
    """Return the type of the file system that holds `path`, such as `ext4`.

    `mounts` is the text of /proc/self/mounts (proc(5)).
    """
    text = Path("/proc/self/mounts").read_text() if mounts is None else mounts
    resolved = path.resolve()
    depth, kind = -1, "unknown"
    for line in text.splitlines():
        _, point, filesystem, *_ = line.split(" ")
        folder = Path(point.replace("\\040", " "))
        # Of two mounts at one point the later one is seen.
        if resolved.is_relative_to(folder) and len(folder.parts) >= depth:
            depth, kind = len(folder.parts), filesystem
    return kind


def spread_subfolders(folder: Path) -> None:
    """Ask for another part of the disk for each folder in `folder`; where that fails it may not be.

    ext4 passes over inodes that were freed in the last minutes, one by one. Where an earlier run
    removed its files, a new one costs 400 us instead of 100 (measured), and none of it is ours.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):  # Not ext4, or not allowed.
            flags = bytearray(8)
            fcntl.ioctl(descriptor, _GET_FLAGS, flags)
            changed = int.from_bytes(flags, "little") | _TOP_OF_HIERARCHY
            fcntl.ioctl(descriptor, _SET_FLAGS, changed.to_bytes(8, "little"))
    finally:
        os.close(descriptor)
