"""Whoever may call it can read what it does: every public name of the four packages has a docstring.

Ruff asks the same of modules, classes and functions; of methods it also asks it in the stubs of a
Protocol and where a method only fulfils one. There the class's docstring speaks for all.
"""

import ast
from collections.abc import Iterator

import pytest

from tests.tidy.sources import Source, is_ours, python_files

pytestmark = (
    pytest.mark.no_cover
)  # What it runs is covered elsewhere; measured, it takes many times as long.

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def undocumented(source: Source) -> Iterator[str]:
    """Yield every public module, class, function and method without a docstring."""
    if not ast.get_docstring(source.tree):
        yield source.finding(1, "module")
    for node in _public(source.tree.body):
        if not ast.get_docstring(node):
            yield source.finding(node.lineno, node.name)
        if isinstance(node, ast.ClassDef):
            for method in _public(node.body):
                if not ast.get_docstring(method) and not _is_exempt(method):
                    yield source.finding(method.lineno, f"{node.name}.{method.name}")


def _public(body: list[ast.stmt]) -> Iterator[Definition]:
    for node in body:
        if isinstance(node, Definition) and not node.name.startswith("_"):
            yield node


def _is_exempt(method: Definition) -> bool:
    """Whether `method` is a stub, or marked as the fulfilment of what its base documents."""
    last = method.body[-1]
    is_stub = isinstance(last, ast.Expr) and isinstance(last.value, ast.Constant)
    marks = {ast.unparse(mark).rpartition(".")[2] for mark in method.decorator_list}
    return is_stub or bool(marks & {"override", "overload", "setter"})


def test_every_public_name_has_a_docstring() -> None:
    findings = [
        line for source in python_files() if is_ours(source) for line in undocumented(source)
    ]

    assert not findings, "\n".join(findings)


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("x = 1", "a.py:1: module"),
        ('"""M."""\ndef f(): pass', "a.py:2: f"),
        ('"""M."""\nclass C: x = 1', "a.py:2: C"),
        ('"""M."""\nclass C:\n  """C."""\n  async def f(self): return 1', "a.py:4: C.f"),
    ],
)
def test_a_missing_docstring_is_found(text: str, missing: str) -> None:
    assert list(undocumented(Source("a.py", text))) == [missing]


@pytest.mark.parametrize(
    "body",
    ["def f(self): ...", "def _f(self): return 1", "@override\n  def f(self): return 1"],
)
def test_a_stub_a_private_method_and_an_override_need_none(body: str) -> None:
    assert not list(undocumented(Source("a.py", f'"""M."""\nclass C:\n  """C."""\n  {body}')))
