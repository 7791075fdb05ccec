"""A module over 400 lines, or a function over 50, has a good reason or is two."""

import ast
from collections.abc import Iterator

import pytest

from tests.tidy.sources import Source, python_files

pytestmark = (
    pytest.mark.no_cover
)  # What it runs is covered elsewhere; measured, it takes many times as long.

MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 50

# path, or path::function -> why it is better whole. Few, and each still needed: tested below.
EXCEPTIONS: dict[str, str] = {}


def oversized(source: Source) -> Iterator[tuple[str, int]]:
    """Yield what is too long in `source`, as a key of `EXCEPTIONS`, with its number of lines."""
    if (lines := len(source.text.splitlines())) > MODULE_LINES_MAX:
        yield source.path, lines
    for node in source.nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            lines = node.end_lineno - node.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                yield f"{source.path}::{node.name}", lines


@pytest.fixture(scope="module")
def too_long() -> dict[str, int]:
    """Return what is too long in the project."""
    return dict(pair for source in python_files() for pair in oversized(source))


def test_nothing_is_too_long_without_a_reason(too_long: dict[str, int]) -> None:
    assert not {name: lines for name, lines in too_long.items() if name not in EXCEPTIONS}


def test_every_exception_is_still_needed_and_gives_its_reason(too_long: dict[str, int]) -> None:
    assert all(name in too_long and reason for name, reason in EXCEPTIONS.items())


def test_a_long_module_is_found() -> None:
    assert dict(oversized(Source("a.py", "x = 1\n" * 401))) == {"a.py": 401}
    assert not dict(oversized(Source("a.py", "x = 1\n" * 400)))


def test_a_long_function_is_found_also_in_a_class() -> None:
    body = "class C:\n  async def f(self):\n" + "    x = 1\n" * 50

    assert dict(oversized(Source("a.py", body))) == {"a.py::f": 51}
    assert not dict(oversized(Source("a.py", body.removesuffix("    x = 1\n"))))
