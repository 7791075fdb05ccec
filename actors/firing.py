"""What a due timer sets in motion: a command of the daemon's own, and what its answer means.

Promise:  an armed timer is handed over until it is answered for good. A refusal that will pass puts
          it off; any other is logged, and the timer is left alone until the daemon starts again, so
          that what crashes does not crash in a circle.
Not here: waiting and pausing (`timers.py`), deciding (`expiry.py`).
"""

import logging
from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec

from actors.expiry import DAEMON, Expire
from actors.letters import Letter
from actors.timers import Scheduler
from protocol.errors import CommandError
from protocol.timers import Timer

log: Final = logging.getLogger(__name__)


class Firing:
    """Fires timers by way of `tell`, which takes letters or raises a `CommandError`."""

    def __init__(self, clock: Callable[[], str], tell: Callable[[Letter], None]) -> None:
        self.scheduler = Scheduler(clock, self._fire)
        self._tell = tell

    def _fire(self, manifest_id: str, timer: Timer) -> None:
        request = Expire(manifest_id=manifest_id, timer_id=timer.id, command_id=timer.id)
        letter = Letter(request, DAEMON, partial(self._answered, manifest_id, timer))
        try:
            self._tell(letter)
        except CommandError as error:
            letter.take_answer()(error)

    def _answered(
        self, manifest_id: str, timer: Timer, outcome: msgspec.Struct | CommandError
    ) -> None:
        if not isinstance(outcome, CommandError):
            self.scheduler.done()
        elif outcome.retryable:
            log.info("%s: %s is put off: %s", manifest_id, timer.event, outcome)
            self.scheduler.put_off(manifest_id, timer)
        else:
            log.error(
                "%s: %s was due at %s and failed; it is tried again when the daemon restarts: %s",
                *(manifest_id, timer.event, timer.due, outcome),
            )
            self.scheduler.done()
