"""Which commands a manifest has accepted: the last ones in full, older ones as fingerprints.

Promise:  a command id that was never used costs no look into the archive, however long the history;
          one that was is never taken for a new one.
Not here: the look into the archive (`directory.py`); what a repeat is answered (`results.py`).
"""

from collections.abc import Iterable
from typing import Final

from protocol.limits import REMEMBERED_COMMANDS_MAX
from protocol.snapshots import RememberedCommand, StateSnapshot

FINGERPRINTS_MAX: Final = 10_000  # Half a megabyte; whoever has more is searched each time.


class CommandMemory:
    """The accepted commands of one manifest. A fingerprint is a hash: some stand for two ids."""

    __slots__ = ("_last", "_older")

    def __init__(self, state: StateSnapshot | None) -> None:
        commands = () if state is None else state.commands
        self._last = {command.command_id: command for command in commands}
        is_whole = state is None or state.version <= REMEMBERED_COMMANDS_MAX
        self._older: set[int] | None = set() if is_whole else None

    def get(self, command_id: str) -> RememberedCommand | None:
        """Return what one of the last commands was answered."""
        return self._last.get(command_id)

    def may_be_older(self, command_id: str) -> bool:
        """Tell whether only the archive knows if a command before the last ones had this id."""
        return self._older is None or hash(command_id) in self._older

    def add(self, command: RememberedCommand) -> None:
        """Take note of an accepted command; the oldest of the last ones becomes a fingerprint."""
        if len(self._last) >= REMEMBERED_COMMANDS_MAX:
            oldest = next(iter(self._last))
            del self._last[oldest]
            if self._older is not None:
                self._older.add(hash(oldest))
                if len(self._older) > FINGERPRINTS_MAX:
                    self._older = None
        self._last[command.command_id] = command

    def learn(self, command_ids: Iterable[str]) -> None:
        """Take the fingerprints of all ids that the history has."""
        self._older = {hash(command_id) for command_id in command_ids}
