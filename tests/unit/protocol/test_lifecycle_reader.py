"""A lifecycle file is read strictly: everything that is wrong with it is told, with its place."""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from protocol.lifecycle import definition, members
from protocol.lifecycle.checks import check, check_text, read_checked
from protocol.lifecycle.findings import FINDINGS_MAX, Finding, LifecycleError
from protocol.lifecycle.lifecycle import Lifecycle
from protocol.lifecycle.places import Places
from protocol.lifecycle.reader import FILE_SIZE_MAX, read_lifecycle
from tests.support.lifecycle_findings import (
    BROKEN,
    EXPECTED,
    FIXTURES,
    findings_of,
    lifecycle_files,
)

HEAD = 'id = "x"\nversion = 1\ninitial = "A"\n'
BUILT_IN = sorted((Path(__file__).resolve().parents[3] / "protocol" / "lifecycles").iterdir())
EXPECTED_FINDINGS: dict[str, list[str]] = json.loads(EXPECTED.read_bytes())


def refusal(text: str | bytes, name: str = "x.toml") -> str:
    with pytest.raises(LifecycleError) as caught:
        read_lifecycle(text, name)
    return str(caught.value)


@pytest.mark.parametrize(
    "path", [*BUILT_IN, *lifecycle_files(FIXTURES / "valid")], ids=lambda path: path.name
)
def test_a_valid_file_is_read_and_nothing_is_said_about_it(path: Path) -> None:
    lifecycle, findings = read_checked(path.read_bytes(), path.name)

    assert not findings
    tree = (
        json.loads(path.read_text()) if path.suffix == ".json" else tomllib.loads(path.read_text())
    )
    assert lifecycle == msgspec.convert(tree, definition.LifecycleDefinition)


@pytest.mark.parametrize("path", lifecycle_files(BROKEN), ids=lambda path: path.name)
def test_a_broken_file_gets_the_findings_that_are_expected(path: Path) -> None:
    assert findings_of(path) == EXPECTED_FINDINGS[path.name], (
        "run python -m tests.support.lifecycle_findings and read what changed"
    )


@pytest.mark.parametrize("path", lifecycle_files(BROKEN), ids=lambda path: path.name)
def test_nothing_of_a_file_with_errors_is_loaded(path: Path) -> None:
    errors = [one for one in EXPECTED_FINDINGS[path.name] if "warning: " not in one]
    assert bool(errors) is not path.name.startswith("doubtful-")
    if not errors:
        _, warnings = read_checked(path.read_bytes(), path.name)
        assert all(warning.severity == "warning" for warning in warnings)
        return

    with pytest.raises(LifecycleError) as caught:
        read_checked(path.read_bytes(), path.name)

    assert [finding.said() for finding in caught.value.findings] == errors


def test_nothing_is_expected_of_files_that_are_gone() -> None:
    assert set(EXPECTED_FINDINGS) == {path.name for path in lifecycle_files(BROKEN)}


def test_an_error_says_file_line_path_and_message_of_each_mistake() -> None:
    said = refusal(HEAD + "[states.A]\ntagss = []\n[states.B.on.go]\ntarget = 1\n", "my.toml")

    first, second = said.splitlines()
    assert first == "my.toml:5: states.A.tagss: there is no key 'tagss'; did you mean 'tags'?"
    assert second.startswith("my.toml:7: states.B.on.go.target: this is the name of a state, not a")


def test_a_finding_without_a_file_says_what_it_knows() -> None:
    assert Finding("a.b", None, "wrong").said("x.toml") == "x.toml: a.b: wrong"
    assert Finding("", 3, "wrong").said("x.toml") == "x.toml:3: wrong"
    assert Finding("", None, "odd", "warning").said() == "warning: odd"
    assert str(LifecycleError.of("x@1", "wrong", place="a")) == "x@1: a: wrong"


@pytest.mark.parametrize(
    ("structure", "members_known"),
    [
        (definition.LifecycleDefinition, members.LIFECYCLE),
        (definition.StateDefinition, members.STATE),
        (definition.TransitionDefinition, members.TRANSITION),
    ],
)
def test_each_member_of_a_definition_has_its_check(
    structure: type[msgspec.Struct], members_known: Mapping[str, Any]
) -> None:
    assert set(structure.__struct_fields__) == set(members_known)


def test_required_members_are_those_without_a_default() -> None:
    fields = msgspec.structs.fields(definition.LifecycleDefinition)

    assert [field.name for field in fields if field.required] == list(members.REQUIRED)


def test_mistakes_are_told_up_to_a_bound() -> None:
    wrong = "".join(f"wrong{number} = 1\n" for number in range(FINDINGS_MAX + 50))
    with pytest.raises(LifecycleError) as caught:
        read_lifecycle(HEAD + wrong, "x.toml")

    assert len(caught.value.findings) == FINDINGS_MAX + 1
    assert caught.value.findings[-1].message == "there are more than 100 mistakes; mend these first"


