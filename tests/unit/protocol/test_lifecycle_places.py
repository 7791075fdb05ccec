"""Each value of a lifecycle file is known by its path and its line."""

import json
import tomllib
from collections.abc import Iterator

import pytest

from protocol.lifecycle.json_places import json_places
from protocol.lifecycle.places import (
    NESTING_MAX,
    VALUES_MAX,
    FileBoundError,
    PlacePath,
    Places,
    dotted,
)
from protocol.lifecycle.toml_places import toml_places
from tests.support.lifecycle_findings import BROKEN, FIXTURES, lifecycle_files

pytestmark = (
    pytest.mark.no_cover
)  # What it runs is covered elsewhere; measured, it takes many times as long.

EVERYTHING = r'''# "not a text
plain = 1
dotted . 'key' . "with \u0041" = 1979-05-27 07:32:00 # a date
text = """
[not.a.table]
x = 1""""
more = "\"]"
list = [ # a comment ]
  1,
  [ "]", { in = 'x', out = [ true ] } ],

]

[table]
x = { a.b = 1, c = { d = "}" } }

[[items]]
x = 1

  [[items.parts]]
  y = 2

[[items]]
[items.table]
z = """a
"" \""" b = 1
"""
last = inf
'''

LINES: dict[PlacePath, int] = {
    ("plain",): 2,
    ("dotted", "key", "with A"): 3,
    ("text",): 4,
    ("more",): 7,
    ("list",): 8,
    ("list", 0): 9,
    ("list", 1, 0): 10,
    ("list", 1, 1, "in"): 10,
    ("list", 1, 1, "out", 0): 10,
    ("table",): 14,
    ("table", "x", "a", "b"): 15,
    ("table", "x", "c", "d"): 15,
    ("items",): 17,
    ("items", 0): 17,
    ("items", 0, "x"): 18,
    ("items", 0, "parts", 0, "y"): 21,
    ("items", 1): 23,
    ("items", 1, "table"): 24,
    ("items", 1, "table", "z"): 25,
    ("items", 1, "table", "last"): 28,
}


def paths(tree: object, path: PlacePath = ()) -> Iterator[PlacePath]:
    """Yield the path of each member and item of `tree`."""
    inner: list[tuple[str | int, object]] = []
    if isinstance(tree, dict):
        inner = list(tree.items())
    elif isinstance(tree, list):
        inner = list(enumerate(tree))
    for step, value in inner:
        yield (*path, step)
        yield from paths(value, (*path, step))


def missing(tree: object, places: Places) -> list[PlacePath]:
    """Return the paths of `tree` that have no place of their own."""
    assert places._lines is not None  # noqa: SLF001 - `line` would answer with the parent's
    return [path for path in paths(tree) if path not in places._lines]  # noqa: SLF001


def test_each_key_of_a_toml_file_has_its_line() -> None:
    places = toml_places(EVERYTHING)

    assert not missing(tomllib.loads(EVERYTHING), places)
    assert {path: places.line(path) for path in LINES} == LINES


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_each_value_of_the_fixtures_has_a_place(newline: str) -> None:
    for path in lifecycle_files(FIXTURES / "valid"):
        text = path.read_text().replace("\n", newline)
        if path.suffix == ".json":
            places, repeated = json_places(text)
            assert not repeated
            assert not missing(json.loads(text), places)
        else:
            assert not missing(tomllib.loads(text), toml_places(text))


def test_the_places_before_a_mistake_are_kept() -> None:
    places = toml_places("a = 1\nb = 2\nc = \nd = 3\n")

    assert places.line(("b",)) == 2
    assert places.line(("c",)) == 3
    assert places.line(("d",)) == 1


@pytest.mark.parametrize(
    "text",
    [
        *("a", "a = ", "a.", "[a", "[[a]", "a = [1", "a = [1 2]", "a = {b = 1", "a = {b}", '"a'),
        *("a = 'x", 'a = """x', '"\\q" = 1', "= 1", "a = }", "]", "[a]]\n", "a = {b = 1 c = 2}"),
    ],
)
def test_what_is_no_toml_ends_the_scan_and_nothing_else(text: str) -> None:
    assert toml_places(f"first = 1\n{text}").line(("first",)) == 1


@pytest.mark.parametrize("every", [7, pytest.param(1, marks=pytest.mark.long)])
def test_a_broken_file_never_stops_the_scanner(every: int) -> None:
    for number, path in enumerate(lifecycle_files(BROKEN)):
        text = path.read_text()
        for end in range(number % every, len(text), every):
            toml_places(text[:end])


def test_each_member_of_a_json_file_has_its_line() -> None:
    text = '{"a": [1,\n {"b c": {}, "d": [],\n"e": [[2]]}\n], "f": "\\"}"}'
    places, repeated = json_places(text)

    assert not repeated
    assert not missing(json.loads(text), places)
    assert places.line(("a", 1, "b c")) == 2
    assert places.line(("a", 1, "e", 0, 0)) == 3
    assert places.line(("f",)) == 4


def test_members_that_stand_there_twice_are_found_whatever_their_spelling() -> None:
    places, repeated = json_places('{"a": 1,\n"b": {"c": 1,\n"c": 2},\n"\\u0061": 3}')

    assert repeated == [("b", "c"), ("a",)]
    assert [places.line(path) for path in repeated] == [3, 4]


def test_what_has_no_place_has_that_of_what_it_is_part_of() -> None:
    places = toml_places("\na = { b = 1 }\n")

    assert places.line(("a", "b", "c", 0)) == 2
    assert places.line(("z",)) == 1
    assert places.line(()) == 1
    assert Places().line(("a",)) is None


@pytest.mark.parametrize(
    "text",
    [
        "[" + ".".join("a" * (NESTING_MAX + 1)) + "]",
        ".".join("a" * (NESTING_MAX + 1)) + " = 1",
        "a = " + "[" * (NESTING_MAX + 1),
        "a = " + "{a = " * (NESTING_MAX + 1),
        "[a.b]\nc = " + "[{d = " * NESTING_MAX,
    ],
)
def test_deep_nesting_ends_the_scan(text: str) -> None:
    with pytest.raises(FileBoundError, match=r"line [12]: more than 64 tables and lists"):
        toml_places(text)


def test_many_values_end_the_scan() -> None:
    with pytest.raises(FileBoundError, match="line 2: the file holds more than 50000 values"):
        toml_places("a = 1\nb = [" + "1," * VALUES_MAX + "]")
    with pytest.raises(FileBoundError, match="more than 50000 values"):
        json_places("[" + "1," * VALUES_MAX + "1]")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ((), ""),
        (("states", "A", "on", "go", 1, "target", 0), "states.A.on.go[1].target[0]"),
        (("on", "*"), 'on."*"'),
        (("on", "done.state.A"), 'on."done.state.A"'),
        (("", "ä\n"), '""."\\u00e4\\n"'),
        (("Größe",), '"Größe"'),
        (("\x7f\x1b",), '"\\u007f\\u001b"'),
        (("x" * 100,), f'"{"x" * 80}…"'),
    ],
)
def test_a_path_is_said_as_toml_spells_it(path: PlacePath, said: str) -> None:
    assert dotted(path) == said
