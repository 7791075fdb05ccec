"""Somebody else's code under one of our names is found before it can be run."""

import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from daemon import packaging
from daemon.packaging import PACKAGES, ForeignPackageError, verify_packages

# What python-daemon's own package begins with.
FOREIGN = "from daemon.daemon import DaemonContext\n"


@pytest.fixture
def find_first(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Make Python look for our packages in a folder first, as if none were imported yet."""

    def put_first(folder: Path) -> None:
        for package in PACKAGES:
            monkeypatch.delitem(sys.modules, package, raising=False)
        monkeypatch.syspath_prepend(folder)

    return put_first


@pytest.fixture
def installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, find_first: Callable[[Path], None]
) -> Path:
    """Lay out a site-packages folder as pip leaves it after installing us, RECORD and all."""
    site = tmp_path / "site-packages"
    rows = []
    for package in PACKAGES:
        (site / package).mkdir(parents=True)
        for name in ("__init__.py", "packaging.py"):
            path = site / package / name
            shutil.copyfile(Path(packaging.__file__).with_name(name), path)
            rows.append(f"{package}/{name},{packaging._digest(path)},{path.stat().st_size}")  # noqa: SLF001
    record = site / "manifestd-0.1.0.dist-info" / "RECORD"
    record.parent.mkdir()
    record.write_text("\n".join([*rows, "manifestd-0.1.0.dist-info/RECORD,,", ""]))
    monkeypatch.setattr(packaging, "__file__", str(site / "daemon" / "packaging.py"))
    find_first(site)
    return site


def test_our_own_packages_pass() -> None:
    verify_packages()


def test_an_untouched_installation_passes(installed: Path) -> None:
    assert installed.is_dir()
    verify_packages()


@pytest.mark.parametrize("package", PACKAGES)
def test_a_foreign_package_earlier_on_the_path_is_named(
    package: str, tmp_path: Path, find_first: Callable[[Path], None]
) -> None:
    foreign = tmp_path / package / "__init__.py"
    foreign.parent.mkdir()
    foreign.write_text(FOREIGN)
    find_first(tmp_path)

    with pytest.raises(ForeignPackageError, match="environment of its own") as caught:
        verify_packages()

    assert (caught.value.package, caught.value.foreign) == (package, foreign)
    assert str(foreign) in str(caught.value)


def test_a_foreign_package_that_overwrote_ours_is_named(installed: Path) -> None:
    foreign = installed / "daemon" / "__init__.py"
    foreign.write_text(FOREIGN)

    with pytest.raises(ForeignPackageError) as caught:
        verify_packages()

    assert caught.value.foreign == foreign


def test_a_foreign_module_among_ours_is_named(installed: Path) -> None:
    foreign = installed / "daemon" / "runner.py"
    foreign.touch()

    with pytest.raises(ForeignPackageError) as caught:
        verify_packages()

    assert caught.value.foreign == foreign


def test_a_package_whose_first_file_is_gone_is_named_by_its_folder(
    installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (installed / "actors" / "__init__.py").unlink()
    monkeypatch.setattr(sys, "path", [str(installed)])

    with pytest.raises(ForeignPackageError) as caught:
        verify_packages()

    assert caught.value.foreign == installed / "actors"


def test_a_module_mended_by_hand_does_not_keep_the_daemon_down(installed: Path) -> None:
    with (installed / "daemon" / "packaging.py").open("a") as file:
        file.write("# mended at night\n")

    verify_packages()


def test_the_check_costs_a_start_less_than_five_milliseconds(installed: Path) -> None:
    assert installed.is_dir()

    def elapsed_ms() -> float:
        started = time.perf_counter()
        verify_packages()
        return (time.perf_counter() - started) * 1000

    assert min(elapsed_ms() for _ in range(5)) < 5
