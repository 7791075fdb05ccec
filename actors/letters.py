"""What lies in a mailbox: a write on its way, and who wants to know how it ends."""

from collections.abc import Callable

import msgspec

from protocol.commands import Write
from protocol.errors import CommandError
from protocol.events import CommittedEvent, NewEvent
from protocol.principals import Peer, Principal

Answer = Callable[[msgspec.Struct | CommandError], None]


class Letter:
    """Who sent it, what, and what was decided."""

    __slots__ = (
        "answer",
        "digest",
        "document",
        "event",
        "peer",
        "principal",
        "request",
        "subject",
        "urn",
    )

    def __init__(self, request: Write, peer: Peer, answer: Answer) -> None:
        self.request = request
        self.peer = peer
        self.answer = answer
        self.principal: Principal | None = None
        self.subject: CommittedEvent | None = None  # The event that a `redact` is about.
        self.document: bytes | None = None  # The canonical form of the request's, if it has one.
        self.digest = ""
        self.event: NewEvent | None = None
        self.urn: str | None = None  # Reserved, or being reserved, for this letter.

    def decided(self, event: NewEvent) -> None:
        """Take note of the event that the command causes, and of the URN that it takes."""
        self.event = event
        self.urn = event.core.urn

    def take_answer(self) -> Answer:
        """Return whom to answer; from then on the letter is answered, and later answers are lost."""
        answer, self.answer = self.answer, _nobody
        return answer


def _nobody(_outcome: msgspec.Struct | CommandError) -> None:
    """Take the answers after the first one."""
