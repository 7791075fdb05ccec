"""What is installed is our four packages, whole, under their own names and from this folder."""

import importlib.metadata
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.tidy.sources import PACKAGES, ROOT, project_files


@pytest.fixture(scope="module")
def pyproject() -> dict[str, Any]:
    """Read pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def folders_without_init(paths: list[str]) -> set[str]:
    """Return the folders of our packages that hold modules and are no package."""
    ours = [Path(path) for path in paths if path.partition("/")[0] in PACKAGES]
    holding = {path.parent for path in ours if path.suffix == ".py"}
    return {str(folder) for folder in holding if folder / "__init__.py" not in ours}


def inits_under_tests(paths: list[str]) -> set[str]:
    """Return every `__init__.py` under tests/: one would make `tests.daemon` shadow `daemon`."""
    return {path for path in paths if re.fullmatch(r"tests/(.*/)?__init__\.py", path)}


def is_plain_path(pth: str, folder: Path) -> bool:
    """Whether a .pth file adds `folder` to sys.path, and runs nothing."""
    return pth.strip() == str(folder)


def test_each_of_our_packages_has_an_init_and_nothing_under_tests_has() -> None:
    paths = project_files()

    assert not folders_without_init(paths)
    assert not inits_under_tests(paths)


def test_a_missing_and_a_superfluous_init_are_found() -> None:
    paths = ["daemon/__init__.py", "daemon/journal/disk.py", "tests/unit/__init__.py"]

    assert folders_without_init(paths) == {"daemon/journal"}
    assert inits_under_tests(paths) == {"tests/unit/__init__.py"}
    assert inits_under_tests(["tests/__init__.py", "tests/unit/test_x.py"]) == {"tests/__init__.py"}


def test_the_wheel_lists_the_four_packages_and_the_unit_s_programs(
    pyproject: dict[str, Any],
) -> None:
    wheel = pyproject["tool"]["hatch"]["build"]["targets"]["wheel"]

    assert wheel == {"packages": list(PACKAGES)}
    assert set(pyproject["project"]["scripts"]) == {"manifestd", "manifestctl"}


def test_the_wheel_holds_every_file_of_our_packages_and_nothing_else(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")

    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}

    assert held == {path for path in project_files() if path.partition("/")[0] in PACKAGES}


def test_the_editable_install_is_a_plain_path() -> None:
    distribution = importlib.metadata.distribution("manifestd")
    installed = distribution.files or []
    pths = [file for file in installed if file.suffix == ".pth"]

    assert [is_plain_path(pth.read_text(), ROOT) for pth in pths] == [True]
    assert not [file for file in installed if file.suffix == ".py"]


def test_an_import_hook_is_no_plain_path() -> None:
    assert not is_plain_path("import _editable_impl_manifestd\n", ROOT)
    assert is_plain_path(f"{ROOT}\n", ROOT)


def unlocked(requirements: list[str], lock: str) -> set[str]:
    """Return the names of `requirements` that `lock` does not pin together with a hash."""
    pinned = set(re.findall(r"^([\w.-]+)==\S+.* \\\n +--hash=sha256:", lock, re.MULTILINE))
    names = {re.split(r"[<>=~! \[;]", requirement, maxsplit=1)[0] for requirement in requirements}
    return names - pinned


def test_the_lock_pins_everything_that_pyproject_asks_for(pyproject: dict[str, Any]) -> None:
    asked = [*pyproject["project"]["dependencies"], *pyproject["build-system"]["requires"]]
    for extra in pyproject["project"].get("optional-dependencies", {}).values():
        asked += extra
    for group in pyproject["dependency-groups"].values():
        asked += group

    assert not unlocked(asked, (ROOT / "requirements.lock").read_text()), "run `make lock`"


def test_what_the_lock_lacks_is_found() -> None:
    lock = "rich==15.0.0 \\\n    --hash=sha256:00\nruff==0.17.6\n"

    assert unlocked(["rich>=15", "ruff>=0.17", "uvloop>=1; python_version>'3.11'"], lock) == {
        "ruff",
        "uvloop",
    }
