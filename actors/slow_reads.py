"""Reads that wait for the store: each is a task of its own, and their number is bounded.

Promise:  every read is answered, also one that crashes and one that is cut short.
Not here: what is read (`queries.py`).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import msgspec

from actors.directory import Directory
from actors.letters import Answer
from protocol.errors import (
    CommandError,
    CorruptError,
    InternalError,
    OverloadedError,
    ShuttingDownError,
)
from protocol.events import DamagedEventError
from protocol.record import ReplayError
from protocol.replies import Usage

log: Final = logging.getLogger(__name__)

SLOW_READS_MAX: Final = 128  # At once; each holds a page of events or a manifest's state.
RETRY_AFTER_MS: Final = 100


class SlowReads:
    """Runs them in the directory's task group."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._count = 0
        self._refused = 0
        self._long: set[asyncio.Task[None]] = set()

    def begin(
        self,
        answer: Answer,
        result: Callable[[], Awaitable[msgspec.Struct]],
        *,
        is_long: bool = False,
    ) -> None:
        """Answer with `result()`; a read that `is_long` is cut short when the daemon ends.

        Raises:
            OverloadedError: too many are under way.
        """
        if self._count >= SLOW_READS_MAX:
            self._refused += 1
            what = "the number of slow reads"
            raise OverloadedError.full(what, limit=SLOW_READS_MAX, retry_after_ms=RETRY_AFTER_MS)
        task = self._directory.spawn(self._answer(answer, result), "read")
        self._count += 1
        task.add_done_callback(partial(self._ended, answer))
        if is_long:
            self._long.add(task)

    @property
    def usage(self) -> Usage:
        """How many are under way."""
        return Usage(self._count, SLOW_READS_MAX, self._refused)

    def stop(self) -> None:
        """Cut short the reads that can take minutes; their clients ask the daemon's successor."""
        for task in self._long:
            task.cancel()

    async def _answer(
        self, answer: Answer, result: Callable[[], Awaitable[msgspec.Struct]]
    ) -> None:
        outcome = await _outcome(result)
        await self._directory.turns.share()  # To encode megabytes.
        self._directory.say(answer, outcome)

    def _ended(self, answer: Answer, task: asyncio.Task[None]) -> None:
        self._count -= 1
        self._long.discard(task)
        if task.cancelled():  # Here and not inside it: it may not even have begun.
            message = "the daemon ends before this read would; ask its successor"
            self._directory.say(answer, ShuttingDownError(message))


async def _outcome(
    result: Callable[[], Awaitable[msgspec.Struct]],
) -> msgspec.Struct | CommandError:
    try:
        return await result()
    except CommandError as error:
        return error
    except (ReplayError, DamagedEventError) as error:
        return CorruptError(str(error), suggestion="manifestd fsck")
    except Exception:
        log.exception("a read crashed")
        return crashed()


def crashed() -> InternalError:
    """Return what a read that failed is answered."""
    return InternalError("the read failed inside the daemon; its log says how")
