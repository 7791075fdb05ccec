"""The scheduler in virtual time: each armed timer once, when it is due, and never one called off."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.timers import IN_FLIGHT_MAX, PAUSE_MAX_S, PAUSE_MIN_S, REVIEW_INTERVAL_S, Scheduler
from protocol.timers import Timer, due_after
from tests.support.virtual_clock import VirtualClock

DAY_S = 86_400


class Range:
    """A scheduler, and what it fired when; `answers` says what becomes of it."""

    def __init__(self, *, started: bool = True) -> None:
        self.clock = VirtualClock()
        self.scheduler = Scheduler(self.clock.now, self._fire)
        self.fired: list[tuple[str, str]] = []  # Timer and time, in order.
        self.refuse = False
        self.hold = False
        self.held: list[tuple[str, Timer]] = []
        self.armed: dict[str, list[Timer]] = {}  # Of each manifest, as its events say.
        if started:
            self.scheduler.start(self.clock.call_later)

    def timer(self, name: str, delay_s: float) -> Timer:
        due = due_after(self.clock.now(), round(delay_s * 1000))
        return Timer(id=name, event="after.A.1", state="A", due=due)

    def arm(self, name: str, delay_s: float) -> Timer:
        """Arm one timer on a manifest of its own."""
        timer = self.timer(name, delay_s)
        self.set(f"m-{name}", [timer])
        return timer

    def set(self, manifest_id: str, timers: list[Timer]) -> None:
        """Let the manifest's last event say that `timers` are armed."""
        self.armed[manifest_id] = timers
        self.scheduler.set(manifest_id, timers)

    def _fire(self, manifest_id: str, timer: Timer) -> None:
        if self.refuse:
            self.scheduler.put_off(manifest_id, timer)
            return
        self.fired.append((timer.id, self.clock.now()))
        if self.hold:
            self.held.append((manifest_id, timer))
        else:
            self._answer(manifest_id, timer)

    def _answer(self, manifest_id: str, timer: Timer) -> None:
        self.set(manifest_id, [one for one in self.armed[manifest_id] if one.id != timer.id])
        self.scheduler.done()

    def release(self) -> None:
        """Answer all that is held."""
        held, self.held = self.held, []
        for manifest_id, timer in held:
            self._answer(manifest_id, timer)

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.fired]


def test_a_timer_fires_when_it_is_due_and_not_before() -> None:
    fires = Range()
    timer = fires.arm("a", 14 * DAY_S)

    fires.clock.advance(14 * DAY_S - 0.001)
    assert fires.fired == []
    fires.clock.advance(1)

    assert fires.fired == [("a", timer.due)]
    assert fires.scheduler.waiting == 0
    assert fires.clock.wakes == []


def test_timers_fire_in_the_order_in_which_they_are_due_then_in_that_of_arming() -> None:
    fires = Range()
    for name, delay_s in [("c", 30), ("a", 10), ("d", 30), ("b", 20)]:
        fires.arm(name, delay_s)

    fires.clock.advance(DAY_S)

    assert fires.names == ["a", "b", "c", "d"]


def test_what_is_overdue_at_the_start_fires_at_once_in_the_next_turn() -> None:
    fires = Range(started=False)
    fires.arm("late", -3 * DAY_S)
    fires.clock.advance(DAY_S)
    assert fires.fired == []

    fires.scheduler.start(fires.clock.call_later)
    assert fires.fired == []
    fires.clock.advance(0.01)

    assert fires.names == ["late"]


def test_a_timer_that_is_called_off_never_fires() -> None:
    fires = Range()
    timer = fires.arm("a", 10)
    kept = fires.timer("b", 10)

    fires.set("m-a", [timer, kept])
    fires.set("m-a", [kept])
    fires.clock.advance(DAY_S)

    assert fires.names == ["b"]


def test_setting_what_is_set_changes_nothing() -> None:
    fires = Range()
    timer = fires.arm("a", 10)

    for _ in range(3):
        fires.set("m-a", [timer])
        fires.set("other", [])

    assert fires.scheduler.waiting == 1
    fires.clock.advance(DAY_S)
    assert fires.names == ["a"]


def test_one_handle_waits_for_all_and_never_longer_than_a_review() -> None:
    fires = Range()
    assert fires.clock.wakes == []

    for number in range(100):
        fires.arm(str(number), DAY_S - number)
    assert fires.clock.wakes == [REVIEW_INTERVAL_S]
    fires.arm("soon", 5)

    assert fires.clock.wakes == [pytest.approx(5)]


