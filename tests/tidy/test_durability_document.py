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
    rows = dict(re.findall(r"^\| (\d+) \|(.*)$", text, re.MULTILINE))
    for number in range(1, PROMISES + 1):
        if not named_files(rows.get(str(number), "")):
            yield f"promise {number} names no test"


def test_the_document_and_the_tests_agree() -> None:
    assert list(findings(TEXT, project_files())) == []


def test_assumptions_are_numbered_one_after_the_other() -> None:
    section = TEXT.partition("## 2.")[2].partition("## 3.")[0]
    numbers = [int(number) for number in re.findall(r"^(\d+)\. ", section, re.MULTILINE)]

    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        (TEXT.replace("test_kill.py", "test_kills.py"), "test_kills.py is named, and does not"),
        (TEXT.replace("`tests/crash/store/test_crash_states.py`", ""), "states.py is not named"),
        (re.sub(r"(?m)^\| 17 \|.*$", "| 17 | kept |", TEXT), "promise 17 names no test"),
    ],
)
def test_a_document_that_is_stale_is_found(text: str, finding: str) -> None:
    assert any(finding in one for one in findings(text, project_files()))
