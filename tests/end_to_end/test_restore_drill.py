"""The restore drill of the operator's manual is run as it stands there."""

import os
import re
import subprocess
import sys
from pathlib import Path

from manifestctl.testing import Daemon
from tests.support.manifestctl_process import Run

OPERATIONS = Path(__file__).parents[2] / "docs/operations.md"
_DRILL = re.compile(r"<!-- drill:.*?-->\n```bash\n(.*?)```", re.DOTALL)


def test_the_drill_restores_a_backup_beside_the_service(
    daemon: Daemon, run: Run, tmp_path: Path
) -> None:
    with daemon.client() as client:
        client.create({"name": "echo", "version": "1.0.0"}, kind="agent", principal="author-7")
        client.submit("echo@1.0.0", principal="author-7")
        client.approve("echo@1.0.0", principal="approver-3")
        client.register("echo@1.0.0", principal="registrar-1")
    file = tmp_path / "today.backup"
    run("backup", str(file))
    found = _DRILL.search(OPERATIONS.read_text())
    assert found is not None, "the manual has lost its drill"

    done = subprocess.run(
        ["bash", "-c", found.group(1)],
        env={
            **os.environ,
            "BACKUP": str(file),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "NO_COLOR": "1",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )

    assert done.returncode == 0, done.stderr
    assert "1 manifests, 4 events" in done.stdout
    assert "everything is what was written" in done.stdout
    assert "\nok\n" in done.stdout
    assert "4 events of 1 manifests are what was written" in done.stdout
    assert re.search(r"^echo@1\.0\.0 .*REGISTERED", done.stdout, re.MULTILINE)
