"""docs/lifecycles.md is run as its reader would run it: nothing in it is only claimed.

Each chapter begins in an empty folder. What a fenced block is for is told by its kind, and by its
first line:

    toml      `# NAME` writes that file
    console   `$ command` lines and what they print; `…` stands for what is not the same each time
    sh        `manifestd --dev …`: that daemon runs from here on
    mermaid   `%% command`: what that command prints
"""

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

from manifestctl.testing import Daemon
from protocol import limits
from protocol.lifecycle import (
    cel_costs,
    cel_syntax,
    delays,
    guard_checks,
    guards,
    members,
    patterns,
    places,
    reader,
)
from protocol.lifecycle.guards import BUILT_INS
from protocol.record import ACTIONS
from protocol.statechart import compiler, kernel
from tests.support.daemon_process import short_folder
from tests.support.questions import approval, question
from tests.support.transcripts import Block, blocks_of, is_shown, run, shell_environment, steps_of

TEXT: Final = (Path(__file__).parents[2] / "docs/lifecycles.md").read_text()
CHAPTERS: Final = [f"## {chapter}" for chapter in re.split(r"^## ", TEXT, flags=re.MULTILINE)[1:]]
_FILE: Final = re.compile(r"# ([\w.-]+)\n")
_CODE: Final = re.compile(r"`([^`]+)`")


