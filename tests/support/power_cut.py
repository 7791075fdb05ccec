"""A disk whose power can be cut: a file system on a loop device, and one ioctl.

    LoopDisk("ext4") -> mount -> ... cut() -> remount -> what was synced is there, and nothing else
                                                         has to be

Promise:  `cut` keeps everything that was not yet written from ever being: the file system is shut
          down without flushing even its own log (man 2 ioctl_xfs_goingdown; ext4 has the same one).
Assume:   root, a free loop device. Nothing has the file system open when it is remounted.
Not here: a disk that loses what it said was safe.
"""

import fcntl
import os
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Final, Self

GOING_DOWN: Final = 0x8004587D  # _IOR('X', 125, __u32)
WITHOUT_FLUSH: Final = 2  # XFS_FSOP_GOING_FLAGS_NOLOGFLUSH
SIZE_BYTES: Final = {"ext4": 96 << 20, "xfs": 320 << 20}  # mkfs.xfs refuses less than 300 MiB.


def why_not(file_system: str) -> str | None:
    """Return what this machine lacks for a `LoopDisk` of `file_system`; None when it has all."""
    if os.geteuid() != 0:
        return "mounting takes root"
    for program in (f"mkfs.{file_system}", "losetup", "mount", "umount"):
        if shutil.which(program) is None:
            return f"there is no {program}"
    if subprocess.run(["losetup", "--find"], capture_output=True, check=False).returncode != 0:
        return "there is no free loop device"
    try:
        with LoopDisk(file_system):
            return None
    except subprocess.CalledProcessError as error:
        return f"a loop device cannot be mounted: {error.stderr.decode().strip()}"


class LoopDisk:
    """A new, empty file system in a file, mounted on `mount_point` while in use."""

    def __init__(self, file_system: str) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="md-disk-"))
        self._image = self._folder / "image"
        self._file_system = file_system
        self.mount_point = self._folder / "mnt"

    def __enter__(self) -> Self:
        try:
            with self._image.open("wb") as image:
                image.truncate(SIZE_BYTES[self._file_system])
            _run(f"mkfs.{self._file_system}", "-q", str(self._image))
            self.mount_point.mkdir()
            self._mount()
        except BaseException:
            shutil.rmtree(self._folder)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        _run("umount", str(self.mount_point))
        shutil.rmtree(self._folder)

    def cut(self) -> None:
        """Cut the power: from now on every access fails, and nothing more is written."""
        descriptor = os.open(self.mount_point, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, GOING_DOWN, struct.pack("I", WITHOUT_FLUSH))
        finally:
            os.close(descriptor)

    def remount(self) -> None:
        """Forget the page cache and mount what the disk holds, as after a reboot."""
        _run("umount", str(self.mount_point))
        self._mount()

    def _mount(self) -> None:
        _run("mount", "-o", "loop", str(self._image), str(self.mount_point))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
