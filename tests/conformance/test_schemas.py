"""Our schemas give the official verdicts, and their errors point at what is wrong.

Promise: `mcp-server` and `a2a-agent-card` agree with the official schemas on every manifest in
    shared/data and on every mutation of the valid ones, but for the rows of `STRICTER`.
Assume: the schemas are compiled as `compiled` does it. `validate_formats` is needed: in draft
    2020-12 a format is only a remark. `offline` makes a remote `$ref` an error. `mask` keeps the
    document's words, perhaps secret or a megabyte long, out of the reasons.
Not here: what only the registries' taxonomies know (does OASF skill 10201876 exist?).
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeAlias

import pytest
from jsonschema_rs import (
    Draft7Validator,
    Draft202012Validator,
    ReferencingError,
    RegexOptions,
    ValidationError,
    meta,
)

pytestmark = (
    pytest.mark.no_cover
)  # What it runs is covered elsewhere; measured, it takes many times as long.

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"
JsonPath: TypeAlias = tuple[str | int, ...]

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT / "protocol" / "schemas"
FIXTURES = ROOT / "fixtures" / "kinds"
DATA = ROOT.parent / "shared" / "data"
OFFICIAL = {
    "mcp-server": DATA / "schemas" / "mcp-server.2025-12-11.schema.json",
    "a2a-agent-card": DATA / "schemas" / "a2a.0.3.0.schema.json",
}
KINDS = ("agent", "mcp-server", "a2a-agent-card", "oasf-record")
MUTATIONS_MIN = 5_000  # of each verdict; so that a generator gone quiet is noticed

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"{DATA} is not there to compare with")

ONE_VERSION = ("1.0.0-experimental", "1.2.3-x.7.z.92", "2026.3", "v1.6", "1.0-2", "${VERSION}", "")
RANGES = (
    *("^1.2.3", "~1.2", ">=1.2.3", "<2", "=1.0.0", ">= 1.2, < 2.0", "> 1.0 <2.0", "1.2, <2"),
    *("1.x", "1.2.X", "v1.*", "1.x.x", "*", "x.x", "1.2.*-beta"),
    *("1.2.3 - 2.0.0", "1.2||1.3", "1.2 || 1.3"),
)

# The registry refuses these in code; its schema says so only in prose. Nothing else may differ.
STRICTER = {
    "/version": ("latest", *RANGES),
    "/packages/*/version": RANGES,
}

# Real records that lack a member which OASF requires, and the one that only its taxonomy refuses.
OASF_LACKING = {
    "agntcy_oasf-sdk__e2e_fixtures_translation_catalog_record.json": "authors",
    "agntcy_workflow-srv-mgr__wfsm_internal_wfsm_manifest_test_manifest_2_agent_C_manifest.json": "created_at",
    "agntcy_workflow-srv-mgr__wfsm_internal_wfsm_manifest_test_manifest_4_agent_A_manifest.json": "created_at",
}
OASF_INVALID_BY_TAXONOMY = {"agntcy_dir__cli_cmd_validate_testdata_record_invalid.json"}


def loaded(path: Path) -> Json:
    document: Json = json.loads(path.read_bytes())
    return document


def schema_of(kind: str) -> dict[str, Json]:
    schema = loaded(SCHEMAS / f"{kind}.json")
    assert isinstance(schema, dict)
    return schema


def compiled(kind: str) -> Draft202012Validator:
    return Draft202012Validator(
        schema_of(kind),
        validate_formats=True,
        offline=True,
        mask="value",
        pattern_options=RegexOptions(),  # linear time: refuses look-around and back-references
    )


def official_schema(kind: str) -> dict[str, Json]:
    schema = loaded(OFFICIAL[kind])
    assert isinstance(schema, dict)
    # The A2A file defines the whole protocol; the card is one of its definitions.
    return schema if "$ref" in schema else {**schema, "$ref": "#/definitions/AgentCard"}


def official(kind: str) -> Draft7Validator:
    return Draft7Validator(official_schema(kind), validate_formats=True, offline=True)


def kind_of(fixture: Path) -> str:
    return next(kind for kind in KINDS if fixture.name.startswith(kind))


def fixtures(folder: str) -> list[Path]:
    return sorted((FIXTURES / folder).iterdir())


def expected_errors() -> dict[str, list[dict[str, str]]]:
    """Return for each invalid fixture where its errors point and a word of each reason."""
    expected: dict[str, list[dict[str, str]]] = json.loads(
        (FIXTURES / "expected-errors.json").read_bytes()
    )
    return expected


def manifests(folder: str = "*") -> list[Path]:
    return sorted((DATA / "manifests").glob(f"{folder}/*.json"))


def pointer(path: list[str | int]) -> str:
    """Return the JSON pointer (RFC 6901) of an error's `instance_path`."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


