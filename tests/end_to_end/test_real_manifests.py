"""Every real manifest we have goes through its whole life on one daemon, over the wire.

Promise:  what its official schema accepts is registered, or meets another one's URN; the rest is
          refused when it is submitted, with pointers into the document. Nothing crashes.
Assume:   `shared/data` stands beside the project; without it the tests are skipped.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from jsonschema_rs import Draft7Validator

from protocol.kinds import Kind, KindRegistry
from tests.support.crash_daemon import CrashDaemon
from tests.support.store_check import check_store

DATA = Path(__file__).parents[3] / "shared" / "data"
MANIFESTS = DATA / "manifests"

pytestmark = pytest.mark.skipif(not MANIFESTS.is_dir(), reason=f"{MANIFESTS} is not there")

KIND_BY_FOLDER = {
    **dict.fromkeys(("a2a", "a2a-invalid", "a2a-registry"), "a2a-agent-card"),
    **dict.fromkeys(("mcp", "mcp-official"), "mcp-server"),
    **dict.fromkeys(("oasf", "oasf-invalid"), "oasf-record"),
}

# `kind` in index.json -> the kind that the operator of this test adds: schema, URN rule, validation.
OBJECT_WITH = {"type": "object", "required": ["name", "version"]}
OWN_KINDS: dict[str, tuple[str, dict[str, Any] | None, str, str]] = {
    "mcpb": ("mcpb", OBJECT_WITH, "{name}@{version}", "full"),
    "gemini-extension": ("gemini-extension", OBJECT_WITH, "{name}@{version}", "full"),
    "claude-plugin": ("claude-plugin", None, "{name}[@{version}]", "syntax"),
    "OpenAI ai-plugin.json": ("ai-plugin", None, "{name_for_model}", "syntax"),
    "agntcy acp descriptor/manifest": (
        *("acp-descriptor", None),
        *("{metadata.ref.name}@{metadata.ref.version}", "syntax"),
    ),
    "agent.json of another or loose format": ("loose", None, "{name}", "none"),
}

# OASF has no schema in shared/data: these lack a member that it requires, or have a wrong one.
OASF_REFUSED = {
    "agntcy_oasf-sdk__e2e_fixtures_translation_catalog_record.json",
    "agntcy_workflow-srv-mgr__wfsm_internal_wfsm_manifest_test_manifest_2_agent_C_manifest.json",
    "agntcy_workflow-srv-mgr__wfsm_internal_wfsm_manifest_test_manifest_4_agent_A_manifest.json",
}
# Of the invalid ones this one is so only for whoever knows OASF's taxonomy of skills.
OASF_INVALID_BY_TAXONOMY = "agntcy_dir__cli_cmd_validate_testdata_record_invalid.json"

# The registry refuses version ranges and `latest` in its code; our schema does, theirs does not.
# Theirs admits an empty version, too, and then there is no URN.
STRICTER = ("is not one version", "the URN of kind mcp-server needs 'version'")


class Sample(NamedTuple):
    """A real manifest."""

    file: str
    folder: str
    kind: str
    document: dict[str, Any]

    @property
    def manifest_id(self) -> str:
        return "real/" + re.sub("[^A-Za-z0-9]+", "-", self.file.removesuffix(".json"))


class Outcome(NamedTuple):
    """How far it came: `code` is None where it was registered."""

    sample: Sample
    code: str | None
    details: dict[str, Any]


@cache
def samples() -> list[Sample]:
    found = []
    for row in json.loads((MANIFESTS / "index.json").read_bytes()):
        folder, _, _ = row["file"].partition("/")
        kind = KIND_BY_FOLDER.get(folder) or OWN_KINDS[row["kind"]][0]
        document = json.loads((MANIFESTS / row["file"]).read_bytes())
        found.append(Sample(row["file"], folder, kind, document))
    return found


@cache
def official(kind: str) -> Draft7Validator:
    name = {"mcp-server": "mcp-server.2025-12-11", "a2a-agent-card": "a2a.0.3.0"}[kind]
    schema = json.loads((DATA / "schemas" / f"{name}.schema.json").read_bytes())
    if kind == "a2a-agent-card":  # The file defines the whole protocol.
        schema |= {"$ref": "#/definitions/AgentCard"}
    return Draft7Validator(schema, validate_formats=True, offline=True)


def is_valid(sample: Sample) -> bool:
    """Whether somebody else than we says so."""
    if sample.kind in ("mcp-server", "a2a-agent-card"):
        return official(sample.kind).is_valid(sample.document)
    name = sample.file.partition("/")[2]
    if sample.folder == "oasf-invalid":
        return name == OASF_INVALID_BY_TAXONOMY
    if sample.folder == "oasf":
        return name not in OASF_REFUSED
    return True


def configuration(folder: Path) -> Path:
    """Write the configuration of an operator who has kinds of his own, and return its path."""
    lines = []
    for name, schema, urn, validation in OWN_KINDS.values():
        lines += [f"[kinds.{name}]", f'urn = "{urn}"', f'validation = "{validation}"']
        if schema is not None:
            (folder / f"{name}.json").write_text(json.dumps(schema))
            lines.append(f'schema = "{name}.json"')
    path = folder / "manifestd.toml"
    path.write_text("\n".join(lines))
    return path


def kinds() -> KindRegistry:
    own = [
        Kind(name, schema=schema or True, urn=urn) for name, schema, urn, _ in OWN_KINDS.values()
    ]
    return KindRegistry.builtin().with_kinds(own)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CrashDaemon]:
    folder = tmp_path_factory.mktemp("real")
    arguments = ("--config", str(configuration(folder)))
    with CrashDaemon(folder / "s", arguments=arguments) as running:
        running.start()
        yield running
        running.stop()
    assert not check_store(folder / "s")


@pytest.fixture(scope="module")
def outcomes(daemon: CrashDaemon) -> list[Outcome]:
    return [walk(daemon, sample) for sample in samples()]


def walk(daemon: CrashDaemon, sample: Sample) -> Outcome:
    """Take a manifest as far as it goes."""
    manifest_id = sample.manifest_id
    create = {"op": "create", "kind": sample.kind, "manifest": sample.document}
    steps: list[dict[str, Any]] = [
        create,
        {"op": "transition", "event": "submit_for_review"},
        {"op": "transition", "event": "approve", "principal": "approver-1"},
        {"op": "transition", "event": "register"},
    ]
    for step in steps:
        reply = daemon.ask({"manifest_id": manifest_id} | step)
        if not reply["ok"]:
            error = reply["error"]
            return Outcome(sample, error["code"], error["details"] | {"step": step.get("event")})
    return Outcome(sample, None, reply["result"])


def resolves(pointer: str, document: Any) -> bool:  # noqa: ANN401 (any JSON value)
    """Whether an RFC 6901 pointer names a value of `document`."""
    for part in pointer.split("/")[1:]:
        step = part.replace("~1", "/").replace("~0", "~")
        try:
            document = document[int(step) if isinstance(document, list) else step]
        except (LookupError, TypeError, ValueError):
            return False
    return True


def test_every_manifest_is_registered_or_refused_as_its_official_schema_says(
    outcomes: list[Outcome],
) -> None:
    wrong = [
        (sample.file, code, details)
        for sample, code, details in outcomes
        if (code == "MANIFEST_INVALID") == is_valid(sample)
        and not (is_valid(sample) and is_only_stricter(details["problems"]))
    ]

    assert len(outcomes) == len(samples()) > 150
    assert not wrong
    assert {code for _, code, _ in outcomes} == {None, "MANIFEST_INVALID", "URN_CONFLICT"}
    print(Counter((sample.kind, code) for sample, code, _ in outcomes))  # noqa: T201 (for `-s`)


def is_only_stricter(problems: list[dict[str, str]]) -> bool:
    """Whether it was refused for a version that the official schema only describes in prose."""
    return all(problem["reason"].startswith(STRICTER) for problem in problems)


def test_a_refused_manifest_is_told_where_and_why(outcomes: list[Outcome]) -> None:
    refused = [outcome for outcome in outcomes if outcome.code == "MANIFEST_INVALID"]

    for sample, _, details in refused:
        assert details["step"] == "submit_for_review", sample.file
        assert details["problems"], sample.file
        for problem in details["problems"]:
            path = problem["path"]
            near = resolves(path, sample.document) or resolves(
                path[: path.rfind("/")], sample.document
            )
            assert near, (sample.file, problem)
            assert problem["reason"], (sample.file, problem)
            assert not re.search(r"does not match|\$ref", problem["reason"]), "not in words"
    assert len(refused) > 10


def test_two_manifests_never_share_a_urn(outcomes: list[Outcome]) -> None:
    owners: dict[str, str] = {}
    conflicts = 0
    for sample, code, details in outcomes:
        if code == "MANIFEST_INVALID":
            continue
        urn = kinds().get(sample.kind).urn(sample.document)
        if urn in owners:
            conflicts += 1
            assert code == "URN_CONFLICT", (sample.file, owners[urn])
        else:
            assert (code, details.get("urn")) == (None, urn), (sample.file, details)
            owners[urn] = sample.file

    assert conflicts == sum(code == "URN_CONFLICT" for _, code, _ in outcomes) > 0


def test_a_registered_manifest_is_found_as_it_was_written(
    daemon: CrashDaemon, outcomes: list[Outcome]
) -> None:
    for sample, code, details in outcomes:
        if code is None:
            found = daemon.result(op="lookup", urn=details["urn"])

            assert found["manifest_id"] == sample.manifest_id
            assert found["digest"] == details["digest"]
            assert found["manifest"] == sample.document


def test_without_a_kind_a_manifest_is_recognised_by_its_marks_or_asked_about(
    daemon: CrashDaemon,
) -> None:
    counts: Counter[tuple[str, str]] = Counter()
    for number, sample in enumerate(samples()):
        request = {"op": "create", "manifest_id": f"guess/{number}", "manifest": sample.document}
        reply = daemon.ask(request)
        if reply["ok"]:
            assert reply["result"]["kind"] == sample.kind, sample.file
        else:
            error = reply["error"]
            assert (error["code"], error["path"]) == ("BAD_REQUEST", "/kind"), sample.file
            assert error["details"]["candidates"] == []
        family = sample.kind if sample.folder in KIND_BY_FOLDER else "other"
        counts[family, "recognised" if reply["ok"] else "asked about"] += 1

    # The two of MCP are its own bad examples: one has no name, one no namespace in it.
    assert counts == {
        ("a2a-agent-card", "recognised"): 49,
        ("oasf-record", "recognised"): 32,
        ("mcp-server", "recognised"): 46,
        ("mcp-server", "asked about"): 2,
        ("other", "asked about"): 30,
    }


def test_a_manifest_that_bears_the_marks_of_two_kinds_is_asked_about(daemon: CrashDaemon) -> None:
    document = {
        "name": "both",
        "schema_version": "0.8.0",
        "skills": [],
        "$schema": "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json",
    }

    error = daemon.ask({"op": "create", "manifest_id": "both", "manifest": document})["error"]

    assert error["code"] == "BAD_REQUEST"
    assert error["details"]["candidates"] == ["mcp-server", "oasf-record"]
    assert "mcp-server, oasf-record" in error["message"]


@pytest.mark.parametrize("kind", [None, "agent"])
def test_a_list_is_no_manifest(daemon: CrashDaemon, kind: str | None) -> None:
    request = {"op": "create", "manifest_id": "a-list", "manifest": [samples()[0].document]}

    error = daemon.ask(request | {"kind": kind})["error"]

    assert (error["code"], error["path"]) == ("BAD_REQUEST", "/manifest")
