"""How often a principal may write: a token bucket for each, kept as one number.

Promise:  in any stretch of time a principal gets at most `burst` writes and `rate` more for each
          second of it; who is refused is told when the next one is free. However many names come,
          a bounded number of them is remembered, and to forget one never refuses anybody.
Assume:   the clock never goes back (CLOCK_MONOTONIC).
Not here: whose bucket a request is charged to (`admission.py`).

A bucket is the time at which it would be full again, after the "virtual scheduling" form of the
generic cell rate algorithm (ITU-T I.371, annex A): what is past is a full bucket, and needs no room.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from protocol.errors import ManifestdError, OverloadedError

PRINCIPALS_MAX: Final = 4096  # Then those are forgiven who would be free the soonest.
ROOM: Final = 512  # For so many names it is made at once: it takes a look at every bucket.
BURST_DEFAULT_S: Final = 2  # A bucket holds what so many seconds bring, and at least one write.
NS_PER_MS: Final = 1_000_000
_PERIODS_NS: Final = {"s": 10**9, "min": 60 * 10**9, "h": 3600 * 10**9}
_RATE: Final = re.compile(r"([1-9][0-9]{0,8})/(s|min|h)")


class RateError(ManifestdError):
    """A rate that nobody can keep to. Unlike `OverloadedError` the configuration is at fault."""


class Allowance(NamedTuple):
    """What one principal may do: a write each `interval_ns`, `burst` of them at once."""

    interval_ns: int
    burst: int

    @classmethod
    def of(cls, rate: str, burst: int | None = None) -> "Allowance":
        """Return what `rate` says, such as `100/s`, `30/min` or `5/h`; else `RateError`."""
        match = _RATE.fullmatch(rate)
        if match is None:
            message = f"{rate!r} is no rate; write writes per second, minute or hour: 100/s, 30/min"
            raise RateError(message)
        count, period_ns = int(match.group(1)), _PERIODS_NS[match.group(2)]
        if burst is None:
            burst = max(1, BURST_DEFAULT_S * 10**9 * count // period_ns)
        return cls(max(1, period_ns // count), burst)


class RateLimit:
    """The buckets. `overrides` by principal; None: no limit. `clock_ns` never goes back."""

    def __init__(
        self,
        allowance: Allowance | None,
        overrides: Mapping[str, Allowance | None],
        clock_ns: Callable[[], int],
    ) -> None:
        self._allowance = allowance
        self._overrides = dict(overrides)
        self._clock_ns = clock_ns
        self._full_at_ns: dict[str, int] = {}
        self.refused = 0

    @property
    def principals(self) -> int:
        """How many buckets are remembered."""
        return len(self._full_at_ns)

    def take(self, principal: str) -> None:
        """Take one write out of a principal's bucket.

        Raises:
            OverloadedError: it is empty; `retry_after_ms` is when there is one in it again.
        """
        allowance = self._overrides.get(principal, self._allowance)
        if allowance is None:
            return
        interval_ns, burst = allowance
        now_ns = self._clock_ns()
        full_ns = max(self._full_at_ns.get(principal, now_ns), now_ns)
        early_ns = full_ns + interval_ns - now_ns - interval_ns * burst
        if early_ns > 0:
            self.refused += 1
            retry_after_ms = -(-early_ns // NS_PER_MS)
            message = (
                f"{principal} writes faster than allowed ({_shown(allowance)}); "
                f"try again in {retry_after_ms} ms"
            )
            details = {"limit": burst, "retry_after_ms": retry_after_ms}
            raise OverloadedError(message, details=details)
        if principal not in self._full_at_ns and len(self._full_at_ns) >= PRINCIPALS_MAX:
            self._make_room(now_ns)
        self._full_at_ns[principal] = full_ns + interval_ns

    def _make_room(self, now_ns: int) -> None:
        """Forget the full buckets, and of the others, if need be, those that are the fullest."""
        waiting = sorted(
            (at_ns, name) for name, at_ns in self._full_at_ns.items() if at_ns > now_ns
        )
        self._full_at_ns = {name: at_ns for at_ns, name in waiting[ROOM - PRINCIPALS_MAX :]}


def _shown(allowance: Allowance) -> str:
    per_s = 10**9 / allowance.interval_ns
    return f"{per_s:.4g} per second, {allowance.burst} at once"
