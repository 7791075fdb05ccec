"""The errors of manifestd: one root, one class per cause, one table.

Each subclass of `CommandError` is a row of the table: `code` goes over the wire, `retryable` tells
a client whether the same command may be sent again, `exit_status` is what `manifestctl` ends with,
and `wording` is what happened in general. `manifestctl` raises the same classes that the daemon
answered with, so that `except OptimisticLockError` means the same on both ends of the wire.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, ClassVar, Final, Self

import msgspec

# Characters; nothing of ours is near a longer name, and comparing a megabyte takes a tenth of a
# second.
MISSPELT_SIZE_MAX: Final = 200


class ManifestdError(Exception):
    """The root of every error that manifestd raises on purpose."""


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """`error` of a refused request, as it goes over the wire (design 5)."""

    code: str
    message: str
    severity: str = "error"
    retryable: bool = False
    path: str | None = None
    suggestion: str | None = None
    details: dict[str, Any] = msgspec.field(default_factory=dict)
    allowed_events: list[str] | None = None


class CommandError(ManifestdError):
    """A request was refused, or could not be carried out; nothing was changed by it.

    `path` is a JSON pointer into the request, `suggestion` a next step for a person, `details`
    what a program can act on, `allowed_events` what the manifest's state would accept.
    """

    code: ClassVar[str] = "INTERNAL"
    retryable: ClassVar[bool] = False
    exit_status: ClassVar[int] = 1
    wording: ClassVar[str] = "the daemon failed while it carried out the command"

    def __init__(
        self,
        message: str,
        *,
        path: str | None = None,
        suggestion: str | None = None,
        details: Mapping[str, Any] | None = None,
        allowed_events: list[str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.path = path
        self.suggestion = suggestion
        self.details: dict[str, Any] = dict(details or {})
        self.allowed_events = allowed_events

    def body(self) -> ErrorBody:
        """Return the error as the wire carries it."""
        return ErrorBody(
            code=self.code,
            message=self.message,
            retryable=self.retryable,
            path=self.path,
            suggestion=self.suggestion,
            details=self.details,
            allowed_events=self.allowed_events,
        )

    @property
    def retry_after_ms(self) -> int | None:
        """Milliseconds after which the daemon thinks a retry is worth it, if it said so."""
        value = self.details.get("retry_after_ms")
        return value if isinstance(value, int) else None


class InternalError(CommandError):
    """The daemon failed. Unlike `UnavailableError` a retry will probably fail the same way."""


class NotFoundError(CommandError):
    """No manifest has that id, URN or version; reading never creates one."""

    code = "NOT_FOUND"
    exit_status = 3
    wording = "there is no such manifest, version or lifecycle"

    @classmethod
    def manifest(cls, manifest_id: str) -> Self:
        """Nothing was ever created under `manifest_id`."""
        return cls(
            f"there is no manifest {manifest_id}",
            suggestion="manifestctl list",
            details={"manifest_id": manifest_id},
        )


class OptimisticLockError(CommandError):
    """Somebody else changed the manifest since the version that the caller had read."""

    code = "VERSION_CONFLICT"
    retryable = True  # After reading again, and with a new command id: the decision is a new one.
    exit_status = 4
    wording = "the manifest is at another version than the command expected"

    @classmethod
    def at(cls, manifest_id: str, *, expected: int, actual: int, allowed_events: list[str]) -> Self:
        """The manifest is at version `actual`, and the command said `expected`."""
        return cls(
            f"{manifest_id} is at version {actual}, not {expected}",
            suggestion=f"manifestctl get {manifest_id}",
            details={"expected": expected, "actual": actual},
            allowed_events=allowed_events,
        )


class AlreadyExistsError(CommandError):
    """The id is taken. Unlike `UrnConflictError` nothing need be registered yet."""

    code = "ALREADY_EXISTS"
    exit_status = 4
    wording = "a manifest with that id exists already"


class UrnConflictError(CommandError):
    """The URN names another registered (or just registering) manifest."""

    code = "URN_CONFLICT"
    exit_status = 4
    wording = "the URN names another manifest"


class CommandIdReusedError(CommandError):
    """The command id was used on this manifest before, for something else."""

    code = "COMMAND_ID_REUSED"
    exit_status = 4
    wording = "the command id belongs to another command"


class InvalidTransitionError(CommandError):
    """The lifecycle knows no such step from the state the manifest is in."""

    code = "INVALID_TRANSITION"
    exit_status = 5
    wording = "the manifest's state does not accept that event"


class GuardRejectedError(CommandError):
    """The step exists, but a guard refused it; `details.guard` names it."""

    code = "GUARD_REJECTED"
    exit_status = 5
    wording = "a guard of the lifecycle refused the step"


class ImmutableError(CommandError):
    """The document is frozen in this state."""

    code = "IMMUTABLE"
    exit_status = 5
    wording = "the document cannot be changed in this state"


class HistoryCompactedError(CommandError):
    """The feed no longer reaches back that far; `details.oldest_seq` is where it begins."""

    code = "HISTORY_COMPACTED"
    exit_status = 5
    wording = "the feed does not reach back that far any more"


class ManifestInvalidError(CommandError):
    """The document breaks its kind's schema; `details.problems` lists pointer and reason."""

    code = "MANIFEST_INVALID"
    exit_status = 6
    wording = "the document is not valid for its kind"


