"""The composition root: builds everything, and tells the life of the process in order.

    lock looked at -> PUB bound -> recovery -> ROUTER bound -> READY -> serve -> drain -> bye

Promise:  after a failed disk nobody is told "ok", and the process ends with the failure's status
          in well under a second, whatever it was doing.
"""

import asyncio
import logging
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final, NoReturn

from actors.engine import Engine
from actors.pipeline import RegistrationPipeline
from actors.ports import LifecycleChangedError
from actors.rules import Rules
from actors.turns import Turns
from daemon.admission import Admission, Bounds
from daemon.archive.identity import refuse_strangers
from daemon.archive.opening import LOCK_NAME
from daemon.backup import Backups
from daemon.configuration import Configuration, impersonators, rate_limit, store_settings
from daemon.connections import ConnectionLimit, raise_descriptor_limit
from daemon.data_directory import DirectoryWatch
from daemon.errors import (
    ConfigurationError,
    DaemonError,
    DamagedStoreError,
    DiskFailedError,
    StoreLockedError,
    disk_errors,
    is_unmakeable,
    is_unusable,
    unusable,
)
from daemon.journal.disk import OperatingSystemDisk
from daemon.progress import (
    RECOVERY,
    RECOVERY_STAGES,
    RecoveringDisk,
    published,
)
from daemon.readiness import ServiceManager
from daemon.rulebook import load_rules
from daemon.service import Service
from daemon.store import FileStore
from daemon.transport.identity import Identity
from daemon.transport.publisher import EventSocket
from daemon.transport.router import CommandSocket
from daemon.transport.sockets import Context, check_endpoint, make_context, refuse_if_taken
from protocol.errors import CorruptError
from protocol.progress import Clock, ProgressReporter

log: Final = logging.getLogger(__name__)

CLOCK: Final = Clock(time.time_ns, time.monotonic_ns)
# SIGHUP: the terminal was closed. Nothing is loaded anew while the daemon runs.
STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
LINGER_MS: Final = 1000  # For the last replies and `bye`; a peer that reads needs far less.
REFUSING_S: Final = 5.0  # While the last commands finish, further ones are told so; then unread.
FAREWELL_S: Final = 0.1  # After a failure, for the refusals to leave; the process has a second.


class _StoppedError(Exception):
    """Leaves the engine's task group, and so cancels the slow reads that nobody waits for now."""


