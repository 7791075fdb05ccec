"""The fixture that users of manifestctl get, for our own tests, and manifestctl itself."""

import pytest

from manifestctl.testing import Daemon, daemon
from tests.support.manifestctl_process import Run, runner

__all__ = ["daemon", "run"]


@pytest.fixture
def run(daemon: Daemon) -> Run:
    """Return `run(verb, argument, ..., status=0, text="standard input")`, for the daemon."""
    return runner(daemon.environ)
