"""How long to wait before asking again: exponential backoff with full jitter.

Full jitter (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015) draws the
whole pause at random, so that clients that were turned away together do not come back together.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from protocol.errors import (
    CommandError,
    OverloadedError,
    ShuttingDownError,
    UnavailableError,
)

ROUNDS: Final = 8  # The width of the first pause after a lost race, in rounds of read and write.
Uniform = Callable[[], float]  # A number from 0 to 1, such as `random.random` gives.


class RetryPolicy(NamedTuple):
    """How patient a client is. All times in seconds.

    `timeout_s` bounds a request with all its attempts and pauses; `attempt_timeout_s` is when an
    attempt counts as lost; `switch_s` is how long an endpoint may take to connect when there is
    another one to try. `slow_s` is in place of both for a request that has the daemon read whole
    histories, once it was sent: asking again would begin anew.
    """

    timeout_s: float = 10.0
    attempt_timeout_s: float = 2.5
    slow_s: float = 600.0
    switch_s: float = 0.3
    pause_s_first: float = 0.05
    pause_s_max: float = 2.0

    def within(self, timeout_s: float) -> "RetryPolicy":
        """Return the policy of one who has so much time for any request."""
        return self._replace(timeout_s=timeout_s, slow_s=timeout_s)


def pause_s(policy: RetryPolicy, attempt: int, uniform: Uniform, floor_s: float = 0.0) -> float:
    """Return the pause after the failed `attempt` (from 1), not under `floor_s`."""
    window_s: float = min(policy.pause_s_max, policy.pause_s_first * 2 ** min(attempt - 1, 32))
    return floor_s + uniform() * window_s


def conflict_pause_s(
    policy: RetryPolicy, attempt: int, uniform: Uniform, *, round_s: float
) -> float:
    """Return the pause after the lost race `attempt` (from 1), which took `round_s`.

    Rivals that lost to the same winner read again together, and all but one lose again. The
    window is therefore several rounds wide, however slow a round is on the machine.
    """
    first_s = max(policy.pause_s_first, ROUNDS * round_s)
    return pause_s(policy._replace(pause_s_first=first_s), attempt, uniform)


def is_worth_asking_again(error: CommandError) -> bool:
    """Tell whether the same command with the same id may fare better in a moment.

    Narrower than `error.retryable`: a version conflict wants a new decision, a full disk a person.
    """
    return isinstance(error, OverloadedError | ShuttingDownError | UnavailableError)
