"""What documents show of a terminal, run as it stands there: `$ command`, `> ` more of it, output."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

_HERE_DOCUMENT = re.compile(r"<<'(\w+)'")
VARYING = "…"  # What is not the same each time; a line of its own: any lines.


class Step(NamedTuple):
    """One command of a transcript, and what the document says that it prints."""

    command: str
    output: str


def steps_of(transcript: str) -> list[Step]:
    """Return the steps; `> ` continues a command up to the end of what it reads from here."""
    steps: list[Step] = []
    waits_for = None
    for line in transcript.splitlines():
        if waits_for is not None:
            assert line.startswith("> "), f"{line!r} stands where {waits_for} is waited for"
            command, output = steps[-1]
            steps[-1] = Step(f"{command}\n{line[2:]}", output)
            waits_for = None if line[2:] == waits_for else waits_for
        elif line.startswith("$ "):
            steps.append(Step(line[2:], ""))
            begun = _HERE_DOCUMENT.search(line)
            waits_for = begun and begun[1]
        else:
            command, output = steps[-1]
            steps[-1] = Step(command, f"{output}{line}\n")
    return steps


def is_shown(output: str, shown: str) -> bool:
    """Tell whether `output` is what a document shows, with `…` for what varies."""
    pattern = "".join(_pattern(line) for line in shown.splitlines())
    return re.fullmatch(pattern, output) is not None


def _pattern(line: str) -> str:
    if line.strip() == VARYING:
        return r"(?:.*\n)*"
    return ".*".join(map(re.escape, line.split(VARYING))) + r"\n"


def shell_environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment in which our programs are found, and print without colours."""
    programs = Path(sys.executable).parent
    own = {"PATH": f"{programs}:{os.environ['PATH']}", "NO_COLOR": "1"}
    return {**os.environ, **variables, **own}


def run(command: str, folder: Path, environment: Mapping[str, str]) -> str:
    """Run `command` in `folder`; return what it prints, errors too."""
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout


class Block(NamedTuple):
    """A fenced block of a document: its kind, its text, and the line that it begins in."""

    kind: str
    text: str
    line: int


def blocks_of(text: str) -> Iterator[Block]:
    """Yield the fenced blocks in `text`, in order."""
    for found in re.finditer(r"^(```+)([^\n]*)\n(.*?)^\1$", text, re.DOTALL | re.MULTILINE):
        line = text.count("\n", 0, found.start()) + 1
        yield Block(found[2].strip(), found[3], line)