class Reader:
    """Does what a chapter shows, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.daemon: Daemon | None = None
        self._own = {"XDG_RUNTIME_DIR": str(folder)}  # No socket of another daemon's.
        self.environment: Mapping[str, str] = shell_environment(self._own)

    def do(self, block: Block) -> None:
        """Do what one block shows; `AssertionError` where it turns out otherwise."""
        kinds = {
            "toml": self.write,
            "console": self.type_in,
            "sh": self.start,
            "mermaid": self.compare,
        }
        assert block.kind in kinds, f"line {block.line}: nobody runs {block.kind!r} blocks"
        kinds[block.kind](block.text)

    def write(self, text: str) -> None:
        named = _FILE.match(text)
        assert named is not None, f"this file has no name:\n{text}"
        (self.folder / named[1]).write_text(text)

    def type_in(self, text: str) -> None:
        for step in steps_of(text):
            if step.command.startswith("manifestd --dev"):
                self.close()
            printed = run(step.command, self.folder, self.environment)
            assert is_shown(printed, step.output), f"$ {step.command}\n{printed}"

    def start(self, text: str) -> None:
        program, *arguments = shlex.split(text)
        assert program == "manifestd"
        assert arguments.pop(0) == "--dev"
        options = dict(zip(arguments[::2], arguments[1::2], strict=True))
        data_dir = self.folder / options.pop("--data-dir", "temporary")
        files = [(name, str(self.folder / file)) for name, file in options.items()]
        self.close()
        self.daemon = Daemon(data_dir, arguments=[part for pair in files for part in pair])
        self.daemon.start()
        self.environment = shell_environment(self.daemon.environ | self._own)

    def compare(self, text: str) -> None:
        first, _, drawing = text.partition("\n")
        assert first.startswith("%% ")
        assert run(first.removeprefix("%% "), self.folder, self.environment) == drawing

    def close(self) -> None:
        """Stop the daemon."""
        if self.daemon is not None:
            self.daemon.close()
            self.daemon = None


@pytest.fixture
def follower() -> Iterator[Reader]:
    with short_folder() as folder:
        reading = Reader(folder)
        yield reading
        reading.close()


def title_of(chapter: str) -> str:
    return chapter.partition("\n")[0].removeprefix("## ")


@pytest.mark.parametrize("chapter", CHAPTERS, ids=title_of)
def test_what_a_chapter_shows_is_what_happens(chapter: str, follower: Reader) -> None:
    for block in blocks_of(chapter):
        follower.do(block)


def test_every_example_is_in_a_chapter_and_none_is_hidden_from_the_test() -> None:
    fences = re.findall(r"^.*(?:```|~~~).*$", TEXT, re.MULTILINE)

    assert len(fences) == 2 * sum(len(list(blocks_of(chapter))) for chapter in CHAPTERS)
    outside = re.sub(r"^```.*?^```", "", TEXT, flags=re.DOTALL | re.MULTILINE)
    assert not re.search(r"^(?: {4}|\t)\S", outside, re.MULTILINE)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("```yaml\na: 1\n```\n", "nobody runs 'yaml' blocks"),
        ("```\na\n```\n", "nobody runs '' blocks"),
        ("```toml\nid = 'a'\n```\n", "this file has no name"),
        ("```console\n$ echo a\nb\n```\n", r"\$ echo a"),
        ("```console\n$ echo a\n$ echo b\nb\n```\n", r"\$ echo a"),
        ("```console\n$ echo a\na\n…\nb\n```\n", r"\$ echo a"),
        ("```mermaid\n%% echo a\nb\n```\n", "a"),
    ],
)
def test_what_is_not_so_fails(text: str, what: str, follower: Reader) -> None:
    [block] = blocks_of(text)

    with pytest.raises(AssertionError, match=what):
        follower.do(block)


def rows_below(heading: str) -> list[str]:
    """Return what the rows of the first table below `heading` are about."""
    _, found, below = TEXT.partition(f"\n{heading}\n")
    assert found, heading
    table = re.search(r"^\|(?:.*\n\|)*.*$", below, re.MULTILINE)  # Lines that begin with a bar.
    assert table is not None
    rows = re.findall(r"^\| (`[^|]+) \|", table[0], re.MULTILINE)
    return [name for row in rows for name in _CODE.findall(row)]


def test_the_tables_have_what_there_is() -> None:
    assert [name.partition("(")[0] for name in rows_below("### Built-in guards")] == [*BUILT_INS]
    assert rows_below("## Actions") == [*ACTIONS]
    assert rows_below("### Expressions") == [*cel_syntax.VARIABLES]
    assert sorted(rows_below("| in the file | |")) == sorted(members.LIFECYCLE)
    assert sorted(rows_below("| in a state | |")) == sorted(members.STATE)
    assert sorted(rows_below("| in a transition | |")) == sorted(members.TRANSITION)


@pytest.mark.parametrize("variable", ["state", "principal", "command", "approvals"])
def test_the_members_of_variables_are_those_that_expressions_see(variable: str) -> None:
    value = question(approvals=(approval("bob"),)).variables[variable]
    members = value[0] if isinstance(value, list) else value
    below = TEXT.partition("\n### Expressions\n")[2]
    row = re.search(rf"^\| `{variable}` \| (.*) \|$", below, re.MULTILINE)
    assert row is not None
    told = _CODE.findall(re.sub(r"\([^)]*\)", "", row[1]))

    assert told == [*members]


LIMITS: Final = {
    "a file": f"{reader.FILE_SIZE_MAX >> 20} MiB, {places.VALUES_MAX:,} keys and list items",
    "states": f"{members.STATES_MAX}, {members.STATES_DEPTH_MAX} deep; "
    f"{compiler.ACTIVE_MAX} leaves active at once",
    "transitions": f"{compiler.TRANSITIONS_MAX:,}; {members.TARGETS_MAX} targets each",
    "names of states and events": "64 characters",
    "steps that follow from one event": f"{kernel.MICROSTEPS_MAX}",
    "timers armed on one manifest": f"{limits.TIMERS_MAX}",
    "a time limit": f"{delays.DELAY_MS_MAX // (365 * 86_400_000)} years",
    "a guard, its names written out": f"{guards.GUARD_SIZE_MAX} parts, "
    f"{guards.GUARD_DEPTH_MAX} deep",
    "`approvals_at_least`": f"{guards.COUNT_MAX:,}",
    "an expression": f"{cel_syntax.SOURCE_SIZE_MAX:,} characters, "
    f"{cel_syntax.TOKENS_MAX} words and signs, {cel_syntax.DEPTH_MAX} deep, "
    f"{cel_syntax.MACROS_MAX} loops, {cel_syntax.MACRO_DEPTH_MAX} in one another",
    "a pattern of `matches`": f"{patterns.PATTERN_SIZE_MAX} characters; "
    f"{guard_checks.PATTERNS_MAX} of them in a file",
    "what the guards of one command cost": f"{cel_costs.STEPS_MAX // 10_000} ms, "
    "reckoned before they are evaluated",
    "a manifest's `context`": f"{limits.CONTEXT_SIZE_MAX >> 10} KiB",
}


def test_the_limits_are_those_of_the_code() -> None:
    below = TEXT.partition("\n## Limits\n")[2].partition("\n## ")[0]
    told = re.findall(r"^\| (.+) \| (.+) \|$", below, re.MULTILINE)

    assert dict(told) == LIMITS
