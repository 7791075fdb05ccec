"""The loop's turns: nothing is begun in one that is over, and everything is begun in the end."""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial

import pytest

from actors.turns import TURN_S_MAX, Turns


class Loop:
    """A loop whose turns a test makes, and a clock that goes when work is done."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.done: list[str] = []
        self.coming: deque[Callable[[], object]] = deque()

    def call_soon(self, callback: Callable[[], object]) -> None:
        """See `asyncio`."""
        self.coming.append(callback)

    def turn(self) -> list[str]:
        """Make one turn; return what was done in it."""
        before = len(self.done)
        for _ in range(len(self.coming)):
            self.coming.popleft()()
        return self.done[before:]

    def work(self, name: str, share: float = 1.0) -> Callable[[], None]:
        """Return work that takes such a share of a turn."""

        def action() -> None:
            self.now_s += share * TURN_S_MAX
            self.done.append(name)

        return action


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def turns(loop: Loop) -> Turns:
    return Turns(lambda: loop.now_s, loop=loop)  # type: ignore[arg-type]


def test_what_there_is_time_for_is_done_at_once(loop: Loop, turns: Turns) -> None:
    for name in "abc":
        turns.commands.begin(loop.work(name, 0.3))

    assert loop.done == ["a", "b", "c"]
    assert not turns.commands


def test_when_the_turn_is_over_the_rest_waits_and_keeps_its_order(loop: Loop, turns: Turns) -> None:
    for name in "abcde":
        turns.commands.begin(loop.work(name, 0.6))
    assert loop.done == ["a", "b"]

    assert loop.turn() == ["c", "d"]
    turns.commands.begin(loop.work("f"))  # Nobody overtakes those who wait.
    assert loop.turn() == ["e", "f"]
    assert loop.turn() == []
    assert not turns.is_over()


def test_a_turn_is_over_even_when_its_first_piece_took_it_all(loop: Loop, turns: Turns) -> None:
    turns.commands.begin(loop.work("long", 9))
    turns.commands.begin(loop.work("next"))

    assert turns.is_over()
    assert loop.done == ["long"]
    assert loop.turn() == ["next"]


def test_each_turn_begins_with_another_lane(loop: Loop, turns: Turns) -> None:
    other, third = turns.lane(), turns.lane()
    for _ in range(4):
        turns.commands.later(loop.work("commands"))
        other.later(loop.work("other"))
        third.later(loop.work("third"))

    begun = [name for _ in range(16) for name in loop.turn()[:1]]

    assert {*begun[:4]} == {"commands", "other", "third"}
    assert sorted(loop.done) == sorted(4 * ["commands", "other", "third"])


def test_what_fails_harms_nothing_that_waits(loop: Loop, turns: Turns) -> None:
    turns.commands.begin(loop.work("first"))
    turns.commands.begin(partial(int, "no number"))
    turns.commands.begin(loop.work("last"))

    with pytest.raises(ValueError, match="no number"):
        loop.turn()
    assert loop.turn() == ["last"]


def test_what_is_cleared_is_not_done(loop: Loop, turns: Turns) -> None:
    turns.commands.begin(loop.work("first"))
    turns.commands.begin(loop.work("never"))
    turns.commands.clear()

    assert loop.turn() == []


async def test_tasks_that_wait_get_a_turn_each() -> None:
    now_s = 0.0
    turns = Turns(lambda: now_s)
    busy: list[int] = []

    async def task(number: int) -> None:
        nonlocal now_s
        await turns.share()
        busy.append(number)
        now_s += 5 * TURN_S_MAX

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(task(number)) for number in range(5)]
        given_up = group.create_task(turns.share())
        begun = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(begun.set_result, None)
        await begun
        assert busy == [0]  # The others found the turn over.
        given_up.cancel()

    assert all(one.done() for one in tasks)
    assert busy == [0, 1, 2, 3, 4]


async def test_a_task_has_its_turn_for_itself() -> None:
    now_s = 0.0
    turns = Turns(lambda: now_s)
    done: list[str] = []

    def heavy() -> None:
        nonlocal now_s
        now_s += 2 * TURN_S_MAX
        done.append("command")
        if len(done) < 20:
            turns.commands.later(heavy)

    async def task() -> None:
        await turns.share()
        assert turns.is_over()  # For everybody else.
        done.append("task")

    turns.commands.begin(heavy)
    await task()

    assert 1 <= done.index("task") <= 4


async def test_a_lane_is_finished_when_nothing_waits_in_it() -> None:
    now_s = 0.0
    turns = Turns(lambda: now_s)
    done: list[int] = []

    def heavy(left: int) -> None:
        nonlocal now_s
        now_s += 2 * TURN_S_MAX
        done.append(left)
        if left:
            turns.commands.later(partial(heavy, left - 1))

    turns.commands.begin(partial(heavy, 3))
    await turns.finish(turns.commands)

    assert done == [3, 2, 1, 0]
    await turns.finish(turns.commands)
