"""The end of a store's life: what is left is archived, and the mark says that nothing else is.

Promise:  the mark is written only where journal and archive are drained. An end without it is no
          loss, only a slower start.
"""

import logging
from collections.abc import Callable
from pathlib import Path

from aiofiles.os import wrap

from daemon.archive.archiver import Archiver
from daemon.archive.housekeeping import Housekeeping
from daemon.archive.writer import NoRoomError
from daemon.errors import DaemonError, DiskFailedError
from daemon.journal.checkpoint import BatchEnd
from daemon.journal.clean import mark_clean
from daemon.journal.disk import Disk
from daemon.journal.reserve import Reserve

log = logging.getLogger(__name__)


async def finish(
    disk: Disk,
    data_directory: Path,
    archiver: Archiver,
    housekeeping: Housekeeping,
    reserve: Reserve,
    end: Callable[[], BatchEnd],
    on_failed: Callable[[DaemonError], None],
) -> None:
    """Archive what the closed journal holds, in the reserve's room where there is no other."""
    try:
        try:
            await archiver.archive_now()
        except NoRoomError:
            await wrap(reserve.release)()
            await archiver.archive_now()
    except OSError as error:
        what = "giving the room of journal/reserve back"
        on_failed(DiskFailedError(what, error))
        return
    except NoRoomError as error:
        log.warning("no room to archive the last events: %s; start-up will do it", error)
        return
    except DaemonError:
        return  # The archiver called `on_failed`.
    try:
        await housekeeping.finish()
    except DaemonError:
        return  # Likewise.
    try:
        await wrap(mark_clean)(disk, data_directory, end())
    except OSError as error:
        log.warning("cannot write the mark of a clean end: %s; start-up recovers", error)