def nodes(value: Json, path: JsonPath = ()) -> Iterator[tuple[JsonPath, Json]]:
    """Yield every value of a document with its path, the document itself first."""
    yield path, value
    if isinstance(value, dict):
        for member, inner in value.items():
            yield from nodes(inner, (*path, member))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from nodes(inner, (*path, index))


def replaced(document: Json, path: JsonPath, value: Json) -> Json:
    """Return the document with another value at `path`; what is off the path is shared."""
    if not path:
        return value
    step, rest = path[0], path[1:]
    if isinstance(document, dict) and isinstance(step, str):
        return {**document, step: replaced(document[step], rest, value)}
    assert isinstance(document, list)
    assert isinstance(step, int)
    inner = replaced(document[step], rest, value)
    return [*document[:step], inner, *document[step + 1 :]]


class Vocabulary(NamedTuple):
    """What the official schema knows, so that mutations reach all of it."""

    words: list[str]
    members: list[str]
    lengths: list[int]


def vocabulary(schema: Json) -> Vocabulary:
    words, members, lengths = set[str](), set[str](), set[int]()
    for path, value in nodes(schema):
        keyword = path[-1] if path else None
        if keyword == "const" or (len(path) > 1 and path[-2] == "enum"):
            words.add(str(value))
        if keyword == "properties" and isinstance(value, dict):
            members.update(value)
        if keyword in ("minLength", "maxLength") and isinstance(value, int):
            lengths.update((value - 1, value, value + 1))
    return Vocabulary(sorted(words), sorted(members), sorted(lengths))


ANYTHING: list[Json] = [None, True, 7, 1.5, "", "text", "two words", [], [7], ["text"], [{}], {}]


def substitutes(path: JsonPath, value: Json, known: Vocabulary) -> Iterator[Json]:
    """Yield what stands in for one value: other types, other words, other lengths, less, more."""
    yield from ANYTHING
    if path and path[-1] == "version":
        yield from ("latest", *RANGES, *ONE_VERSION)
    if isinstance(value, str):
        yield from known.words
        yield from (value.upper(), f" {value}", f"{value} ", f"{value}\n", value.replace("/", ""))
        yield from ("https://example.org/a", "http://{host}/a b", "urn:example:a", "a/b/c")
        yield from ((value + "e" * length)[:length] for length in known.lengths)
    elif isinstance(value, list):
        yield from ([*value, another] for another in ANYTHING)
        yield from (value[:index] + value[index + 1 :] for index in range(len(value)))
    elif isinstance(value, dict):
        yield from ({k: v for k, v in value.items() if k != member} for member in value)
        absent = [member for member in (*known.members, "x-unknown") if member not in value]
        yield from ({**value, member: 7} for member in absent)  # no known member is a number


def mutations(document: Json, known: Vocabulary) -> Iterator[Json]:
    for path, value in nodes(document):
        for substitute in substitutes(path, value, known):
            yield replaced(document, path, substitute)


def stricter_rows(errors: list[ValidationError]) -> set[tuple[str, str]]:
    """Return the rows of `STRICTER` that explain these errors; none where one is unexplained."""
    rows = set[tuple[str, str]]()
    for error in errors:
        where = re.sub(r"/\d+(?=/|$)", "/*", pointer(error.instance_path))
        if error.kind.name != "not" or error.instance not in STRICTER.get(where, ()):
            return set()
        rows.add((where, str(error.instance)))
    return rows


@pytest.mark.parametrize("kind", KINDS)
def test_schema_is_valid_and_refers_to_nothing_outside_itself(kind: str) -> None:
    schema = schema_of(kind)

    meta.validate(schema)
    references = [value for path, value in nodes(schema) if path and path[-1] == "$ref"]

    assert all(str(reference).startswith("#") for reference in references)
    assert not compiled(kind).is_valid([])


def test_remote_reference_is_refused_when_compiled_offline() -> None:
    with pytest.raises((ValidationError, ReferencingError), match="disabled"):
        Draft202012Validator({"$ref": "https://example.org/schema.json"}, offline=True)


@pytest.mark.parametrize("kind", KINDS)
def test_every_pattern_has_a_title_that_says_it_in_words(kind: str) -> None:
    for path, value in nodes(schema_of(kind)):
        if isinstance(value, dict) and {"pattern", "not"} & set(value) and path[-1] != "if":
            assert isinstance(value.get("title"), str), path


