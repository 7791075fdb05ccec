"""The table of errors is the design's, whole, and survives the wire."""

import pytest

from protocol import errors
from protocol.errors import (
    ERROR_CLASSES,
    CommandError,
    ErrorBody,
    ManifestdError,
    OptimisticLockError,
    OverloadedError,
    did_you_mean,
    error_from_body,
)

EXIT_STATUSES = {
    1: "INTERNAL",
    3: "NOT_FOUND",
    4: "VERSION_CONFLICT ALREADY_EXISTS URN_CONFLICT COMMAND_ID_REUSED",
    5: "INVALID_TRANSITION GUARD_REJECTED IMMUTABLE HISTORY_COMPACTED",
    6: "MANIFEST_INVALID BAD_REQUEST TOO_LARGE UNKNOWN_OP",
    7: "UNAUTHENTICATED FORBIDDEN",
    8: "OVERLOADED STORAGE_FULL READ_ONLY SHUTTING_DOWN UNAVAILABLE",
    9: "CORRUPT",
}
RETRYABLE = {"VERSION_CONFLICT", *EXIT_STATUSES[8].split()}


def test_every_code_has_its_exit_status() -> None:
    assert {code: one.exit_status for code, one in ERROR_CLASSES.items()} == {
        code: status for status, codes in EXIT_STATUSES.items() for code in codes.split()
    }


def test_only_what_may_pass_is_retryable() -> None:
    assert {code for code, one in ERROR_CLASSES.items() if one.retryable} == RETRYABLE


def test_every_class_is_in_the_table_with_words_of_its_own() -> None:
    classes = {
        one
        for one in vars(errors).values()
        if isinstance(one, type) and issubclass(one, CommandError) and one is not CommandError
    }

    assert classes == set(ERROR_CLASSES.values())
    assert len({one.wording for one in classes}) == len(classes)
    assert all(one.__doc__ and issubclass(one, ManifestdError) for one in classes)


@pytest.mark.parametrize("code", ERROR_CLASSES)
def test_an_error_comes_off_the_wire_as_it_went_on(code: str) -> None:
    error = ERROR_CLASSES[code](
        "what happened", path="/a", suggestion="do", details={"a": 1}, allowed_events=["go"]
    )
    again = error_from_body(error.body())

    assert type(again) is type(error)
    assert again.body() == error.body()
    assert (str(again), again.body().code) == ("what happened", code)


def test_a_code_of_a_newer_daemon_is_an_error_all_the_same() -> None:
    error = error_from_body(ErrorBody(code="NEWER", message="what", retryable=True))

    assert type(error) is CommandError
    assert (error.message, error.details) == ("what", {"code": "NEWER"})


def test_errors_build_their_message_from_what_they_know() -> None:
    conflict = OptimisticLockError.at("a", expected=2, actual=3, allowed_events=["go"])
    full = OverloadedError.full("the mailbox of a", limit=9, retry_after_ms=50)

    assert str(conflict) == "a is at version 3, not 2"
    assert str(full) == "the mailbox of a is full (9); try again in 50 ms"
    assert (full.retry_after_ms, conflict.retry_after_ms) == (50, None)
    assert str(errors.NotFoundError.manifest("a")) == "there is no manifest a"


def test_the_nearest_name_is_near_or_none() -> None:
    assert did_you_mean("aprove", ["approve", "reject"]) == "approve"
    assert did_you_mean("zzz", ["approve"]) is None
