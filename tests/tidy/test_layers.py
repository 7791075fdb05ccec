"""Imports go down only. The contracts are in pyproject.toml; here they are run, and seen to fail."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tidy.sources import PACKAGES, ROOT


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """Hold the packages in `folder` against its pyproject.toml, as `lint-imports` does."""
    program = (
        "import sys; from importlinter.cli import lint_imports_command;"
        "sys.path.insert(0, '.'); lint_imports_command(['--no-cache'])"
    )
    return subprocess.run(
        [sys.executable, "-I", "-c", program],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
    )


def test_the_project_keeps_its_layers() -> None:
    result = lint_imports(ROOT)

    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("package", "statement", "contract"),
    [
        ("protocol", "import actors", "Imports go down only"),
        ("actors", "import daemon", "Imports go down only"),
        ("manifestctl", "import daemon", "speaks only the wire"),
        ("manifestctl", "import actors", "speaks only the wire"),
        ("daemon", "import manifestctl", "knows its client"),
        ("protocol", "import asyncio", "values and pure functions"),
        ("protocol", "from os import path", "values and pure functions"),
        ("protocol", "import time", "values and pure functions"),
        ("actors", "import zmq.asyncio", "only through its ports"),
        ("actors", "from aiofiles import os", "only through its ports"),
    ],
)
def test_an_import_that_goes_up_or_out_is_found(
    package: str, statement: str, contract: str, tmp_path: Path
) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for name in PACKAGES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(statement if name == package else "")

    result = lint_imports(tmp_path)

    broken = [line for line in result.stdout.splitlines() if line.endswith("BROKEN")]
    assert result.returncode == 1, result.stdout + result.stderr
    assert len(broken) == 1
    assert contract in broken[0]
