"""The README is run: what it shows is what a first user sees."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from manifestctl.testing import Daemon

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
_TRANSCRIPT = re.compile(r"<!-- transcript:.*?-->\n```console\n(.*?)```", re.DOTALL)


def steps_of(transcript: str) -> list[tuple[str, str]]:
    """Return (command, expected output) pairs; `> ` continues a command."""
    steps: list[tuple[str, str]] = []
    for line in transcript.splitlines():
        if line.startswith("$ "):
            steps.append((line[2:], ""))
        elif line.startswith("> "):
            command, _ = steps[-1]
            steps[-1] = (f"{command}\n{line[2:]}", "")
        else:
            command, expected = steps[-1]
            steps[-1] = (command, f"{expected}{line}\n")
    return steps


@pytest.fixture
def shell(daemon: Daemon, tmp_path: Path) -> dict[str, object]:
    programs = Path(sys.executable).parent
    environment = {
        **os.environ,
        **daemon.environ,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "NO_COLOR": "1",
    }
    return {"cwd": tmp_path, "env": environment}


def run(command: str, shell: dict[str, object]) -> str:
    done = subprocess.run(  # type: ignore[call-overload]
        ["bash", "-c", command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
        **shell,
    )
    output: str = done.stdout
    return output


def test_the_first_use_gives_what_the_readme_shows(shell: dict[str, object]) -> None:
    match = _TRANSCRIPT.search(README.read_text())
    assert match is not None, "the README has lost its transcript"
    steps = steps_of(match.group(1))
    assert len(steps) >= 8

    shown = [(command, run(command, shell)) for command, _ in steps]

    assert shown == steps


def test_the_demo_walks_whole_lives_and_ends_well() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs/examples/registration_demo.py")],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    for shown in (
        "refused, MANIFEST_INVALID",
        "refused, GUARD_REJECTED",
        "refused, URN_CONFLICT",
        "refused, VERSION_CONFLICT",
        "replayed=True",
        "│",
        "urn:proto:a2a-agent-card:acme/travel-planner@2.0.1",
        "are intact",
        "ended with status 0",
    ):
        assert shown in done.stdout


def test_every_document_that_the_readme_links_to_is_there() -> None:
    targets = re.findall(r"\]\((?!http)([^)#]+)", README.read_text())
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []
