"""How the time of a long run is shared out among its parts.

    plan = Plan(costs, lanes=2, end_s=...)
    while (turn := plan.next()) is not None: ... run turn.part for turn.limit_s ... plan.over(turn)

Promise:  what is begun may take as much of the time that is left as its cost has of all that is not
          begun yet, so that a slow machine does less of everything, and what one part leaves over
          goes to the others. The dearest come first. No limit reaches beyond the end.
Assume:   costs are in any unit, in proportion to one another.
Not here: what runs.
"""

import time
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Final, NamedTuple

LIMIT_S_MIN: Final = 1.0


class Turn(NamedTuple):
    """A part that may begin now, and for how long."""

    part: str
    limit_s: float
    end_s: float


class Plan:
    """Shared by the threads of all lanes."""

    def __init__(
        self,
        costs: Mapping[str, float],
        *,
        lanes: int,
        end_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._costs = dict(sorted(costs.items(), key=lambda item: item[1]))
        self._lanes = lanes
        self._end_s = end_s
        self._clock = clock
        self._running: set[Turn] = set()
        self._lock = Lock()

    def next(self) -> Turn | None:
        """Begin the cheapest part that was not begun; None where there is none."""
        with self._lock:
            if not self._costs:
                return None
            now_s = self._clock()
            taken_s = sum(max(0.0, turn.end_s - now_s) for turn in self._running)
            left_s = self._lanes * max(0.0, self._end_s - now_s) - taken_s
            share = next(iter(self._costs.values())) / sum(self._costs.values())
            limit_s = max(LIMIT_S_MIN, min(left_s * share, self._end_s - now_s))
            part = next(iter(self._costs))
            del self._costs[part]
            turn = Turn(part, limit_s, now_s + limit_s)
            self._running.add(turn)
            return turn

    def over(self, turn: Turn) -> None:
        """A part has ended, perhaps long before its time."""
        with self._lock:
            self._running.discard(turn)
