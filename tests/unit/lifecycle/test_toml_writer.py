"""What is written as a lifecycle file is read back as it was."""

from importlib.resources import files
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings

from protocol.lifecycle.definition import (
    LifecycleDefinition,
    StateDefinition,
    TransitionDefinition,
)
from protocol.lifecycle.reader import read_lifecycle
from protocol.lifecycle.toml_writer import write_toml
from tests.support.definitions import definitions

VALID = Path(__file__).parents[3] / "fixtures" / "lifecycles" / "valid"


def in_order(definition: LifecycleDefinition) -> bytes:
    """Return `definition` as JSON: unlike `==` it tells the order of states and events."""
    return msgspec.json.encode(definition)


@settings(max_examples=30)
@given(definitions())
def test_what_is_written_is_read_back_as_it_was(definition: LifecycleDefinition) -> None:
    text = write_toml(definition)

    assert in_order(read_lifecycle(text, "a.toml")) == in_order(definition)
    assert write_toml(read_lifecycle(text, "a.toml")) == text


def test_the_default_lifecycle_is_written_as_it_is_kept_but_for_its_comments() -> None:
    kept = files("protocol").joinpath("lifecycles", "manifest@1.toml").read_text()
    definition = read_lifecycle(kept, "manifest@1.toml")

    written = write_toml(definition)

    assert read_lifecycle(written, "a.toml") == definition
    assert '[states.DRAFT.on.submit_for_review]\ntarget = "REVIEWED"\n' in written
    assert '\nreject = ["reviewer", "approver"]\n' in written


@pytest.mark.parametrize("path", sorted(VALID.iterdir()), ids=lambda path: path.name)
def test_a_valid_lifecycle_is_written_and_read_back_as_it_was(path: Path) -> None:
    definition = read_lifecycle(path.read_bytes(), path.name)

    assert in_order(read_lifecycle(write_toml(definition), "a.toml")) == in_order(definition)


def lifecycle(state: StateDefinition) -> LifecycleDefinition:
    return LifecycleDefinition(id="a", version=1, initial="A", states={"A": state})


def test_short_ways_are_lines_and_longer_ones_tables() -> None:
    text = write_toml(
        lifecycle(
            StateDefinition(
                on={"go": "A", "stop.*": [TransitionDefinition(target="A", guard="urn_free")]},
                after={"14d": "A"},
                always=TransitionDefinition(target="A", guard='x == "y"'),
            )
        )
    )

    assert text == (
        'id = "a"\nversion = 1\ninitial = "A"\n'
        '\n[states.A.on]\ngo = "A"\n'
        '\n[[states.A.on."stop.*"]]\ntarget = "A"\nguard = "urn_free"\n'
        '\n[states.A.after]\n14d = "A"\n'
        '\n[states.A.always]\ntarget = "A"\nguard = \'x == "y"\'\n'
    )


def test_a_line_after_a_table_would_come_first_so_all_are_lines() -> None:
    definition = lifecycle(
        StateDefinition(on={"a": TransitionDefinition(target="A", internal=True), "*": "A"})
    )

    text = write_toml(definition)

    assert '\n[states.A.on]\na = { target = "A", internal = true }\n"*" = "A"\n' in text
    assert in_order(read_lifecycle(text, "a.toml")) == in_order(definition)


def test_a_long_list_has_a_line_for_each_member_and_a_long_text_keeps_its_lines() -> None:
    state = StateDefinition(description="One.\nTwo.", entry=["record_approval"] * 9)

    text = write_toml(lifecycle(state))

    assert 'description = """\nOne.\nTwo."""\n' in text
    assert 'entry = [\n    "record_approval",\n' in text
    assert read_lifecycle(text, "a.toml").states["A"] == state
