"""Whether what clients saw of one manifest can have happened in some order, each thing at a moment.

The search of Wing and Gong (1993) with Lowe's memory of configurations (2017): take any operation
that nobody has to precede, see whether the register allows it, go on; step back where it does not.
The register is a version, from 0; a write adds one to it, and nothing else does.

Promise:  an operation whose answer is unknown may have happened at any time after it was asked for,
          or never. Where no order exists, the operations are returned as they were given.
Not here: which answers are operations (`history.py`).
"""

from collections.abc import Sequence
from enum import Enum
from math import inf
from typing import NamedTuple


class Kind(Enum):
    """What an operation asks of the register."""

    WRITE = "write"  # It was answered with `version`, the one that it made.
    MAYBE = "maybe"  # A write without an answer.
    READ = "read"  # It saw `version`.
    CONFLICT = "conflict"  # It saw `version`, which was not `expected`, and did nothing.


class Operation(NamedTuple):
    """Asked for at `start`, answered at `end` (`inf`: never). Times are of one clock."""

    kind: Kind
    start: float
    end: float = inf
    version: int | None = None
    expected: int | None = None


def effect(operation: Operation, version: int) -> int | None:
    """Return the version after `operation` at `version`; None where it cannot happen there."""
    match operation.kind:
        case Kind.WRITE:
            fits = operation.version == version + 1 and operation.expected in (None, version)
            return version + 1 if fits else None
        case Kind.MAYBE:
            return version + 1 if operation.expected in (None, version) else None
        case Kind.READ:
            return version if operation.version == version else None
        case Kind.CONFLICT:
            fits = operation.version == version and operation.expected != version
            return version if fits else None


def is_linearizable(operations: Sequence[Operation]) -> bool:
    """Tell whether there is an order that fits the times and the register."""
    ordered = sorted(operations, key=lambda one: (one.start, one.end))
    certain = sum(1 << index for index, one in enumerate(ordered) if one.kind is not Kind.MAYBE)
    seen = {(0, 0)}
    stack = [(0, 0)]  # Which were taken, as bits; the version then.
    while stack:
        taken, version = stack.pop()
        if taken & certain == certain:
            return True
        first_end = min(one.end for index, one in enumerate(ordered) if not taken >> index & 1)
        for index, operation in enumerate(ordered):
            if operation.start > first_end:
                break
            if taken >> index & 1:
                continue
            after = effect(operation, version)
            if after is not None and (after_taken := (taken | 1 << index, after)) not in seen:
                seen.add(after_taken)
                stack.append(after_taken)
    return False
