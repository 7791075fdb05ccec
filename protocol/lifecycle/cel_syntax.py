"""CEL read by ourselves, before the extension sees it: tokens, grammar, names.

Promise:  what `parse` accepts is small (characters, tokens, nesting, loops), names only variables
          and functions that exist, and is what the CEL specification calls an expression.
Assume:   the text is hostile.
Not here: values (the extension's work), what evaluation costs (`cel_costs`).
"""

import re
from typing import Final, NamedTuple

from protocol.errors import ManifestdError, did_you_mean
from protocol.lifecycle.cel_tree import (
    Call,
    Chain,
    Index,
    Literal,
    Literals,
    Macro,
    Name,
    Node,
    Select,
    Ternary,
)
from protocol.lifecycle.patterns import PatternError, check_pattern

SOURCE_SIZE_MAX: Final = 2000  # Characters. A guard longer than a screen is several guards.
TOKENS_MAX: Final = 500  # The extension's stack takes 1000 operators in a row, and not much more.
DEPTH_MAX: Final = 24  # Of brackets, ternaries, members of members; the extension ends at 50.
MACROS_MAX: Final = 8
MACRO_DEPTH_MAX: Final = 2  # What loops within loops within loops asks is another document.

VARIABLES: Final = ("manifest", "state", "principal", "command", "approvals", "now")
TYPES: Final = ("bool", "bytes", "double", "int", "list", "map", "null_type", "string", "uint")
MACROS: Final = ("all", "exists", "exists_one", "filter", "map")
# Function and how many arguments it takes; called as f(x), as x.f(), or either way.
FUNCTIONS: Final = {
    "bytes": 1,
    "double": 1,
    "duration": 1,
    "dyn": 1,
    "has": 1,
    "int": 1,
    "size": 1,
    "string": 1,
    "timestamp": 1,
    "type": 1,
    "uint": 1,
}
METHODS: Final = {
    "contains": 1,
    "endsWith": 1,
    "matches": 1,
    "size": 0,
    "startsWith": 1,
    "getDate": 0,
    "getDayOfMonth": 0,
    "getDayOfWeek": 0,
    "getDayOfYear": 0,
    "getFullYear": 0,
    "getHours": 0,
    "getMilliseconds": 0,
    "getMinutes": 0,
    "getMonth": 0,
    "getSeconds": 0,
}
_WORDS: Final = {"true", "false", "null", "in"}

_ESCAPE: Final = (
    r"""\\(?:[abfnrtv\\?'"`]|[xX][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-3][0-7]{2})"""
)
_TOKEN: Final = re.compile(
    rf"""
    (?P<space>[ \t\r\n\f]+|//[^\n]*)
  | (?P<string>(?:[bB]?[rR](?:'''(?s:.)*?'''|\"\"\"(?s:.)*?\"\"\"|'[^'\r\n]*'|"[^"\r\n]*"))
      |[bB]?(?:'''(?:[^\\]|{_ESCAPE})*?'''|\"\"\"(?:[^\\]|{_ESCAPE})*?\"\"\"
      |'(?:[^'\\\r\n]|{_ESCAPE})*'|"(?:[^"\\\r\n]|{_ESCAPE})*"))
  | (?P<number>0x[0-9a-fA-F]+[uU]?|(?:[0-9]+\.[0-9]+|\.[0-9]+)(?:[eE][+-]?[0-9]+)?
      |[0-9]+[eE][+-]?[0-9]+|[0-9]+[uU]?)
  | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<sign>&&|\|\||==|!=|<=|>=|[-+*/%<>!?:.,()\[\]{{}}])
    """,
    re.VERBOSE,
)


class ExpressionError(ManifestdError):
    """An expression cannot be used; `position` is the character, from 1, where it shows."""

    def __init__(self, reason: str, position: int | None = None) -> None:
        super().__init__(reason if position is None else f"{reason} (character {position})")
        self.reason = str(self)
        self.position = position


class _Token(NamedTuple):
    kind: str
    text: str
    position: int  # From 1.


def _tokens(source: str) -> list[_Token]:
    if len(source) > SOURCE_SIZE_MAX:
        reason = f"an expression has at most {SOURCE_SIZE_MAX} characters, this {len(source)}"
        raise ExpressionError(reason)
    tokens, at = [], 0
    while at < len(source):
        match = _TOKEN.match(source, at)
        if match is None:
            what = (
                "a text without its end, or with an escape that is none"
                if source[at] in "'\""
                else f"{source[at]!r} is no CEL"
            )
            raise ExpressionError(what, at + 1)
        if match.lastgroup != "space":
            tokens.append(_Token(str(match.lastgroup), match.group(), at + 1))
        at = match.end()
    if len(tokens) > TOKENS_MAX:
        raise ExpressionError(f"an expression has at most {TOKENS_MAX} words and signs")
    tokens.append(_Token("end", "", len(source) + 1))
    return tokens


