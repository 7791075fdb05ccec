"""What came back, as typed values or typed errors."""

from typing import NamedTuple, TypeVar

import msgspec

from protocol.codec import decode_reply
from protocol.errors import InternalError
from protocol.replies import TransitionResult

R = TypeVar("R", bound=msgspec.Struct)


class Updated(NamedTuple):
    """What `update` came to; `result` is None when `decide` had nothing to do."""

    result: TransitionResult | None
    attempts: int


def read_answer(body: bytes, result_type: type[R]) -> R:
    """Return the result in a reply.

    Raises:
        CommandError: the typed error that the daemon answered with; `InternalError` when the
            bytes are no reply of a manifestd.
    """
    try:
        result: R = decode_reply(body, result_type)
    except msgspec.MsgspecError as error:
        message = f"the reply is not one of manifestd's protocol 1: {error}"
        raise InternalError(
            message, suggestion="is another program, or a newer manifestd, at this endpoint?"
        ) from error
    return result
