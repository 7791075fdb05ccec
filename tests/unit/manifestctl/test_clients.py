"""Both clients, and the table of ops, are the same API."""

import inspect
from typing import Any

import msgspec
import pytest

import manifestctl
from manifestctl.answers import read_answer
from manifestctl.client import Client
from manifestctl.requests import ListFilters
from manifestctl.sync_client import SyncClient
from protocol.commands import OPS, Write
from protocol.errors import ERROR_CLASSES, CommandError, InternalError
from protocol.replies import HealthResult

CONVENIENCES = {
    "submit",
    "approve",
    "reject",
    "register",
    "update",
    "every_event",
    "every_manifest",
}
PARAMETERS = {"list": list, "str": str}


def methods(client: type) -> dict[str, Any]:
    return {
        name: method
        for name, method in vars(client).items()
        if not name.startswith("_") and inspect.isfunction(method)
    }


def test_both_clients_have_the_ops_and_the_same_conveniences() -> None:
    assert set(methods(Client)) == set(methods(SyncClient)) == set(OPS) | CONVENIENCES


@pytest.mark.parametrize("name", sorted(methods(Client)))
def test_both_clients_take_the_same(name: str) -> None:
    ours, theirs = (
        inspect.signature(methods(client)[name]).replace(return_annotation=None)
        for client in (Client, SyncClient)
    )

    assert list(ours.parameters) == list(theirs.parameters)
    for left, right in zip(ours.parameters.values(), theirs.parameters.values(), strict=True):
        assert (left.kind, left.default) == (right.kind, right.default)


@pytest.mark.parametrize("op", OPS.values(), ids=lambda op: op.name)
def test_a_method_takes_the_members_of_its_op(op: Any) -> None:  # noqa: ANN401
    members = {field.name for field in msgspec.structs.fields(op.request)} - {"v"}
    if op.writes:
        members -= {field.name for field in msgspec.structs.fields(Write)} - {"manifest_id"}
    taken = set(inspect.signature(methods(Client)[op.name]).parameters) - {"self", "options"}
    if "filters" in taken:
        taken = taken - {"filters"} | set(ListFilters.__annotations__)

    assert taken == members


@pytest.mark.parametrize("error_class", ERROR_CLASSES.values(), ids=lambda one: one.code)
def test_every_code_comes_back_as_its_class_with_all_it_says(
    error_class: type[CommandError],
) -> None:
    sent = error_class(
        "what", path="/p", suggestion="s", details={"retry_after_ms": 5}, allowed_events=["e"]
    )
    body = msgspec.json.encode({"ok": False, "error": sent.body()})

    with pytest.raises(error_class) as caught:
        read_answer(body, HealthResult)

    assert type(caught.value) is error_class
    assert caught.value.body() == sent.body()


def test_a_code_of_a_newer_daemon_is_still_an_error() -> None:
    body = b'{"ok":false,"error":{"code":"NEW","message":"what"}}'

    with pytest.raises(CommandError, match="what") as caught:
        read_answer(body, HealthResult)

    assert caught.value.details["code"] == "NEW"


@pytest.mark.parametrize("body", [b"", b"hello", b'{"ok":true,"result":{}}', b'{"ok":true}'])
def test_a_reply_of_something_else_is_an_error_that_says_so(body: bytes) -> None:
    with pytest.raises(InternalError, match="not one of manifestd's"):
        read_answer(body, HealthResult)


def test_the_package_exports_what_it_lists() -> None:
    for name in manifestctl.__all__:
        assert getattr(manifestctl, name).__name__ == name
    assert dir(manifestctl) == manifestctl.__all__
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = manifestctl.Nothing
