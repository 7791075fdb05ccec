"""The engine as a class, for use without sockets (design 10). The daemon runs the same engine.

    async with daemon.open_pipeline("registry") as pipeline:
        await pipeline.create("acme/echo@1.0.0", {"name": "echo", "version": "1.0.0"}, "agent")

Promise:  what a method returns is durable. Whoever holds the object is trusted: the principals
          that it names count as authenticated, with every role; guards (four eyes) still hold.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from actors.engine import Engine
from actors.ports import EventStore
from actors.rules import Rules
from actors.stamps import SystemStamper
from protocol.commands import Create, Request, Transition
from protocol.errors import BadRequestError, CommandError, NotFoundError, OptimisticLockError
from protocol.events import CommittedEvent, Event, StateName, read_event
from protocol.identifiers import check_manifest_id
from protocol.limits import PAGE_SIZE_MAX
from protocol.principals import IMPERSONATE, ROLES, Peer
from protocol.replies import TransitionResult
from protocol.snapshots import StateSnapshot, encode_snapshot, replay

log: Final = logging.getLogger(__name__)

STATE_CHANGE: Final = "stateChange"


class StateChange(msgspec.Struct, frozen=True, kw_only=True):
    """What a `stateChange` handler gets. `metadata` has at least event and correlation id."""

    manifest_id: str
    from_state: StateName | None
    to_state: StateName
    metadata: dict[str, Any]


Handler = Callable[[StateChange], None]


class RegistrationPipeline:
    """Manifests through their lifecycle, on a store of the caller's. Use with `async with`."""

    def __init__(self, store: EventStore, rules: Rules | None = None) -> None:
        self._store = store
        self._rules = rules or Rules()
        self._stamper = SystemStamper()
        self._engine = Engine(store, self._rules, stamper=self._stamper, publisher=self)
        self._handlers: list[Handler] = []
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._engine.run())
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._engine.drain()
        await self._stack.__aexit__(error_type, error, traceback)

    async def create(
        self,
        manifest_id: str,
        manifest: Mapping[str, Any],
        kind: str | None = None,
        *,
        principal: str = "pipeline",
        command_id: str | None = None,
    ) -> TransitionResult:
        """Create a draft; `AlreadyExistsError` when the id is taken."""
        request = Create(
            manifest_id=manifest_id,
            manifest=msgspec.Raw(msgspec.json.encode(manifest)),
            kind=kind,
            command_id=command_id,
        )
        return await self._ask(request, principal)

    async def transition_state(
        self,
        manifest_id: str,
        target_state: str,
        context: Mapping[str, Any] | None = None,
        *,
        principal: str = "pipeline",
        expected_version: int | None = None,
        command_id: str | None = None,
        reason: str | None = None,
    ) -> TransitionResult:
        """Take the one event that leads to `target_state`.

        Raises:
            InvalidTransitionError: no single event leads there; `details.reachable` lists what is.
            GuardRejectedError, ManifestInvalidError, UrnConflictError: a guard refused.
            OptimisticLockError: the manifest is not at `expected_version`.
        """
        request = Transition(
            manifest_id=manifest_id,
            target=target_state,
            context=None if context is None else dict(context),
            expected_version=expected_version,
            command_id=command_id,
            reason=reason,
        )
        return await self._ask(request, principal)

    async def load_state(self, manifest_id: str) -> StateSnapshot:
        """Return the committed state; `NotFoundError` when there is no such manifest."""
        check_manifest_id(manifest_id)
        future: asyncio.Future[StateSnapshot] = asyncio.get_running_loop().create_future()

        def then(state: StateSnapshot | CommandError | None) -> None:
            if isinstance(state, StateSnapshot):
                future.set_result(state)
            else:
                future.set_exception(state or NotFoundError.manifest(manifest_id))

        self._engine.directory.read(manifest_id, then)
        return await future

    async def persist_state(self, manifest_id: str, state: StateSnapshot) -> None:
        """Write `state` to its snapshot file now, atomically.

        Raises:
            OptimisticLockError: the manifest has gone on since `state`.
            BadRequestError: `state` is not what the events yield; only commands change a state.
        """
        current = await self.load_state(manifest_id)
        if state.version != current.version:
            lifecycle = self._rules.lifecycles.get(current.lifecycle)
            raise OptimisticLockError.at(
                manifest_id,
                expected=state.version,
                actual=current.version,
                allowed_events=lifecycle.allowed_events(current.states),
            )
        if encode_snapshot(state) != encode_snapshot(current):
            message = f"that is not the state that the events of {manifest_id} yield; use a command"
            raise BadRequestError(message)
        self._store.save_snapshot(current)
        await self._store.write_behind()

    async def recover_from_events(self, manifest_id: str) -> StateSnapshot:
        """Return the state rebuilt from the manifest's events alone."""
        events: list[CommittedEvent] = []
        while page := await self._store.history(manifest_id, len(events), PAGE_SIZE_MAX):
            events += page
        state = replay(events)
        if state is None:
            raise NotFoundError.manifest(manifest_id)
        return state

    def on(self, event: str, handler: Handler) -> Callable[[], None]:
        """Call `handler` for every state change from now on; return what ends that."""
        if event != STATE_CHANGE:
            message = f"there is no event {event!r}; known: {STATE_CHANGE}"
            raise BadRequestError(message)
        self._handlers.append(handler)
        return lambda: self._handlers.remove(handler)

    def emit_state_change(
        self,
        manifest_id: str,
        from_state: StateName | None,
        to_state: StateName,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Tell the handlers, in the order in which they came; one that fails is logged."""
        event_id = self._stamper.stamp().event_id
        enriched = {"event_id": event_id, "correlation_id": event_id, **(metadata or {})}
        change = StateChange(
            manifest_id=manifest_id, from_state=from_state, to_state=to_state, metadata=enriched
        )
        for handler in list(self._handlers):
            try:
                handler(change)
            except Exception:
                log.exception("a stateChange handler failed on %s", manifest_id)

    def publish(self, topic: bytes, body: bytes) -> None:  # noqa: ARG002 (the port's signature)
        """Turn a committed event into a state change. See `ports.Publisher`."""
        if self._handlers:
            event = read_event(body)
            self.emit_state_change(
                event.manifest_id, event.states_from, event.states_to, _metadata(event)
            )

    async def _ask(self, request: Request, principal: str) -> TransitionResult:
        future: asyncio.Future[TransitionResult] = asyncio.get_running_loop().create_future()

        def answer(outcome: msgspec.Struct | CommandError) -> None:
            if future.done():
                return  # The caller was cancelled; the step stays taken.
            if isinstance(outcome, CommandError):
                future.set_exception(outcome)
            else:
                assert isinstance(outcome, TransitionResult)
                future.set_result(outcome)

        peer = Peer(name=principal, roles=frozenset({*ROLES, IMPERSONATE}))
        self._engine.handle(request, peer, answer)
        return await future


def _metadata(event: Event) -> dict[str, Any]:
    return {
        "event_id": event.event_id,
        "correlation_id": event.correlation_id,
        "causation_id": event.causation_id,
        "type": event.type,
        "event": event.event,
        "principal": event.principal,
        "at": event.at,
        "version": event.version,
        "seq": event.seq,
    }
