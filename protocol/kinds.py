"""Kinds of manifests: the JSON Schema that says what is valid, the rule that derives the URN.

Promise:  the same document and kind always give the same problems and the same URN.
Assume:   schemas are self-contained; no `$ref` is ever fetched.
Not here: when validity is demanded (a guard of the lifecycle does that).
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from importlib.resources import files
from itertools import islice
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import jsonschema_rs
import msgspec

from protocol.errors import BadRequestError, ManifestdError, ManifestInvalidError
from protocol.limits import URN_SIZE_MAX

PROBLEMS_MAX: Final = 50  # A document of the wrong kind breaks every rule; nobody reads them all.
# Values in a document whose every problem is looked for. The validator finds all of them before it
# tells of one: 250,000 empty skills, of which a megabyte has room, took it ten seconds.
NODES_MAX: Final = 2000
REASON_SIZE_MAX: Final = 300  # Characters; the validator quotes the offending value in full.
KIND_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_PLACEHOLDER: Final = re.compile(r"\{([A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*)(/?)\}")
_LITERAL: Final = re.compile(r"[A-Za-z0-9._:/@+~-]*")
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.~-]+")
_URN_GROUP: Final = re.compile(r"\[([^\[\]]*)\]|[^\[\]]+")
_OPTIONAL: Final = re.compile(r"\[([^\[\]]*)\]")


class KindError(ManifestdError):
    """A kind cannot be loaded. Unlike `ManifestInvalidError` no document is at fault."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(f"kind {kind!r}: {reason}")
        self.kind = kind
        self.reason = reason


class Validation(StrEnum):
    """How much of a document its kind checks."""

    FULL = "full"  # Against the schema.
    SYNTAX = "syntax"  # A JSON object that yields a URN.
    NONE = "none"  # A JSON object.


class Problem(msgspec.Struct, frozen=True):
    """One thing wrong with a document: a JSON pointer (RFC 6901) and the reason."""

    path: str
    reason: str


class Verdict(NamedTuple):
    """What a kind says of a document: its problems, and its URN or why it has none."""

    problems: list[Problem]
    urn: str | Problem


class Kind:
    """What a sort of document brings with it. Immutable; compiled once, at start-up.

    `urn` is a template over members of the document: `{name}@{version}`,
    `[{metadata.owner}/]{name}@{version}`. A part in brackets is left out when one of its members
    is missing. Member values are percent-encoded; of a `{name/}` the first slash is kept, for what
    is before it is the authority.
    """

    def __init__(
        self,
        name: str,
        *,
        schema: Mapping[str, Any] | bool = True,
        urn: str = "{name}@{version}",
        validation: Validation = Validation.FULL,
    ) -> None:
        if KIND_NAME.fullmatch(name) is None:
            raise KindError(name, "a kind's name is 1 to 63 of a-z 0-9 -, a letter or digit first")
        _check_urn_rule(name, urn)
        self.name = name
        self._urn_prefix = f"urn:proto:{name}:"
        self._urn_rule = _compile_urn_rule(urn)
        self.validation = validation
        self._schema = dict(schema) if isinstance(schema, Mapping) else schema
        try:
            self._validator = jsonschema_rs.validator_for(
                self._schema,
                retriever=_refuse_to_fetch,
                validate_formats=True,
                mask="value",  # A reason quotes no document: it may hold secrets, or megabytes.
            )
        except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
            raise KindError(name, f"its schema cannot be used: {_first_line(error)}") from error

    def problems(self, document: Any) -> list[Problem]:  # noqa: ANN401 (any JSON value)
        """Return what is wrong with `document`; empty when it is valid."""
        return self.verdict(document).problems

    def verdict(self, document: Any) -> Verdict:  # noqa: ANN401 (any JSON value)
        """Return what is wrong with `document`, and its URN."""
        try:
            urn: str | Problem = self.urn(document)
        except ManifestInvalidError as error:
            urn = Problem(error.path or "", error.message)
        return Verdict(self._problems(document, urn), urn)

    def _problems(self, document: Any, urn: str | Problem) -> list[Problem]:  # noqa: ANN401 (JSON)
        if not isinstance(document, dict):
            return [Problem("", "a manifest is a JSON object")]
        if self.validation is Validation.NONE:
            return []
        if self.validation is Validation.FULL and not self._validator.is_valid(document):
            found = [
                Problem(_pointer(error.instance_path), _reason(error, self._schema))
                for error in self._errors(document)
            ]
            return sorted(found, key=lambda problem: (problem.path, problem.reason))[:PROBLEMS_MAX]
        return [urn] if isinstance(urn, Problem) else []

    def _errors(self, document: Any) -> list[jsonschema_rs.ValidationError]:  # noqa: ANN401
        """Return what breaks the schema: all of it, or of a huge document the first thing."""
        if _has_at_most(NODES_MAX, document):
            return list(self._validator.iter_errors(document))
        try:
            self._validator.validate(document)
        except jsonschema_rs.ValidationError as error:
            return [error]
        return []

    def urn(self, document: Any) -> str:  # noqa: ANN401 (any JSON value)
        """Return `urn:proto:<kind>:…` for `document`.

        Raises:
            ManifestInvalidError: a member that the rule needs is missing or is no text.
        """
        urn = self._urn_prefix + "".join([part.of(self.name, document) for part in self._urn_rule])
        if len(urn) > URN_SIZE_MAX:
            message = f"the URN of the document has {len(urn)} characters; at most {URN_SIZE_MAX}"
            raise ManifestInvalidError(message, path="")
        return urn


