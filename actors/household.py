"""What an actor asks of the directory that it lives in: a port, so that actors can be tried alone."""

from typing import TYPE_CHECKING, Protocol

import msgspec

from actors.letters import Answer, Letter
from actors.ports import EventStore, Stamper
from actors.rules import Rules
from actors.turns import Turns
from protocol.errors import CommandError
from protocol.snapshots import StateSnapshot

if TYPE_CHECKING:
    from actors.actor import ManifestActor


class Household(Protocol):
    """What an actor asks of the directory that it lives in."""

    rules: Rules
    store: EventStore
    stamper: Stamper
    turns: Turns

    def say(self, answer: Answer, outcome: msgspec.Struct | CommandError) -> None:
        """Answer; whoever is answered and fails at it harms nobody else."""

    def turned_away(self) -> None:
        """A mailbox was full."""

    def settled(self, actor: "ManifestActor") -> None:
        """The actor has nothing to do any more."""

    def reload(self, actor: "ManifestActor") -> None:
        """The actor does not trust its state: load it again, then call `loaded`."""

    def search(self, actor: "ManifestActor", letter: Letter) -> None:
        """Look in the history for the letter's command id, and its subject; then call `found`."""

    def state_changed(self, state: StateSnapshot) -> None:
        """A committed event made `state`."""

    def state_loaded(self, state: StateSnapshot) -> None:
        """The store has `state`, whether or not its events were noticed here."""