class BadRequestError(CommandError):
    """The request is not understood. Unlike `ManifestInvalidError` it is not about a schema."""

    code = "BAD_REQUEST"
    exit_status = 6
    wording = "the request is malformed"


class TooLargeError(CommandError):
    """The request is over a size limit of `protocol.limits`."""

    code = "TOO_LARGE"
    exit_status = 6
    wording = "the request is too large"


class UnknownOpError(CommandError):
    """`op` names nothing in the table of `protocol.commands`."""

    code = "UNKNOWN_OP"
    exit_status = 6
    wording = "there is no such operation"


class UnauthenticatedError(CommandError):
    """The daemon could not find out who is asking."""

    code = "UNAUTHENTICATED"
    exit_status = 7
    wording = "the daemon does not know who is asking"


class ForbiddenError(CommandError):
    """The daemon knows who is asking, and they may not."""

    code = "FORBIDDEN"
    exit_status = 7
    wording = "the principal may not do that"


class OverloadedError(CommandError):
    """A queue is full; `details.retry_after_ms` says when to try again."""

    code = "OVERLOADED"
    retryable = True
    exit_status = 8
    wording = "the daemon has more to do than it can queue"

    @classmethod
    def full(cls, what: str, *, limit: int, retry_after_ms: int) -> Self:
        """`what` holds its `limit` of entries already."""
        return cls(
            f"{what} is full ({limit}); try again in {retry_after_ms} ms",
            details={"limit": limit, "retry_after_ms": retry_after_ms},
        )


class StorageFullError(CommandError):
    """The disk or a quota is full. Reads go on; writes resume when there is room."""

    code = "STORAGE_FULL"
    retryable = True
    exit_status = 8
    wording = "the disk is full"


class ReadOnlyError(CommandError):
    """The file system does not take writes. Unlike `StorageFullError` room would not help."""

    code = "READ_ONLY"
    retryable = True
    exit_status = 8
    wording = "the file system is read-only"


class ShuttingDownError(CommandError):
    """The daemon is draining: it finishes what it accepted and takes no new writes."""

    code = "SHUTTING_DOWN"
    retryable = True
    exit_status = 8
    wording = "the daemon is shutting down"


class UnavailableError(CommandError):
    """Nobody answered, or it is unknown whether the step was taken: ask again, same command id."""

    code = "UNAVAILABLE"
    retryable = True
    exit_status = 8
    wording = "the daemon did not answer"


class CorruptError(CommandError):
    """Stored bytes are not what was written; `details` names file and place."""

    code = "CORRUPT"
    exit_status = 9
    wording = "stored data is damaged"


ERROR_CLASSES: Final[dict[str, type[CommandError]]] = {
    error_class.code: error_class
    for error_class in (
        InternalError,
        NotFoundError,
        OptimisticLockError,
        AlreadyExistsError,
        UrnConflictError,
        CommandIdReusedError,
        InvalidTransitionError,
        GuardRejectedError,
        ImmutableError,
        HistoryCompactedError,
        ManifestInvalidError,
        BadRequestError,
        TooLargeError,
        UnknownOpError,
        UnauthenticatedError,
        ForbiddenError,
        OverloadedError,
        StorageFullError,
        ReadOnlyError,
        ShuttingDownError,
        UnavailableError,
        CorruptError,
    )
}


def error_from_body(body: ErrorBody) -> CommandError:
    """Return the typed error for `body`; a code from a newer daemon becomes `CommandError`."""
    error_class = ERROR_CLASSES.get(body.code, CommandError)
    error = error_class(
        body.message,
        path=body.path,
        suggestion=body.suggestion,
        details=body.details,
        allowed_events=body.allowed_events,
    )
    if error_class is CommandError:
        error.details.setdefault("code", body.code)
    return error


def did_you_mean(name: str, known: list[str]) -> str | None:
    """Return the nearest of `known` to a misspelt `name`, or None when nothing is near."""
    if len(name) > MISSPELT_SIZE_MAX:
        return None
    matches = get_close_matches(name, known, n=1, cutoff=0.5)
    return matches[0] if matches else None
