"""What needs no running daemon: `manifestd COMMAND … --data-dir DIR` on a store nobody has open.

A command is a module of this package with its name and `run(arguments) -> exit status`, and a line
in `COMMANDS`. It is imported only when it is asked for.

Promise:  what was done is done, also where nobody can be told of it: output that finds no room or no
          reader is `OutputError`, and no traceback.
Assume:   a command raises `DaemonError` for what ends it; `daemon/command_line.py` prints the
          message and ends with its exit status. Of an `OSError` it makes one, unless it is output's.
"""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final

from daemon.errors import DaemonError

# Command -> what `manifestd --help` says about it.
COMMANDS: Final[dict[str, str]] = {
    "fsck": "say what is damaged in a store and what can be rebuilt; --repair does it",
    "verify": "check every byte of a store; changes nothing",
    "restore": "make a store of a backup, in an empty directory",
    "import": "make a store of `manifestctl export --history`, in an empty directory",
}
# Where a command's name cannot be a module's.
_MODULES: Final = {"import": "importing"}


def run_command(name: str, arguments: Sequence[str]) -> int:
    """Run the offline command `name`, one of `COMMANDS`, and return its exit status."""
    module = import_module(f"daemon.offline.{_MODULES.get(name, name)}")
    try:
        status: int = module.run(list(arguments))
        sys.stdout.flush()
    except OSError as error:
        # The interpreter flushes at exit, and would complain once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise OutputError(error) from error
    return status


class OutputError(DaemonError):
    """Standard output takes no more; the command itself was carried out, or changes nothing."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(f"the output cannot be written: {cause.strerror or cause}")
