"""Guards as lifecycle files spell them, read into forms.

A text is a built-in guard, a name of the file's [guards] table, or else CEL; a list is all of its
guards; a table is one of `and`, `or`, `not`, `in`, `cel`, with `because` if wanted.

Promise:  a form names only guards that exist and is bounded (`GUARD_SIZE_MAX`, `GUARD_DEPTH_MAX`,
          names written out); its expressions are compiled.
Assume:   the value came from a parser; its shape is checked here all the same.
Not here: whether its states and roles exist (`guard_states`, `guard_roles` name them for that),
          and what it answers (`actors.guards`).
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, TypeAlias

import msgspec

from protocol.errors import ManifestdError
from protocol.lifecycle.cel_syntax import FUNCTIONS
from protocol.lifecycle.expressions import Expression, ExpressionError, compile_expression
from protocol.lifecycle.findings import shown, unknown
from protocol.principals import ROLE

GUARD_SIZE_MAX: Final = 256  # Parts to ask in one decision; names make it grow by leaps.
GUARD_DEPTH_MAX: Final = 16  # Of guards in guards; a name stands as deep as what it names.
COUNT_MAX: Final = 1000  # Approvals to wait for: nobody has more contributors, either.

# What each takes: nothing, or the kinds of its arguments, those in brackets may be left out.
BUILT_INS: Final[Mapping[str, tuple[str, ...]]] = {
    "manifest_valid": (),
    "reason_given": (),
    "digest_matches": (),
    "four_eyes": (),
    "content_approved": (),
    "content_registered": (),
    "urn_free": (),
    "has_role": ("role",),
    "approvals_at_least": ("count", "[role]"),
}
_SPELLINGS: Final = {
    "has_role": "has_role(role)",
    "approvals_at_least": "approvals_at_least(count) or approvals_at_least(count, role)",
}
_FORMS: Final = ("and", "or", "not", "in", "cel")
_CALL: Final = re.compile(r"\s*([A-Za-z_]\w*)\s*(?:\(([^()]*)\))?\s*", re.ASCII)
_BUILT_IN: Final = re.compile(rf"\b({'|'.join(BUILT_INS)})\b(?!\s*:)")
_DESCRIBED_MAX: Final = 200  # Characters; a diagram's label, not a program.

Path: TypeAlias = tuple[str | int, ...]


class GuardError(ManifestdError):
    """A guard is wrong. `path` leads from the value to the part that is."""

    def __init__(self, reason: str, path: Path = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.path = path


class _Form(msgspec.Struct, frozen=True, kw_only=True):
    """What all forms have; as a text a form is its description."""

    because: str | None = None

    def __str__(self) -> str:
        assert isinstance(self, GuardForm)
        return describe(self)


class Builtin(_Form, frozen=True, kw_only=True):
    """A guard that the daemon brings."""

    name: str
    arguments: tuple[int | str, ...] = ()


class Cel(_Form, frozen=True, kw_only=True):
    """A CEL expression; it has to be true."""

    expression: Expression


class And(_Form, frozen=True, kw_only=True):
    """All of several guards; the first that refuses says why."""

    guards: tuple["GuardForm", ...]


class Or(_Form, frozen=True, kw_only=True):
    """Any of several guards; when all refuse, each says why."""

    guards: tuple["GuardForm", ...]


class Not(_Form, frozen=True, kw_only=True):
    """A guard that has to refuse. One that cannot be answered does not count as refusing."""

    guard: "GuardForm"


class In(_Form, frozen=True, kw_only=True):
    """A state, or one within it, is active."""

    state: str


class Named(_Form, frozen=True, kw_only=True):
    """A guard of the file's [guards] table; `size` and `depth` of what it stands for."""

    name: str
    guard: "GuardForm"
    size: int
    depth: int


GuardForm: TypeAlias = Builtin | Cel | And | Or | Not | In | Named


