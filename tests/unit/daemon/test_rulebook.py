"""What the daemon decides by, read from a configuration."""

from pathlib import Path

import pytest

from daemon.configuration import load_configuration
from daemon.errors import ConfigurationError
from daemon.rulebook import load_rules

REVIEW = """
id = "review"
version = 2
initial = "OPEN"
[roles]
close = ["librarian"]
[states.OPEN.on.close]
target = "DONE"
[states.DONE]
type = "final"
"""


def _write(folder: Path, text: str, lifecycle: str = REVIEW) -> Path:
    (folder / "review.toml").write_text(lifecycle)
    file = folder / "manifestd.toml"
    file.write_text(text)
    return file


def test_a_lifecycle_file_is_found_beside_the_configuration_and_chosen_by_kind(
    tmp_path: Path,
) -> None:
    text = """
    [lifecycles]
    files = ["review.toml"]
    by_kind = { agent = "review@2" }
    """
    rules = load_rules(load_configuration(_write(tmp_path, text), {}), tmp_path)

    assert rules.lifecycle_for("agent").name == "review@2"
    assert rules.lifecycle_for("mcp-server").name == "manifest@1"


def test_a_default_of_the_operator_s_own_is_everybody_s(tmp_path: Path) -> None:
    text = '[lifecycles]\nfiles = ["review.toml"]\ndefault = "review@2"\n'
    rules = load_rules(load_configuration(_write(tmp_path, text), {}), tmp_path)

    assert rules.lifecycle_for("whatever").name == "review@2"


def test_a_role_of_a_lifecycle_s_own_can_be_assigned_and_is_everyday_without_roles(
    tmp_path: Path,
) -> None:
    text = '[lifecycles]\nfiles = ["review.toml"]\n[roles]\nlibrarian = ["alice"]\n'
    rules = load_rules(load_configuration(_write(tmp_path, text), {}), tmp_path)
    assert rules.policy.assigned == {"alice": frozenset({"librarian"})}

    text = '[lifecycles]\nfiles = ["review.toml"]\n'
    rules = load_rules(load_configuration(_write(tmp_path, text), {}), tmp_path)
    assert "librarian" in rules.policy.everyday
    assert "admin" not in rules.policy.everyday


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[lifecycles]\nfiles = ["reviews.toml"]\n', ["reviews.toml", "cannot be read"]),
        (
            '[lifecycles]\nfiles = ["review.toml"]\ndefault = "reviw@2"\n',
            ["lifecycles.default", "did you mean 'review@2'?"],
        ),
        (
            '[lifecycles]\nby_kind = { agent = "review@2" }\n',
            ["lifecycles.by_kind.agent", "known: manifest-extended@1, manifest@1"],
        ),
        (
            '[lifecycles]\nby_kind = { agnt = "manifest@1" }\n',
            ["by_kind.agnt", "did you mean 'agent'?"],
        ),
        ('[roles]\naprover = ["alice"]\n', ["roles.aprover", "did you mean 'approver'?"]),
        ('[roles]\nlibrarian = ["alice"]\n', ["roles.librarian", "known: "]),
    ],
)
def test_a_name_that_is_none_is_refused_with_the_nearest(
    tmp_path: Path, text: str, said: list[str]
) -> None:
    configuration = load_configuration(_write(tmp_path, text), {})

    with pytest.raises(ConfigurationError) as caught:
        load_rules(configuration, tmp_path)

    assert all(part in str(caught.value) for part in said), str(caught.value)


def test_nothing_of_a_wrong_lifecycle_file_is_used(tmp_path: Path) -> None:
    wrong = REVIEW.replace("[states.DONE]", "[states.DON]").replace("target", "taget")
    file = _write(tmp_path, '[lifecycles]\nfiles = ["review.toml"]\n', wrong)

    with pytest.raises(ConfigurationError) as caught:
        load_rules(load_configuration(file, {}), tmp_path)

    assert f"{tmp_path}/review.toml:8:" in str(caught.value)
    assert "did you mean 'target'?" in str(caught.value)


def test_another_definition_of_a_built_in_lifecycle_takes_a_new_version(tmp_path: Path) -> None:
    own = REVIEW.replace('"review"', '"manifest"').replace("version = 2", "version = 1")
    file = _write(tmp_path, '[lifecycles]\nfiles = ["review.toml"]\n', own)

    with pytest.raises(ConfigurationError, match="give this one a new version"):
        load_rules(load_configuration(file, {}), tmp_path)