class _UrnPart:
    """One piece of a compiled URN rule: a literal, or a member of the document and its literal.

    `optional` parts are those in brackets, all members of which have to be there.
    """

    def __init__(self, literal: str, member: str | None, *, keeps_slash: bool) -> None:
        self.literal = literal
        self.member = member
        self.keeps_slash = keeps_slash
        self.needs: tuple[str, ...] | None = None  # Of an optional part: what must be there.

    def of(self, kind: str, document: Any) -> str:  # noqa: ANN401 (any JSON value)
        """Return the piece of `document`'s URN; `ManifestInvalidError` when there is none."""
        if self.needs is not None and not all(_text_at(document, name) for name in self.needs):
            return ""
        if self.member is None:
            return self.literal
        text = _text_at(document, self.member)
        parts = text.split("/", 1) if self.keeps_slash else [text]
        if not all(parts):
            path = "/" + self.member.replace(".", "/")
            message = f"the URN of kind {kind} needs {self.member!r}, a string that is not empty"
            if text:
                message += " before or after its slash"
            raise ManifestInvalidError(message, path=path)
        return self.literal + "/".join([_quote(part) for part in parts])


def _quote(text: str) -> str:
    """Return `text` percent-encoded; most needs none, and finding out costs a tenth."""
    return text if _PLAIN.fullmatch(text) else quote(text, safe="")


def _compile_urn_rule(rule: str) -> list[_UrnPart]:
    """Return the parts of a rule that `_check_urn_rule` found to be one."""
    parts: list[_UrnPart] = []
    for group in _URN_GROUP.finditer(rule):
        inside = group[1] if group[1] is not None else group[0]
        compiled, end = [], 0
        for match in _PLACEHOLDER.finditer(inside):
            literal, end = inside[end : match.start()], match.end()
            compiled.append(_UrnPart(literal, match[1], keeps_slash=bool(match[2])))
        if inside[end:]:
            compiled.append(_UrnPart(inside[end:], None, keeps_slash=False))
        if group[1] is not None:
            needs = tuple(part.member for part in compiled if part.member is not None)
            for part in compiled:
                part.needs = needs
        parts += compiled
    return parts


def _check_urn_rule(kind: str, rule: str) -> None:
    if not _PLACEHOLDER.search(rule):
        reason = f"the urn rule {rule!r} names no member; try '{{name}}@{{version}}'"
        raise KindError(kind, reason)
    literal = _OPTIONAL.sub(lambda part: part[1], _PLACEHOLDER.sub("", rule))
    if _LITERAL.fullmatch(literal) is None:
        reason = (
            f"in the urn rule {rule!r} only {{member}}, [optional {{member}}] and "
            "A-Z a-z 0-9 . _ : / @ + ~ - may stand; check its brackets"
        )
        raise KindError(kind, reason)


class KindRegistry:
    """The kinds that a daemon knows, by name."""

    def __init__(self, kinds: list[Kind]) -> None:
        self._kinds = {kind.name: kind for kind in kinds}

    @staticmethod
    @lru_cache(maxsize=1)
    def builtin() -> "KindRegistry":
        """Return the registry of the four kinds that come with manifestd, compiled once."""
        return KindRegistry(
            [Kind(name, schema=_load_schema(name), urn=urn) for name, urn in _BUILTIN.items()]
        )

    def with_kinds(self, kinds: list[Kind]) -> "KindRegistry":
        """Return a registry with `kinds` added; one of a built-in's name replaces it."""
        return KindRegistry([*(self._kinds | {kind.name: kind for kind in kinds}).values()])

    def names(self) -> list[str]:
        """Return the names of all kinds, sorted."""
        return sorted(self._kinds)

    def get(self, name: str) -> Kind:
        """Return the kind called `name`; `BadRequestError` names the known ones."""
        try:
            return self._kinds[name]
        except KeyError:
            message = f"there is no kind {name!r}; known: {', '.join(self.names())}"
            raise BadRequestError(message, path="/kind") from None

    def recognise(self, document: Any) -> Kind:  # noqa: ANN401 (any JSON value)
        """Return the one built-in kind whose marks `document` bears.

        That a kind's schema accepts the document is no mark: `agent` accepts nearly everything, and
        a foreign document would silently become one. A kind of the configuration is never guessed
        either, so that adding one changes the meaning of no request.

        Raises:
            BadRequestError: no kind or several kinds fit; the message names the candidates.
        """
        if not isinstance(document, dict):
            message = "a manifest is a JSON object"
            raise BadRequestError(message, path="/manifest")
        candidates = sorted(
            name for name, bears in _MARKS.items() if name in self._kinds and bears(document)
        )
        if len(candidates) == 1:
            return self._kinds[candidates[0]]
        what = (
            f"the document could be any of: {', '.join(candidates)}"
            if candidates
            else f"the document bears the marks of no kind; known: {', '.join(self.names())}"
        )
        message = f"{what}; say which with 'kind'"
        raise BadRequestError(message, path="/kind", details={"candidates": candidates})


