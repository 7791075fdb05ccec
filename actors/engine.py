"""The engine: every request comes in here, whoever carried it, and is answered by a callback.

Promise:  `answer` is called exactly once per request, with a result or a `CommandError`.
Not here: bytes and sockets (`daemon.transport`); the reads themselves (`queries.py`).
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from actors.directory import ACTORS_MAX, Directory
from actors.letters import Answer, Letter
from actors.ports import EventStore, Publisher, Stamper
from actors.queries import Queries
from actors.rules import Rules
from actors.stamps import SystemStamper
from actors.timers import CallLater
from actors.turns import Turns
from protocol.canonical import strict_loads
from protocol.commands import OP_BY_REQUEST, Create, Request, Write
from protocol.errors import CommandError, CorruptError, InternalError, ShuttingDownError
from protocol.identifiers import check_manifest_id, id_for_command, is_manifest_id
from protocol.lifecycle.findings import LifecycleError
from protocol.lifecycle.lifecycle import Lifecycle
from protocol.lifecycle.reader import read_lifecycle
from protocol.principals import Peer, Principal, permitting_roles
from protocol.replies import Usage

log: Final = logging.getLogger(__name__)


class NobodyListens:
    """A publisher for an engine without sockets."""

    def publish(self, topic: bytes, body: bytes) -> None:
        """See `ports.Publisher`."""


def _read_back(name: str, definition: bytes) -> Lifecycle:
    """Return a lifecycle that was good once: a check that is stricter now does not keep it out."""
    try:
        return Lifecycle(read_lifecycle(definition, name, syntax="json"))
    except LifecycleError as error:
        message = f"the lifecycle {name} that the store keeps cannot be read: {error}"
        raise CorruptError(message, suggestion="manifestd fsck") from error


class Engine:
    """Directory, catalog and queries on top of a store.

    `call_later` is the loop's where none is given; timers of manifests wait by it. Whoever else works on
    the loop should take the same `turns`.
    """

    def __init__(
        self,
        store: EventStore,
        rules: Rules,
        *,
        stamper: Stamper | None = None,
        publisher: Publisher | None = None,
        actors_max: int = ACTORS_MAX,
        call_later: CallLater | None = None,
        turns: Turns | None = None,
    ) -> None:
        self.stamper = stamper or SystemStamper()
        self.directory = Directory(
            store,
            rules,
            self.stamper,
            publisher or NobodyListens(),
            actors_max=actors_max,
            call_later=call_later,
            turns=turns,
        )
        self.queries = Queries(self.directory)
        self.commands = 0
        self._draining = False

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Pin the lifecycles, then take requests for as long as the context lasts.

        A lifecycle that is no longer configured stays known where the store has manifests of it.

        Raises:
            LifecycleChangedError: the store has another definition of one of the lifecycles.
            CorruptError: a definition that the store kept cannot be read.
        """
        lifecycles, store = self.directory.rules.lifecycles, self.directory.store
        for name in lifecycles.names():
            await store.pin_lifecycle(name, lifecycles.get(name).to_json())
        for name, definition in (await store.pinned_lifecycles()).items():
            if name not in lifecycles:
                lifecycles.add(_read_back(name, definition))
        async with self.directory.run():
            yield

    async def drain(self) -> None:
        """Refuse every further write, and return when what was accepted is answered.

        No timer fires from now on; the next one to open the store fires what is overdue then.
        Reads go on; those that can take minutes are cut short with `SHUTTING_DOWN`.
        """
        self._draining = True
        self.queries.stop()
        self.directory.timers.stop()
        await self.directory.settle()

    @property
    def is_draining(self) -> bool:
        """Tell whether writes are refused because the daemon is about to end."""
        return self._draining

    @property
    def usage(self) -> dict[str, Usage]:
        """How full what has a bound is, by name."""
        return {**self.directory.usage, "slow_reads": self.queries.slow}

    @property
    def refusals(self) -> int:
        """The number of requests that were refused."""
        return self.directory.refusals

    def handle(self, request: Request, peer: Peer, answer: Answer) -> None:
        """Carry out `request` for `peer`; `answer` gets the result or the refusal, once."""
        self.commands += 1
        try:
            if isinstance(request, Write):
                self._write(request, peer, answer)
                return
            roles = OP_BY_REQUEST[type(request)].roles
            if roles != ():
                permitting_roles(Principal.of(peer), roles, OP_BY_REQUEST[type(request)].name)
            self.queries.handle(request, peer, answer)
        except CommandError as error:
            self.directory.say(answer, error)
        except Exception:
            log.exception("%s crashed", type(request).__name__)
            message = "the request failed inside the daemon; its log says how"
            self.directory.say(answer, InternalError(message))

    def _write(self, request: Write, peer: Peer, answer: Answer) -> None:
        if self._draining:
            message = "the daemon is shutting down; send the same command to its successor"
            raise ShuttingDownError(message)
        if isinstance(request, Create) and request.manifest_id is None:
            request.manifest_id = self._name(request, peer)
        if request.manifest_id not in self.directory:  # Else it was looked at before.
            check_manifest_id(request.manifest_id)
        self.directory.tell(Letter(request, peer, answer))

    def _name(self, request: Create, peer: Peer) -> str:
        """Return the id of a create that gives none; a retry has to find the same one."""
        document = strict_loads(bytes(request.manifest))
        if isinstance(document, dict):
            name, version = document.get("name"), document.get("version")
            if isinstance(name, str) and isinstance(version, str) and version:
                manifest_id = f"{name}@{version}"
                if is_manifest_id(manifest_id):
                    return manifest_id
        if request.command_id is None:
            return self.stamper.stamp().event_id
        return id_for_command(request.principal or peer.name, request.command_id)
