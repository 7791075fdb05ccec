"""A refused write and the appends that cross it on their way, with the loop stepped by hand."""

import asyncio
import errno
from collections import deque
from collections.abc import Callable, Sequence
from threading import Event
from typing import cast

from daemon.journal.committer import Journal
from protocol.errors import CommandError
from tests.support.faulty_disk import FaultyDisk
from tests.unit.journal.journals import DATA, EMPTY, Entry, event, recover


class SteppedLoop:
    """What a journal needs of a loop; it calls back when told to, in the order it was asked."""

    def __init__(self) -> None:
        self.posted = Event()  # Set when the thread has asked for a callback.
        self._ready: deque[Callable[[], object]] = deque()

    def call_soon(
        self, callback: Callable[..., object], *arguments: object, context: object = None
    ) -> None:
        """Queue a callback; futures pass a context, which nothing here needs."""
        del context
        self._ready.append(lambda: callback(*arguments))

    def call_soon_threadsafe(self, callback: Callable[..., object], *arguments: object) -> None:
        """Queue a callback of the thread's."""
        self.call_soon(callback, *arguments)
        self.posted.set()

    def step(self) -> None:
        """Call everything that is queued now."""
        self.posted.clear()
        for _ in range(len(self._ready)):
            self._ready.popleft()()

    def wait_and_step(self) -> None:
        """Wait until the thread has asked for a callback, then call everything."""
        self.posted.wait()
        self.step()

    def time(self) -> float:
        """Stand still."""
        return 0.0

    def create_future(self) -> asyncio.Future[None]:
        """Return a future; nobody waits for it to the end."""
        return asyncio.Future(loop=self.as_loop())

    def get_debug(self) -> bool:
        """Say no: futures ask."""
        return False

    def as_loop(self) -> asyncio.AbstractEventLoop:
        """Return itself as what it stands for."""
        return cast("asyncio.AbstractEventLoop", self)


def test_what_was_appended_before_the_loop_knew_of_the_refusal_is_refused_with_it() -> None:
    disk = FaultyDisk()
    end = recover(disk).end
    loop = SteppedLoop()
    committed: list[int] = []
    refusals: list[list[int]] = []

    def on_batch(entries: Sequence[Entry], _log_hash: bytes) -> None:
        committed.extend(entry.committed.seq for entry in entries)

    def on_refused(entries: Sequence[Entry], _error: CommandError) -> None:
        refusals.append([entry.committed.seq for entry in entries])

    journal: Journal[Entry] = Journal(
        disk,
        DATA,
        end=end,
        loop=loop.as_loop(),
        on_batch=on_batch,
        on_refused=on_refused,
        on_failed=lambda error: refusals.append([error.exit_status]),
    )
    disk.fail("write", errno.ENOSPC)
    journal.append(Entry(event(1)))
    loop.step()  # Hands 1 over; its write is refused.
    loop.posted.wait()
    journal.append(Entry(event(2)))  # The loop has not yet heard of the refusal.

    loop.step()
    assert journal.is_full()
    loop.wait_and_step()

    assert refusals == [[1, 2]]
    assert committed == []
    assert end == EMPTY
    assert [content for path, content in disk.files().items() if path.suffix == ".jsonl"] == [b""]
    journal.try_resume()
    assert not journal.is_full()
    journal.append(Entry(event(1)))
    loop.step()
    loop.wait_and_step()
    assert committed == [1]
    journal.close().send(None)  # As far as its first wait: the thread is told to stop.
    loop.wait_and_step()
