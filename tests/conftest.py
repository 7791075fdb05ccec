"""What holds for every test: both event loops, and no verdict that depends on the machine's load."""

import asyncio
from collections.abc import Callable, Mapping

import hypothesis
import pytest
import uvloop

# A deadline per example would fail on a busy machine and nowhere else.
hypothesis.settings.register_profile("manifestd", deadline=None, print_blob=True)
hypothesis.settings.load_profile("manifestd")


def pytest_asyncio_loop_factories(
    config: pytest.Config,  # noqa: ARG001 - the hook's signature
    item: pytest.Item,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run each async test on uvloop, which the daemon uses, and on asyncio, which users may.

    Crash tests are about the disk, and long: they run on the daemon's loop alone.
    """
    loops = {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}
    return {"uvloop": loops["uvloop"]} if "crash" in item.path.parts else loops