_LEVELS: Final = (
    {"||"},
    {"&&"},
    {"==", "!=", "<", "<=", ">", ">=", "in"},
    {"+", "-"},
    {"*", "/", "%"},
)


class _Parser:
    def __init__(self, source: str) -> None:
        self._tokens = _tokens(source)
        self._at = 0
        self._depth = 0
        self._macros = 0
        self._bound: list[str] = []

    def whole(self) -> Node:
        node = self._expression()
        if self._token.kind != "end":
            raise self._unexpected("an operator")
        return node

    @property
    def _token(self) -> _Token:
        return self._tokens[self._at]

    def _take(self) -> _Token:
        token = self._token
        self._at += token.kind != "end"
        return token

    def _skip(self, sign: str) -> bool:
        token = self._token
        found = token.kind == "sign" and token.text == sign
        self._at += found
        return found

    def _expect(self, sign: str) -> None:
        if not self._skip(sign):
            raise self._unexpected(f"'{sign}'")

    def _unexpected(self, wanted: str) -> ExpressionError:
        token = self._token
        what = "the end" if token.kind == "end" else f"'{token.text[:40]}'"
        return ExpressionError(f"{what} where {wanted} should be", token.position)

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            reason = f"nested more than {DEPTH_MAX} deep"
            raise ExpressionError(reason, self._token.position)

    def _expression(self) -> Node:
        self._deeper()
        node = self._chain(0)
        if self._skip("?"):
            yes = self._expression()
            self._expect(":")
            node = Ternary(node, yes, self._expression())
        self._depth -= 1
        return node

    def _chain(self, level: int) -> Node:
        if level == len(_LEVELS):
            return self._unary()
        operands, operators = [self._chain(level + 1)], []
        while self._token.kind in ("sign", "name") and self._token.text in _LEVELS[level]:
            operators.append(self._take().text)
            operands.append(self._chain(level + 1))
        return Chain(tuple(operators), tuple(operands)) if operators else operands[0]

    def _unary(self) -> Node:
        signs: list[str] = []
        while self._token.kind == "sign" and self._token.text in (signs[:1] or ("!", "-")):
            signs.append(self._take().text)
        begin = self._token.position - 1
        node = self._postfix(self._primary(), begin)
        return Chain(tuple(signs), (node,)) if signs else node

    def _postfix(self, node: Node, begin: int) -> Node:
        depth = self._depth
        while True:
            span = begin, self._token.position - 1
            if self._skip("."):
                self._deeper()
                node = self._member(node, span)
            elif self._skip("["):
                self._deeper()
                token = self._token
                index = self._expression()
                self._expect("]")
                is_constant = isinstance(index, Literal)
                node = Index(node, index, token.text if is_constant else None)
            else:
                self._depth = depth
                return node

    def _member(self, node: Node, span: tuple[int, int]) -> Node:
        token = self._take()
        if token.kind != "name" or token.text in _WORDS:
            self._at -= token.kind != "end"
            raise self._unexpected("the name of a member")
        if not self._skip("("):
            return Select(node, token.text)
        if token.text in MACROS:
            return self._macro(token, node, span)
        position = self._token.position
        pattern = self._token.text if self._token.kind == "string" else None
        arguments = self._until(")")
        self._check_call(token, METHODS, len(arguments), "method")
        if token.text == "matches":
            if not isinstance(arguments[0], Literal) or pattern is None:
                raise ExpressionError("matches() takes a pattern written out as a text", position)
            pattern = _pattern(pattern, position)
        return Call(token.text, (node, *arguments), pattern)

    def _macro(self, token: _Token, over: Node, span: tuple[int, int]) -> Node:
        self._macros += 1
        if self._macros > MACROS_MAX:
            raise ExpressionError(f"more than {MACROS_MAX} loops", token.position)
        if len(self._bound) >= MACRO_DEPTH_MAX:
            reason = f"loops nested more than {MACRO_DEPTH_MAX} deep"
            raise ExpressionError(reason, token.position)
        variable = self._take()
        if variable.kind != "name" or variable.text in {*_WORDS, *VARIABLES, *TYPES, *self._bound}:
            reason = f"{token.text}() takes a new name for each element, then what it asks of it"
            raise ExpressionError(reason, variable.position)
        self._expect(",")
        self._bound.append(variable.text)
        bodies = self._until(")")
        self._bound.pop()
        if len(bodies) > (2 if token.text == "map" else 1) or not bodies:
            reason = f"{token.text}() takes a name and one expression, not {len(bodies)}"
            raise ExpressionError(reason, token.position)
        return Macro(token.text, over, variable.text, bodies, span)

    def _until(self, sign: str) -> tuple[Node, ...]:
        items: list[Node] = []
        while not self._skip(sign):
            if items:
                self._expect(",")
                if sign == "]" and self._skip(sign):
                    break
            items.append(self._expression())
        return tuple(items)

    def _primary(self) -> Node:
        token = self._take()
        if token.kind in ("number", "string") or token.text in ("true", "false", "null"):
            return Literal(len(token.text))
        if token.kind == "name" and token.text not in _WORDS:
            return self._call(token) if self._skip("(") else self._name(token)
        if token.kind == "sign" and token.text == "(":
            node = self._expression()
            self._expect(")")
            return node
        if token.kind == "sign" and token.text == "[":
            return Literals(self._until("]"), is_map=False)
        if token.kind == "sign" and token.text == "{":
            return self._map()
        self._at -= token.kind != "end"
        raise self._unexpected("a value")

    def _map(self) -> Node:
        items: list[Node] = []
        while not self._skip("}"):
            if items:
                self._expect(",")
                if self._skip("}"):
                    break
            items.append(self._expression())
            self._expect(":")
            items.append(self._expression())
        return Literals(tuple(items), is_map=True)

    def _name(self, token: _Token) -> Node:
        known = (*self._bound, *VARIABLES)
        if token.text not in known and token.text not in TYPES:
            near = did_you_mean(token.text, list(known))
            hint = f"did you mean {near}?" if near else f"there are {', '.join(known)}"
            raise ExpressionError(f"there is no variable {token.text}; {hint}", token.position)
        return Name(token.text)

    def _call(self, token: _Token) -> Node:
        arguments = self._until(")")
        self._check_call(token, FUNCTIONS, len(arguments), "function")
        if token.text != "has":
            return Call(token.text, arguments)
        asked = arguments[0]
        if not isinstance(asked, Select):
            raise ExpressionError(
                "has() takes a member, such as has(manifest.name)", token.position
            )
        return Select(asked.operand, asked.member, only_asks=True)

    def _check_call(self, token: _Token, known: dict[str, int], given: int, what: str) -> None:
        name = token.text
        if name not in known:
            if name in METHODS or name in MACROS:
                hint = f"it is called on a value: value.{name}(…)"
            elif name in FUNCTIONS:
                hint = f"it is called as {name}(value)"
            else:
                names = [*known, *MACROS] if known is METHODS else list(known)
                near = did_you_mean(name, names)
                hint = f"did you mean {near}()?" if near else f"there are {', '.join(names)}"
            raise ExpressionError(f"there is no {what} {name}(); {hint}", token.position)
        if given != known[name]:
            reason = (
                f"{name}() takes {known[name] or 'no'} argument{'s'[known[name] :]}, not {given}"
            )
            raise ExpressionError(reason, token.position)


