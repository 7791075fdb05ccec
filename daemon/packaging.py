"""The check that `protocol`, `actors` and `daemon` are ours, and ours alone.

Promise:  a start with somebody else's code under one of our names ends with that file's name.
Assume:   installers write RECORD as the wheel format says:
          https://packaging.python.org/en/latest/specifications/recording-installed-packages/
Not here: a foreign `daemon` that hides all of ours, this module with it; Python reports that as
          "No module named 'daemon.…'" before any code of ours runs.

The names are short and not ours alone: python-daemon, for one, installs a package `daemon`. Two
things can happen. A folder that comes earlier on sys.path hides our package; or both distributions
are unpacked into one folder, where the one installed last overwrites `__init__.py`.
"""

import base64
import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from protocol.errors import ManifestdError

PACKAGES: Final = ("protocol", "actors", "daemon")


class ForeignPackageError(ManifestdError):
    """Code of another distribution stands where ours is expected.

    Not a damaged store and not a bad configuration: the environment itself is to be mended.
    """

    def __init__(self, package: str, foreign: Path, home: Path) -> None:
        super().__init__(
            f"{foreign} is not manifestd's: the package `{package}` must come from {home} and from"
            " the distribution manifestd alone (python-daemon, for one, installs a package `daemon`)."
            " Install manifestd into an environment of its own, and unset PYTHONPATH."
        )
        self.package = package
        self.foreign = foreign
        self.home = home


def verify_packages() -> None:
    """Raise `ForeignPackageError` unless our packages hold our files only. Costs under 1 ms."""
    home = Path(__file__).parent.parent
    recorded = _recorded_digests(home)
    for package in PACKAGES:
        folder = home / package
        if (found := _origin(package)) != folder / "__init__.py":
            raise ForeignPackageError(package, found, home)
        if recorded is not None:
            _verify_folder(folder, recorded)


def _origin(package: str) -> Path:
    """Where Python finds `package`: its `__init__.py`, or its folder where it has none."""
    spec = find_spec(package)
    assert spec is not None, f"{package} is installed with this module"
    if spec.has_location and spec.origin is not None:
        return Path(spec.origin)
    return Path(next(iter(spec.submodule_search_locations or ()), package))


def _recorded_digests(home: Path) -> dict[str, str] | None:
    """Return path -> digest as the installer recorded it, or None in a checkout, which has none."""
    record = next(home.glob("manifestd-*.dist-info/RECORD"), None)
    if record is None:
        return None
    # Our own paths hold neither commas nor quotes, so the CSV is as simple as it looks.
    rows = (line.split(",") for line in record.read_text().splitlines())
    return {path: digest for path, digest, _size in rows}


def _verify_folder(folder: Path, recorded: dict[str, str]) -> None:
    """Hold the modules directly in `folder` against `recorded`.

    Only `__init__.py` is compared by content: every foreign package brings its own, and a module
    that an operator mended by hand must not keep the daemon from starting.
    """
    for path in sorted(folder.glob("*.py")):
        name = f"{folder.name}/{path.name}"
        overwritten = path.name == "__init__.py" and recorded.get(name) != _digest(path)
        if name not in recorded or overwritten:
            raise ForeignPackageError(folder.name, path, folder.parent)


def _digest(path: Path) -> str:
    """Return the digest of a file in RECORD's spelling."""
    sha256 = hashlib.sha256(path.read_bytes()).digest()
    return "sha256=" + base64.urlsafe_b64encode(sha256).rstrip(b"=").decode()
