"""What clients asked of each manifest and were answered, as operations on its version.

A command that was sent several times is one operation: from the first sending to the first "ok".
Each conflict that it was told of besides is one, too. Without any "ok" it may have happened at any
time since, if ever: then the journal says which version it made.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from tests.support.linearizability import Kind, Operation, check


class _Command:
    def __init__(self, start: float, expected: int | None) -> None:
        self.start = start
        self.expected = expected
        self.end: float | None = None
        self.version: int | None = None


class History:
    """Operations by manifest."""

    def __init__(self) -> None:
        self._commands: dict[str, dict[str, _Command]] = defaultdict(dict)
        self._others: dict[str, list[Operation]] = defaultdict(list)

    def asked(self, manifest_id: str, body_id: str, now: float, expected: int | None) -> None:
        """A client sent a write."""
        self._commands[manifest_id].setdefault(body_id, _Command(now, expected))

    def accepted(self, manifest_id: str, body_id: str, now: float, version: int) -> None:
        """A client was told that its write made `version`."""
        command = self._commands[manifest_id][body_id]
        if command.version is None:
            command.end, command.version = now, version

    def conflicted(
        self, manifest_id: str, start: float, end: float, expected: int, actual: int
    ) -> None:
        """A client was told that the manifest was at version `actual`, not `expected`."""
        operation = Operation(
            manifest_id, Kind.WRITE, start, end, expected, actual, is_refused=True
        )
        self._others[manifest_id].append(operation)

    def was_read(self, manifest_id: str, start: float, end: float, version: int) -> None:
        """A client was shown `version`; 0: that there is no such manifest."""
        operation = Operation(manifest_id, Kind.READ, start, end, observed=version)
        self._others[manifest_id].append(operation)

    def operations(
        self, manifest_id: str, facts: Mapping[str, int], fired: Sequence[int]
    ) -> list[Operation]:
        """Return what happened to one manifest.

        `facts`: the version that each body made which became an event; a body that was never
        answered and is not among them did not happen. `fired`: the versions that timers made.
        """
        writes = [
            Operation(manifest_id, Kind.WRITE, one.start, one.end, one.expected, version)
            for body_id, one in self._commands[manifest_id].items()
            if (version := one.version or facts.get(body_id)) is not None
        ]
        timers = [Operation(manifest_id, Kind.WRITE, 0, None, None, one) for one in fired]
        return writes + timers + self._others[manifest_id]

    def why_not(self, facts: Mapping[str, int], fired: Mapping[str, Sequence[int]]) -> str | None:
        """Return why the history of a manifest is not linearizable; None when all of them are."""
        known = self._commands.keys() | self._others.keys()
        return check(
            operation
            for manifest_id in sorted(known)
            for operation in self.operations(manifest_id, facts, fired.get(manifest_id, ()))
        )
