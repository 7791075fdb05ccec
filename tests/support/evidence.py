"""What clients saw of a store: what must be true of it whatever happened to the daemon since.

Promise:  everything in here was seen before the fault, or is marked as in doubt.
Not here: comparing it with the store (`store_check.py` reads files, `wire_check.py` asks).
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec


class Key(NamedTuple):
    """What makes a command one and the same in the eyes of the daemon."""

    manifest_id: str
    command_id: str


class Answer(msgspec.Struct, frozen=True):
    """The members of an acknowledgement that a retry has to repeat, and that files have to show."""

    manifest_id: str
    version: int
    seq: int
    digest: str
    state: str
    urn: str | None


@dataclass
class Evidence:
    """What clients and subscribers of one store know.

    `requests` holds every write that was sent; each is then acknowledged, refused, or in doubt.
    `read` are answers of `get`: what a reader was shown must not vanish either. `published` maps a
    seq to the line that subscribers got.
    """

    requests: dict[Key, bytes] = field(default_factory=dict)
    acknowledged: dict[Key, Answer] = field(default_factory=dict)
    refused: set[Key] = field(default_factory=set)
    read: set[Answer] = field(default_factory=set)
    published: dict[int, bytes] = field(default_factory=dict)

    @property
    def in_doubt(self) -> list[Key]:
        """The writes of which nobody knows whether they happened, oldest first."""
        return [
            key for key in self.requests if key not in self.acknowledged and key not in self.refused
        ]


def answer_of(result: dict[str, Any]) -> Answer:
    """Return what counts in the `result` of a write or of `get`."""
    return msgspec.convert(result, Answer)
