"""A subscriber: the real script of `manifestctl`, on a SUB socket that misses and drops.

Promise (6): what it hands out is the journal, in order, without gaps and without anything twice.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from manifestctl.filters import EventFilter
from manifestctl.script import Ask, Open, Ready, Receive, ReceivedEvent, Script, Step, Subscription
from protocol.codec import decode_reply, encode_request
from protocol.errors import CommandError, CorruptError, HistoryCompactedError, UnavailableError
from protocol.principals import EVERYDAY_ROLES, Peer
from tests.simulation.world import MILLISECOND_US, SECOND_US

if TYPE_CHECKING:
    from protocol.commands import AnyRequest
    from tests.simulation.house import House
    from tests.simulation.network import Subscription as Socket

TIMEOUT_US = 250 * MILLISECOND_US


class Subscriber:
    """Follows from the first event on."""

    def __init__(self, house: "House") -> None:
        self.lines: list[bytes] = []
        self._house = house
        self._world = house.world
        self._peer = Peer(name="eve", roles=EVERYDAY_ROLES)
        self._socket: Socket | None = None
        self._turn = 0
        self._is_receiving = False
        self._script: Script
        self._world.after(0, self._begin)

    def _begin(self) -> None:
        subscription = Subscription(
            from_seq=len(self.lines) + 1, initial=False, wanted=EventFilter()
        )
        self._script = subscription.script()
        self._run(None)

    def _run(self, value: Any) -> None:  # noqa: ANN401 (what the step is answered with)
        """Carry out steps up to one that takes time."""
        self._turn += 1
        self._is_receiving = False
        while True:
            try:
                if isinstance(value, CommandError):
                    step = self._script.throw(value)
                else:
                    step = self._script.send(value)
            except CorruptError as error:
                raise self._world.violated(f"6: the subscriber is told {error}") from error
            except HistoryCompactedError as error:  # What is gone cannot be had; the rest can.
                self.lines = self._house.model.lines[: error.details["oldest_seq"] - 1]
                self._begin()
                return
            except CommandError:
                self._world.after(100 * MILLISECOND_US, self._begin)
                return
            value = None
            if self._waits(step):
                return
            if isinstance(step, ReceivedEvent):
                self._take(step)

    def _waits(self, step: Step) -> bool:
        turn = self._turn

        def answer(value: object) -> None:
            if self._turn == turn:
                self._run(value)

        match step:
            case Open():
                if self._socket is not None:
                    self._socket.is_open = False
                self._socket = self._house.network.subscribe(self._arrived)
            case Receive(timeout_s):
                self._is_receiving = True
                self._world.after(int(timeout_s * SECOND_US), lambda: answer(None))
                self._world.after(0, self._arrived)
                return True
            case Ask():
                self._ask(step, answer)
                return True
            case Ready():
                self._world.note("subscriber ready at", len(self.lines))
        return False

    def _ask(self, step: Ask, answer: Callable[[object], None]) -> None:
        away = UnavailableError("nobody answers")
        self._world.after(TIMEOUT_US, lambda: answer(away))

        def replied(body: bytes) -> None:
            try:
                answer(decode_reply(body, step.result_type))
            except CommandError as error:
                answer(error)

        body = encode_request(cast("AnyRequest", step.request))
        self._house.network.send(body, self._peer, replied)

    def _arrived(self) -> None:
        if self._is_receiving and self._socket is not None and self._socket.queue:
            self._run(self._socket.queue.popleft())

    def _take(self, event: ReceivedEvent) -> None:
        self.lines.append(event.line)
        if event.seq != len(self.lines):
            message = f"6: the subscriber got seq {event.seq} as its event {len(self.lines)}"
            raise self._world.violated(message)
        self._house.model.seen(event.seq, event.line, "the subscriber got")
