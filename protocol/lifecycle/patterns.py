"""Regular expressions of guards, bounded: what compiling and running one costs at most.

Rust's engine never backtracks, so time is bounded by the text's length times the pattern's states;
but `\\w{1000}` alone takes a second to compile, and guards compile a pattern each time it is asked.

Promise:  what `check_pattern` accepts compiles within `compile_cost`, and runs within `states`
          for each character; both are counted in steps of 100 ns, measured and rounded up.
Not here: whether the engine accepts the pattern (`expressions.py` asks it when it compiles).
"""

import re
from math import prod
from typing import Final

from protocol.errors import ManifestdError

PATTERN_SIZE_MAX: Final = 200  # Characters.
REPEATS_MAX: Final = 1000  # All counts of a pattern multiplied, as they are when nested.
COMPILE_COST_MAX: Final = 100_000  # 10 ms.

_PARTS: Final = re.compile(r"\\(?P<escape>.)|(?P<sign>[\[.])|(?s:.)", re.DOTALL)
_COSTS: Final = {"w": 7500, "W": 7500, "p": 7500, "P": 7500, "d": 1500, "D": 1500}
_CLASS_COST: Final = 300
_FOLDED_CLASS_COST: Final = 5000  # (?i) folds each range of a class.
_CHARACTER_COST: Final = 30
_COUNT: Final = re.compile(r"\d+")
_FLAGS: Final = re.compile(r"\(\?(?!:|i\)|i:)")


class PatternError(ManifestdError):
    """A pattern is too costly, or written in a way whose cost nobody counted."""


def repeats(pattern: str) -> int:
    """Return how often the pattern may have to be written out: its counts multiplied."""
    counts = (
        int(number[:6])
        for braces in re.findall(r"\{[^}]*", pattern)
        for number in _COUNT.findall(braces)
    )
    return prod(max(1, count) for count in counts)


def compile_cost(pattern: str) -> int:
    """Return an upper bound of what compiling takes, in steps."""
    class_cost = _FOLDED_CLASS_COST if "(?i" in pattern else _CLASS_COST
    cost = 0
    for part in _PARTS.finditer(pattern):
        if part["escape"]:
            cost += _COSTS.get(part["escape"], _CLASS_COST)
        else:
            cost += class_cost if part["sign"] or not part.group().isascii() else _CHARACTER_COST
    return cost * repeats(pattern)


def run_cost(pattern: str, text_size: int) -> int:
    """Return an upper bound of what looking for it in `text_size` characters takes, in steps."""
    return text_size * (len(pattern) * repeats(pattern) + 10) // 10


def check_pattern(pattern: str) -> None:
    """Raise `PatternError` unless the pattern's cost is known and bearable."""
    if len(pattern) > PATTERN_SIZE_MAX:
        raise PatternError(f"a pattern has at most {PATTERN_SIZE_MAX} characters")
    if _FLAGS.search(pattern):
        raise PatternError("of the groups with (? only (?:…), (?i) and (?i:…) are taken")
    if repeats(pattern) > REPEATS_MAX:
        raise PatternError(f"counts multiply to more than {REPEATS_MAX}")
    if compile_cost(pattern) > COMPILE_COST_MAX:
        raise PatternError("it takes too long to compile; ask for less with counts and classes")