def parse_guards(table: Mapping[str, object]) -> dict[str, Named]:
    """Return the guards of a file's [guards] table; `GuardError.path` begins with the name."""
    found: dict[str, Named] = {}
    waiting: list[str] = []

    def resolve(name: str) -> Named | None:
        if name in found or name not in table:
            return found.get(name)
        if name in waiting:
            cycle = " -> ".join([*waiting[waiting.index(name) :], name])
            raise GuardError(f"{cycle}: a guard cannot ask itself; leave one out", (waiting[0],))
        if name in BUILT_INS:
            reason = f"{name!r} is a built-in guard; call this one something else"
            raise GuardError(reason, (name,))
        waiting.append(name)
        if len(waiting) > GUARD_DEPTH_MAX:
            raise GuardError(f"guards nest more than {GUARD_DEPTH_MAX} deep", (waiting[0],))
        reading = _Reading(table, resolve)
        try:
            form = reading.form(table[name], (name,), 1)
        finally:
            waiting.pop()
        found[name] = Named(name=name, guard=form, size=reading.size, depth=reading.depth)
        return found[name]

    for name in table:
        resolve(name)
    return found


def parse_guard(value: object, named: Mapping[str, Named] | None = None) -> GuardForm:
    """Return the form of a guard; `named` are those of the file's [guards] table.

    Raises:
        GuardError: it is no guard; `reason` names the nearest one where a name is unknown.
    """
    known = named or {}
    return _Reading(known, known.get).form(value, (), 1)


class _Reading:
    """One guard being read; `size` and `depth` of it so far, names written out."""

    def __init__(self, known: Iterable[str], resolve: Callable[[str], Named | None]) -> None:
        self._known = known
        self._resolve = resolve
        self.size = 0
        self.depth = 0

    def form(self, value: object, path: Path, depth: int, because: str | None = None) -> GuardForm:
        self._grow(1, depth, path)
        if isinstance(value, str):
            return self._text(value, path, depth, because)
        if isinstance(value, list | tuple):
            return And(guards=self._several(value, path, depth), because=because)
        if isinstance(value, dict):
            return self._table(value, path, depth)
        forms = "a text, a list of guards, or a table with one of " + ", ".join(_FORMS)
        raise GuardError(f"a guard is {forms}; not {shown(repr(value))}", path)

    def _grow(self, size: int, depth: int, path: Path) -> None:
        self.size += size
        self.depth = max(self.depth, depth)
        if self.size > GUARD_SIZE_MAX:
            mend = f"{GUARD_SIZE_MAX} are allowed; ask for less"
            raise GuardError(f"written out, this guard has too many parts: {mend}", path)
        if self.depth > GUARD_DEPTH_MAX:
            raise GuardError(f"guards nest more than {GUARD_DEPTH_MAX} deep", path)

    def _several(self, values: object, path: Path, depth: int) -> tuple[GuardForm, ...]:
        if not isinstance(values, list | tuple) or not values:
            raise GuardError("a list of guards stands here, with one at least", path)
        return tuple(
            self.form(value, (*path, index), depth + 1) for index, value in enumerate(values)
        )

    def _table(self, value: Mapping[object, object], path: Path, depth: int) -> GuardForm:
        because = value.get("because")
        if because is not None and not (isinstance(because, str) and because.strip()):
            raise GuardError("because is a text: what a refused caller is told", (*path, "because"))
        assert because is None or isinstance(because, str)
        members = [str(name) for name in value if name != "because"]
        if len(members) != 1 or members[0] not in _FORMS:
            wrong = [name for name in members if name not in _FORMS]
            said = unknown("form of guard", wrong[0], _FORMS) if wrong else "one of them at a time"
            raise GuardError(f"a guard's table has one of {', '.join(_FORMS)}: {said}", path)
        form, inner = members[0], value[members[0]]
        where = (*path, form)
        if form == "not":
            return Not(guard=self.form(inner, where, depth + 1), because=because)
        if form in ("and", "or"):
            return (And if form == "and" else Or)(
                guards=self._several(inner, where, depth), because=because
            )
        if not isinstance(inner, str) or not inner.strip():
            raise GuardError(f"'{form}' takes a text", where)
        if form == "in":
            return In(state=inner, because=because)
        return _cel(inner, where, because)

    def _text(self, text: str, path: Path, depth: int, because: str | None) -> GuardForm:
        call = _CALL.fullmatch(text)
        if call is None or call[1] in ("true", "false"):
            return _cel(text, path, because)
        name, arguments = call.groups()
        if name in BUILT_INS:
            return _built_in(name, arguments, path, because)
        named = self._resolve(name) if arguments is None else None
        if named is not None:
            self._grow(named.size, depth + named.depth, path)
            return named
        if arguments is not None and name in FUNCTIONS:
            return _cel(text, path, because)
        raise GuardError(unknown("guard", name, [*self._known, *BUILT_INS]), path)


