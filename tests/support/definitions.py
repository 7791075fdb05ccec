"""Lifecycle definitions made up by hypothesis: well-formed, plainly spelled, meaning nothing.

Plainly: a transition that only has a target is a text, a compound state names its initial child,
a delay has the largest units, a guard that is a list is no `and`: what a round trip cannot tell
apart.
"""

from typing import Any

from hypothesis import strategies as st

from protocol.lifecycle.definition import (
    Candidates,
    LifecycleDefinition,
    StateDefinition,
    TransitionDefinition,
)

NAMES = ("DRAFT", "REVIEWED", "A", "B.1", "c-2", "IN_LEGAL", "_x", "9", "note", "D" * 64)
EVENTS = ("submit", "approve", "legal.ok", "legal.no", "x-1")
TEXTS = (
    "Plain.",
    'It says "no".',
    "Zwei\nZeilen ✓",
    "back\\slash '",
    "\n'x' \"y\"",
    'a\n"""b""""c""',
    'ends with """',
    "\ttab",
)
GUARD_NAMES = (
    *("four_eyes", "urn_free", "has_role(approver)", "approvals_at_least(2)"),
    *("approvals_at_least(2, approver)", "manifest.version == '1' && size(approvals) > 1"),
    'principal.name != "x"',
)


def guards(states: list[str]) -> st.SearchStrategy[Any]:
    """Return guards as a file spells them."""
    names = st.sampled_from(GUARD_NAMES)
    because = st.one_of(
        st.just({}), st.builds(lambda text: {"because": text}, st.sampled_from(TEXTS))
    )
    leaf = st.one_of(
        names,
        st.builds(lambda name, rest: {"in": name, **rest}, st.sampled_from(states), because),
        st.builds(lambda rest: {"cel": "x > 1", "because": "b", **rest}, because),
    )

    def combined(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        some = st.lists(inner, min_size=1, max_size=2)
        return st.one_of(
            some,
            st.builds(lambda found, rest: {"or": found, **rest}, some, because),
            st.builds(lambda found: {"and": found, "because": "b"}, some),
            st.builds(lambda found, rest: {"not": found, **rest}, inner, because),
        )

    return st.recursive(leaf, combined, max_leaves=3)


ACTIONS = st.lists(
    st.one_of(
        st.sampled_from(["record_approval", "void_approvals"]),
        st.just({"raise": "submit"}),
        st.just({"assign": {"n": "1 + 1", "by": 'principal.name + "x"'}}),
    ),
    max_size=2,
)


@st.composite
def transitions(draw: st.DrawFn, states: list[str]) -> TransitionDefinition:
    """Return a transition that says more than its target."""
    target = draw(
        st.one_of(
            st.none(),
            st.sampled_from(states),
            st.lists(st.sampled_from(states), min_size=1, max_size=2, unique=True),
        )
    )
    return TransitionDefinition(
        target=target,
        guard=draw(guards(states)),
        because=draw(st.one_of(st.none(), st.sampled_from(TEXTS))),
        actions=draw(ACTIONS),
        internal=draw(st.booleans()),
        description=draw(st.one_of(st.none(), st.sampled_from(TEXTS))),
    )


def candidates(states: list[str]) -> st.SearchStrategy[Candidates]:
    """Return what happens on an event."""
    one = transitions(states)
    return st.one_of(st.sampled_from(states), one, st.lists(one, min_size=1, max_size=2))


@st.composite
def definitions(draw: st.DrawFn) -> LifecycleDefinition:
    """Return a lifecycle of up to six states."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=6, unique=True))
    below: dict[str, list[str]] = {name: [] for name in names}
    top: list[str] = []
    for number, name in enumerate(names):
        parent = draw(st.sampled_from([None, *names[:number]]))
        (top if parent is None else below[parent]).append(name)
    ways = candidates(names)

    def events(keys: tuple[str, ...]) -> dict[str, Candidates]:
        chosen = draw(st.lists(st.sampled_from(keys), max_size=3, unique=True))
        return {key: draw(ways) for key in chosen}

    def state(name: str) -> StateDefinition:
        states = {child: state(child) for child in below[name]}
        is_parallel = bool(states) and draw(st.booleans())
        is_history = not states and draw(st.booleans())
        return StateDefinition(
            type="parallel" if is_parallel else "history" if is_history else None,
            initial=None if is_parallel or not states else draw(st.sampled_from(list(states))),
            history=draw(st.sampled_from([None, "shallow", "deep"])) if is_history else None,
            target=draw(st.sampled_from(names)) if is_history else None,
            description=draw(st.one_of(st.none(), st.sampled_from(TEXTS))),
            tags=draw(st.sampled_from([[], ["mutable"], ["a", "b"]])),
            on={} if is_history else events(EVENTS),
            always=None if is_history else draw(st.one_of(st.none(), ways)),
            after={} if is_history else events(("14d", "1d12h", "250ms")),
            onDone=draw(ways) if bool(states) and draw(st.booleans()) else None,
            entry=draw(ACTIONS),
            exit=draw(ACTIONS),
            states=states,
        )

    tree = {name: state(name) for name in top}
    return LifecycleDefinition(
        id="made-up",
        version=draw(st.integers(1, 9)),
        initial=draw(st.sampled_from(top)),
        states=tree,
        roles={"submit": ["author"], "legal.ok": []} if draw(st.booleans()) else {},
        guards={"mine": ["four_eyes", {"not": "urn_free"}]} if draw(st.booleans()) else {},
        description=draw(st.one_of(st.none(), st.sampled_from(TEXTS))),
    )
