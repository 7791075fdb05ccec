"""Figures, and the bounds that they have to keep (design 10)."""

from collections.abc import Callable, Sequence
from time import perf_counter_ns
from typing import NamedTuple


class Figure(NamedTuple):
    """One measured value. `is_floor`: the bound is a lower one. `note` says what was counted."""

    name: str
    value: float
    unit: str
    bound: float
    is_floor: bool = False
    note: str = ""

    @property
    def holds(self) -> bool:
        """Tell whether the bound is kept."""
        return self.value >= self.bound if self.is_floor else self.value <= self.bound

    def __str__(self) -> str:
        """One line: the name, the value, the bound, the verdict."""
        relation = "at least" if self.is_floor else "at most"
        verdict = "ok" if self.holds else "MISSED"
        line = (
            f"{self.name:<40} {self.value:>9.4g} {self.unit:<9} {relation:>8} {self.bound:<5g}"
            f" {verdict:<7}{self.note}"
        )
        return line.rstrip()


def percentile(ordered: Sequence[int], share: float) -> int:
    """Return the value that `share` of the sorted `ordered` do not exceed (nearest rank)."""
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


def timed_ns(action: Callable[[], object], repeats: int) -> list[int]:
    """Call `action` so often, and return how long each call took, sorted."""
    took_ns = []
    for _ in range(repeats):
        begun_ns = perf_counter_ns()
        action()
        took_ns.append(perf_counter_ns() - begun_ns)
    return sorted(took_ns)


def milliseconds(name: str, ordered_ns: Sequence[int], bound_ms: float, what: str) -> Figure:
    """Return the median of sorted durations as a figure; its note has the 99th percentile."""
    p99_ms = percentile(ordered_ns, 0.99) / 1e6
    return Figure(
        name,
        percentile(ordered_ns, 0.5) / 1e6,
        "ms",
        bound_ms,
        note=f"{what}: median of {len(ordered_ns)}; p99 {p99_ms:.3g} ms",
    )
