"""A daemon with lifecycles of the operator's own: read, kept, and held against changes."""

import os
import pwd
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon_process import DaemonProcess, run_manifestd, short_folder

REVIEW = """
id = "review"
version = 1
initial = "OPEN"
[roles]
close = ["librarian"]
"note.*" = ["scribe"]
[states.OPEN]
on."note.*" = {}
on.close = { target = "DONE", actions = ["record_approval"] }
[states.DONE]
type = "final"
"""
ME = pwd.getpwuid(os.getuid()).pw_name


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short folder, because sockets have to fit into their addresses."""
    with short_folder() as one:
        yield one


def _configured(folder: Path, roles: str = "", lifecycle: str = REVIEW) -> list[str]:
    (folder / "review.toml").write_text(lifecycle)
    text = '[lifecycles]\nfiles = ["review.toml"]\nby_kind = { agent = "review@1" }\n' + roles
    (folder / "manifestd.toml").write_text(text)
    return ["--config", str(folder / "manifestd.toml")]


def _create(daemon: DaemonProcess) -> dict[str, Any]:
    document = {"name": "echo", "version": "1.0.0"}
    return daemon.result(op="create", manifest_id="m", kind="agent", manifest=document)


def _step(event: str) -> dict[str, Any]:
    return {"op": "transition", "manifest_id": "m", "event": event}


def test_a_kind_goes_through_the_lifecycle_that_the_configuration_names(folder: Path) -> None:
    with DaemonProcess(folder, arguments=_configured(folder)).start() as daemon:
        assert _create(daemon)["state"] == "OPEN"
        assert daemon.result(op="lifecycle")["known"] == [
            "manifest-extended@1",
            "manifest@1",
            "review@1",
        ]
        assert daemon.result(**_step("close"))["state"] == "DONE"
        assert daemon.stop() == 0


def test_a_role_of_the_lifecycle_s_own_permits_by_any_name_of_the_event(folder: Path) -> None:
    """`close.now` is taken for `close` by the state, so it takes the role of `close`."""
    roles = f'[roles]\nauthor = ["{ME}"]\nscribe = ["{ME}"]\nlibrarian = ["somebody-else"]\n'
    arguments = _configured(folder, roles)
    with DaemonProcess(folder, arguments=arguments, dev=False).start() as daemon:
        _create(daemon)

        for event in ("close", "close.now", "close.x.y"):
            error = daemon.error(**_step(event))
            assert (error["code"], error["details"]["roles_needed"]) == (
                "FORBIDDEN",
                ["librarian"],
            )
        assert daemon.result(**_step("note.a"))["state"] == "OPEN"
        assert daemon.stop() == 0


def test_a_changed_definition_takes_a_new_version(folder: Path) -> None:
    arguments = _configured(folder)
    with DaemonProcess(folder, arguments=arguments).start() as daemon:
        _create(daemon)
        assert daemon.stop() == 0
    changed = REVIEW.replace('"DONE", actions = ["record_approval"]', '"DONE"')
    _configured(folder, lifecycle=changed)

    done = run_manifestd("--dev", "--data-dir", str(folder / "data"), *arguments)

    assert done.returncode == 78
    assert "review@1 differs from the one that this store keeps under that name" in done.stderr
    _configured(folder, lifecycle=changed.replace("version = 1", "version = 2"))
    text = (folder / "manifestd.toml").read_text().replace("review@1", "review@2")
    (folder / "manifestd.toml").write_text(text)
    with DaemonProcess(folder, arguments=arguments).start() as daemon:
        known = daemon.result(op="lifecycle")["known"]
        assert known[-2:] == ["review@1", "review@2"]  # The old one is read from the store.
        assert daemon.result(op="get", manifest_id="m")["lifecycle"] == "review@1"
        assert daemon.result(**_step("close"))["state"] == "DONE"
        assert daemon.stop() == 0


def test_what_is_wrong_in_a_file_is_said_with_its_lines_before_anything_is_opened(
    folder: Path,
) -> None:
    wrong = REVIEW.replace('target = "DONE"', 'target = "DON"').replace("[roles]", "[rolls]")
    arguments = _configured(folder, lifecycle=wrong)

    for flags in (["--check-config"], ["--dev", "--data-dir", str(folder / "data")]):
        done = run_manifestd(*flags, *arguments)
        assert done.returncode == 78
        assert f"{folder}/review.toml:5: " in done.stderr
        assert "did you mean 'roles'?" in done.stderr
    assert not (folder / "data").exists()
