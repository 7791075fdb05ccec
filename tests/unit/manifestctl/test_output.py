"""Each format says the same thing to somebody else."""

import io

import msgspec
import pytest

from manifestctl.output import Column, Format, Output, cell
from protocol.endpoints import EndpointError
from protocol.errors import ManifestInvalidError


class Row(msgspec.Struct):
    manifest_id: str
    tags: list[str]
    document: msgspec.Raw = msgspec.Raw(b"null")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


ROWS = [Row("a", ["x", "y"]), Row("b\x9b", [])]
NDJSON = """\
{"manifest_id":"a","tags":["x","y"],"document":null}
{"manifest_id":"b\x9b","tags":[],"document":null}
"""
COLUMNS = [Column("ID", lambda row: row.manifest_id), Column("TAGS", lambda row: row.tags)]


def output(form: Format, out: io.StringIO | None = None) -> Output:
    return Output(form, out or io.StringIO(), io.StringIO())


def written(stream: object) -> str:
    assert isinstance(stream, io.StringIO)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (Format.TABLE, "ID     TAGS\na      x, y\nb\\x9b  -\n"),
        (Format.NAME, "a\nb\\x9b\n"),
        (
            Format.NDJSON,
            NDJSON,
        ),
    ],
)
def test_many_in_each_format(form: Format, expected: str) -> None:
    to = output(form)

    to.many(ROWS, lambda row: str(row.manifest_id), COLUMNS)

    assert written(to.out) == expected


def test_json_is_one_document() -> None:
    to = output(Format.JSON)

    to.many(ROWS, str, COLUMNS)

    assert [row["manifest_id"] for row in msgspec.json.decode(written(to.out))] == ["a", "b\x9b"]


def test_a_document_comes_last() -> None:
    to = output(Format.TABLE)

    to.one(Row("a", ["x"], msgspec.Raw(b'{"n":1}')), "a")

    assert written(to.out) == 'manifest id  a\ntags         x\n\n{\n  "n": 1\n}\n'


def test_json_on_a_terminal_is_harmless() -> None:
    to = output(Format.NDJSON, Terminal())

    to.one(ROWS[1], "b")
    to.raw_line('{"a":"\x9b"}'.encode())

    assert "\x9b" not in written(to.out)
    assert "\\u009b" in written(to.out)


def test_a_terminal_without_a_size_counts_as_80_columns() -> None:
    assert output(Format.TABLE, Terminal()).columns() == 80
    assert output(Format.TABLE).columns() is None


def test_colours_are_for_terminals_that_want_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert output(Format.TABLE, Terminal()).has_colours
    assert not output(Format.TABLE).has_colours
    monkeypatch.setenv("NO_COLOR", "1")
    assert not output(Format.TABLE, Terminal()).has_colours


class Table(msgspec.Struct):
    """A result with records in it."""

    name: str
    rows: list[Row]


def test_each_record_of_a_result_has_a_line_of_its_own() -> None:
    to = output(Format.TABLE)

    to.one(Table("t", [Row("a", ["b"]), Row("c", [])]), "t")
    to.one(Table("u", []), "u")

    assert written(to.out) == (
        "name  t\nrows  manifest_id a, tags b\n      manifest_id c\nname  u\nrows  -\n"
    )


ERROR = ManifestInvalidError(
    "not valid\x1b",
    suggestion="mend it",
    details={"problems": [{"path": "/name", "reason": "too long"}, {"path": "", "reason": "bad"}]},
    allowed_events=["reject"],
)


def test_an_error_for_people_says_what_where_and_what_to_do() -> None:
    to = output(Format.TABLE)

    to.error(ERROR)

    assert written(to.err) == (
        "error: not valid\\x1b\n  /name: too long\n  /: bad\nthe state accepts: reject\ntry: mend it\n"
    )


def test_an_error_for_programs_is_its_body() -> None:
    to = output(Format.JSON)

    to.error(ERROR)

    assert msgspec.json.decode(written(to.err))["code"] == "MANIFEST_INVALID"


def test_an_error_that_is_not_the_daemon_s_is_text() -> None:
    to = output(Format.JSON)

    to.error(EndpointError("x", "bad"))

    assert written(to.err) == "error: endpoint 'x': bad\n"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"),
        ("", "-"),
        ([], "-"),
        (0, "0"),
        (False, "no"),
        (True, "yes"),
        ({"DRAFT": 1, "X": []}, "DRAFT 1, X -"),
        (("a", 1), "a, 1"),
        (Row("a", []), "manifest_id a"),
        (Row("a", ["b", "c"]), "manifest_id a, tags b, c"),
    ],
)
def test_a_cell(value: object, shown: str) -> None:
    assert cell(value) == shown
