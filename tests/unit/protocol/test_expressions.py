"""Expressions: what they may say, what they see, what they answer."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.lifecycle.cel_extension import compile_program
from protocol.lifecycle.cel_syntax import parse
from protocol.lifecycle.expressions import (
    EvaluationError,
    Expression,
    ExpressionError,
    compile_expression,
)

TOOLS = [{"name": "find", "tags": ["read"]}, {"name": "drop", "tags": ["write", "admin"]}]
VARIABLES: dict[str, Any] = {
    "manifest": {"name": "echo", "size": 3, "ratio": 0.5, "none": None, "tools": TOOLS, "map": {}},
    "state": {"names": ["REVIEWED"], "context": {"risk": "high"}},
    "principal": {"name": "bob", "roles": ["approver"]},
    "command": {"reason": None},
    "approvals": [{"principal": "carol", "current": True}],
    "now": "2026-11-26T12:30:00.250000Z",
}

# What is asked, and the answer.
ANSWERS: list[tuple[str, object]] = [
    ("manifest.name == 'echo'", True),
    ("manifest['name'] == \"echo\" && !(manifest.size > 3)", True),
    ("manifest.size + 1", 4),
    ("manifest.size * 0.5 == 1.5 || true", True),
    ("manifest.none == null && command.reason == null", True),
    ("has(manifest.name) && !has(manifest.nothing)", True),
    ("has(manifest.nothing) && manifest.nothing > 3", False),
    ("manifest.tools.all(tool, tool.name != '')", True),
    ("manifest.tools.exists(tool, 'admin' in tool.tags)", True),
    ("manifest.tools.exists_one(tool, tool.name == 'find')", True),
    ("manifest.tools.map(tool, tool.name)", ["find", "drop"]),
    ("manifest.tools.map(tool, size(tool.tags) > 1, tool.name)", ["drop"]),
    ("manifest.tools.filter(tool, tool.name == 'find').size()", 1),
    ("manifest.tools.all(tool, tool.tags.all(tag, tag.matches('^[a-z]+$')))", True),
    ("manifest.map(key, key)", ["map", "name", "none", "ratio", "size", "tools"]),
    ("manifest.tools.map(tool, tool.filter(key, key > 'n'))", [["name", "tags"], ["name", "tags"]]),
    ("{'b': 2, 'a': 1}.map(key, key).map(key, key + key)", ["aa", "bb"]),
    ("{2: 2, 'a': 1, 1: 1}.map(key, key)", [1, 2, "a"]),
    ("manifest.tools[1].tags[0]", "write"),
    ("manifest.map.all(key, false)", True),
    ("state.context.risk in ['high', 'low'] ? 'ask' : 'go'", "ask"),
    ("approvals.filter(one, one.current).map(one, one.principal)", ["carol"]),
    ("now > timestamp('2026-01-01T00:00:00Z')", True),
    ("now - timestamp('2026-11-26T12:00:00Z') > duration('25m')", True),
    ("now - timestamp('2026-11-26T12:00:00Z')", "1800.25s"),
    ("now", "2026-11-26T12:30:00.250000Z"),
    ("now.getHours()", 12),
    ("{'b': 1, 'a': [1.5, true]}", {"a": [1.5, True], "b": 1}),
    ("type(manifest.size) == int", True),
    ("r'a\\d' == 'a\\\\d' // the same", True),
    ("-manifest.size < 0 && - -1 == 1", True),
    ('"""a\'b""" == "a\'b"', True),
    ("'echo.json'.matches(r'\\.json$')", True),
]

