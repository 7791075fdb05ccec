"""Kinds: what is valid, which URN it gets, which kind a document is of."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.canonical import canonicalize
from protocol.errors import BadRequestError, ManifestdError, ManifestInvalidError
from protocol.kinds import NODES_MAX, PROBLEMS_MAX, Kind, KindError, KindRegistry, Validation
from protocol.limits import URN_SIZE_MAX

BUILTIN = KindRegistry.builtin()
REAL = Path(__file__).resolve().parents[4] / "shared" / "data" / "manifests"
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=9)
A2A = {"name": "Echo", "skills": [], "url": "https://x", "capabilities": {}}
MCP = {"name": "io.github.acme/echo"}
OASF = {"schema_version": "0.8.0", "skills": [], "authors": []}


def urn_of(rule: str, document: object) -> str:
    return Kind("x", urn=rule).urn(document)


@pytest.mark.parametrize(
    ("kind", "document", "urn"),
    [
        (
            "mcp-server",
            {"name": "io.github.acme/echo", "version": "1.0.0"},
            "io.github.acme/echo@1.0.0",
        ),
        ("mcp-server", {"name": "a/b/c", "version": "1"}, "a/b%2Fc@1"),
        ("mcp-server", {"name": "plain", "version": "1"}, "plain@1"),
        ("agent", {"name": "a b", "version": "1.0.0+x"}, "a%20b@1.0.0%2Bx"),
        ("agent", {"name": "n", "version": "1", "metadata": {"owner": "o/p"}}, "o%2Fp/n@1"),
        ("agent", {"name": "n", "version": "1", "metadata": {"owner": ""}}, "n@1"),
        ("agent", {"name": "n", "version": "1", "metadata": []}, "n@1"),
        (
            "a2a-agent-card",
            {"name": "é", "version": "1", "provider": {"organization": "A@B"}},
            "A%40B/%C3%A9@1",
        ),
        ("oasf-record", {"name": "{version}", "version": "[1]"}, "%7Bversion%7D@%5B1%5D"),
        ("oasf-record", {"name": "a:b@c%2F", "version": "1"}, "a%3Ab%40c%252F@1"),
    ],
)
def test_a_document_gets_its_urn(kind: str, document: dict[str, Any], urn: str) -> None:
    assert BUILTIN.get(kind).urn(document) == f"urn:proto:{kind}:{urn}"


@given(names, names, names, names)
def test_different_names_never_share_a_urn(a: str, b: str, c: str, d: str) -> None:
    kind = BUILTIN.get("oasf-record")
    one, other = {"name": a, "version": b}, {"name": c, "version": d}

    assert (kind.urn(one) == kind.urn(other)) == (one == other)
    assert kind.urn(one).isascii()


@pytest.mark.parametrize(
    ("kind", "document", "path"),
    [
        ("oasf-record", {"version": "1"}, "/name"),
        ("oasf-record", {"name": "", "version": "1"}, "/name"),
        ("oasf-record", {"name": "x", "version": 1}, "/version"),
        ("oasf-record", [], "/name"),
        ("mcp-server", {"name": "/x", "version": "1"}, "/name"),
        ("mcp-server", {"name": "x/", "version": "1"}, "/name"),
        ("oasf-record", {"name": "é" * (URN_SIZE_MAX // 6), "version": "1"}, ""),
    ],
)
def test_a_document_without_a_urn_is_invalid_and_says_where(
    kind: str, document: object, path: str
) -> None:
    with pytest.raises(ManifestInvalidError) as caught:
        BUILTIN.get(kind).urn(document)

    assert caught.value.path == path


def test_a_member_deep_inside_is_named_by_its_pointer() -> None:
    with pytest.raises(ManifestInvalidError) as caught:
        urn_of("{metadata.owner}/{name}", {"name": "x", "metadata": {}})

    assert caught.value.path == "/metadata/owner"


@pytest.mark.parametrize(
    "rule",
    [
        "",
        "x",
        "{}",
        "{name",
        "name}",
        "[{name}",
        "{name}]",
        "[[{name}]]",
        "{name} {version}",
        "{na me}",
        "{name}?",
        "{a..b}",
    ],
)
def test_a_wrong_urn_rule_is_refused(rule: str) -> None:
    with pytest.raises(KindError, match="urn rule"):
        Kind("x", urn=rule)


@pytest.mark.parametrize("name", ["", "X", "-x", "a b", "x" * 64, "x\n", "é", "a/b"])
def test_a_wrong_kind_name_is_refused(name: str) -> None:
    with pytest.raises(KindError, match="a kind's name"):
        Kind(name)


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        (
            {"$ref": "file:///etc/passwd"},
            "file:///etc/passwd; put everything into one file, references",
        ),
        ({"$ref": "http://127.0.0.1:9/x"}, "references are not fetched"),
        ({"properties": {"a": {"$ref": "other.json"}}}, "other.json"),
        ({"$id": "http://a.example/b", "$ref": "c"}, "http://a.example/c"),
        ({"$schema": "http://a.example/"}, "http://a.example/"),
        ({"$ref": "#/nowhere"}, "/nowhere"),
        ({"type": 5}, "/type"),
        ({"pattern": "("}, "/pattern"),
        ({"x": b"1"}, "bytes"),
        ({1: 2}, "int"),
        ({"x": "\ud800"}, "surrogates"),
    ],
)
def test_a_hostile_schema_is_refused_and_nothing_is_fetched(
    schema: dict[str, Any], said: str
) -> None:
    with pytest.raises(KindError) as caught:
        Kind("x", schema=schema)

    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


SCHEMA = {
    "properties": {"a/b~c": {"type": "array", "items": {"type": "string"}}},
    "required": ["z"],
}
VALID = {"name": "n", "version": "1", "z": 1}


def test_problems_point_to_their_place_as_rfc_6901_writes_it() -> None:
    problems = Kind("x", schema=SCHEMA).problems({"a/b~c": ["x", 5], **VALID})

    assert [problem.path for problem in problems] == ["/a~1b~0c/1"]
    assert problems[0].reason == 'value is not of type "string"'  # It quotes no document.


def test_full_checks_the_schema_and_the_urn() -> None:
    kind = Kind("x", schema=SCHEMA)

    assert kind.problems(VALID) == []
    assert [problem.path for problem in kind.problems({"name": "n", "version": "1"})] == [""]
    assert [problem.path for problem in kind.problems({"z": 1, "version": "1"})] == ["/name"]
    assert kind.problems({"z": 1}) != []


def test_syntax_checks_only_the_urn_and_none_only_that_it_is_an_object() -> None:
    syntax = Kind("x", schema=SCHEMA, validation=Validation.SYNTAX)
    nothing = Kind("x", schema=SCHEMA, validation=Validation.NONE)

    assert syntax.problems({"name": "n", "version": "1"}) == []
    assert [problem.path for problem in syntax.problems({"name": "n"})] == ["/version"]
    assert nothing.problems({}) == []
    for kind in (syntax, nothing, Kind("x")):
        assert [problem.reason for problem in kind.problems([1])] == ["a manifest is a JSON object"]


def test_of_a_huge_document_only_the_first_problem_is_looked_for() -> None:
    card = KindRegistry.builtin().get("a2a-agent-card")
    skills: list[dict[str, Any]] = [{} for _ in range(NODES_MAX - 3)]

    assert len(card.problems({"name": "x", "skills": skills})) > 1
    assert len(card.problems({"name": "x", "skills": [*skills, {}]})) == 1


def test_a_document_that_breaks_every_rule_gets_a_bounded_sorted_list() -> None:
    problems = Kind("x", schema={"additionalProperties": {"type": "string"}}).problems(
        {f"{number:04}": [number] * 2 for number in range(500)}
    )

    assert len(problems) == PROBLEMS_MAX
    assert problems == sorted(problems, key=lambda problem: problem.path)
    assert max(len(problem.reason) for problem in problems) < 400


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        (A2A, "a2a-agent-card"),
        (MCP, "mcp-server"),
        (OASF, "oasf-record"),
        ({"name": "x", "capabilities": {"tools": []}}, "agent"),
        ({"name": "x", "communication": 1}, "agent"),
        ({"packages": [{"registryType": "npm"}]}, "mcp-server"),
        ({"remotes": [{"url": "https://x", "type": "sse"}]}, "mcp-server"),
        (
            {"$schema": "https://static.modelcontextprotocol.io/schemas/2025/server.schema.json"},
            "mcp-server",
        ),
    ],
)
def test_a_draft_is_recognised_by_its_marks_also_while_it_is_wrong(
    document: object, kind: str
) -> None:
    assert BUILTIN.recognise(document).name == kind


def test_what_could_be_several_kinds_names_them() -> None:
    with pytest.raises(BadRequestError, match="could be any of: agent, mcp-server;") as caught:
        BUILTIN.recognise({"name": "x", "relationships": [], "packages": [{"registryType": "npm"}]})

    assert caught.value.details == {"candidates": ["agent", "mcp-server"]}
    assert caught.value.path == "/kind"


@pytest.mark.parametrize("document", [{}, {"x": 1}])
def test_what_is_of_no_kind_names_the_known_ones(document: object) -> None:
    with pytest.raises(
        BadRequestError, match="marks of no kind; known: a2a-agent-card, agent, mcp"
    ):
        BUILTIN.recognise(document)


@pytest.mark.parametrize("document", [None, 1, "name", [], [{"name": "x"}], True])
def test_what_is_no_object_is_of_no_kind(document: object) -> None:
    with pytest.raises(BadRequestError, match="a manifest is a JSON object"):
        BUILTIN.recognise(document)


json_values = st.recursive(
    st.none() | st.integers(-9, 9) | st.sampled_from(["a/b", "1", "http://x/schemas/"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                [
                    "$schema",
                    "name",
                    "version",
                    "skills",
                    "authors",
                    "schema_version",
                    "url",
                    "packages",
                    "remotes",
                    "capabilities",
                    "tools",
                    "metadata",
                    "provider",
                    "owner",
                    "communication",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=10,
)


@given(json_values)
def test_no_document_brings_anything_but_our_errors(document: object) -> None:
    for name in BUILTIN.names():
        BUILTIN.get(name).problems(document)
    try:
        BUILTIN.recognise(document).urn(document)
    except ManifestdError:
        return


def test_a_kind_of_ones_own_is_known_by_name_and_never_guessed() -> None:
    kind = Kind("own", schema={"required": ["own"]}, urn="{own}", validation=Validation.FULL)
    registry = BUILTIN.with_kinds([kind])

    assert registry.get("own") is kind
    with pytest.raises(BadRequestError, match="say which with 'kind'"):
        registry.recognise({"own": "x"})
    assert registry.names() == sorted([*BUILTIN.names(), "own"])
    assert "own" not in BUILTIN.names()
    replaced = BUILTIN.with_kinds([Kind("agent", validation=Validation.NONE)])
    assert replaced.get("agent").validation is Validation.NONE


def test_an_unknown_kind_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        BadRequestError, match="no kind 'x'; known: a2a-agent-card, agent"
    ) as caught:
        BUILTIN.get("x")

    assert caught.value.path == "/kind"


@pytest.mark.skipif(not REAL.is_dir(), reason="the manifests written by others are not here")
def test_real_documents_bring_nothing_but_our_errors() -> None:
    paths = sorted(REAL.rglob("*.json"))
    assert len(paths) > 50
    for path in paths:
        try:
            document = json.loads(canonicalize(path.read_bytes()))
        except BadRequestError:
            continue
        for name in BUILTIN.names():
            problems = BUILTIN.get(name).problems(document)
            assert all(
                problem.reason and (not problem.path or problem.path[0] == "/")
                for problem in problems
            )
        try:
            BUILTIN.recognise(document).urn(document)
        except (BadRequestError, ManifestInvalidError):
            continue
