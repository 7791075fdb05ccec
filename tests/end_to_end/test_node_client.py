"""A client in another language, with another ZeroMQ binding and other codecs, needs only the wire."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.crash_daemon import CrashDaemon

CLIENT = Path(__file__).parent / "node_client"
INSTALL_S = 120
RUN_S = 60


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the client with its packages beside it; they bring compiled binaries with them."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("there is no node, or no npm")
    folder = tmp_path_factory.mktemp("node")
    for name in ("package.json", "node_client.js"):
        shutil.copy(CLIENT / name, folder)
    command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock"]
    command += ["--prefer-offline", "--fetch-retries=1", "--fetch-timeout=30000"]
    try:
        installed = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_S, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm install did not end within {INSTALL_S} s")
    if installed.returncode != 0:
        pytest.skip(f"npm cannot install zeromq here: {installed.stderr[-500:]}")
    return folder / "node_client.js"


def test_a_node_client_registers_a_manifest_and_reads_it_back(client: Path, tmp_path: Path) -> None:
    with CrashDaemon(tmp_path / "s") as daemon:
        daemon.start()

        ran = subprocess.run(
            ["node", str(client), daemon.commands],
            capture_output=True,
            text=True,
            timeout=RUN_S,
            check=False,
        )

        assert ran.returncode == 0, ran.stderr
        registered = json.loads(ran.stdout)
        assert registered["state"] == "REGISTERED"
        found = daemon.result(op="lookup", urn=registered["urn"])
        assert "👋" in found["manifest"]["description"]
        daemon.stop()
