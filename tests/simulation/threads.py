"""Threads that take turns: exactly one of them, or the loop, runs at any moment, and the dice say who.

    loop --resume--> worker --pause (a call of the disk, an empty queue)--> loop --...

The workers are real threads, because the code under test blocks; but a worker runs only between
`resume` and its next `pause`, so their order is that of the world's heap and of nothing else.

Promise:  implements `daemon.journal.threads.Threads`. After `kill_all` every worker has ended, each
          by a `KilledError` out of whatever it was waiting for.
Assume:   code under test that holds a real lock does not pause: those that it holds while it reads are
          `SimulatedLock`s here (`house.py`).
"""

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from tests.simulation.world import World

HANDOVER_US: Final = 40  # Until a thread that was woken runs; at most.


class KilledError(BaseException):
    """The process is gone. Not an `Exception`: nothing of the code under test may handle it."""


class Worker:
    """One thread, which does one job after another."""

    def __init__(self, threads: "SimulatedThreads") -> None:
        self.job: Callable[[], None] | None = None
        self.jobs = 0
        self.killed = False
        self._threads = threads
        self._go = threading.Lock()
        self._go.acquire()
        threading.Thread(target=self._run, name="simulated", daemon=True).start()

    def resume(self) -> None:
        """Let it run until it pauses or has no job any more. Called by the loop's thread."""
        threads = self._threads
        assert threads.running is None
        threads.running = self
        self._go.release()
        threads.back.acquire()
        threads.running = None
        if self.job is None:
            threads.idle.append(self)

    def wait(self) -> None:
        """Give the turn back, and return with the next `resume`. Called by the worker's thread."""
        if not self.killed:
            self._threads.back.release()
            self._go.acquire()
        if self.killed:
            raise KilledError

    def end(self) -> None:
        """End the thread, which has no job."""
        self.job = None
        self._go.release()

    def _run(self) -> None:
        while True:
            self._go.acquire()
            if self.job is None:
                return
            with suppress(KilledError):
                self.job()
            self.job = None
            self._threads.back.release()


class SimulatedQueue:
    """Implements `daemon.journal.threads.Queue`."""

    def __init__(self, threads: "SimulatedThreads") -> None:
        self._threads = threads
        self._items: deque[Any] = deque()
        self._waiting: Worker | None = None

    def put(self, item: object, /) -> None:
        """See `Queue`."""
        self._items.append(item)
        if self._waiting is not None:
            worker, self._waiting = self._waiting, None
            self._threads.wake(worker)

    def get(self) -> Any:  # noqa: ANN401 (whatever was put)
        """See `Queue`. One thread at a time waits."""
        worker = self._threads.running
        assert worker is not None
        while not self._items:
            assert self._waiting is None
            self._waiting = worker
            worker.wait()
        return self._items.popleft()

    def qsize(self) -> int:
        """See `Queue`."""
        return len(self._items)


class SimulatedLock:
    """A `threading.Lock` for workers; the loop's thread may take it where nobody holds it."""

    def __init__(self, threads: "SimulatedThreads") -> None:
        self._threads = threads
        self._is_held = False
        self._waiting: deque[Worker] = deque()

    def __enter__(self) -> None:
        worker = self._threads.running
        while self._is_held:
            assert worker is not None, "the loop waits for a lock"
            self._waiting.append(worker)
            worker.wait()
        self._is_held = True

    def __exit__(self, *_: object) -> None:
        self._is_held = False
        if self._waiting:
            self._threads.wake(self._waiting.popleft())


class SimulatedThreads:
    """All threads of one simulation. `running` is the one whose turn it is, None: the loop's."""

    def __init__(self, world: World) -> None:
        self.running: Worker | None = None
        self.idle: list[Worker] = []
        self.back = threading.Lock()
        self.back.acquire()
        self._world = world
        self._dice = world.dice("threads")
        self._busy: dict[Worker, None] = {}

    def queue(self) -> SimulatedQueue:
        """See `Threads`."""
        return SimulatedQueue(self)

    def lock(self) -> SimulatedLock:
        """Return what stands for a `threading.Lock`."""
        return SimulatedLock(self)

    def start(self, run: Callable[[], None], name: str) -> None:
        """See `Threads`."""
        del name
        worker = self.idle.pop() if self.idle else Worker(self)
        worker.job = run
        worker.jobs += 1
        self._busy[worker] = None
        self.wake(worker)

    def wake(self, worker: Worker, delay_us: int | None = None) -> None:
        """Let `worker` go on after a while."""
        if delay_us is None:
            delay_us = self._dice.randint(1, HANDOVER_US)

        job = worker.jobs

        def resume() -> None:
            if worker in self._busy and worker.jobs == job:  # Else that job was killed.
                worker.resume()
                if worker.job is None:
                    del self._busy[worker]

        self._world.after(delay_us, resume)

    def pause(self, delay_us: int) -> None:
        """Let the running worker wait that long, and others run meanwhile. The loop never waits."""
        worker = self.running
        if worker is not None:
            if not worker.killed:
                self.wake(worker, delay_us)
            worker.wait()

    def kill_all(self) -> None:
        """End every job where it stands."""
        for worker in list(self._busy):
            worker.killed = True
            while worker.job is not None:
                worker.resume()
            worker.killed = False
        self._busy.clear()

    def close(self) -> None:
        """End the threads themselves."""
        self.kill_all()
        for worker in self.idle:
            worker.end()
        self.idle.clear()
