"""What redactions cannot reach in the store: the damaged bytes that repairs kept."""

from pathlib import Path

from daemon.archive.layout import QUARANTINE_NAME
from daemon.journal.disk import Disk


def quarantine_warning(disk: Disk, data_directory: Path) -> str | None:
    """Return the remark that `quarantine/` may hold what was redacted; None where it is empty.

    Raises:
        OSError: the disk failed. That it is no folder of ours is said in the remark.
    """
    try:
        kept = disk.list_names(data_directory / QUARANTINE_NAME)
    except (NotADirectoryError, PermissionError) as error:
        return (
            f"{QUARANTINE_NAME}/, which may hold what was redacted, cannot be looked into: "
            f"{error.strerror}"
        )
    if not kept:
        return None
    return (
        f"{QUARANTINE_NAME}/ may hold what was redacted ({len(kept)} files): look, then remove them"
    )