def test_names_that_mean_nothing_are_told_up_to_a_bound() -> None:
    text = HEAD + "[states.A.on]\n" + "".join(f'e{number} = "B"\n' for number in range(200))

    assert len(check_text(text, "x.toml")) == FINDINGS_MAX


def test_the_bounds_are_those_of_the_compiler() -> None:
    most = "".join(f"[states.S{number}]\n" for number in range(members.STATES_MAX - 1))
    assert len(Lifecycle.read(f"{HEAD}[states.A]\n{most}", "x.toml").chart.nodes) == 1000
    assert "at most 999 states" in refusal(f"{HEAD}[states.A]\n{most}[states.B]\n")

    path = "states.A" + "".join(
        f".states.S{level}" for level in range(members.STATES_DEPTH_MAX - 1)
    )
    assert Lifecycle.read(f"{HEAD}[{path}]\n", "x.toml").chart.nodes["S14"].ancestors
    assert "at most 16 deep" in refusal(f"{HEAD}[{path}.states.S15]\n")


def test_a_file_may_be_as_large_as_the_bound() -> None:
    text = f"{HEAD}[states.A]\n"
    text += "#" * (FILE_SIZE_MAX - len(text))

    assert read_lifecycle(text, "x.toml").id == "x"
    assert "larger than 1048576 bytes" in refusal(text + "#")


@pytest.mark.parametrize("name", ["x.yaml", "X.YML"])
def test_yaml_is_refused_by_its_name(name: str) -> None:
    assert (
        refusal("id: x", name) == f"{name}: YAML is not read; write the lifecycle as TOML or JSON"
    )


def test_the_syntax_is_told_by_the_name_unless_it_is_given() -> None:
    text = '{"id": "x", "version": 1, "initial": "A", "states": {"A": {"type": "final"}}}'

    lifecycle = read_lifecycle(text, "x.JSON")
    assert read_lifecycle(text, "x@1", syntax="json") == lifecycle
    toml = HEAD + '[states.A]\ntype = "final"\n'
    assert read_lifecycle(toml, "x@1") == lifecycle
    assert read_lifecycle(toml.encode(), "x.json", syntax="toml") == lifecycle


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"id = '\xff'", "x.toml:1: byte 6 is no UTF-8; save the file as UTF-8"),
        (b"a = 1\nb = '\xc3'", "x.toml:2: byte 11 is no UTF-8"),
        ("a = 1\nb = '\0'", "x.toml:2: there is a NUL byte"),
        ("a = 1\nb = '\x01'", "x.toml:2: this is no TOML: Found invalid character '\\x01'"),
        ("\ufeffid = 'x'", "x.toml:1: the file begins with a byte order mark"),
        (b"\xef\xbb\xbfid = 'x'", "x.toml:1: the file begins with a byte order mark"),
        (HEAD + "d = ", "x.toml:4: this is no TOML: Invalid value"),
        (HEAD + "[a]\n[a]\n", "a key or a table stands there twice"),
        (f"a = {'1' * 5000}", "x.toml: this is no TOML: Exceeds the limit"),
        (f"{'k' * 5000} = 1\n{'k' * 5000} = ", "x.toml:2: this is no TOML: Invalid value"),
        (f"[{'k' * 5000}]\n[{'k' * 5000}]", "kkk…; a key or a table stands there twice"),
        ("- id: x\n", "it looks like YAML"),
    ],
)
def test_what_is_no_text_or_no_toml_is_refused_with_its_line(text: str | bytes, said: str) -> None:
    assert said in refusal(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1,\n"b": }', "x.json:2: this is no JSON: Expecting value (column 6)"),
        ('{"a": 1e999, "b": Infinity}', "x.json: this is no JSON: Infinity is no number"),
        (f'{{"version": {"1" * 5000}}}', "x.json: this is no JSON: Exceeds the limit"),
        ("[]", "x.json:1: this is a table (id, version, initial, states"),
        ('"id"', "not a text"),
        ("null", "not null"),
        (
            '{"a": {"b": 1, "b": {"c": 1}}, "a": {"b": 1}}',
            "x.json:1: a: the key stands there twice",
        ),
    ],
)
def test_what_is_no_json_is_refused(text: str, said: str) -> None:
    assert said in refusal(text, "x.json")


def test_lone_surrogates_are_refused_and_can_be_said() -> None:
    text = '{"id": "x", "\\udfff": 1, "description": "\\ud800"}'
    said = refusal(text, "x.json")

    assert "control characters" in said
    assert said.encode()


def test_the_places_of_a_definition_that_comes_from_no_file_have_no_lines() -> None:
    lifecycle = read_lifecycle(HEAD + "[states.A.on]\ngo = 'B'\n", "x.toml")
    with pytest.raises(LifecycleError, match=r"^x@1: states\.A\.on\.go: there is no state 'B'"):
        raise LifecycleError("x@1", check(lifecycle, Places()))