@pytest.mark.parametrize("fixture", fixtures("valid"), ids=lambda path: path.stem)
def test_valid_fixture_is_valid(fixture: Path) -> None:
    errors = compiled(kind_of(fixture)).iter_errors(loaded(fixture))

    assert [(pointer(error.instance_path), error.message) for error in errors] == []


@pytest.mark.parametrize("fixture", fixtures("invalid"), ids=lambda path: path.stem)
def test_error_points_at_what_is_wrong_and_says_why(fixture: Path) -> None:
    expected = expected_errors()[fixture.stem]

    errors = list(compiled(kind_of(fixture)).iter_errors(loaded(fixture)))

    assert [pointer(error.instance_path) for error in errors] == [e["pointer"] for e in expected]
    for error, wanted in zip(errors, expected, strict=True):
        assert wanted["word"] in error.message


def test_every_expected_error_has_its_fixture() -> None:
    assert expected_errors().keys() == {path.stem for path in fixtures("invalid")}


@pytest.mark.parametrize("where", STRICTER)
@pytest.mark.parametrize("version", ONE_VERSION)
def test_unusual_version_is_not_taken_for_a_range(where: str, version: str) -> None:
    server = loaded(FIXTURES / "valid" / "mcp-server-everything.json")
    path = tuple(0 if step == "*" else step for step in where.split("/")[1:])

    errors = list(compiled("mcp-server").iter_errors(replaced(server, path, version)))

    assert [error.kind.name for error in errors if error.kind.name == "not"] == []


@needs_data
@pytest.mark.parametrize("kind", OFFICIAL)
def test_verdict_on_every_shared_manifest_is_the_official_one(kind: str) -> None:
    ours, theirs = compiled(kind), official(kind)
    paths = [*manifests(), *fixtures("valid"), *fixtures("invalid")]

    differing = [
        path.name
        for path in paths
        if ours.is_valid(loaded(path)) != theirs.is_valid(loaded(path))
        and not stricter_rows(list(ours.iter_errors(loaded(path))))
    ]

    assert differing == []


@needs_data
@pytest.mark.parametrize("every", [3, pytest.param(1, marks=pytest.mark.long)])
@pytest.mark.parametrize("kind", OFFICIAL)
def test_verdict_on_mutations_of_valid_manifests_is_the_official_one(kind: str, every: int) -> None:
    ours, theirs = compiled(kind), official(kind)
    known = vocabulary(official_schema(kind))
    valid = [
        document
        for document in map(loaded, (*manifests(), *fixtures("valid")))
        if theirs.is_valid(document)
    ]
    verdicts = Counter[bool]()
    differing: list[str] = []
    stricter = set[tuple[str, str]]()

    for document in valid:
        for mutation in islice(mutations(document, known), 0, None, every):
            verdict = theirs.is_valid(mutation)
            verdicts[verdict] += 1
            if ours.is_valid(mutation) != verdict:
                rows = stricter_rows(list(ours.iter_errors(mutation))) if verdict else set()
                stricter |= rows
                differing.extend([] if rows else [json.dumps(mutation)])

    assert differing == []
    assert min(verdicts[True], verdicts[False]) > MUTATIONS_MIN / every
    rows_of_kind = STRICTER if kind == "mcp-server" else {}
    assert stricter == {
        (where, value) for where, values in rows_of_kind.items() for value in values
    }


@needs_data
@pytest.mark.parametrize("kind", OFFICIAL)
def test_no_sentence_is_copied_from_the_official_schema(kind: str) -> None:
    def sentences(schema: Json) -> set[str]:
        prose = ("title", "description", "$comment")
        texts = [str(value) for path, value in nodes(schema) if path and path[-1] in prose]
        return {part for text in texts for part in re.split(r"[.:]\s+", text) if " " in part}

    assert not sentences(schema_of(kind)) & sentences(official_schema(kind))


@needs_data
def test_real_oasf_record_is_valid_unless_it_lacks_a_required_member() -> None:
    ours = compiled("oasf-record")

    reasons = {
        path.name: [(pointer(error.instance_path), error.message) for error in errors]
        for path in manifests("oasf")
        if (errors := list(ours.iter_errors(loaded(path))))
    }

    assert reasons == {
        name: [("", f'"{member}" is a required property')] for name, member in OASF_LACKING.items()
    }


@needs_data
def test_invalid_oasf_record_is_refused_unless_only_the_taxonomy_knows() -> None:
    ours = compiled("oasf-record")

    accepted = {path.name for path in manifests("oasf-invalid") if ours.is_valid(loaded(path))}

    assert accepted == OASF_INVALID_BY_TAXONOMY
