"""Which async tests run on both loops, tests/conftest.py says; here it is seen that they do."""

import asyncio

import pytest
import uvloop


async def test_an_async_test_runs_on_the_loop_that_its_name_ends_in(
    request: pytest.FixtureRequest,
) -> None:
    loop = asyncio.get_running_loop()

    assert request.node.name.endswith(("[uvloop]", "[asyncio]"))
    assert isinstance(loop, uvloop.Loop) == request.node.name.endswith("[uvloop]")


def test_async_tests_are_collected_once_for_each_loop(request: pytest.FixtureRequest) -> None:
    names = [item.name for item in request.session.items if item.path == request.path]

    assert sum(name.endswith("[uvloop]") for name in names) == 1
    assert sum(name.endswith("[asyncio]") for name in names) == 1
