"""What carries requests, replies and publications: late, out of order, twice, or not at all."""

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from protocol.principals import Peer
from tests.simulation.life import Delivery
from tests.simulation.world import MILLISECOND_US, World

if TYPE_CHECKING:
    from tests.simulation.house import House

DELAY_US: Final = 3 * MILLISECOND_US
LATE_US: Final = 150 * MILLISECOND_US
LATE_PROBABILITY: Final = 0.06
LOST_PROBABILITY: Final = 0.04
TWICE_PROBABILITY: Final = 0.08
DROPPED_PROBABILITY: Final = 0.1  # Of publications.


class Subscription:
    """A SUB socket: messages in order, but for those that are dropped."""

    def __init__(self, world: World, on_message: Callable[[], None]) -> None:
        self.queue: deque[tuple[bytes, bytes]] = deque()
        self.is_open = True
        self._on_message = on_message
        self._world = world
        self._last_us = 0

    def send(self, delay_us: int, topic: bytes, body: bytes) -> None:
        """Let a message arrive after those before it."""
        self._last_us = max(self._last_us, self._world.now_us + delay_us)

        def arrive() -> None:
            if self.is_open:
                self.queue.append((topic, body))
                self._on_message()

        self._world.after(self._last_us - self._world.now_us, arrive)


class Network:
    """Between clients and whichever life of the daemon there is. `is_calm`: nothing goes wrong."""

    def __init__(self, house: "House") -> None:
        self.is_calm = False
        self._house = house
        self._world = house.world
        self._dice = house.world.dice("network")
        self._subscriptions: list[Subscription] = []

    def send(self, body: bytes, peer: Peer, on_reply: Callable[[bytes], None]) -> None:
        """Carry a request to the daemon, and what it answers back."""

        def arrive() -> None:
            if self._house.life is not None:
                self._house.life.deliver(Delivery(body, peer, reply))

        def reply(answer: bytes) -> None:
            if not self._strikes(LOST_PROBABILITY):
                self._world.after(self._delay_us(), lambda: on_reply(answer))

        if not self._strikes(LOST_PROBABILITY):
            self._world.after(self._delay_us(), arrive)
        if self._strikes(TWICE_PROBABILITY):
            self._world.after(self._delay_us(), arrive)

    def subscribe(self, on_message: Callable[[], None]) -> Subscription:
        """Open a SUB socket, which misses what is published in the first moments."""
        subscription = Subscription(self._world, on_message)
        delay_us = self._dice.randint(1, 20) * MILLISECOND_US
        self._world.after(delay_us, lambda: self._subscriptions.append(subscription))
        return subscription

    def broadcast(self, topic: bytes, body: bytes) -> None:
        """Carry a publication to every SUB socket."""
        self._subscriptions = [one for one in self._subscriptions if one.is_open]
        for subscription in self._subscriptions:
            if not self._strikes(DROPPED_PROBABILITY):
                subscription.send(self._delay_us(), topic, body)

    def _strikes(self, probability: float) -> bool:
        return self._dice.random() < probability and not self.is_calm

    def _delay_us(self) -> int:
        most_us = LATE_US if self._strikes(LATE_PROBABILITY) else DELAY_US
        return self._dice.randint(20, most_us)