class Application:
    """One daemon, from start-up to exit.

    `on_ready` is called once, when it answers; `end` ends the process at once (`os._exit`).
    """

    def __init__(
        self,
        configuration: Configuration,
        *,
        base: Path,
        dev: bool,
        manager: ServiceManager,
        on_ready: Callable[[], None] = lambda: None,
        end: Callable[[int], object] = os._exit,
    ) -> None:
        self._configuration = configuration
        self._directory = Path(configuration.daemon.data_dir)
        self._dev = dev
        self._manager = manager
        self._on_ready = on_ready
        self._end = end
        self._rules = load_rules(configuration, base, dev=dev)
        identity = Identity(
            names={int(uid): name for uid, name in configuration.identity.names.items()},
            roles=configuration.roles,
            impersonators=impersonators(configuration),
            everyday=self._rules.roles,
            everything=dev,
        )
        limits = configuration.limits
        self._turns = Turns()
        self._admission = Admission(
            identity,
            Bounds(limits.in_flight, limits.in_flight_bytes),
            rate_limit(limits, time.monotonic_ns),
        )
        self._stop = asyncio.Event()
        self._failure: DaemonError | None = None
        self._router: CommandSocket | None = None

    async def run(self) -> int:
        """Start, serve until told to stop, drain; return the exit status.

        Raises:
            DaemonError: the daemon cannot start. A failure later ends the process from within.
        """
        self._listen_to_signals()
        raise_descriptor_limit()
        self._refuse_if_locked()
        context = make_context()
        publisher = None
        try:
            for endpoint in self._configuration.daemon.commands:
                refuse_if_taken(endpoint)
            publisher = EventSocket(context, self._configuration.daemon.events)
            store = await self._recover(publisher)
            try:
                await self._serve(context, publisher, store)
            finally:
                await store.close()
        finally:
            if publisher is not None:
                publisher.close(LINGER_MS)
            context.destroy(LINGER_MS)
            self._manager.close()
            self._ignore_signals()
        if self._failure is not None:
            self._fail_stop(self._failure)
        log.info("drained and stopped at seq %d", store.last_seq)
        return 0

    def _refuse_if_locked(self) -> None:
        """Look for another daemon, or other files, before anything is bound or made in there.

        `FileStore.open` makes sure.
        """
        disk = OperatingSystemDisk()
        with disk_errors(self._directory, f"looking at {self._directory}"):
            try:
                if LOCK_NAME not in (names := disk.list_names(self._directory)):
                    refuse_strangers(self._directory, names)
                disk.unlock(disk.lock(self._directory / LOCK_NAME))
            except BlockingIOError as error:
                raise StoreLockedError(self._directory) from error
            except FileNotFoundError:
                pass  # There is no directory yet.

    async def _recover(self, publisher: EventSocket) -> FileStore:
        started_s = time.monotonic()
        reporter = ProgressReporter(published(publisher, self._manager), CLOCK)
        disk = RecoveringDisk(self._directory, reporter)
        reporter.start(RECOVERY, RECOVERY_STAGES, data_dir=str(self._directory))
        opening = asyncio.ensure_future(
            FileStore.open(
                self._directory,
                disk=disk,
                settings=store_settings(self._configuration),
                turns=self._turns,
                on_failed=self._failed,
            )
        )
        stopping = asyncio.ensure_future(self._stop.wait())
        await asyncio.wait({opening, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not opening.done():
            # Its thread cannot be stopped, and it is made to be killed at any moment.
            log.info("stopped while recovering; nothing was accepted")
            self._end_now(0)
        try:
            store = await opening
        except DaemonError as error:
            reporter.error(str(error))
            await asyncio.sleep(0)  # For the message, which takes its turn on the loop.
            if isinstance(error, DiskFailedError):
                is_no_use = is_unusable if self._directory.is_dir() else is_unmakeable
                if is_no_use(error.cause):
                    raise unusable(self._directory, error.cause) from error
            raise
        disk.recovered()
        reporter.complete(seq=store.last_seq)
        took_s = time.monotonic() - started_s
        log.info("recovered %s at seq %d in %.3f s", self._directory, store.last_seq, took_s)
        return store

    async def _serve(self, context: Context, publisher: EventSocket, store: FileStore) -> None:
        """Answer until told to stop, then finish what was accepted."""
        engine = Engine(store, self._rules, publisher=publisher, turns=self._turns)
        daemon = self._configuration.daemon
        paths = [str(check_endpoint(one)) for one in (*daemon.commands, *daemon.events)]
        maximum = self._configuration.limits.connections
        connected = ConnectionLimit(paths, maximum)
        loop = asyncio.get_running_loop()
        place = DirectoryWatch(self._directory / LOCK_NAME, loop.call_later, self._failed)
        router = self._router = self._open_router(context, engine, store, publisher, connected)
        try:
            async with engine.run():
                publisher.start(lambda: store.last_seq, time.time_ns)
                router.start()
                connected.start()
                place.start()
                self._say_ready(store)
                await self._stop.wait()
                await self._drain(engine, router, store)
        except* _StoppedError:
            publisher.say_bye(store.last_seq, time.time_ns())
        except* LifecycleChangedError as group:
            raise ConfigurationError(str(group.exceptions[0])) from group
        except* CorruptError as group:
            raise DamagedStoreError(self._directory, str(group.exceptions[0])) from group
        finally:
            place.stop()
            connected.stop()
            router.close(LINGER_MS)

    def _open_router(
        self,
        context: Context,
        engine: Engine,
        store: FileStore,
        publisher: EventSocket,
        connected: ConnectionLimit,
    ) -> CommandSocket:
        daemon = self._configuration.daemon
        service = Service(
            engine,
            store,
            publisher,
            endpoints={"commands": daemon.commands, "events": daemon.events},
            figures=lambda: router.figures,
            reporter=ProgressReporter(published(publisher), CLOCK),
            backups=Backups(
                store, OperatingSystemDisk(), self._directory, published(publisher), CLOCK
            ),
            usage=lambda: {**self._admission.usage, **connected.usage},
        )
        router = CommandSocket(context, daemon.commands, self._admission, service, self._turns)
        return router

    def _listen_to_signals(self) -> None:
        # Not `add_signal_handler`: taking that back leaves a moment in which a signal kills.
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(self._stop.set))

    def _ignore_signals(self) -> None:
        """Let nobody who asks twice kill a process that is about to end well."""
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)

    def _failed(self, error: DaemonError) -> None:
        """End soon: nothing may be acknowledged after a failed sync, and nothing is closed."""
        log.critical("%s", error)
        self._failure = error
        if self._router is not None:
            self._router.stop_acknowledging()
        asyncio.get_running_loop().call_later(FAREWELL_S, self._fail_stop, error)

    def _fail_stop(self, error: DaemonError) -> None:
        # Not by way of `main`: a worker thread may hang in the system call that failed.
        self._end_now(error.exit_status)

    def _end_now(self, status: int) -> None:
        logging.shutdown()
        self._end(status)

    def _say_ready(self, store: FileStore) -> None:
        daemon = self._configuration.daemon
        log.info("commands: %s", ", ".join(daemon.commands))
        log.info("events: %s", ", ".join(daemon.events))
        if self._dev:
            log.warning("--dev: every peer has all roles, asserted names count as persons")
        elif self._configuration.roles is None:
            log.warning("no [roles]: every peer has all roles but admin and impersonate")
        else:
            log.info("roles are assigned: %s", ", ".join(sorted(self._configuration.roles)))
        self._on_ready()
        self._manager.ready(f"serving at seq {store.last_seq}")
        self._manager.feed_watchdog(lambda: f"serving at seq {store.last_seq}")

    async def _drain(self, engine: Engine, router: CommandSocket, store: FileStore) -> NoReturn:
        """Finish what was accepted, then leave the engine's context by `_StoppedError`."""
        log.info("stopping: finishing what was accepted")
        self._manager.stopping(f"draining at seq {store.last_seq}")
        with suppress(TimeoutError):
            async with asyncio.timeout(REFUSING_S):
                await engine.drain()
        router.read_rest()
        await engine.drain()
        raise _StoppedError


@asynccontextmanager
async def open_pipeline(
    path: str | os.PathLike[str], rules: Rules | None = None
) -> AsyncIterator[RegistrationPipeline]:
    """Open a data directory without sockets and yield a pipeline on it (design 10).

    Raises:
        StoreLockedError: a daemon, or another pipeline, has the directory open.
        DamagedStoreError: the store needs `manifestd fsck`.
        DiskFailedError: at the end, when the disk failed meanwhile; open it again to see what is
            there.
    """
    failures: list[DaemonError] = []
    store = await FileStore.open(Path(path), on_failed=failures.append)
    try:
        async with RegistrationPipeline(store, rules) as pipeline:
            yield pipeline
    finally:
        await store.close()
        if failures:
            raise failures[0]