def _cel(text: str, path: Path, because: str | None) -> Cel:
    try:
        return Cel(expression=compile_expression(text), because=because)
    except ExpressionError as error:
        built_in = _BUILT_IN.search(text)
        mend = ""
        if built_in is not None and "there is no" in error.reason:
            mend = f"; {built_in[1]} stands on its own: put guards together by and, or, not"
        raise GuardError(f"{shown(text)} is no guard: {error.reason}{mend}", path) from error


def _built_in(name: str, given: str | None, path: Path, because: str | None) -> Builtin:
    wanted = BUILT_INS[name]
    texts = [text.strip() for text in given.split(",")] if given and given.strip() else []
    required = [kind for kind in wanted if not kind.startswith("[")]
    if not len(required) <= len(texts) <= len(wanted):
        takes = f"it is written {_SPELLINGS[name]}" if wanted else "it takes no arguments"
        raise GuardError(f"{name} with {len(texts)} arguments; {takes}", path)
    arguments = tuple(
        _argument(name, kind.strip("[]"), text, path)
        for kind, text in zip(wanted, texts, strict=False)
    )
    return Builtin(name=name, arguments=arguments, because=because)


def _argument(name: str, kind: str, text: str, path: Path) -> int | str:
    if kind == "count":
        if not re.fullmatch(r"[0-9]{1,4}", text) or not 0 < int(text) <= COUNT_MAX:
            raise GuardError(f"{name}({shown(text)}…): a count from 1 to {COUNT_MAX}", path)
        return int(text)
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        text = text[1:-1]
    if ROLE.fullmatch(text) is None:
        raise GuardError(f"{name}: {shown(text)} is no role; it is 1 to 32 of a-z 0-9 _ -", path)
    return text


def _parts(form: GuardForm) -> Iterator[GuardForm]:
    """Yield `form` and all that it is put together from."""
    yield form
    match form:
        case And(guards=guards) | Or(guards=guards):
            for guard in guards:
                yield from _parts(guard)
        case Not(guard=guard) | Named(guard=guard):
            yield from _parts(guard)


def guard_states(form: GuardForm) -> list[str]:
    """Return the states that the guard asks about, each once, in its own order."""
    return list(dict.fromkeys(one.state for one in _parts(form) if isinstance(one, In)))


def guard_roles(form: GuardForm) -> list[str]:
    """Return the roles that the guard names, each once, in its own order."""
    return list(
        dict.fromkeys(
            argument
            for one in _parts(form)
            if isinstance(one, Builtin)
            for argument in one.arguments
            if isinstance(argument, str)
        )
    )


def describe(form: GuardForm) -> str:
    """Return the guard on one line: `digest_matches and (four_eyes or has_role(admin))`."""
    text = " ".join(_described(form, inner=False).split())
    return text if len(text) <= _DESCRIBED_MAX else f"{text[: _DESCRIBED_MAX - 1]}…"


def _described(form: GuardForm, *, inner: bool) -> str:  # noqa: PLR0911 (a table)
    match form:
        case Builtin(name=name, arguments=arguments):
            return f"{name}({', '.join(map(str, arguments))})" if arguments else name
        case Named(name=name):
            return name
        case In(state=state):
            return f"in {state}"
        case Cel(expression=expression):
            return f"({expression.source})" if inner else expression.source
        case Not(guard=guard):
            return f"not {_described(guard, inner=True)}"
        case And(guards=guards) | Or(guards=guards):
            word = " and " if isinstance(form, And) else " or "
            if len(guards) == 1:
                return _described(guards[0], inner=inner)
            text = word.join(_described(guard, inner=True) for guard in guards)
            return f"({text})" if inner else text
