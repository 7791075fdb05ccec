"""Packages of the npm registry for one test, or a skip that says why there are none."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

INSTALL_S: Final = 180


def node_folder(factory: pytest.TempPathFactory, packages: dict[str, str]) -> Path:
    """Return a folder in which node finds `packages` (name: version); no script of theirs runs."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("there is no node, or no npm")
    folder = factory.mktemp("node")
    manifest = {"name": "a-test", "private": True, "dependencies": packages}
    (folder / "package.json").write_text(json.dumps(manifest))
    command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock"]
    command += ["--prefer-offline", "--fetch-retries=1", "--fetch-timeout=30000"]
    try:
        installed = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_S, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm install did not end within {INSTALL_S} s")
    if installed.returncode != 0:
        names = ", ".join(packages)
        pytest.skip(f"npm cannot install {names} here: {installed.stderr[-500:]}")
    return folder
