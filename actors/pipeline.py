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
from functools import partial
from inspect import iscoroutinefunction
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import msgspec

from actors.engine import Engine
from actors.histories import rebuilt
from actors.ports import EventStore
from actors.rules import Rules
from actors.stamps import SystemStamper
from protocol.canonical import canonicalize_value, check_value
from protocol.codec import decode_request, encode_request
from protocol.commands import Create, Request, Transition
from protocol.errors import BadRequestError, CommandError, NotFoundError, OptimisticLockError
from protocol.events import Event, StateName, read_event
from protocol.identifiers import check_manifest_id
from protocol.principals import IMPERSONATE, Peer, check_name
from protocol.replies import TransitionResult
from protocol.snapshots import StateSnapshot, encode_snapshot

log: Final = logging.getLogger(__name__)

STATE_CHANGE: Final = "stateChange"


class StateChange(msgspec.Struct, frozen=True, kw_only=True):
    """What a `stateChange` handler gets. `metadata` has at least event and correlation id."""

    manifest_id: str
    from_state: StateName | None
    to_state: StateName
    metadata: dict[str, Any]


Handler = Callable[[StateChange], None]
T = TypeVar("T")


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
            manifest=msgspec.Raw(canonicalize_value(dict(manifest))),
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
        if context is not None:
            check_value(dict(context))
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
        return await self._with_state(manifest_id, lambda state: state)

    async def persist_state(self, manifest_id: str, state: StateSnapshot) -> None:
        """Write `state` to its snapshot file now, atomically.

        Raises:
            OptimisticLockError: the manifest has gone on since `state`.
            BadRequestError: `state` is not what the events yield; only commands change a state.
        """

        def compare_and_swap(current: StateSnapshot) -> None:
            """Run between two events, so that nothing is committed between look and write."""
            if state.version != current.version:
                lifecycle = self._rules.lifecycles.get(current.lifecycle)
                raise OptimisticLockError.at(
                    manifest_id,
                    expected=state.version,
                    actual=current.version,
                    allowed_events=lifecycle.allowed_events(current.states),
                )
            if not _are_equal(state, current):
                message = (
                    f"that is not the state that the events of {manifest_id} yield; use a command"
                )
                raise BadRequestError(message)
            self._store.save_snapshot(current)

        await self._with_state(manifest_id, compare_and_swap)
        await self._store.write_behind()

    async def recover_from_events(self, manifest_id: str) -> StateSnapshot:
        """Return the state rebuilt from the manifest's events alone."""
        check_manifest_id(manifest_id)
        state = await rebuilt(self._store, manifest_id)
        if state is None:
            raise NotFoundError.manifest(manifest_id)
        return state

    def on(self, event: str, handler: Handler) -> Callable[[], None]:
        """Call `handler` for every state change from now on; return what ends that.

        The handler is a plain function, called before the caller of the command gets its answer.
        """
        if event != STATE_CHANGE:
            message = f"there is no event {event!r}; known: {STATE_CHANGE}"
            raise BadRequestError(message)
        if iscoroutinefunction(handler):
            message = "a handler is a plain function; let it put the change into an asyncio.Queue"
            raise BadRequestError(message)
        subscription = partial(handler)  # Its own identity: a handler may be subscribed twice.
        self._handlers.append(subscription)

        def end() -> None:
            if subscription in self._handlers:
                self._handlers.remove(subscription)

        return end

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
        """Turn a committed event that changed the state into a call. See `ports.Publisher`."""
        if not self._handlers:
            return
        event = read_event(body)
        if event.states_from != event.states_to:
            self.emit_state_change(
                event.manifest_id, event.states_from, event.states_to, _metadata(event)
            )

    async def _with_state(self, manifest_id: str, look: Callable[[StateSnapshot], T]) -> T:
        """Return what `look` makes of the committed state."""
        check_manifest_id(manifest_id)
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def then(state: StateSnapshot | CommandError | None) -> None:
            if future.done():
                return  # The caller was cancelled.
            if not isinstance(state, StateSnapshot):
                future.set_exception(state or NotFoundError.manifest(manifest_id))
                return
            try:
                future.set_result(look(state))
            except CommandError as error:
                future.set_exception(error)
            except Exception as error:
                log.exception("%s: a look at its state failed", manifest_id)
                future.set_exception(error)

        self._engine.directory.read(manifest_id, then)
        return await future

    async def _ask(self, request: Create | Transition, principal: str) -> TransitionResult:
        future: asyncio.Future[TransitionResult] = asyncio.get_running_loop().create_future()

        def answer(outcome: msgspec.Struct | CommandError) -> None:
            if future.done():
                return  # The caller was cancelled; the step stays taken.
            if isinstance(outcome, CommandError):
                future.set_exception(outcome)
            else:
                assert isinstance(outcome, TransitionResult)
                future.set_result(outcome)

        check_name(principal)
        peer = Peer(name=principal, roles=self._rules.roles | {"admin", IMPERSONATE})
        self._engine.handle(_checked(request), peer, answer)
        return await future


def _checked(request: Create | Transition) -> Request:
    """Return `request` as the wire would hand it over: the same limits hold on both ways in."""
    try:
        return decode_request(encode_request(request))
    except (TypeError, ValueError) as error:
        message = f"the request is nothing that JSON could say: {error}"
        raise BadRequestError(message) from error


def _are_equal(one: StateSnapshot, other: StateSnapshot) -> bool:
    try:
        return encode_snapshot(one) == encode_snapshot(other)
    except (TypeError, ValueError):  # What cannot be written is not what was read.
        return False


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
