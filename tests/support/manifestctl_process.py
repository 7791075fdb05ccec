"""manifestctl as a process of its own."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Final

Run = Callable[..., subprocess.CompletedProcess[str]]
PROGRAM: Final = [sys.executable, "-m", "manifestctl"]
TIMEOUT_S: Final = 60


def runner(environ: Mapping[str, str]) -> Run:
    """Return `run(verb, argument, ..., status=0, text="standard input")`."""

    def run(*arguments: str, status: int = 0, text: str = "") -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*PROGRAM, *arguments],
            input=text,
            env=environ,
            capture_output=True,
            check=False,
            encoding="utf-8",
            timeout=TIMEOUT_S,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done

    return run
