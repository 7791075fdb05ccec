"""The fixture that users of manifestctl get, for our own tests, and manifestctl itself."""

import pytest

from manifestctl.testing import Daemon, daemon
from tests.support.manifestctl_process import Run, process_runner, runner

__all__ = ["daemon", "run", "run_process"]


@pytest.fixture(autouse=True)
def unmeasured_daemon(
    request: pytest.FixtureRequest,
    unmeasured_processes: None,  # noqa: ARG001 - comes first
) -> None:
    """Start `daemon` unmeasured: daemons are measured in tests/integration.

    Measured, one needs twice the time to start.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
        if "daemon" in request.fixturenames:
            request.getfixturevalue("daemon")


@pytest.fixture
def run(daemon: Daemon) -> Run:
    """Return `run(verb, argument, ..., status=0, text="standard input")`, for the daemon."""
    return runner(daemon.environ)


@pytest.fixture
def run_process(daemon: Daemon) -> Run:
    """Return the same for manifestctl as a process of its own."""
    return process_runner(daemon.environ)
