"""Where the journal's thread comes from, so that a simulation can run it on a clock of its own.

Promise:  what `queue` returns may be used from any thread; `get` waits.
Not here: hops to a worker thread (`aiofiles.os.wrap`): those are the event loop's own
          `run_in_executor`.
"""

from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Queue(Protocol[T]):
    """The part of `queue.SimpleQueue` that the journal uses."""

    def put(self, item: T, /) -> None:
        """Add `item`; never waits."""

    def get(self) -> T:
        """Remove the oldest item and return it; waits until there is one."""

    def qsize(self) -> int:
        """Return how many items there are."""


class Threads(Protocol):
    """Makes threads, and queues to talk to them."""

    def queue(self) -> Queue[Any]:
        """Return a queue that several threads may use."""

    def start(self, run: Callable[[], None], name: str) -> None:
        """Call `run` in a thread of its own."""


class SystemThreads:
    """The operating system's threads. Implements `Threads`."""

    def queue(self) -> Queue[Any]:
        """See `Threads`."""
        return SimpleQueue()

    def start(self, run: Callable[[], None], name: str) -> None:
        """See `Threads`. A sync that never returns does not keep the failed process alive."""
        Thread(target=run, name=name, daemon=True).start()
