"""The checker of histories: it agrees with trying every order, and it fires."""

from itertools import permutations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.linearizability import Kind, Operation, Register, check


def read(version: int, invoked: float, returned: float, value: str | None = None) -> Operation:
    return Operation("m", Kind.READ, invoked, returned, observed=version, value=value)


def write(
    version: int | None,
    invoked: float,
    returned: float | None,
    expected: int | None = None,
    value: str | None = None,
) -> Operation:
    return Operation("m", Kind.WRITE, invoked, returned, expected, version, value=value)


def refused(expected: int, actual: int | None, invoked: float, returned: float) -> Operation:
    return Operation("m", Kind.WRITE, invoked, returned, expected, actual, is_refused=True)


def test_operations_one_after_the_other_are_linearizable() -> None:
    assert check([write(1, 0, 1, 0), read(1, 2, 3), write(2, 4, 5, 1), read(2, 6, 7)]) is None


def test_a_read_that_began_after_a_write_returned_must_see_it() -> None:
    why = check([write(1, 0, 1, 0), write(2, 2, 3, 1), read(1, 4, 5)])

    assert why is not None
    assert "read (version 1) from 4 to 5" in why


def test_two_reads_that_overlap_a_write_may_not_go_backwards() -> None:
    history = [write(1, 0, 1), write(2, 2, 9)]

    assert check([*history, read(1, 3, 4), read(2, 5, 6)]) is None
    assert check([*history, read(2, 3, 4), read(1, 5, 6)]) is not None


def test_of_two_writes_with_one_expected_version_only_one_may_win() -> None:
    history = [write(1, 0, 1, 0), write(2, 2, 9, 1)]

    assert check([*history, refused(1, 2, 3, 8)]) is None
    assert check([*history, write(3, 3, 8, 1)]) is not None
    assert check([*history, write(2, 3, 8, 1)]) is not None


def test_a_refusal_may_not_name_a_version_that_is_not_there_yet() -> None:
    assert check([write(1, 0, 1, 0), refused(0, 2, 2, 3), write(2, 4, 5, 1)]) is not None


def test_a_write_without_an_answer_may_take_effect_late_or_never_but_not_twice() -> None:
    history = [write(1, 0, 1, 0), write(None, 2, None, 1)]

    assert check([*history, read(1, 9, 10)]) is None
    assert check([*history, read(1, 9, 10), read(2, 11, 12), write(3, 13, 14, 2)]) is None
    assert check([*history, read(1, 9, 10), read(3, 11, 12)]) is not None
    assert check([write(1, 0, 1, 0), read(2, 1.5, 1.7), write(None, 2, None, 1)]) is not None


def test_a_read_shows_what_the_write_of_that_version_wrote() -> None:
    history = [write(1, 0, 1, 0, "a"), write(None, 2, None, 1, "b"), write(None, 2, None, 1, "c")]

    assert check([*history, read(2, 9, 10, "c"), read(2, 11, 12, "c")]) is None
    assert check([*history, read(2, 9, 10, "c"), read(2, 11, 12, "b")]) is not None
    assert check([*history, read(1, 9, 10, "b")]) is not None


def test_a_write_that_is_known_to_have_made_a_version_did_so_at_any_time_since() -> None:
    history = [write(1, 0, 1, 0), write(2, 2, None)]

    assert check([*history, read(1, 8, 9)]) is None
    assert check([*history, read(1, 8, 9), read(2, 9.5, 10)]) is None
    assert check([*history, read(2, 1.2, 1.5)]) is not None
    assert check([*history, read(2, 8, 9), read(1, 9.5, 10)]) is not None
    assert check([*history, write(2, 3, 4, 1)]) is not None
    assert check([write(1, 0, 1, 0), write(3, 2, None)]) is not None
    assert check([*history, refused(1, 2, 3, 4), read(1, 5, 6)]) is not None


def test_of_two_writes_without_an_answer_one_or_none_may_have_happened() -> None:
    both = [write(None, 0, None, 0), write(None, 0, None, 0)]

    assert check([*both, read(0, 5, 6)]) is None
    assert check([*both, read(1, 3, 4)]) is None
    assert check([*both, read(2, 3, 4)]) is not None


def test_what_nobody_wrote_is_not_read_and_what_nobody_made_is_not_in_the_way() -> None:
    assert check([read(1, 0, 1)]) is not None
    assert check([read(1, 0, 1), write(1, 2, 3)]) is not None
    assert check([write(1, 0, 1), refused(1, 1, 2, 3)]) is not None
    assert check([write(1, 0, 9), read(0, 1, 2), read(1, 3, 4)]) is None


def test_manifests_are_independent_and_the_one_that_is_wrong_is_named() -> None:
    other = [write(1, 5, 6, 0)._replace(key="other"), read(0, 7, 8)._replace(key="other")]

    assert (check([write(1, 0, 1, 0), *other]) or "").startswith("other: ")


def test_a_long_history_of_many_clients_is_checked_in_no_time() -> None:
    history: list[Operation] = []
    for version in range(1, 1001):
        history.append(write(version, version, version + 1.5, version - 1))
        history += [refused(version - 1, version, version + 0.5, version + 3) for _ in range(4)]
        history += [write(None, version, None, version - 1) for _ in range(version % 50 == 0)]

    assert check(history) is None
    assert check([*history, read(999, 5000, 5001)]) is not None


def _may_be_unknown(one: Operation) -> bool:
    return one.returned is None and one.kind is Kind.WRITE


OPERATIONS = st.builds(
    Operation,
    key=st.just("m"),
    kind=st.sampled_from(Kind),
    invoked=st.integers(0, 8),
    returned=st.none() | st.integers(0, 8),
    expected=st.none() | st.integers(0, 3),
    observed=st.none() | st.integers(0, 3),
    is_refused=st.booleans(),
    value=st.sampled_from(["a", "b"]),
).map(
    lambda one: one._replace(
        returned=None if one.returned is None else max(one.invoked + 1, one.returned),
        is_refused=one.is_refused and one.kind is Kind.WRITE and one.returned is not None,
        expected=one.expected if one.kind is Kind.WRITE else None,
        observed=one.observed if _may_be_unknown(one) else one.observed or 0,
    )
)


@settings(max_examples=150, deadline=None)
@given(st.lists(OPERATIONS, max_size=4))
def test_it_agrees_with_trying_every_order(history: list[Operation]) -> None:
    assert (check(history) is None) == any(map(_fits, _orders(history)))


def _orders(history: list[Operation]) -> list[tuple[Operation, ...]]:
    """Every order that real time allows, with every choice of unknown writes that happened."""
    known = [one for one in history if not one.is_unknown]
    unknown = [one for one in history if one.is_unknown and one.kind is Kind.WRITE]
    orders = []
    for choice in range(1 << len(unknown)):
        chosen = [one for number, one in enumerate(unknown) if choice >> number & 1]
        orders += [
            order
            for order in permutations([*known, *chosen])
            if not any(b.end < a.invoked for n, a in enumerate(order) for b in order[n:])
        ]
    return orders


def _fits(order: tuple[Operation, ...]) -> bool:
    register = Register(0, None)
    for one in order:
        if one.kind is Kind.READ or one.is_refused:
            if one.observed != register.version or one.expected == register.version:
                return False
            if one.kind is Kind.READ and register.version and one.value != register.value:
                return False
        else:
            register = Register(register.version + 1, one.value)
            if one.expected not in (None, register.version - 1):
                return False
            if not one.is_unknown and one.observed != register.version:
                return False
    return True
