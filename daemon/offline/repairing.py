"""Carrying out a `Mend`.

Promise:  the damaged bytes lie durably in `quarantine/` before the file is touched; the file holds
          either what it held or what it is to hold, whenever this ends.
"""

from pathlib import Path

from daemon.journal.disk import Disk
from daemon.journal.rewriting import QUARANTINE_NAME
from daemon.offline.remedy import Mend


def carry_out(disk: Disk, data_directory: Path, mend: Mend) -> str | None:
    """Do it; return where the damaged bytes are kept, from the data directory on."""
    kept = None if mend.damaged is None else _keep(disk, data_directory, mend, mend.damaged)
    folder = mend.path.parent
    if mend.content is None:
        disk.remove(mend.path)
        disk.sync_directory(folder)
        return kept
    missing = [one for one in (folder, *folder.parents) if one.is_relative_to(data_directory)]
    disk.make_directory(folder)
    disk.write_durably(mend.path, mend.content)
    for one in missing:
        disk.sync_directory(one)
    return kept


def _keep(disk: Disk, data_directory: Path, mend: Mend, damaged: bytes) -> str:
    quarantine = data_directory / QUARANTINE_NAME
    disk.make_directory(quarantine)
    disk.sync_directory(data_directory)
    name = mend.kept_name(str(mend.path.relative_to(data_directory)))
    disk.write_durably(quarantine / name, damaged)
    return f"{QUARANTINE_NAME}/{name}"
