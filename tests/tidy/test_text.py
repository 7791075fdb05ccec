"""What no committed file says, whatever its language.

Every needle is put together from pieces, so that this file does not find itself.
"""

import re
from collections.abc import Iterator

import pytest

from tests.tidy.sources import Source, text_files

# Whoever builds this chooses where packages come from; a host name in a file would choose for him.
REGISTRY_HOSTS = (
    *("pypi" + ".org", "python" + "hosted.org", "npm" + "js.org", "npm" + "js.com"),
    *("yarn" + "pkg.com", "deb." + "debian.org", "security." + "debian.org", "crates" + ".io"),
)
MACHINE_PATHS = re.compile(
    r"(?<![\w.~-])/(?:" + "wo" + r"rk/(?:main|shared)|tmp/" + r"bash|root/\.)"
)
# An unfinished thought is an issue, not a comment.
LEFT_OVERS = re.compile(r"\b(?:TO" + "DO|FIX" + r"ME|XX" + r"X)\b")
CODE = (".py", ".toml", ".service", ".sh", ".c", ".js", "Makefile", ".ci/run")


def telltale(source: Source) -> Iterator[str]:
    """Yield the lines that name a package registry or a path of the machine they were written on."""
    for number, line in enumerate(source.text.splitlines(), 1):
        if any(host in line for host in REGISTRY_HOSTS) or MACHINE_PATHS.search(line):
            yield source.finding(number, line.strip())


def left_over(source: Source) -> Iterator[str]:
    """Yield the lines of code that put something off."""
    if source.path.endswith(CODE):
        for number, line in enumerate(source.text.splitlines(), 1):
            if LEFT_OVERS.search(line):
                yield source.finding(number, line.strip())


def test_no_file_names_a_registry_or_the_machine_it_was_written_on() -> None:
    findings = [line for source in text_files() for line in telltale(source)]

    assert not findings, "\n".join(findings)


def test_no_code_puts_anything_off() -> None:
    findings = [line for source in text_files() for line in left_over(source)]

    assert not findings, "\n".join(findings)


@pytest.mark.parametrize(
    "line",
    [
        "see https://files.python" + "hosted.org/x",
        '"registryBaseUrl": "https://registry.npm' + 'js.org"',
        "cd /wo" + "rk/main",
        "open('/tmp/" + "bash_jobs.0/x')",
        "#!/root/" + ".pyenv/shims/python3",
    ],
)
def test_a_telltale_line_is_found(line: str) -> None:
    assert list(telltale(Source("docs/x.md", f"fine\n{line}\n"))) == [f"docs/x.md:2: {line}"]


@pytest.mark.parametrize("line", ["a net/wo" + "rk/main of things", "urn:pypi:x", "/tmp/x"])  # noqa: S108
def test_an_innocent_line_is_left_alone(line: str) -> None:
    assert not list(telltale(Source("docs/x.md", line)))


def test_what_is_put_off_is_found_in_code_and_not_in_prose() -> None:
    line = "x = 1  # TO" + "DO: later"

    assert list(left_over(Source("daemon/a.py", line)))
    assert not list(left_over(Source("docs/x.md", line)))
