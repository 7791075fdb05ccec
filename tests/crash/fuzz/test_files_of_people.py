"""Configurations and lifecycle files that somebody wrote badly: read, or refused with the place.

Whatever is in them: no other error than the one that says what to mend, and no lifecycle is accepted
that the daemon then cannot start with.
"""

import tempfile
from collections.abc import Callable
from contextlib import suppress
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from daemon.configuration import Configuration, load_configuration
from daemon.errors import ConfigurationError
from protocol.lifecycle.checks import read_checked
from protocol.lifecycle.findings import LifecycleError
from protocol.lifecycle.lifecycle import Lifecycle
from protocol.lifecycle.xstate import XStateError
from protocol.lifecycle.xstate_export import export_xstate
from protocol.lifecycle.xstate_import import import_xstate
from protocol.statechart.kernel import start
from tests.support.effort import rounds, tally
from tests.support.fuzzing import EXAMPLES_OF_A_ROUND, damaged, fuzz

CONFIGURATION = b"""[daemon]
data_dir = "/srv/manifestd"
commands = ["ipc:///run/manifestd/commands"]
log_level = "debug"
[policy]
four_eyes = false
[identity]
names = { "1000" = "alice" }
impersonators = ["root"]
[roles]
author = ["alice", "ci"]
approver = ["bob"]
[kinds.plugin]
schema = "plugin.schema.json"
urn = "{name}@{version}"
validation = "full"
[lifecycles]
files = ["review.toml"]
default = "manifest@1"
by_kind = { agent = "manifest@1" }
"""
BUILT_IN = [
    one.read_bytes() for one in resources.files("protocol.lifecycles").iterdir() if one.is_file()
]
TOML = [text for text in BUILT_IN if b"[states" in text]
LIFECYCLES = [Lifecycle.read(text, "lifecycle.toml") for text in TOML]
JSON = [lifecycle.to_json() for lifecycle in LIFECYCLES]


def configuration(text: bytes) -> None:
    """A file is a configuration or is refused with a sentence that names it."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "manifestd.toml"
        file.write_bytes(text)
        try:
            assert isinstance(load_configuration(file, {}), Configuration)
        except ConfigurationError as error:
            said = str(error)
        else:
            return
    assert str(file) in said


def variable(named: tuple[str, str]) -> None:
    """A variable sets something or is refused by its name."""
    name, value = named
    try:
        assert isinstance(load_configuration(None, {name: value}), Configuration)
    except ConfigurationError as error:
        said = str(error)
    else:
        return
    assert name in said


def toml(text: bytes) -> None:
    """A lifecycle in TOML starts, or is refused with findings."""
    lifecycle_file(text, "lifecycle.toml")


def json(text: bytes) -> None:
    """A lifecycle in JSON starts, or is refused with findings."""
    lifecycle_file(text, "lifecycle.json")


def lifecycle_file(text: bytes, name: str) -> None:
    try:
        definition, _ = read_checked(text, name)
    except LifecycleError:
        return
    lifecycle = Lifecycle(definition)
    leaves = start(lifecycle.chart, lambda *_: True).leaves
    assert leaves
    lifecycle.allowed_events(leaves)
    assert Lifecycle.read(lifecycle.to_json(), "again.json").definition == definition


def xstate(text: bytes) -> None:
    """A machine is imported, or is refused with problems."""
    with suppress(XStateError):
        import_xstate(text.decode(errors="replace"))


NAMES = st.sampled_from(
    [
        "DAEMON__DATA_DIR",
        "DAEMON__COMMANDS",
        "POLICY__FOUR_EYES",
        "ROLES__AUTHOR",
        "KINDS__A__URN",
        "ROLES",
        "__",
        "IDENTITY__NAMES",
        "LIFECYCLES__BY_KIND",
        "DAEMON__",
        "DAEMON__LOG_LEVEL",
    ]
).map(lambda name: f"MANIFESTD_{name}")
VALUES = st.sampled_from(["", "a,b", "{ }", "[", '{ "1" = "a" }', "true", "1e999", '"', "\n"])
Holds = Callable[[Any], None]
CASES: dict[str, tuple[Holds, st.SearchStrategy[Any]]] = {
    "configurations": (configuration, damaged(CONFIGURATION)),
    "variables": (variable, st.tuples(NAMES, VALUES | st.text(max_size=30))),
    "lifecycles in TOML": (toml, st.sampled_from(TOML).flatmap(damaged)),
    "lifecycles in JSON": (json, st.sampled_from(JSON).flatmap(damaged)),
    "machines": (
        xstate,
        st.sampled_from([export_xstate(one.definition).encode() for one in LIFECYCLES]).flatmap(
            damaged
        ),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_file_that_somebody_wrote_badly_is_read_or_refused(case: str) -> None:
    for random in rounds(1):
        fuzz(*CASES[case], examples=60, seed=random.getrandbits(32))


@pytest.mark.long
def test_thousands_of_badly_written_files_are_read_or_refused() -> None:
    for random in rounds(len(CASES)):
        case = random.choice(list(CASES))
        fuzz(*CASES[case], examples=EXAMPLES_OF_A_ROUND, seed=random.getrandbits(32))
        tally("fuzzed files", EXAMPLES_OF_A_ROUND)
