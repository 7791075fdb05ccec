"""One request on its way to an answer: attempts, pauses, the end. Decisions without I/O.

Promise:  every attempt sends the same bytes, `command_id` included; a request ends by its
          deadline with the last thing that is known about it.
Assume:   whoever owns the sockets reports what became of each attempt, and waits as told.
"""

from typing import Final, NamedTuple

import msgspec

from manifestctl.endpoints import Route
from manifestctl.retry import RetryPolicy, Uniform, is_worth_asking_again, pause_s
from protocol.commands import Backup, Recover, Request, Verify, Write
from protocol.errors import CommandError, TooLargeError, UnavailableError
from protocol.limits import REQUEST_SIZE_MAX

SLOW: Final = (Backup, Recover, Verify)  # The daemon reads whole histories before it answers.


class Attempt(NamedTuple):
    """Send to `commands`; lost when not connected in `connect_s`, or not answered in `answer_s`."""

    commands: str
    connect_s: float
    answer_s: float


class Exchange:
    """The state of one request between its first attempt and its end.

    `TooLargeError` when no daemon would take it.
    """

    def __init__(
        self, request: Request, policy: RetryPolicy, route: Route, *, now_s: float
    ) -> None:
        self.body = msgspec.json.encode(request)
        if len(self.body) > REQUEST_SIZE_MAX:
            # Said here, because a much larger one would be answered by a closed connection.
            message = (
                f"the request has {len(self.body)} bytes; at most {REQUEST_SIZE_MAX} are taken"
            )
            raise TooLargeError(message, details={"limit": REQUEST_SIZE_MAX})
        self._command_id = request.command_id if isinstance(request, Write) else None
        self._policy = policy
        self._route = route
        self._is_slow = isinstance(request, SLOW)
        self._started_s = now_s
        self._deadline_s = now_s + policy.timeout_s  # To find somebody who takes it.
        self._last_s = now_s + (policy.slow_s if self._is_slow else policy.timeout_s)
        self._attempts = 0
        self._was_sent = False
        self._commands = route.current.commands

    def attempt(self, now_s: float) -> Attempt:
        """Return the next attempt; there is always a first one."""
        self._attempts += 1
        self._commands = self._route.current.commands
        connect_s = max(0.0, min(self._policy.attempt_timeout_s, self._deadline_s - now_s))
        answer_s = max(connect_s, self._last_s - now_s) if self._is_slow else connect_s
        if self._route.has_alternatives:
            connect_s = min(connect_s, self._policy.switch_s)
        return Attempt(self._commands, connect_s, answer_s)

    def after_silence(self, now_s: float, uniform: Uniform, *, was_sent: bool) -> float:
        """Return the pause in seconds after an attempt that nobody answered.

        Raises:
            UnavailableError: there is no time left for another one.
        """
        self._was_sent = self._was_sent or was_sent
        self._route.leave(self._commands)
        if self._is_slow and was_sent:  # It is gone; another one may come in its place.
            self._deadline_s = min(now_s + self._policy.timeout_s, self._last_s)
        return self._pause(now_s, uniform, self._unavailable())

    def after_refusal(self, now_s: float, uniform: Uniform, error: CommandError) -> float:
        """Return the pause in seconds before a refused request is worth another attempt.

        Raises:
            CommandError: `error` itself, when it is final or there is no time left.
        """
        if not is_worth_asking_again(error):
            raise error
        self._was_sent = True
        return self._pause(now_s, uniform, error)

    def _pause(self, now_s: float, uniform: Uniform, error: CommandError) -> float:
        floor_s = (error.retry_after_ms or 0) / 1000
        chosen_s = pause_s(self._policy, self._attempts, uniform, floor_s)
        if now_s + chosen_s >= self._deadline_s:
            raise error
        return chosen_s

    def _unavailable(self) -> UnavailableError:
        tried = [daemon.commands for daemon in self._route.daemons]
        what = "no answer from" if self._was_sent else "nobody listens at"
        message = f"{what} {', '.join(tried)} within {self._deadline_s - self._started_s:g} s"
        details: dict[str, object] = {"tried": tried, "attempts": self._attempts}
        suggestion = "start a daemon: manifestd --dev"
        if self._was_sent:
            suggestion = "look at the daemon's log"
        if self._was_sent and self._command_id is not None:
            details["command_id"] = self._command_id
            suggestion = (
                "perhaps it was carried out: repeat it with the same command id "
                f"(--command-id {self._command_id}) to learn what became of it"
            )
        return UnavailableError(message, suggestion=suggestion, details=details)
