"""Whether there is an order of operations that one register per manifest could have executed.

    check([Operation(...), ...]) -> None, or a sentence about what cannot be

A manifest is a register that holds a version (0: it does not exist) and a value. A write makes
version n + 1 out of version n; one with an expected version does so only out of that version. Each
operation takes effect at one moment between `invoked` and `returned` (Herlihy and Wing 1990). The
search is Wing and Gong's with Lowe's memory of configurations that were tried; what changes nothing
and fits is taken at once, and two writes cannot make one version, so that it branches only where an
answer is missing.

Promise:  a time-out is taken for what it is: the write may take effect at any later moment, or never.
          Where somebody else knows which version it made, it did take effect, at any later moment.
Assume:   one clock gave all times. Operations on different manifests are independent: linearizability
          is a local property, so that each manifest is checked alone.
Not here: order among manifests (`seq`), and what a client was told of anything but versions.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from enum import StrEnum
from math import inf
from typing import Final, NamedTuple

CONFIGURATIONS_MAX: Final = 1_000_000  # Tried for one manifest; more is no answer, and says so.


class Kind(StrEnum):
    """What an operation does to the register."""

    READ = "read"
    WRITE = "write"


class Operation(NamedTuple):
    """One operation as its client saw it; times in any unit, from one clock.

    `returned` None: its client was not told. `observed` is the version that a read saw, that a write
    made, or, where `is_refused`, that the refusal named (None: it named none, and only differs from
    `expected`). Where both are None, nobody knows whether it took effect. `value` names the content
    that was written or read, where the client knows it. A manifest that was not found is read as
    version 0.
    """

    key: str
    kind: Kind
    invoked: float
    returned: float | None
    expected: int | None = None
    observed: int | None = None
    is_refused: bool = False
    value: str | None = None

    @property
    def is_unknown(self) -> bool:
        """Whether a time-out hides the outcome from everybody."""
        return self.returned is None and self.observed is None

    @property
    def end(self) -> float:
        """The latest moment at which it may have taken effect."""
        return inf if self.returned is None else self.returned


class Register(NamedTuple):
    """What one manifest holds; `value` None: something that no client knows."""

    version: int = 0
    value: str | None = None


def check(operations: Iterable[Operation]) -> str | None:
    """Return why no order explains `operations`; None when one does."""
    by_key: dict[str, list[Operation]] = defaultdict(list)
    for operation in operations:
        if operation.kind is Kind.WRITE or not operation.is_unknown:  # An unread read says nothing.
            by_key[operation.key].append(operation)
    return next((why for key in sorted(by_key) if (why := _Search(by_key[key]).why_not())), None)


class _Search:
    """The orders of one manifest's operations; a set of operations is an int, one bit for each."""

    def __init__(self, operations: list[Operation]) -> None:
        self._operations = sorted(operations, key=lambda one: (one.invoked, one.end))
        self._wanted = sum(1 << n for n, one in enumerate(self._operations) if not one.is_unknown)
        self._made = {
            one.observed
            for one in self._operations
            if one.kind is Kind.WRITE and not one.is_unknown and not one.is_refused
        }
        seen = max((one.observed or 0 for one in self._operations), default=0)
        self._missing = set(range(1, seen + 1)) - self._made
        self._missing_max = max(self._missing, default=0)

    def why_not(self) -> str | None:
        tried: set[tuple[int, Register]] = set()
        deepest = (0, Register())
        stack = [deepest]
        while stack:
            done, register = self._without_effect(*stack.pop())
            if done & self._wanted == self._wanted:
                return None
            if (done, register) in tried:
                continue
            tried.add((done, register))
            if len(tried) > CONFIGURATIONS_MAX:
                return f"{self._key}: no order was found among {CONFIGURATIONS_MAX} that were tried"
            deepest = max(deepest, (done, register), key=lambda one: one[0].bit_count())
            stack += self._writes(done, register)
        return self._explained(*deepest)

    @property
    def _key(self) -> str:
        return self._operations[0].key

    def _open(self, done: int) -> Iterator[int]:
        """Yield the operations that may be next: none of the others returned before they began."""
        latest = inf
        for number in range(self._first_open(done), len(self._operations)):
            operation = self._operations[number]
            if operation.invoked > latest:
                return
            if not done >> number & 1:
                latest = min(latest, operation.end)
                yield number

    def _first_open(self, done: int) -> int:
        return (~done & (done + 1)).bit_length() - 1  # The lowest bit that is not set.

    def _without_effect(self, done: int, register: Register) -> tuple[int, Register]:
        """Take every read and refusal that fits: taking it later could not make more fit."""
        found = True
        while found:
            found = False
            for number in list(self._open(done)):
                operation = self._operations[number]
                if _is_explained(operation, register) or self._is_idle(operation, register):
                    done |= 1 << number
                    found = True
                    is_read = operation.kind is Kind.READ
                    if is_read and register.version and register.value is None:
                        register = Register(register.version, operation.value)
        return done, register

    def _is_idle(self, operation: Operation, register: Register) -> bool:
        """Whether it is a write without an answer that explains nothing any more: it never was."""
        if not operation.is_unknown:
            return False
        if operation.expected is None:
            return self._missing_max <= register.version
        return operation.expected < register.version or operation.expected + 1 not in self._missing

    def _writes(self, done: int, register: Register) -> Iterator[tuple[int, Register]]:
        made = register.version + 1
        for number in self._open(done):
            one = self._operations[number]
            if one.kind is Kind.READ or one.is_refused:
                continue
            if one.expected not in (None, register.version):
                continue
            if made in self._missing if one.is_unknown else (one.observed == made):
                yield done | 1 << number, Register(made, one.value)

    def _explained(self, done: int, register: Register) -> str:
        stuck = [self._operations[number] for number in self._open(done)]
        listed = "; ".join(map(_text, stuck))
        return (
            f"{self._key}: after {done.bit_count()} of {len(self._operations)} operations, at version "
            f"{register.version}, none of these can be next: {listed}"
        )


def _is_explained(operation: Operation, register: Register) -> bool:
    """Whether `operation` changes nothing and is answered as `register` answers it."""
    if operation.kind is Kind.READ:
        is_other = register.version and operation.value and register.value
        return operation.observed == register.version and (
            not is_other or operation.value == register.value
        )
    if not operation.is_refused or operation.is_unknown:
        return False
    differs = operation.expected is None or operation.expected != register.version
    return differs and operation.observed in (None, register.version)


def _text(operation: Operation) -> str:
    outcome = "unknown" if operation.is_unknown else f"version {operation.observed}"
    outcome = f"refused, {outcome}" if operation.is_refused else outcome
    expected = "" if operation.expected is None else f" expecting {operation.expected}"
    times = f"{operation.invoked:g} to {operation.end:g}"
    return f"{operation.kind}{expected} ({outcome}) from {times}"