@pytest.mark.parametrize("direction", [1, -1])
def test_a_clock_that_is_set_is_noticed_within_a_review(direction: int) -> None:
    fires = Range()
    fires.arm("a", 2 * DAY_S)

    fires.clock.jump(direction * DAY_S)
    fires.clock.advance(DAY_S + REVIEW_INTERVAL_S)

    assert fires.names == (["a"] if direction == 1 else [])
    fires.clock.advance(2 * DAY_S + REVIEW_INTERVAL_S)
    assert fires.names == ["a"]


def test_a_bounded_number_is_in_flight_however_many_are_overdue() -> None:
    fires = Range(started=False)
    fires.hold = True
    for number in range(3 * IN_FLIGHT_MAX):
        fires.arm(f"{number:05d}", number - DAY_S)

    fires.scheduler.start(fires.clock.call_later)
    fires.clock.advance(REVIEW_INTERVAL_S)
    assert len(fires.fired) == IN_FLIGHT_MAX
    fires.release()
    assert len(fires.fired) == IN_FLIGHT_MAX
    fires.clock.advance(0.01)
    assert len(fires.fired) == 2 * IN_FLIGHT_MAX
    fires.hold = False
    fires.release()
    fires.clock.advance(1)

    assert fires.names == [f"{number:05d}" for number in range(3 * IN_FLIGHT_MAX)]


def test_what_is_answered_at_once_still_leaves_the_loop_its_turns() -> None:
    fires = Range(started=False)
    for number in range(10 * IN_FLIGHT_MAX):
        fires.arm(str(number), -1)
    turns = []

    fires.scheduler.start(fires.clock.call_later)
    while fires.scheduler.waiting:
        before = len(fires.fired)
        fires.clock.advance(fires.clock.wakes[0])
        turns.append(len(fires.fired) - before)

    assert turns == [IN_FLIGHT_MAX] * 10


def test_a_refused_timer_is_tried_again_after_pauses_that_double_up_to_a_bound() -> None:
    fires = Range()
    fires.refuse = True
    fires.arm("a", 1)
    fires.clock.advance(1.001)

    pauses = []
    for _ in range(14):
        pauses.append(fires.clock.wakes[0])
        fires.clock.advance(pauses[-1])

    assert pauses[:3] == [pytest.approx(factor * PAUSE_MIN_S, abs=0.002) for factor in (1, 2, 4)]
    assert pauses[-1] == pytest.approx(PAUSE_MAX_S)
    fires.refuse = False
    fires.clock.advance(PAUSE_MAX_S)
    assert fires.names == ["a"]


def test_a_pause_holds_for_all_and_is_short_again_after_a_success() -> None:
    fires = Range()
    fires.refuse = True
    fires.arm("a", 1)
    fires.clock.advance(20)
    fires.arm("b", 0)
    assert len(fires.clock.wakes) == 1

    fires.refuse = False
    fires.clock.advance(PAUSE_MAX_S)
    assert fires.names == ["a", "b"]
    fires.refuse = True
    fires.arm("c", 0)
    fires.clock.advance(0.002)

    assert fires.clock.wakes == [pytest.approx(PAUSE_MIN_S, abs=0.002)]


def test_what_is_called_off_while_it_is_put_off_or_in_flight_does_not_come_again() -> None:
    fires = Range()
    fires.hold = True
    timer = fires.arm("in flight", 1)
    fires.clock.advance(1.01)

    fires.set("m-in flight", [])
    fires.scheduler.put_off("m-in flight", timer)
    fires.clock.advance(DAY_S)
    assert fires.names == ["in flight"]
    fires.hold, fires.refuse = False, True
    fires.arm("put off", 1)
    fires.clock.advance(1.01)
    fires.set("m-put off", [])
    fires.refuse = False
    fires.clock.advance(DAY_S)

    assert fires.names == ["in flight"]


def test_a_timer_that_is_given_up_stays_so_while_it_is_armed() -> None:
    fires = Range()
    fires.hold = True
    timer = fires.arm("a", 1)
    fires.clock.advance(2)

    fires.scheduler.done()
    assert fires.scheduler.waiting == 0
    fires.set("m-a", [timer])
    fires.set("m-a", [timer, fires.timer("b", 1)])
    fires.clock.advance(DAY_S)

    assert fires.names == ["a", "b"]