# What cannot be compiled, and a part of what is said about it.
REFUSED: list[tuple[str, str]] = [
    ("", "empty"),
    ("1 +", "the end where a value should be (character 4)"),
    ("manifest.name = 'x'", "'=' is no CEL (character 15)"),
    ("'abc", "a text without its end, or with an escape that is none (character 1)"),
    ("(1", "the end where ')' should be"),
    ("!-manifest.size", "'-' where a value should be (character 2)"),
    ("1 2", "'2' where an operator should be (character 3)"),
    ("manifest.in", "'in' where the name of a member should be"),
    ("manifset.name", "there is no variable manifset; did you mean manifest? (character 1)"),
    ("true && xyz", "there is no variable xyz; there are manifest, state"),
    ("siz(manifest)", "there is no function siz(); did you mean size()? (character 1)"),
    ("manifest.name.startswith('x')", "did you mean startsWith()?"),
    ("contains('a', 'b')", "it is called on a value: value.contains(…)"),
    ("manifest.int()", "it is called as int(value)"),
    ("all(manifest.tools)", "it is called on a value: value.all(…)"),
    ("size()", "size() takes 1 argument, not 0"),
    ("now.getHours('Europe/Berlin')", "getHours() takes no arguments, not 1"),
    ("has(manifest)", "has() takes a member"),
    ("manifest.tools.all(tool)", "',' should be"),
    ("manifest.tools.all(manifest, true)", "a new name for each element"),
    ("manifest.tools.all(a, a.all(a, true))", "a new name for each element"),
    ("manifest.tools.all(a.b, true)", "',' should be"),
    ("manifest.tools.filter(a, true, a)", "one expression, not 2"),
    ("manifest.name.matches(manifest.name)", "a pattern written out as a text"),
    ("manifest.name.matches('(')", "is no pattern: unclosed group"),
    ("manifest.name.matches('\\x28')", "written r'…'"),
    ("manifest.name.matches(b'a')", "a text, no bytes"),
    ("9223372036854775808", "invalid int literal"),
    ("'\\q'", "an escape that is none"),
    ("'''\\ '''", "an escape that is none"),
    ("'\\ud800'", "invalid string literal"),
    ("manifest?.name", "where"),
    ("__import__('os')", "there is no function __import__()"),
    ("().__class__", "')' where a value should be"),
]

# What has no value here, and a part of why.
UNANSWERED: list[tuple[str, str]] = [
    ("manifest.nothing", "there is no member nothing"),
    ("manifest.__class__", "there is no member __class__"),
    ("manifest.tools[2]", "index out of bounds: 2"),
    ("manifest.name + 1", "Unsupported operation: string + int."),
    ("manifest.name < 1", "No such overload"),
    ("size(manifest.size)", "size() does not take a value of that type"),
    ("manifest.size / 0 == 1", "division by zero"),
    ("9223372036854775807 + manifest.size", "Arithmetic overflow"),
    ("int(manifest.name)", "invalid digit"),
    ("b'x'", "none that JSON has"),
    ("1.0 / 0.0", "none that JSON has"),
    ("9007199254740993", "none that JSON has"),
    ("{1: 2}", "keys are no texts"),
    ("timestamp('0000-01-01T00:00:00Z')", "year 0 is out of range"),
]


def _answer(source: str) -> object:
    return compile_expression(source).evaluate(VARIABLES)


@pytest.mark.parametrize(("source", "answer"), ANSWERS)
def test_an_expression_answers(source: str, answer: object) -> None:
    assert _answer(source) == answer
    assert type(_answer(source)) is type(answer)


