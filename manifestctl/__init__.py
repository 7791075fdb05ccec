"""The other end of the wire: clients, subscriber and command line. It speaks only the wire.

Nothing is imported before it is asked for: `manifestctl --help` should not pay for ZeroMQ.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from manifestctl.client import Client
    from manifestctl.retry import RetryPolicy
    from manifestctl.script import Initial, ReceivedEvent
    from manifestctl.subscriber import Subscriber
    from manifestctl.sync_client import SyncClient
    from manifestctl.sync_subscriber import SyncSubscriber
    from protocol.errors import (
        AlreadyExistsError,
        CommandError,
        ForbiddenError,
        GuardRejectedError,
        InvalidTransitionError,
        ManifestdError,
        ManifestInvalidError,
        NotFoundError,
        OptimisticLockError,
        OverloadedError,
        UnavailableError,
        UrnConflictError,
    )

__all__ = [
    "AlreadyExistsError",
    "Client",
    "CommandError",
    "ForbiddenError",
    "GuardRejectedError",
    "Initial",
    "InvalidTransitionError",
    "ManifestInvalidError",
    "ManifestdError",
    "NotFoundError",
    "OptimisticLockError",
    "OverloadedError",
    "ReceivedEvent",
    "RetryPolicy",
    "Subscriber",
    "SyncClient",
    "SyncSubscriber",
    "UnavailableError",
    "UrnConflictError",
]

_HOMES: Final = {
    "Client": "manifestctl.client",
    "Initial": "manifestctl.script",
    "ReceivedEvent": "manifestctl.script",
    "RetryPolicy": "manifestctl.retry",
    "Subscriber": "manifestctl.subscriber",
    "SyncClient": "manifestctl.sync_client",
    "SyncSubscriber": "manifestctl.sync_subscriber",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 (the type of whatever is asked for)
    if name not in __all__:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(_HOMES.get(name, "protocol.errors")), name)


def __dir__() -> list[str]:
    return __all__
