"""docs/durability.md names tests; they exist, and every test of crashes is named there."""

import re
from collections.abc import Iterator

import pytest

from tests.tidy.sources import ROOT, project_files

DOCUMENT = "docs/durability.md"
TEXT = (ROOT / DOCUMENT).read_text()
PROMISES = 17


def named_files(text: str) -> set[str]:
    """Return the paths that stand in backticks."""
    return set(re.findall(r"`(tests/[\w/]+\.py)`", text))


def findings(text: str, files: list[str]) -> Iterator[str]:
    """Yield what the document says and is not so, and the other way round."""
    named = named_files(text)
    yield from (f"{path} is named, and does not exist" for path in sorted(named - set(files)))
    crash_tests = {path for path in files if re.match(r"tests/crash/.*/?test_\w+\.py$", path)}
    yield from (f"{path} is not named" for path in sorted(crash_tests - named))
    rows = re.findall(r"^\| (\d+) \|(.*)\|(.*)\|(.*)\|$", section(text, 1), re.MULTILINE)
    if [int(number) for number, *_ in rows] != [*range(1, PROMISES + 1)]:
        yield "the promises are not there, each once, in order"
    for number, _, tests, control in rows:
        if not named_files(tests):
            yield f"promise {number} names no test"
        if not control.strip():
            yield f"promise {number} names no negative control"
    bugs = re.findall(r"^\| (.*) \|.*\|(.*)\|$", section(text, 6), re.MULTILINE)[2:]
    yield from (f"the bug {bug!r} names no test" for bug, tests in bugs if not named_files(tests))
    if len({bug for bug, _ in bugs}) < len(bugs):
        yield "a bug is there twice"


def section(text: str, number: int) -> str:
    """Return the text under a heading of the second level."""
    return text.partition(f"\n## {number}. ")[2].partition("\n## ")[0]


def test_the_document_and_the_tests_agree() -> None:
    assert list(findings(TEXT, project_files())) == []


def test_assumptions_are_numbered_one_after_the_other() -> None:
    numbers = [int(one) for one in re.findall(r"^(\d+)\. ", section(TEXT, 2), re.MULTILINE)]

    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        (TEXT.replace("test_kill.py", "test_kills.py"), "test_kills.py is named, and does not"),
        (TEXT.replace("`tests/crash/store/test_crash_states.py`", ""), "states.py is not named"),
        (re.sub(r"(?m)^\| 17 \|.*$", "| 17 | kept | | |", TEXT), "promise 17 names no test"),
        (re.sub(r"(?m)^\| 17 \|.*$", "| 17 | kept | | |", TEXT), "17 names no negative control"),
        (re.sub(r"(?m)^(\| 17 \|.*)$", r"\1\n\1", TEXT), "not there, each once"),
        (re.sub(r"(?m)^(\| 9 \|.*)$", "", TEXT), "not there, each once"),
        (re.sub(r"(?m)^(\| SIGHUP .*)$", r"\1\n\1", TEXT), "a bug is there twice"),
        (re.sub(r"(?m)^(\| SIGHUP .*\|) .*$", r"\1 none |", TEXT), "names no test"),
    ],
)
def test_a_document_that_is_stale_is_found(text: str, finding: str) -> None:
    assert any(finding in one for one in findings(text, project_files()))
