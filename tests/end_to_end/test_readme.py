"""The README is run: what it shows is what a first user sees."""

import re
import subprocess
import sys
from pathlib import Path

from manifestctl.testing import Daemon
from tests.support.transcripts import is_shown, run, shell_environment, steps_of

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
_TRANSCRIPT = re.compile(r"<!-- transcript:.*?-->\n```console\n(.*?)```", re.DOTALL)


def test_the_first_use_gives_what_the_readme_shows(daemon: Daemon, tmp_path: Path) -> None:
    match = _TRANSCRIPT.search(README.read_text())
    assert match is not None, "the README has lost its transcript"
    steps = steps_of(match.group(1))
    assert len(steps) >= 8

    environment = shell_environment(daemon.environ)
    for command, expected in steps:
        output = run(command, tmp_path, environment)
        assert is_shown(output, expected), f"$ {command}\n{output}"


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