def _text_at(document: Any, name: str) -> str:  # noqa: ANN401 (any JSON value)
    value = document
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value if isinstance(value, str) else ""


def _has_at_most(count: int, document: Any) -> bool:  # noqa: ANN401 (any JSON value)
    """Tell whether `document` has at most `count` values in it, looking at no more than those."""
    waiting = [document]
    while waiting and count >= 0:
        value = waiting.pop()
        count -= 1
        if isinstance(value, dict):
            waiting.extend(islice(value.values(), count + 1))
        elif isinstance(value, list):
            waiting.extend(value[: count + 1])
    return count >= 0


def _pointer(path: list[str | int]) -> str:
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)


def _reason(error: jsonschema_rs.ValidationError, schema: Any) -> str:  # noqa: ANN401 (JSON)
    """Return why `error`: for a pattern its title, which says in words what the pattern means."""
    if error.schema_path and error.schema_path[-1] in ("pattern", "not"):
        try:
            for step in error.schema_path[:-1]:
                schema = schema[step]
        except (LookupError, TypeError):  # A reference may lead where the path does not.
            schema = None
        if title := _text_at(schema, "title"):
            return _shorten(f"is not {title}")
    return _shorten(error.message)


def _shorten(reason: str) -> str:
    if len(reason) <= REASON_SIZE_MAX:
        return reason
    half = REASON_SIZE_MAX // 2
    return f"{reason[:half]} … {reason[-half:]}"


def _first_line(error: Exception) -> str:
    if isinstance(error, jsonschema_rs.ValidationError) and error.instance_path:
        return f"{_pointer(error.instance_path)}: {_shorten(error.message)}"
    reason = str(error).partition("\n")[0]
    unfetched = isinstance(error, jsonschema_rs.ReferencingError) and "not fetched" not in reason
    return f"{reason}; references out of the schema are not fetched" if unfetched else reason


def _refuse_to_fetch(uri: str) -> Any:  # noqa: ANN401 (the validator's signature)
    message = f"it refers to {uri}; put everything into one file, references are not fetched"
    raise ValueError(message)


def _load_schema(name: str) -> dict[str, Any]:
    text = files("protocol").joinpath("schemas", f"{name}.json").read_bytes()
    return msgspec.json.decode(text, type=dict[str, Any])


_BUILTIN: Final = {
    "agent": "[{metadata.owner}/]{name}@{version}",
    "mcp-server": "{name/}@{version}",
    "a2a-agent-card": "[{provider.organization}/]{name}@{version}",
    "oasf-record": "{name}@{version}",
}


def _is_oasf(document: dict[str, Any]) -> bool:
    versioned = isinstance(document.get("schema_version"), str | int | float)
    return versioned and ("skills" in document or "authors" in document)


def _is_a2a(document: dict[str, Any]) -> bool:
    skilled = isinstance(document.get("skills"), list) and not _is_oasf(document)
    return skilled and not _CARD_MARKS.isdisjoint(document)


def _is_mcp(document: dict[str, Any]) -> bool:
    schema = _text_at(document, "$schema")
    if "modelcontextprotocol" in schema and schema.endswith("/server.schema.json"):
        return True
    if _is_oasf(document) or _is_a2a(document):
        return False
    packaged = any(
        "registryType" in package or "registry_type" in package
        for package in _objects_at(document, "packages")
    )
    remote = any(
        "url" in place and ("type" in place or "transport_type" in place)
        for place in _objects_at(document, "remotes")
    )
    named = _SERVER_NAME.fullmatch(_text_at(document, "name")) is not None
    return packaged or remote or (named and not _is_agent(document))


def _is_agent(document: dict[str, Any]) -> bool:
    if "name" not in document or _is_oasf(document) or _is_a2a(document):
        return False
    capabilities, metadata = document.get("capabilities"), document.get("metadata")
    return (
        any(mark in document for mark in ("communication", "authorization", "relationships"))
        or (isinstance(capabilities, dict) and not _OFFERS.isdisjoint(capabilities))
        or (isinstance(metadata, dict) and not _OWNERSHIP.isdisjoint(metadata))
    )


def _objects_at(document: dict[str, Any], name: str) -> list[dict[str, Any]]:
    items = document.get(name)
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


_SERVER_NAME: Final = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+/[^/]+")  # io.github.acme/echo
_CARD_MARKS: Final = frozenset(
    ("url", "protocolVersion", "protocolVersions", "supportedInterfaces", "defaultInputModes")
)
_OFFERS: Final = frozenset({"tools", "resources", "prompts"})
_OWNERSHIP: Final = frozenset({"owner", "tags"})

# What a document of the kind bears, valid or not: a draft may still be wrong.
_MARKS: Final = {
    "oasf-record": _is_oasf,
    "a2a-agent-card": _is_a2a,
    "mcp-server": _is_mcp,
    "agent": _is_agent,
}
