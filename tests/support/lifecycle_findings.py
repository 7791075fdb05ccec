"""Write what is said about each broken lifecycle: `python -m tests.support.lifecycle_findings`.

`fixtures/lifecycles/broken/expected.json` maps each file to its findings, `line: place: message`.
Read the difference before you commit it: a test compares, and cannot tell better from worse.
"""

import json
from pathlib import Path
from typing import Final

from protocol.lifecycle.checks import check_text

FIXTURES: Final = Path(__file__).resolve().parents[2] / "fixtures" / "lifecycles"
BROKEN: Final = FIXTURES / "broken"
EXPECTED: Final = BROKEN / "expected.json"


def lifecycle_files(folder: Path) -> list[Path]:
    """Return the lifecycles in a folder of fixtures."""
    return sorted(path for path in folder.iterdir() if path != EXPECTED)


def findings_of(path: Path) -> list[str]:
    """Return what is said about the file at `path`."""
    return [finding.said() for finding in check_text(path.read_bytes(), path.name)]


def main() -> None:
    """Write `expected.json`."""
    found = {path.name: findings_of(path) for path in lifecycle_files(BROKEN)}
    EXPECTED.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
