"""The checker itself: histories that can have happened, and some that cannot."""

import pytest

from tests.simulation.linearizability import Kind, Operation, is_linearizable

W, M, R, C = Kind.WRITE, Kind.MAYBE, Kind.READ, Kind.CONFLICT

POSSIBLE = {
    "nothing": [],
    "one after another": [Operation(W, 0, 1, 1), Operation(R, 2, 3, 1), Operation(W, 4, 5, 2)],
    "a read beside a write may see either": [
        Operation(W, 0, 9, 1),
        Operation(R, 1, 2, 0),
        Operation(R, 3, 4, 1),
    ],
    "the loser of two saw the winner": [
        Operation(W, 0, 1, 1, None),
        Operation(W, 2, 5, 2, 1),
        Operation(C, 2, 4, 2, 1),
    ],
    "a write that timed out happened later": [
        Operation(W, 0, 1, 1),
        Operation(M, 2),
        Operation(R, 3, 4, 1),
        Operation(R, 5, 6, 2),
    ],
    "a write that timed out never happened": [Operation(M, 0), Operation(R, 5, 6, 0)],
    "two timed out, one of them happened": [
        Operation(M, 0, expected=0),
        Operation(M, 0, expected=0),
        Operation(R, 3, 4, 1),
    ],
}
IMPOSSIBLE = {
    "a read that is stale": [Operation(W, 0, 1, 1), Operation(R, 2, 3, 0)],
    "a read of what nobody wrote": [Operation(R, 0, 1, 1)],
    "a read before the write was asked for": [Operation(R, 0, 1, 1), Operation(W, 2, 3, 1)],
    "reads that go back": [Operation(W, 0, 9, 1), Operation(R, 1, 2, 1), Operation(R, 3, 4, 0)],
    "two winners": [
        Operation(W, 0, 1, 1),
        Operation(W, 2, 5, 2, 1),
        Operation(W, 2, 5, 3, 1),
    ],
    "a conflict with nothing": [Operation(W, 0, 1, 1), Operation(C, 2, 3, 1, 1)],
    "a conflict with what was not yet there": [
        Operation(W, 0, 1, 1),
        Operation(C, 2, 3, 2, 1),
        Operation(W, 4, 5, 2, 1),
    ],
    "more than was asked for": [Operation(M, 0, expected=0), Operation(R, 3, 4, 2)],
}


@pytest.mark.parametrize("operations", POSSIBLE.values(), ids=POSSIBLE)
def test_what_can_have_happened_is_linearizable(operations: list[Operation]) -> None:
    assert is_linearizable(operations)


@pytest.mark.parametrize("operations", IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_what_cannot_have_happened_is_not(operations: list[Operation]) -> None:
    assert not is_linearizable(operations)
