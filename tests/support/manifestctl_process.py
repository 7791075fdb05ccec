"""manifestctl: its `main` in this process, which spares a start, or as a process of its own."""

import io
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Final
from unittest.mock import patch

from manifestctl.command_line import main

Run = Callable[..., subprocess.CompletedProcess[str]]
PROGRAM: Final = [sys.executable, "-m", "manifestctl"]
TIMEOUT_S: Final = 60


def runner(environ: Mapping[str, str]) -> Run:
    """Return `run(verb, argument, ..., status=0, text="standard input")`, in this process.

    What a verb starts itself has this process' own standard streams.
    """

    def run(*arguments: str, status: int = 0, text: str = "") -> subprocess.CompletedProcess[str]:
        given, out, err = _Stream(text.encode()), _Stream(), _Stream()
        with (
            patch.dict(os.environ, environ, clear=True),
            patch.multiple(sys, stdin=given, stdout=out, stderr=err),
        ):
            found = _status(arguments)
        done = subprocess.CompletedProcess(arguments, found, out.written(), err.written())
        assert done.returncode == status, done.stdout + done.stderr
        return done

    return run


def process_runner(environ: Mapping[str, str]) -> Run:
    """Return the same for a process of its own."""

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


class _Stream(io.TextIOWrapper):
    """A standard stream in memory."""

    def __init__(self, content: bytes = b"") -> None:
        super().__init__(io.BytesIO(content), encoding="utf-8")

    def written(self) -> str:
        """Return what has been written."""
        self.flush()
        self.seek(0)
        return self.read()


def _status(arguments: tuple[str, ...]) -> int:
    try:
        return main(arguments)
    except SystemExit as ended:  # argparse ends so.
        return int(ended.code or 0)
