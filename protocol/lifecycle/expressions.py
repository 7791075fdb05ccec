"""Expressions of lifecycle files: CEL, compiled once when the file is loaded.

Promise:  whatever the source and the variables are, `compile_expression` and `evaluate` end soon
          (25 ms), with a value or with an error of theirs; the same source and variables give the
          same value on every machine: no clock, locale, time zone or hash seed has a say.
Assume:   variables are JSON values; a time is RFC 3339.
Not here: what the variables are (`actors.question`); other than in CEL's specification,
          `size('é')` is 2, the bytes in UTF-8.
"""

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from protocol.errors import ManifestdError
from protocol.lifecycle import cel_syntax as syntax
from protocol.lifecycle import cel_tree as tree
from protocol.lifecycle.cel_costs import Allowance, TooCostlyError, UnorderedError, reckon
from protocol.lifecycle.cel_extension import Program, compile_program, context
from protocol.lifecycle.cel_syntax import VARIABLES, ExpressionError
from protocol.limits import INTEGER_MAX

__all__ = [
    "VARIABLES",
    "Allowance",
    "EvaluationError",
    "Expression",
    "ExpressionError",
    "compile_expression",
]

_IN_ORDER: Final = "__in_order"  # No name that a source could call: the parser knows all names.
_SHOWN_MAX: Final = 200  # Characters of what the extension says.


class EvaluationError(ManifestdError):
    """An expression has no value here. Unlike `ExpressionError` others may do with the same text."""


class Expression:
    """A compiled expression. Immutable."""

    __slots__ = ("_members", "_node", "_ordered", "_program", "source")

    def __init__(
        self, source: str, node: tree.Node, program: Program, ordered: Program | None = None
    ) -> None:
        self.source = source
        self._node = node
        self._program = program
        self._ordered = ordered  # The same, but that it loops over the members of maps in order.
        self._members: dict[str, set[str] | None] = {}
        _collect_members(node, self._members)

    def __repr__(self) -> str:
        return f"Expression({self.source!r})"

    @property
    def variables(self) -> tuple[str, ...]:
        """The variables that it looks at, sorted."""
        return tuple(sorted(self._members))

    def evaluate(
        self, variables: Mapping[str, object], allowance: Allowance | None = None
    ) -> object:
        """Return the value, as JSON has it: a time and a duration are texts.

        `allowance`: what it may cost; expressions that share one cost no more together.

        Raises:
            EvaluationError: no such member, wrong types, too costly, a value that JSON cannot have.
        """
        given = {name: self._given(name, variables[name]) for name in self._members}
        try:
            meets_map = reckon(self._node, given, allowance or Allowance())
            return _json_value(self._execute(given, meets_map=meets_map))
        except (TooCostlyError, UnorderedError) as error:
            raise EvaluationError(str(error)) from error
        except KeyError as error:
            raise EvaluationError(f"there is no member {str(error.args[0])[:80]}") from error
        except (RuntimeError, TypeError, ValueError, ArithmeticError, LookupError) as error:
            raise EvaluationError(_told(error)) from error
        except BaseException as error:
            if type(error).__name__ != "PanicException":  # Rust's, and of no public class.
                raise
            raise EvaluationError("the evaluator failed") from error

    def _execute(self, given: Mapping[str, object], *, meets_map: bool) -> object:
        if meets_map and self._ordered is not None:
            return self._ordered.execute(context(given, {_IN_ORDER: _in_order}))
        return self._program.execute(given)

    def _given(self, name: str, value: object) -> object:
        """Return as much of the variable as the expression looks at: converting it is dear."""
        if name == "now":
            return datetime.fromisoformat(str(value)).astimezone(UTC)
        members = self._members[name]
        if members is None or not isinstance(value, dict):
            return value
        return {member: value[member] for member in members if member in value}


def compile_expression(source: str) -> Expression:
    """Return the expression; `ExpressionError` says what is wrong with `source`, and where."""
    node = syntax.parse(source)
    try:
        program = compile_program(source)
        spans = []
        for one in tree.every(node):
            if isinstance(one, tree.Call) and one.pattern is not None:
                _check_regex(one.pattern)
            elif isinstance(one, tree.Macro):
                spans.append(one.span)
        ordered = compile_program(_with_order(source, spans)) if spans else None
    except ValueError as error:
        raise ExpressionError(_told(error)) from error
    return Expression(source, node, program, ordered)


def _with_order(source: str, spans: list[tuple[int, int]]) -> str:
    """Return `source` with `_in_order` around everything that a loop goes over.

    The extension goes through a map in another order each time, and an error ends a loop: without
    this the answer would depend on which member comes first.
    """
    added = [(begin, f"{_IN_ORDER}(") for begin, _ in spans] + [(end, ")") for _, end in spans]
    for at, text in sorted(added, reverse=True):
        source = source[:at] + text + source[at:]
    return source


def _in_order(value: object) -> object:
    """Return the keys of a map, sorted; anything else as it is."""
    if not isinstance(value, dict):
        return value
    return sorted(value, key=lambda key: (isinstance(key, str), key))


def _check_regex(pattern: str) -> None:
    try:
        compile_program("''.matches(pattern)").execute({"pattern": pattern})
    except RuntimeError as error:
        reason = str(error).partition("error: ")[2].splitlines()
        told = reason[-1].removeprefix("error: ").partition(". Check function")[0]
        raise ExpressionError(f"matches(): {pattern!r} is no pattern: {told}") from error


def _member_of_variable(node: tree.Node) -> tuple[str, str] | None:
    match node:
        case tree.Select(tree.Name(name), member) if name in VARIABLES:
            return name, member
        case tree.Index(tree.Name(name), _, constant) if name in VARIABLES:
            text = syntax.plain_text(constant)
            return None if text is None else (name, text)
    return None


def _collect_members(node: tree.Node, members: dict[str, set[str] | None]) -> None:
    """Note of each variable which members are looked at; None: all of it is."""
    if isinstance(node, tree.Name) and node.name in VARIABLES:
        members[node.name] = None
    elif (member := _member_of_variable(node)) is not None:
        known = members.setdefault(member[0], set())
        if known is not None:
            known.add(member[1])
    else:
        for child in tree.children(node):
            _collect_members(child, members)


def _json_value(value: object) -> object:  # noqa: PLR0911 (a table)
    match value:
        case dict():
            if not all(isinstance(name, str) for name in value):
                raise EvaluationError("its value is a map whose keys are no texts")
            return {name: _json_value(value[name]) for name in sorted(value)}
        case list():
            return [_json_value(item) for item in value]
        case bool() | str() | None:
            return value
        case int() if abs(value) <= INTEGER_MAX:
            return value
        case float() if math.isfinite(value):
            return value
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case timedelta():
            return f"{value.total_seconds():.6f}".rstrip("0").rstrip(".") + "s"
    raise EvaluationError(f"its value, {str(value)[:40]}, is none that JSON has")


def _told(error: Exception) -> str:
    """Return the first thing that the extension says, without its advice for Python."""
    text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if "Undefined variable or function" in text:
        name = text.split("'")[1]
        return f"{name}() does not take a value of that type"
    for advice in (" CEL does not coerce", " Check function", " Check that"):
        text = text.partition(advice)[0]
    return text[:_SHOWN_MAX]
