"""The ops that are about the process: status, health, whoami, probe. The rest is the engine's."""

import os
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import msgspec

from actors.actor import Answer
from actors.decide import resolve
from actors.engine import Engine
from actors.ports import Publisher
from daemon.backup import Backups
from daemon.progress import VERIFY
from daemon.store import FileStore
from protocol.commands import Backup, Health, Probe, Request, Status, Verify, Whoami
from protocol.errors import CommandError
from protocol.events import timestamp
from protocol.principals import Peer, Principal, permitting_roles
from protocol.progress import ProgressReporter
from protocol.replies import (
    HealthResult,
    ProbeResult,
    StatusResult,
    Usage,
    VerifyResult,
    WhoamiResult,
)

PROTOCOL_VERSION: Final = 1
VERSION: Final = "0.1.0"


class Service:
    """What the command socket hands requests to."""

    def __init__(
        self,
        engine: Engine,
        store: FileStore,
        publisher: Publisher,
        *,
        endpoints: Mapping[str, list[str]],
        figures: Callable[[], dict[str, int]],
        reporter: ProgressReporter,
        backups: Backups,
        usage: Callable[[], Mapping[str, Usage]],
    ) -> None:
        self._engine = engine
        self._store = store
        self._publisher = publisher
        self._endpoints = dict(endpoints)
        self._figures = figures
        self._reporter = reporter
        self._backups = backups
        self._usage = usage
        self._verifying = False
        self._started_ns = time.time_ns()
        self._started_s = time.monotonic()
        self._own: dict[type[Request], Callable[..., msgspec.Struct]] = {
            Status: self._status,
            Health: self._health,
            Whoami: self._whoami,
            Probe: self._probe,
        }

    def handle(self, request: Request, peer: Peer, answer: Answer) -> None:
        """See `daemon.transport.router.Handler`. May raise `CommandError`: that is the answer."""
        own = self._own.get(type(request))
        if own is not None:
            answer(own(request, peer))
        elif isinstance(request, Backup):
            permitting_roles(Principal.of(peer), None, "backup")
            self._engine.queries.read(answer, partial(self._backups.answer, request))
        elif type(request) is Verify and not self._verifying:
            self._verify(request, peer, answer)
        else:
            self._engine.handle(request, peer, answer)

    def _verify(self, request: Verify, peer: Peer, answer: Answer) -> None:
        """Have the engine verify, and broadcast when it begins and how it ends; one at a time."""
        self._verifying = True
        self._reporter.start(VERIFY, (), manifest_id=request.manifest_id)

        def tell(outcome: msgspec.Struct | CommandError) -> None:
            self._verifying = False
            if isinstance(outcome, VerifyResult):
                self._reporter.complete(manifests=outcome.manifests, events=outcome.events)
            else:
                self._reporter.error(str(outcome))
            answer(outcome)

        self._engine.handle(request, peer, tell)

    def _status(self, _request: Status, peer: Peer) -> StatusResult:
        permitting_roles(Principal.of(peer), None, "status")
        directory = self._engine.directory
        figures = self._figures()
        return StatusResult(
            version=VERSION,
            pid=os.getpid(),
            store_id=self._store.store_id,
            started_at=timestamp(self._started_ns),
            uptime_s=round(time.monotonic() - self._started_s, 3),
            last_seq=self._store.last_seq,
            archived_seq=self._store.archived_seq,
            redactions_pending=self._store.redactions_pending,
            manifests=len(directory.catalog),
            states=directory.catalog.counts(),
            actors_active=directory.active,
            mailboxes_waiting=directory.waiting,
            commands=self._engine.commands,
            refusals=figures.pop("refused"),
            published=directory.published,
            dropped=figures,
            writable=self._store.writable,
            limits={**self._usage(), **self._engine.usage, **self._store.usage},
            endpoints=self._endpoints,
        )

    def _health(self, _request: Health, _peer: Peer) -> HealthResult:
        if self._engine.is_draining:
            status = "draining"
        else:
            status = "ok" if self._store.writable else "read-only"
        return HealthResult(
            status=status,
            protocol=PROTOCOL_VERSION,
            version=VERSION,
            store_id=self._store.store_id,
            last_seq=self._store.last_seq,
        )

    def _whoami(self, request: Whoami, peer: Peer) -> WhoamiResult:
        principal = resolve(peer, request.principal, self._engine.directory.rules.policy)
        return WhoamiResult(
            principal=principal.name,
            authenticated=principal.authenticated,
            via=principal.via,
            roles=sorted(principal.roles),
            may_impersonate=peer.may_impersonate,
            uid=peer.uid,
            gid=peer.gid,
        )

    def _probe(self, request: Probe, peer: Peer) -> ProbeResult:
        permitting_roles(Principal.of(peer), None, "probe")
        result = ProbeResult(token=request.token, last_seq=self._store.last_seq)
        self._publisher.publish(b"probe/" + request.token.encode(), msgspec.json.encode(result))
        return result
