"""What holds for every test: both event loops, and no verdict that depends on the machine's load."""

import asyncio
import gc
import os
import signal
from collections.abc import Callable, Generator, Mapping
from importlib import import_module
from pkgutil import walk_packages

import hypothesis
import pytest
import uvloop

import actors
import daemon
import manifestctl
import protocol

# A deadline per example would fail on a busy machine and nowhere else.
hypothesis.settings.register_profile("long", deadline=None, print_blob=True, max_examples=300)
hypothesis.settings.register_profile(
    "short", hypothesis.settings.get_profile("long"), max_examples=25
)


def pytest_configure(config: pytest.Config) -> None:
    """Draw fewer examples, new ones every time, where the long tests are left out."""
    # A shell starts `make test &` with SIGINT ignored; what tests start and interrupt must not be.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    hypothesis.settings.load_profile("short" if is_short(config) else "long")
    # A worker is measured by pytest-cov as a master, too, to no end: `no_cover` would not stop that.
    measuring = config.pluginmanager.getplugin("_cov")
    if hasattr(config, "workerinput") and measuring is not None:
        measuring.cov_controller.cov.stop()


def is_short(config: pytest.Config) -> bool:
    """Tell whether the long tests are left out."""
    return bool(config.option.markexpr == "not long")


LOOPS = {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}
CLIENTS = {"end_to_end", "process"}  # Of a daemon in a process of its own, and uvloop in it.
# What the pipeline consists of, which runs in its user's process, and the client.
ON_BOTH = {
    *("conformance", "manifestctl"),
    *("test_pipeline.py", "test_file_store.py", "test_turns.py", "test_event_loops.py"),
}

# They run the same code thousands of times, in processes of their own too: measured, they would
# take up to three times as long and cover little that the others do not.
UNMEASURED = {"crash", "simulation", "tidy", "end_to_end", "process", "transport"}
MEASURED = {"test_command_line.py", "test_readiness.py"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Take those tests out of the measurement of coverage.

    Likewise the tests of properties, which repeat themselves, and the second run of an async test:
    on asyncio it goes through the lines that it went through on uvloop.
    """
    for item in items:
        is_ours = UNMEASURED & {*item.path.parts} and item.path.name not in MEASURED
        is_property = getattr(getattr(item, "function", None), "is_hypothesis_test", False)
        if is_ours or is_property or LOOPS["asyncio"] in _parameters(item):
            item.add_marker("no_cover")


def _parameters(item: pytest.Item) -> list[object]:
    """Return the values of the parameters with which a test runs."""
    return [*item.callspec.params.values()] if hasattr(item, "callspec") else []


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Measure how our modules are imported, but not how the tests are, which takes far longer."""
    measuring = session.config.pluginmanager.getplugin("_cov")
    if measuring is None or measuring.cov_controller is None:
        return (yield)
    for package in (actors, daemon, manifestctl, protocol):
        for module in walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith(".__main__"):
                import_module(module.name)
    measuring.cov_controller.pause()
    result = yield
    measuring.cov_controller.resume()
    return result


def pytest_collection_finish() -> None:
    """Look for garbage seldom, and never among the tests themselves: the same passes cost seconds."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """Keep coverage.py from measuring the workers as what a test started: pytest-cov does.

    It would go on in `no_cover`. For what they start themselves the workers set this again.
    """
    os.environ.pop("COVERAGE_PROCESS_CONFIG", None)


@pytest.fixture(autouse=True)
def unmeasured_processes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what an unmeasured test starts be unmeasured, too."""
    if request.node.get_closest_marker("no_cover") is not None:
        monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run each async test on uvloop, which the daemon uses, and on asyncio, which users may.

    Crash tests are about the disk, and long: they run on the daemon's loop alone. Where the long tests
    are left out clients run on the loop of most clients, and both loops are for what both use.
    """
    folders = {*item.path.parts}
    if "crash" in folders:
        return {"uvloop": LOOPS["uvloop"]}
    if is_short(config):
        if CLIENTS & folders:
            return {"asyncio": LOOPS["asyncio"]}
        if not ON_BOTH & folders:
            return {"uvloop": LOOPS["uvloop"]}
    return LOOPS
