"""What the checks of this folder read: the files of the project, and Python among them as trees.

A check is a function from one `Source` to its findings, so that a test can hand it a bad snippet
and see it fire: a check that cannot fire is worse than none.
"""

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
PACKAGES: Final = ("protocol", "actors", "daemon", "manifestctl")


@dataclass(frozen=True)
class Source:
    """One file of the project: `path` from the project's root, with slashes, and its text."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """The file as a syntax tree."""
        return ast.parse(self.text, self.path)

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        """Every node of the tree: the checks look at them again and again."""
        return tuple(ast.walk(self.tree))

    @cached_property
    def origins(self) -> dict[str, str]:
        """What each imported name stands for: `from os import fsync as f` gives f -> os.fsync."""
        origins = {}
        for node in self.nodes:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    name = alias.name if alias.asname else alias.name.partition(".")[0]
                    origins[alias.asname or name] = name
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    origins[alias.asname or alias.name] = f"{node.module}.{alias.name}"
        return origins

    def dotted(self, node: ast.AST) -> str | None:
        """Return the full name that `node` reads (`os.fsync`), or None where it is no plain name."""
        match node:
            case ast.Name(id=name):
                return self.origins.get(name, name)
            case ast.Attribute(value=value, attr=attribute):
                owner = self.dotted(value)
                return f"{owner}.{attribute}" if owner else None
        return None

    def imports(self) -> Iterator[tuple[int, str]]:
        """Yield the line and the full name of every module that is imported."""
        for node in self.nodes:
            if isinstance(node, ast.Import):
                yield from ((node.lineno, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield node.lineno, node.module

    def finding(self, line: int, what: str) -> str:
        """Return one finding as an editor can jump to it."""
        return f"{self.path}:{line}: {what}"


def is_ours(source: Source) -> bool:
    """Whether `source` belongs to one of the four packages."""
    return source.path.partition("/")[0] in PACKAGES


def is_test(source: Source) -> bool:
    """Whether `source` lies under tests/."""
    return source.path.startswith("tests/")


def project_files() -> list[str]:
    """Return every file that is committed, or would be by `git add --all`."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return sorted(path for path in listed.split("\0") if path and (ROOT / path).is_file())


def text_files() -> Iterator[Source]:
    """Yield the project's files that are text, whatever their language."""
    for path in project_files():
        content = (ROOT / path).read_bytes()
        if b"\0" not in content:
            yield Source(path, content.decode(errors="replace"))


def python_files() -> Iterator[Source]:
    """Yield the project's Python files, one by one, so that one tree at a time is in memory."""
    return (source for source in text_files() if source.path.endswith(".py"))
