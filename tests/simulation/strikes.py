"""What goes wrong, and when: ends by force, power cuts, failing calls, a full disk, rotten bits."""

import errno
from functools import partial
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Final

from daemon.archive.opening import open_store
from daemon.errors import DamagedStoreError, DiskFailedError, StoreLockedError
from daemon.journal.reserve import RESERVE_NAME
from daemon.journal.segment import JOURNAL_NAME
from tests.simulation.disk import Fault, SimulatedDisk
from tests.simulation.life import DATA, EndedError
from tests.simulation.threads import KilledError
from tests.simulation.world import MILLISECOND_US

if TYPE_CHECKING:
    from tests.simulation.house import House

HORIZON_US: Final = 2500 * MILLISECOND_US  # Strikes come in this time.
CALLS: Final = ("write", "sync", "sync_directory", "sync_filesystem", "replace", "read", "")
JOURNAL: Final = DATA / JOURNAL_NAME
NOT_ROTTEN: Final = frozenset({"lock", RESERVE_NAME})  # There is nothing in them.
POWER_PROBABILITY: Final = 0.4  # That the machine goes down with the process.


class Strikes:
    """Planned from the seed; `stop` ends them."""

    def __init__(self, house: "House") -> None:
        self._house = house
        self._world = house.world
        self._dice = house.world.dice("strikes")
        self._is_active = True
        self._rotten: tuple[bytes, bytes] | None = None  # Bytes before and after.
        self._goes_down: list[bool] = []  # Decided before for the next ends, else by chance.
        self._rots = self._dice.choice((0, 1))
        house.environment.killed = self._kill_now
        for _ in range(self._dice.randint(1, 3)):
            self._plan(self._kill)
        for _ in range(self._dice.choice((0, 1, 1))):
            self._plan(self._drain)
        for _ in range(self._dice.choice((0, 0, 1, 2))):
            self._plan(self._fail)
        for _ in range(self._dice.choice((0, 1))):
            self._plan(self._fill)
        for _ in range(self._dice.choice((0, 1))):
            self._plan(self._lose_a_sync)
        for _ in range(self._dice.choice((0, 0, 0, 2))):
            self._plan(self._set_the_clock)
        for _ in range(self._dice.choice((0, 0, 0, 1))):
            self._plan(self._start_another)

    def stop(self) -> None:
        """Let nothing go wrong any more."""
        self._is_active = False
        environment = self._house.environment
        environment.faults.clear()
        environment.capacity_bytes = environment.kill_at_call = inf

    @property
    def is_rotten(self) -> bool:
        """Whether a bit was flipped that nobody has mended; a repair may have."""
        return self._rotten is not None

    def after(self, ending: EndedError) -> None:
        """A process ended: see whether the machine did, too, and what the next one will find."""
        environment, dice = self._house.environment, self._dice
        if ending.status == DamagedStoreError.exit_status:
            self._mend()
        environment.kill_at_call = inf
        if not self._is_active:
            return
        if self._goes_down.pop(0) if self._goes_down else dice.random() < POWER_PROBABILITY:
            self._world.note("power cut")
            self._house.model.count("power cuts")
            environment.lose_power()
        elif self._rots and ending.status is None:
            self._rot()
        if dice.random() < 0.3:
            environment.kill_at_call = environment.calls + dice.randint(1, 120)

    def _plan(self, strike: object) -> None:
        assert callable(strike)

        def fall() -> None:
            if not self._is_active:
                return
            if self._house.life is None:
                self._world.after(5 * MILLISECOND_US, fall)
            else:
                strike()

        self._world.after(self._dice.randint(1, HORIZON_US), fall)

    def _kill(self) -> None:
        environment = self._house.environment
        if self._is_active:
            environment.kill_at_call = environment.calls + self._dice.randint(1, 30)

    def _kill_now(self) -> None:
        life = self._house.life
        if life is not None:
            self._world.note("killed")
            self._world.after(0, lambda: life.end(EndedError("killed")))

    def _drain(self) -> None:
        life = self._house.life
        if life is not None and life.is_serving:
            self._world.note("stop")
            life.stop()

    def _fail(self) -> None:
        dice, now_us = self._dice, self._world.now_us
        operation = dice.choice(CALLS)
        code = errno.EIO
        if operation == "write":
            code = dice.choice((errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS))
        lasting_us = dice.choice((inf, dice.randint(1, 400) * MILLISECOND_US))
        times = 1 if lasting_us == inf else inf
        self._house.environment.faults.append(
            Fault(operation, code, now_us, now_us + lasting_us, times)
        )

    def _lose_a_sync(self) -> None:
        """A sync fails, the next process finds the bytes in the cache, then the machine goes down."""
        now_us = self._world.now_us
        self._house.environment.faults.append(Fault("sync", errno.EIO, now_us, times=1))
        self._goes_down = [False, True]
        self._world.after(self._dice.randint(200, 900) * MILLISECOND_US, self._kill)

    def _set_the_clock(self) -> None:
        self._world.clock_off_us += self._dice.randint(-3000, 3000) * MILLISECOND_US
        self._world.note("clock set", self._world.clock_off_us)

    def _start_another(self) -> None:
        """Somebody starts a second daemon, which must come no further than the lock."""
        life = self._house.life
        if life is not None and life.is_serving:
            self._world.note("a second daemon")
            self._house.threads.start(partial(second_start, self._house), "a second daemon")

    def _fill(self) -> None:
        environment = self._house.environment
        environment.capacity_bytes = environment.media.size_bytes() + self._dice.randint(0, 6000)

        def make_room() -> None:
            environment.capacity_bytes = inf

        self._world.after(self._dice.randint(50, 1500) * MILLISECOND_US, make_room)

    def _rot(self) -> None:
        """Flip a bit near a file's end. One that tore is left alone: two faults are too many."""
        media, dice = self._house.environment.media, self._dice
        files = {path: inode for path, inode in media.files() if DATA in path.parents}
        journal = [path for path in files if path.suffix == ".jsonl" and path.parent == JOURNAL]
        others = [path for path in files if path.name not in NOT_ROTTEN and path.suffix != ".tmp"]
        if not journal:
            return
        path = max(journal) if dice.random() < 0.7 else dice.choice(sorted(others))
        size_bytes = len(files[path].cached)
        if not size_bytes:
            return
        at = size_bytes - dice.randint(1, min(1500, size_bytes))
        self._rotten = media.flip(path, at, dice)
        if self._rotten is None:
            return
        self._rots -= 1
        self._world.note("rot", path.name, at)
        self._house.model.count("bits flipped")

    def _mend(self) -> None:
        """The damage was refused, and an operator had a copy. It may have been copied on since."""
        assert self._rotten is not None
        before, after = self._rotten
        self._house.environment.media.mend(after, before)
        self._rotten = None


class SecondDisk(SimulatedDisk):
    """The disk as a second daemon has it, until it has got the lock."""

    has_lock = False

    def lock(self, path: Path) -> int:
        """See `Disk`."""
        super().lock(path)
        self.has_lock = True
        raise KilledError


def second_start(house: "House") -> None:
    """Start a daemon beside the one that runs: it must be refused, and change nothing (12)."""
    first, disk = house.life, SecondDisk(house.environment)
    try:
        open_store(disk, DATA)
    except StoreLockedError:
        house.model.count("second daemons that were refused")
    except KilledError:
        disk.die()
        if house.life is first and disk.has_lock:
            house.world.violated("12: a second daemon has got the lock")
        raise
    except DiskFailedError:
        pass  # The disk fails for everybody.
