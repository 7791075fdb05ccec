"""What others wrote cannot reach a terminal's controls, and columns stand under each other."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifestctl.text import clip, safe, safe_json, table, width


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain → ünï", "plain → ünï"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\nb\rc\t", "a\\nb\\rc\\t"),
        ("\x9b31m", "\\x9b31m"),
        ("\u202eevil", "\\u202eevil"),
        ("\x7f", "\\x7f"),
        ("\ud800", "\\ud800"),
    ],
)
def test_controls_are_shown_as_escapes(text: str, shown: str) -> None:
    assert safe(text) == shown


@given(st.text())
def test_nothing_unprintable_is_left(text: str) -> None:
    assert safe(text).isprintable()


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_json_says_the_same_and_prints(text: str) -> None:
    shown = safe_json(json.dumps({"a": text}, ensure_ascii=False))

    assert json.loads(shown) == {"a": text}
    assert shown.isprintable()


def test_the_width_is_that_of_a_terminal() -> None:
    assert [width(text) for text in ("abc", "é", "e\u0301", "日本")] == [3, 1, 1, 4]


@pytest.mark.parametrize(("text", "shown"), [("abc", "abc"), ("abcd", "ab…"), ("日本", "日…")])
def test_what_is_too_wide_is_cut_and_says_so(text: str, shown: str) -> None:
    assert clip(text, 3) == shown


def test_columns_are_aligned() -> None:
    assert table(["ID", "STATE"], [["a", "DRAFT"], ["日本", "X"]]) == [
        "ID    STATE",
        "a     DRAFT",
        "日本  X",
    ]


def test_a_table_fits_the_terminal_where_it_can() -> None:
    rows = [["a" * 50, "b" * 10, "c" * 10]]

    assert width(table(["A", "B", "C"], rows, 40)[1]) == 40
    assert width(table(["A", "B", "C"], rows, 5)[1]) == 3 * 8 + 2 * 2


def test_a_cell_cannot_break_out_of_its_line() -> None:
    assert len(table(["A"], [["x\ny"]])) == 2
