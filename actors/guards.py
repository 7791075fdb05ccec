"""Guards put together: what a transition asks before it is taken."""

from actors.builtin_guards import GUARDS
from actors.question import Question
from protocol.errors import CommandError


def refusal_of(guard: object, question: Question) -> CommandError | None:
    """Return why `guard` refuses, None when it does not."""
    assert isinstance(guard, tuple)
    for name in guard:
        refusal = GUARDS[name](question)
        if refusal is not None:
            return refusal
    return None