@pytest.mark.parametrize(("source", "reason"), REFUSED)
def test_what_is_no_expression_is_refused_with_its_place(source: str, reason: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_expression(source)

    assert reason in caught.value.reason


@pytest.mark.parametrize(("source", "reason"), UNANSWERED)
def test_what_has_no_value_says_why(source: str, reason: str) -> None:
    with pytest.raises(EvaluationError) as caught:
        _answer(source)

    assert reason in str(caught.value)
    assert "CEL does not coerce" not in str(caught.value)  # Advice for another language.


def test_only_the_variables_that_are_looked_at_are_asked_for() -> None:
    asked: list[str] = []

    class Lazy(dict[str, Any]):
        def __missing__(self, name: str) -> object:
            asked.append(name)
            return VARIABLES[name]

    expression = compile_expression("manifest.name != '' && principal.name != state.names[0]")

    assert expression.evaluate(Lazy()) is True
    assert sorted(asked) == list(expression.variables) == ["manifest", "principal", "state"]


def test_an_expression_that_looks_at_a_small_member_of_a_large_document_is_answered() -> None:
    document = {"name": "echo", "list": list(range(250_000))}

    for source in ("manifest.name == 'echo'", "manifest['name'] == 'echo'"):
        assert compile_expression(source).evaluate({"manifest": document}) is True


def test_the_order_of_members_says_nothing() -> None:
    members = [(f"k{number}", number) for number in range(100)]
    expression = compile_expression("{'all': manifest, 'some': manifest.map}")

    values = [
        expression.evaluate({"manifest": {**dict(order), "map": dict(order)}})
        for order in (members, members[::-1])
    ]

    assert repr(values[0]) == repr(values[1])


@pytest.mark.parametrize(("first", "is_error"), [(0, True), (1, False)])
def test_a_loop_over_a_map_goes_through_its_keys_in_order(first: int, *, is_error: bool) -> None:
    members = {"b": 1 - first, "a": first} | {f"c{number}": 1 for number in range(9)}
    ends = set()
    for _ in range(20):  # The extension draws a new order for each map.
        try:
            ends.add(
                compile_expression("!manifest.all(k, 1 / manifest[k] > 1)").evaluate(
                    {"manifest": members}
                )
            )
        except EvaluationError as error:
            ends.add(str(error))

    assert ends == ({"division by zero in CEL expression"} if is_error else {True})


def test_a_time_means_the_same_whatever_its_zone() -> None:
    expression = compile_expression("string(now)")

    assert expression.evaluate({"now": "2026-01-01T01:00:00+01:00"}) == expression.evaluate(
        {"now": "2026-01-01T00:00:00Z"}
    )


def test_a_panic_of_the_extension_is_an_expression_without_a_value() -> None:
    class PanicException(BaseException):
        """What the extension raises; nobody knows an expression that makes it."""

    class Program:
        def __init__(self, error: BaseException) -> None:
            self.error = error

        def execute(self, _context: object) -> object:
            raise self.error

    with pytest.raises(EvaluationError, match="the evaluator failed"):
        Expression("true", parse("true"), Program(PanicException())).evaluate({})
    with pytest.raises(KeyboardInterrupt):
        Expression("true", parse("true"), Program(KeyboardInterrupt())).evaluate({})


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(max_size=5)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["name", "tools", "map", "a"]), inner, max_size=4)
    ),
    max_leaves=20,
)
SOURCES = sorted(
    {source for source, _ in [*ANSWERS, *UNANSWERED] if "manifest" in source}
    | {"manifest.tools + manifest.map", "manifest == manifest.a", "manifest.a in manifest.tools"}
    | {"manifest.tools.map(x, x.a).filter(y, y > manifest.a)", "string(manifest.a) < manifest.name"}
)


@settings(max_examples=100, deadline=None)
@given(document=JSON, source=st.sampled_from(SOURCES))
def test_whatever_the_document_an_expression_has_a_value_or_says_why_not(
    document: object, source: str
) -> None:
    try:
        value = compile_expression(source).evaluate({**VARIABLES, "manifest": document})
    except EvaluationError:
        return
    assert value == compile_expression(source).evaluate({**VARIABLES, "manifest": document})


WORDS = ["manifest", ".", "a", "(", ")", "[", "]", "{", "}", "?", ":", ",", "1", "1u", "0x1", "1e3"]
SIGNS = ["+", "-", "!", "==", "<", "&&", "||", "in", "'b'", "r'c'", '"d"', "x", "true", "null"]
MORE = [".all(x,", ".map(x,", "size(", "has(", ".size()", "'''", '"', "'", "\\", "//", "\n", "b'e'"]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([*WORDS, *SIGNS, *MORE]), max_size=12))
def test_what_the_grammar_takes_the_extension_takes_too(parts: list[str]) -> None:
    source = " ".join(parts)
    try:
        parse(source)
    except ExpressionError:
        return
    compile_program(source)