def test_a_stopped_scheduler_fires_nothing_and_a_started_one_catches_up() -> None:
    fires = Range()
    fires.arm("a", 1)

    fires.scheduler.stop()
    fires.arm("b", 2)
    fires.clock.advance(DAY_S)
    assert fires.fired == []
    assert fires.clock.wakes == []
    fires.scheduler.start(fires.clock.call_later)
    fires.clock.advance(1)

    assert fires.names == ["a", "b"]


def test_what_is_put_off_after_the_stop_waits_for_the_next_start() -> None:
    fires = Range()
    fires.hold = True
    timer = fires.arm("a", 1)
    fires.clock.advance(1.01)

    fires.scheduler.stop()
    fires.scheduler.put_off("m-a", timer)
    assert fires.clock.wakes == []
    fires.scheduler.start(fires.clock.call_later)
    fires.clock.advance(1)

    assert fires.names == ["a", "a"]


def test_timers_that_come_and_go_leave_nothing_behind() -> None:
    fires = Range()
    fires.arm("kept", DAY_S)
    for number in range(10_000):
        fires.arm(f"{number}", 60 * DAY_S)
        fires.set(f"m-{number}", [])

    assert fires.scheduler.waiting == 1
    assert fires.scheduler.size < 2500
    fires.clock.advance(61 * DAY_S)
    assert fires.names == ["kept"]
    assert fires.scheduler.size == 0


def test_those_that_stay_keep_their_order_when_many_others_are_called_off() -> None:
    fires = Range()
    delays = {f"{number}": 1 + number * 7919 % 5000 for number in range(5000)}
    for name, delay_s in delays.items():
        fires.arm(name, delay_s)

    kept = [name for name in delays if int(name) % 7 == 0]
    for name in delays.keys() - set(kept):
        fires.set(f"m-{name}", [])
    fires.clock.advance(DAY_S)

    assert fires.names == sorted(kept, key=delays.__getitem__)


manifests = st.integers(0, 5).map(str)
delays_s = st.lists(st.integers(-10, 300), max_size=2)
scripts = st.lists(
    st.one_of(
        st.tuples(st.just("set"), manifests, st.sets(st.integers(0, 3), max_size=3), delays_s),
        st.tuples(st.just("advance"), st.integers(0, 5_000)),
        st.tuples(st.just("jump"), st.integers(-100, 100)),
        st.tuples(st.just("refuse"), st.booleans()),
        st.tuples(st.just("hold"), st.booleans()),
        st.tuples(st.just("restart")),
    ),
    max_size=40,
)


class Script(Range):
    """What may happen to a scheduler, step by step."""

    def __init__(self) -> None:
        super().__init__()
        self.due: dict[str, str] = {}
        self.called_off: set[str] = set()

    def step(self, step: tuple[object, ...]) -> None:
        match step:
            case ("set", str(manifest_id), set(kept), list(delays)):
                before = self.armed.get(manifest_id, [])
                after = [timer for place, timer in enumerate(before) if place in kept]
                self.called_off |= {one.id for one in before if one not in after} - set(self.names)
                for delay_s in delays:
                    after.append(self.timer(f"t{len(self.due)}", delay_s))
                    self.due[after[-1].id] = after[-1].due
                self.set(manifest_id, after)
            case ("advance", int(tenths)):
                self.clock.advance(tenths / 10)
            case ("jump", int(seconds)):
                self.clock.jump(seconds)
            case ("refuse", bool(refuse)):
                self.refuse = refuse
            case ("hold", bool(hold)):
                self.hold = hold
            case _:
                self.scheduler.stop()
                self.scheduler.start(self.clock.call_later)


@given(scripts)
def test_each_timer_fires_once_at_or_after_its_due_and_none_that_was_called_off(
    script: list[tuple[object, ...]],
) -> None:
    fires = Script()

    for step in script:
        fires.step(step)
    fires.refuse = fires.hold = False
    fires.release()
    fires.clock.advance(10_000)

    assert len(fires.names) == len(set(fires.names))
    assert set(fires.names) == set(fires.due) - fires.called_off
    assert all(at >= fires.due[name] for name, at in fires.fired)
    assert (fires.scheduler.waiting, fires.scheduler.size) == (0, 0)
