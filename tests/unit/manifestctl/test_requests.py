"""What is sent: one JSON value per document, and ids that make a retry the same command."""

import re

import msgspec
import pytest

from manifestctl.requests import Document, decided_again, fresh_id, own_id, raw_document, with_ids
from protocol import commands as ops
from protocol.errors import BadRequestError

UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def raw(text: str) -> msgspec.Raw:
    return msgspec.Raw(text.encode())


@pytest.mark.parametrize("document", [{"a": 1}, '{"a":1}', b'{"a":1}'])
def test_a_document_may_be_a_value_or_json(document: Document) -> None:
    assert bytes(raw_document(document)) == b'{"a":1}'


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ('{},"dry_run":true', "line 1 column 3"),
        ('{"a":1', "not JSON"),
        ("name: echo", "not JSON"),
        ('{"a":NaN}', "NaN"),
        ('{"a":1,"a":2}', "occurs twice"),
        ({"a": float("nan")}, "nan is"),
        ({"a": b"x"}, "bytes values are not JSON"),
        ({1: "a"}, "not a string"),
        (b'{"a":"\xff"}', "not UTF-8"),
    ],
)
def test_what_is_not_one_json_value_is_refused_before_it_is_sent(
    document: Document, reason: str
) -> None:
    with pytest.raises(BadRequestError, match=reason):
        raw_document(document)


def test_a_write_gets_a_command_id_of_its_own() -> None:
    first, second = (with_ids(ops.Revert(manifest_id="a")) for _ in range(2))

    assert first.command_id
    assert UUID7.fullmatch(first.command_id)
    assert first.command_id != second.command_id


def test_ids_that_were_given_stay() -> None:
    request = ops.Create(manifest=raw("{}"), manifest_id="a", command_id="c")

    assert with_ids(request) == request


def test_a_read_gets_no_id() -> None:
    assert with_ids(ops.Health()) == ops.Health()


def test_a_document_that_names_itself_leaves_the_id_to_the_daemon() -> None:
    assert with_ids(ops.Create(manifest=raw('{"name":"a","version":"1"}'))).manifest_id is None


@pytest.mark.parametrize("text", ["{}", '{"name":"a"}', '{"name":" a","version":"1"}', "[]"])
def test_a_nameless_document_gets_its_id_before_the_first_attempt(text: str) -> None:
    manifest_id = with_ids(ops.Create(manifest=raw(text))).manifest_id

    assert own_id(raw(text)) is None
    assert manifest_id is not None
    assert UUID7.fullmatch(manifest_id)


def test_context_that_json_cannot_say_is_refused() -> None:
    with pytest.raises(BadRequestError, match="inf is"):
        with_ids(ops.Transition(manifest_id="a", event="x", context={"a": float("inf")}))


def test_a_new_decision_is_a_new_command() -> None:
    decided = decided_again(ops.Revert(manifest_id="a", command_id="c"), 7)

    assert decided.expected_version == 7
    assert decided.command_id != "c"


def test_ids_sort_by_time() -> None:
    assert fresh_id()[:8] <= fresh_id()[:8]