def _pattern(text: str, position: int) -> str:
    """Return what the literal `text` says, where that is a pattern that may be looked for."""
    quote = re.match(r"[bBrR]*('''|\"\"\"|'|\")", text)
    assert quote is not None
    prefix = quote.group()[: -len(quote[1])].lower()
    inner = text[quote.end() : -len(quote[1])]
    if "b" in prefix:
        raise ExpressionError("matches() takes a text, no bytes", position)
    if "r" not in prefix:
        if re.search(r"\\[^\\'\"nrt]", inner.replace("\\\\", "")):
            reason = "a pattern with backslashes is written r'…', as r'^[a-z]+\\.json$'"
            raise ExpressionError(reason, position)
        inner = inner.replace("\\\\", "\\")
    try:
        check_pattern(inner)
    except PatternError as error:
        raise ExpressionError(f"matches(): {error}", position) from error
    return inner


def plain_text(constant: str | None) -> str | None:
    """Return what a constant says that is a text in single marks without escapes, else None."""
    if constant is None or re.fullmatch(r"'[^'\\]+'|\"[^\"\\]+\"", constant) is None:
        return None
    return constant[1:-1]


def parse(source: str) -> Node:
    """Return the syntax tree of `source`; `ExpressionError` says what is wrong with it and where."""
    if not source.strip():
        raise ExpressionError("an empty expression")
    return _Parser(source).whole()
