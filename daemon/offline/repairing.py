"""Carrying out what mends a store: everything is written beside the store's files first, then renamed.

    each Mend:  damaged bytes -> quarantine/   new content -> <file>.tmp        both durable
    at the end: <file>.tmp -> <file>, or the file goes; folder synced            one after another

Promise:  the damaged bytes lie durably in `quarantine/` before the file is touched; the file holds
          either what it held or what it is to hold, whenever this ends. Where there is no room, not
          even in that of `journal/reserve`, no file was touched, and nothing of ours is left.
Not here: which mends, in what order (`remedies.py`).
"""

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from daemon.errors import NoRoomForItError
from daemon.journal.disk import SURVIVABLE_ERRNOS, Disk
from daemon.journal.reserve import Reserve
from daemon.journal.rewriting import QUARANTINE_NAME, NoRoomToRewriteError, write_temporary
from daemon.journal.segment import temporary_path
from daemon.offline.remedy import Mend


class _Step(NamedTuple):
    """What becomes of one file: its temporary takes its place, or (False) it goes."""

    path: Path
    is_written: bool


class Repair:
    """One repair of a store. `stage` every mend, then `finish`; all calls block."""

    def __init__(self, disk: Disk, data_directory: Path) -> None:
        self.gave_up_reserve = False
        self._disk = disk
        self._directory = data_directory
        self._reserve = Reserve(disk, data_directory)
        self._reserve_size_bytes = self._reserve.held_bytes
        self._steps: list[_Step] = []
        self._kept: list[Path] = []
        self._made: list[Path] = []  # Folders.

    def stage(self, mend: Mend) -> str | None:
        """Write what `mend` needs; return where the damaged bytes are kept, from the store on.

        Raises:
            NoRoomForItError: there is no room; what was staged is removed again.
            OSError: the disk failed.
        """
        kept = None if mend.damaged is None else self._keep(mend, mend.damaged)
        self._steps.append(_Step(mend.path, mend.content is not None))
        if mend.content is not None:
            self._make_folder(mend.path.parent)
            self._write(mend.path, mend.content)
        return kept

    def finish(self) -> None:
        """Let every file be what it is to be, in the order in which they were staged."""
        for path, is_written in self._steps:
            if is_written:
                self._disk.replace(temporary_path(path), path)
            else:
                self._disk.remove(path)
            self._disk.sync_directory(path.parent)
        self._steps = []

    def _keep(self, mend: Mend, damaged: bytes) -> str:
        quarantine = self._directory / QUARANTINE_NAME
        self._make_folder(quarantine)
        name = mend.kept_name(str(mend.path.relative_to(self._directory)))
        path = quarantine / name
        if name not in self._disk.list_names(quarantine):  # Else an earlier repair kept it.
            self._kept.append(path)
        self._write(path, damaged)
        self._disk.replace(temporary_path(path), path)
        self._disk.sync_directory(quarantine)
        return f"{QUARANTINE_NAME}/{name}"

    def _make_folder(self, folder: Path) -> None:
        inside = [one for one in (folder, *folder.parents) if one.is_relative_to(self._directory)]
        for one in inside[-2::-1]:
            if one.name not in self._disk.list_names(one.parent):
                self._made.append(one)
        try:
            self._disk.make_directory(folder)
        except OSError as error:
            self._without_room(error)
            self._disk.make_directory(folder)
        for one in inside:
            self._disk.sync_directory(one)

    def _write(self, path: Path, content: bytes) -> None:
        while True:
            try:
                write_temporary(self._disk, path, content)
            except NoRoomToRewriteError as error:
                self._without_room(error.cause)
            except OSError as error:  # Of the open: a name takes room, too.
                self._without_room(error)
            else:
                return

    def _without_room(self, cause: OSError) -> None:
        """Give the reserve up; where that was done before, clear away and raise."""
        if cause.errno not in SURVIVABLE_ERRNOS:
            raise cause
        if self._reserve.release():
            self.gave_up_reserve = True
            return
        for path in (*self._kept, *(temporary_path(step.path) for step in self._steps)):
            self._disk.remove(path)
            with suppress(FileNotFoundError):  # Its folder could not be made.
                self._disk.sync_directory(path.parent)
        for folder in reversed(self._made):
            if folder.is_dir():
                folder.rmdir()
                self._disk.sync_directory(folder.parent)
        if self.gave_up_reserve:
            Reserve(self._disk, self._directory, self._reserve_size_bytes).ensure()
        outcome = (
            "no file was changed. Free some room and run the same command again: it takes what the "
            "damaged files take, twice"
        )
        raise NoRoomForItError(f"to repair {self._directory}", cause, outcome) from cause
