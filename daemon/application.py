"""The composition root: builds everything, and tells the life of the process in order."""

import asyncio
import logging
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from actors.engine import Engine
from actors.pipeline import RegistrationPipeline
from actors.rules import Rules
from daemon.configuration import Configuration, impersonators, load_kinds
from daemon.errors import DaemonError
from daemon.readiness import ServiceManager
from daemon.service import Service
from daemon.store import FileStore
from daemon.transport.identity import Identity
from daemon.transport.publisher import EventSocket
from daemon.transport.router import CommandSocket
from daemon.transport.sockets import Context, make_context
from protocol.principals import Policy

log: Final = logging.getLogger(__name__)

LINGER_MS: Final = 1000  # For the last replies and `bye`; a peer that reads needs far less.


class Application:
    """One daemon, from start-up to exit."""

    def __init__(
        self, configuration: Configuration, *, base: Path, dev: bool, manager: ServiceManager
    ) -> None:
        self._configuration = configuration
        self._dev = dev
        self._manager = manager
        self._rules = Rules(
            kinds=load_kinds(configuration, base),
            policy=Policy(four_eyes=configuration.policy.four_eyes, assertions_count=dev),
        )
        self._identity = Identity(
            names={int(uid): name for uid, name in configuration.identity.names.items()},
            roles=configuration.roles,
            impersonators=impersonators(configuration),
            everything=dev,
        )
        self._stop = asyncio.Event()
        self._failure: DaemonError | None = None

    async def run(self) -> int:
        """Start, serve until told to stop, drain; return the exit status."""
        self._listen_to_signals()
        store = await self._open_store()
        context = make_context()
        publisher = EventSocket(context, self._configuration.daemon.events)
        engine = Engine(store, self._rules, publisher=publisher)
        async with engine.run():
            router = self._open_router(context, engine, store, publisher)
            publisher.start(lambda: store.last_seq, time.time_ns)
            router.start()
            self._say_ready(store)
            await self._stop.wait()
            if self._failure is not None:
                raise self._failure
            await self._drain(engine, router, store)
        publisher.close(store.last_seq, time.time_ns(), LINGER_MS)
        await store.close()
        context.term()
        self._manager.close()
        log.info("drained and stopped at seq %d", store.last_seq)
        return 0

    async def _open_store(self) -> FileStore:
        directory = Path(self._configuration.daemon.data_dir)
        self._manager.status(f"recovering {directory}")
        started_s = time.monotonic()
        store = await FileStore.open(directory, on_failed=self._failed)
        log.info(
            "recovered %s at seq %d in %.3f s",
            directory,
            store.last_seq,
            time.monotonic() - started_s,
        )
        return store

    def _open_router(
        self,
        context: Context,
        engine: Engine,
        store: FileStore,
        publisher: EventSocket,
    ) -> CommandSocket:
        daemon = self._configuration.daemon
        service = Service(
            engine,
            store,
            publisher,
            endpoints={"commands": daemon.commands, "events": daemon.events},
            drops=lambda: {"replies": router.dropped, "malformed": router.malformed},
        )
        router = CommandSocket(context, daemon.commands, self._identity, service)
        return router

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)

    def _failed(self, error: DaemonError) -> None:
        """End now: nothing may be acknowledged after a failed sync, and nothing is closed."""
        log.critical("%s", error)
        self._failure = error
        self._stop.set()

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
        self._manager.ready(f"serving at seq {store.last_seq}")
        self._manager.feed_watchdog(lambda: f"serving at seq {store.last_seq}")

    async def _drain(self, engine: Engine, router: CommandSocket, store: FileStore) -> None:
        log.info("stopping: finishing what was accepted")
        self._manager.stopping(f"draining at seq {store.last_seq}")
        await engine.drain()
        router.close(LINGER_MS)


@asynccontextmanager
async def open_pipeline(
    path: str | os.PathLike[str], rules: Rules | None = None
) -> AsyncIterator[RegistrationPipeline]:
    """Open a data directory without sockets and yield a pipeline on it (design 10).

    Raises:
        StoreLockedError: a daemon, or another pipeline, has the directory open.
        DamagedStoreError: the store needs `manifestd fsck`.
    """
    failures: list[DaemonError] = []
    store = await FileStore.open(Path(path), on_failed=failures.append)
    try:
        async with RegistrationPipeline(store, rules) as pipeline:
            yield pipeline
    finally:
        if failures:
            raise failures[0]
        await store.close()
