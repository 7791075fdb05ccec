"""The scheduler: every armed timer of every manifest, in one heap, behind one handle of the loop.

    set --> armed --due--> in flight --done--> forgotten
              ^               |
              +---put_off-----+      a refusal that will pass: nothing is tried for a while

Promise:  a timer is handed to `fire` in the order of due times, not before it is due, and not again
          before `put_off`. One that `set` no longer names is never handed over. However many are
          overdue, a bounded number is in flight. What is not due costs no time at all.
Assume:   everything runs on the event loop's thread. Due times are those of a wall clock, which may
          jump; it is looked at once a minute for that.
Not here: what firing does (`firing.py`). Nothing here is durable: it is set again at start-up.
"""

from collections.abc import Callable, Sequence
from heapq import heapify, heappop, heappush
from typing import Final, Protocol

from protocol.timers import Timer, seconds_between

IN_FLIGHT_MAX: Final = 128  # Commands of ours at once; a batch of the journal takes them all.
REVIEW_INTERVAL_S: Final = 60.0  # So late is a timer at most when somebody sets the clock.
PAUSE_MIN_S: Final = 0.05  # About the time in which a full mailbox is worked off.
PAUSE_MAX_S: Final = 30.0  # A full disk stays full for long.
SOON_S: Final = 0.001  # The loop may wake up early by its clock's resolution: no spinning.
STALE_MIN: Final = 1024  # Below it a compaction saves nothing that anybody would notice.

_NONE: Final[tuple[Timer, ...]] = ()


class Handle(Protocol):
    """What `call_later` returns."""

    def cancel(self) -> None:
        """Call it off."""


CallLater = Callable[[float, Callable[[], None]], Handle]
Fire = Callable[[str, Timer], None]
_Entry = tuple[str, int, str, Timer]  # Due, then in the order of arming.


class Scheduler:
    """All armed timers. `clock` returns the time as RFC 3339; `fire(manifest_id, timer)` fires.

    For each timer fired, `done` or `put_off` is called once, also from within `fire`.
    """

    def __init__(self, clock: Callable[[], str], fire: Fire) -> None:
        self._clock = clock
        self._fire = fire
        self._armed: dict[str, tuple[Timer, ...]] = {}
        self._heap: list[_Entry] = []
        self._places: dict[str, int] = {}  # Of timers that wait: id -> order; other entries: stale.
        self._order = 0
        self._in_flight = 0
        self._call_later: CallLater | None = None  # None: nothing fires.
        self._handle: Handle | None = None
        self._paused = False
        self._pause_s = PAUSE_MIN_S

    @property
    def waiting(self) -> int:
        """The number of timers that will be handed out, unless they are called off."""
        return len(self._places)

    @property
    def size(self) -> int:
        """The number of entries in the heap, those called off included."""
        return len(self._heap)

    def start(self, call_later: CallLater) -> None:
        """Fire from now on: what is overdue in the next turn of the loop."""
        self._call_later = call_later
        self._look_at_next()

    def stop(self) -> None:
        """Fire nothing any more."""
        self._call_later = None
        self._paused = False
        self._cancel()

    def set(self, manifest_id: str, timers: Sequence[Timer]) -> None:
        """Let `timers` be what is armed of a manifest: arm what is new, call off the others."""
        before = self._armed.get(manifest_id, _NONE)
        if not before and not timers:
            return
        if timers:
            self._armed[manifest_id] = tuple(timers)
        else:
            del self._armed[manifest_id]
        named = {timer.id for timer in timers}
        for timer in before:
            if timer.id not in named:
                self._places.pop(timer.id, None)
        known = {timer.id for timer in before}
        first = self._heap[0] if self._heap else None
        for timer in timers:
            if timer.id not in known:
                self._push(manifest_id, timer)
        if len(self._heap) - len(self._places) > max(STALE_MIN, len(self._places)):
            self._heap = [entry for entry in self._heap if self._is_waiting(entry)]
            heapify(self._heap)
        if self._heap and self._heap[0] is not first:
            self._look_at_next()

    def done(self) -> None:
        """Take note that a timer fired, or never will; it is not handed out again."""
        self._in_flight -= 1
        self._pause_s = PAUSE_MIN_S
        if self._in_flight == IN_FLIGHT_MAX - 1:
            self._look_at_next()

    def put_off(self, manifest_id: str, timer: Timer) -> None:
        """Hand `timer` out again, unless it is called off; and nothing before a pause is over."""
        self._in_flight -= 1
        if any(one.id == timer.id for one in self._armed.get(manifest_id, _NONE)):
            self._push(manifest_id, timer)
        if self._call_later is not None and not self._paused:
            self._paused = True
            self._wake_in(self._pause_s)
            self._pause_s = min(2 * self._pause_s, PAUSE_MAX_S)

    def _push(self, manifest_id: str, timer: Timer) -> None:
        self._order += 1
        self._places[timer.id] = self._order
        heappush(self._heap, (timer.due, self._order, manifest_id, timer))

    def _is_waiting(self, entry: _Entry) -> bool:
        return self._places.get(entry[3].id) == entry[1]

    # Waiting.

    def _wake_in(self, delay_s: float) -> None:
        self._cancel()
        assert self._call_later is not None
        self._handle = self._call_later(delay_s, self._look)

    def _cancel(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _look_at_next(self) -> None:
        """Set the handle for what is due next, if it may be handed out."""
        if self._call_later is None or self._paused:
            return
        due = self._next_due()
        if due is None:
            self._cancel()
        elif self._in_flight < IN_FLIGHT_MAX:
            delay_s = seconds_between(self._clock(), due)
            self._wake_in(min(max(delay_s, SOON_S), REVIEW_INTERVAL_S))

    def _next_due(self) -> str | None:
        while self._heap and not self._is_waiting(self._heap[0]):
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def _look(self) -> None:
        """Hand out what is due, as much as may be in flight, and wait for the next."""
        self._handle = None
        self._paused = False
        try:
            self._hand_out(self._clock())
        finally:
            self._look_at_next()

    def _hand_out(self, now: str) -> None:
        for _ in range(IN_FLIGHT_MAX - self._in_flight):
            due = self._next_due()
            if due is None or due > now or self._paused:
                return
            _, _, manifest_id, timer = heappop(self._heap)
            del self._places[timer.id]
            self._in_flight += 1
            self._fire(manifest_id, timer)
