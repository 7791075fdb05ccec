"""The door: the names by which peers find the daemon's sockets, taken away and given back.

Promise:  while it is closed, who connects is refused at once (ENOENT, as before a daemon starts: libzmq's
          clients try again by themselves). Who is connected notices nothing. A name that somebody
          else has taken meanwhile stays his.
Assume:   Linux: a socket is found by its inode, whatever name that has.
"""

import logging
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

log: Final = logging.getLogger(__name__)

CLOSED_SUFFIX: Final = ".full"


class Door:
    """The names at `paths`. Any one thread at a time may use it."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._names = [(Path(path), Path(path + CLOSED_SUFFIX)) for path in paths]
        self.is_open = True

    def close(self) -> None:
        """Let nobody in any more."""
        if self.is_open:
            self.is_open = False
            for name, kept in self._names:
                with suppress(FileNotFoundError):  # Somebody has removed it.
                    name.rename(kept)

    def open(self) -> None:
        """Let people in again; where that fails, the next call tries again.

        Raises:
            OSError: there is no room for a name.
        """
        if not self.is_open:
            for name, kept in self._names:
                try:
                    name.hardlink_to(kept)
                except FileNotFoundError:
                    continue  # Somebody has removed it, or it was opened by a call that failed then.
                except FileExistsError:
                    log.warning("%s was taken by another process while nobody could connect", name)
                kept.unlink()
            self.is_open = True
