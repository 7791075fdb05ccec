"""The schema that editors get says what the reader says, as far as a schema can."""

import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest

from protocol.lifecycle import definition, members
from protocol.lifecycle.findings import LifecycleError
from protocol.lifecycle.reader import read_lifecycle
from protocol.lifecycle.schema import lifecycle_schema
from tests.support.lifecycle_findings import BROKEN, FIXTURES, lifecycle_files

ROOT = Path(__file__).resolve().parents[3]
SCHEMA = lifecycle_schema()
VALIDATOR = jsonschema_rs.Draft202012Validator(SCHEMA)
BUILT_IN = sorted((ROOT / "protocol" / "lifecycles").iterdir())

# What a schema cannot see: names, what follows from them, and control characters.
BEYOND_A_SCHEMA = {"control-characters.toml"}


def tree_of(path: Path) -> Any:  # noqa: ANN401 - any JSON value
    """Return what a file holds, with dates as JSON has them; None where it cannot be parsed."""
    try:
        if path.suffix == ".json":
            return json.loads(path.read_text(), parse_constant=lambda _: None)
        return json.loads(json.dumps(tomllib.loads(path.read_text()), default=lambda _: 0))
    except ValueError:
        return None


def is_read(path: Path) -> bool:
    try:
        read_lifecycle(path.read_bytes(), path.name)
    except LifecycleError:
        return False
    return True


def test_it_is_a_schema() -> None:
    assert jsonschema_rs.meta.is_valid(SCHEMA)
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA


@pytest.mark.parametrize(
    "path", [*BUILT_IN, *lifecycle_files(FIXTURES / "valid")], ids=lambda path: path.name
)
def test_it_accepts_what_is_valid(path: Path) -> None:
    errors = [str(error) for error in VALIDATOR.iter_errors(tree_of(path))]

    assert not errors


@pytest.mark.parametrize("path", lifecycle_files(BROKEN), ids=lambda path: path.name)
def test_it_rejects_what_the_reader_rejects(path: Path) -> None:
    tree = tree_of(path)
    if tree is None or path.name in BEYOND_A_SCHEMA or path.name == "key-twice.json":
        return

    if not is_read(path):
        assert not VALIDATOR.is_valid(tree)


@pytest.mark.parametrize(
    "name",
    [
        *("final-with-exits", "final-with-states", "parallel-without-regions"),
        *("compound-without-states", "atomic-with-states", "no-states"),
        *("history-members-elsewhere", "history-with-exits", "unknown-action"),
    ],
)
def test_it_rejects_members_that_a_state_of_its_type_cannot_have(name: str) -> None:
    path = BROKEN / f"{name}.toml"

    assert is_read(path)
    assert not VALIDATOR.is_valid(tree_of(path))


@pytest.mark.parametrize(
    "path",
    [path for path in lifecycle_files(BROKEN) if path.name.startswith("doubtful-")],
    ids=lambda path: path.name,
)
def test_it_accepts_what_is_only_doubtful(path: Path) -> None:
    assert VALIDATOR.is_valid(tree_of(path))


@pytest.mark.parametrize(
    ("structure", "properties"),
    [
        (definition.LifecycleDefinition, SCHEMA["properties"]),
        (definition.StateDefinition, SCHEMA["$defs"]["state"]["properties"]),
        (definition.TransitionDefinition, SCHEMA["$defs"]["transition"]["properties"]),
    ],
)
def test_it_lists_exactly_the_members_of_the_format(
    structure: type[msgspec.Struct], properties: dict[str, Any]
) -> None:
    assert set(properties) - {"$schema"} == set(structure.__struct_fields__)


def test_it_lists_exactly_the_forms_of_guards_and_actions() -> None:
    guard = SCHEMA["$defs"]["guard"]["anyOf"][-1]
    actions = SCHEMA["$defs"]["action"]["oneOf"][1:]

    assert set(guard["properties"]) == {*members.GUARD_FORMS, "because"}
    assert [form["required"][0] for form in guard["oneOf"]] == list(members.GUARD_FORMS)
    assert [form["required"][0] for form in actions] == list(members.ACTION_FORMS)


def test_a_file_may_name_its_schema() -> None:
    text = '"$schema" = "x.json"\nid = "x"\nversion = 1\ninitial = "A"\n[states.A]\n'

    assert read_lifecycle(text, "x.toml").initial == "A"
