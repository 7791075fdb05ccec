"""The one door to CEL: the compiled module of `common-expression-language`, without its package.

Promise:  loaded when the first expression is compiled, and without the command line that the
          package's own `__init__` brings (0.2 s).
Assume:   what is compiled here was parsed by `cel_syntax` before: the extension overflows the stack
          on long chains and deep nesting, and ends the process.
Not here: what an expression may say and may cost (`expressions.py`).
"""

from collections.abc import Callable, Mapping
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, FileFinder
from importlib.util import find_spec, module_from_spec
from typing import Protocol, cast

from protocol.errors import ManifestdError


class Program(Protocol):
    """A compiled expression."""

    def execute(self, context: Mapping[str, object]) -> object:
        """Return its value; raises what Python has for it (KeyError, TypeError, RuntimeError…)."""


class _Extension(Protocol):
    def compile(self, expression: str) -> Program: ...

    def Context(self, variables: object, functions: object) -> Mapping[str, object]: ...  # noqa: N802 (a class)


class MissingExtensionError(ManifestdError):
    """The package is not installed, or not for this Python."""


@cache
def _load() -> _Extension:
    package = find_spec("cel")
    for folder in (package and package.submodule_search_locations) or ():
        finder = FileFinder(folder, (ExtensionFileLoader, EXTENSION_SUFFIXES))
        spec = finder.find_spec("cel")
        if spec is not None and spec.loader is not None:
            module = module_from_spec(spec)
            spec.loader.exec_module(module)
            return cast("_Extension", module)
    message = "CEL is missing: install common-expression-language for this Python"
    raise MissingExtensionError(message)


def compile_program(source: str) -> Program:
    """Return the program; `ValueError` when `source` is no CEL. Parse it first: see above."""
    return _load().compile(source)


def context(
    variables: Mapping[str, object], functions: Mapping[str, Callable[..., object]]
) -> Mapping[str, object]:
    """Return what a program is executed with where it calls functions of ours."""
    return _load().Context(dict(variables), dict(functions))
