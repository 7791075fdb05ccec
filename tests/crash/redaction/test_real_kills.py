"""A real daemon is killed at a call of a redaction; `verify`, `fsck --repair` and a start follow."""

import json
import os
import shutil
import signal
from pathlib import Path
from typing import NamedTuple

import pytest

from daemon.redaction.pending import REDACTIONS_NAME
from tests.support.crash_daemon import CrashDaemon, DaemonEndedError
from tests.support.daemon_process import run_manifestd
from tests.support.dying_daemon import program
from tests.support.redactions import files_with
from tests.support.small_daemon import PROGRAM

NAME = "io.github.acme/echo@1.0.0"
BETWEEN = 30  # A call after the archive lost the data, before the journal did.
SECRETS = (b"Ada Lovelace", b"+44 555 1234", b"12 St James")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store that was drained, with two histories over several segments."""
    data_dir = tmp_path_factory.mktemp("template") / "s"
    with CrashDaemon(data_dir, program=PROGRAM) as daemon:
        daemon.start()
        for name in (NAME, "other@1.0.0"):
            document = {"name": "echo", "version": "1.0.0"}
            daemon.result(op="create", manifest_id=name, kind="agent", manifest=document)
        secret = document | {"home": "12 St James Square"}
        context = {"phone": "+44 555 1234"}
        reason = "for Ada Lovelace"
        revision = {"op": "revise", "manifest_id": NAME, "manifest": secret}
        daemon.result(**revision, reason=reason, context=context)
        daemon.result(op="revise", manifest_id=NAME, manifest=document)
        for number in range(4):
            for name in (NAME, "other@1.0.0"):
                daemon.result(op="comment", manifest_id=name, text=f"remark {number} {'x' * 600}")
        daemon.stop()
    assert len([*(data_dir / "journal").glob("*.jsonl")]) > 2
    assert all(len(files_with(data_dir, secret)) >= 2 for secret in SECRETS)
    return data_dir


class Died(NamedTuple):
    """Where a daemon ended: what of the data was left in which files, and what was pending."""

    acknowledged: bool
    is_over: bool
    files: frozenset[str]
    is_listed: bool


def redact_and_die(data_dir: Path, at: int) -> Died:
    """Redact on a daemon that dies at that call; or it has done all before."""
    with CrashDaemon(data_dir, program=program(at)) as daemon:
        daemon.start()
        acknowledged = False
        status = 0
        try:
            daemon.result(op="redact", manifest_id=NAME, version=2, reason="r", force=False)
            acknowledged = True
            while daemon.result(op="status")["redactions_pending"]:
                pass
        except DaemonEndedError as error:
            status = error.status
    assert status in {0, -signal.SIGKILL}
    held = frozenset(one for secret in SECRETS for one in files_with(data_dir, secret))
    return Died(acknowledged, status == 0, held, (data_dir / REDACTIONS_NAME).exists())


def offline(command: str, data_dir: Path) -> dict[str, object]:
    """Run an offline command; it must find nothing."""
    result = run_manifestd(*command.split(), "--data-dir", str(data_dir), "-o", "json")
    assert result.returncode == 0, result.stdout + result.stderr
    found: dict[str, object] = json.loads(result.stdout)
    return found


def finishes(data_dir: Path, died: Died) -> None:
    """Check and repair what is left, start, and see that the redaction is done if it was decided."""
    before = {path: path.read_bytes() for path in data_dir.rglob("*") if path.is_file()}
    offline("verify", data_dir)
    repaired = offline("fsck --repair", data_dir)
    assert repaired["findings"] == repaired["outcomes"] == []
    assert {path: path.read_bytes() for path in data_dir.rglob("*") if path.is_file()} == before
    with CrashDaemon(data_dir, program=PROGRAM) as daemon:
        daemon.start()
        assert daemon.result(op="verify")["manifests"] == 2
        while daemon.result(op="status")["redactions_pending"]:
            pass
        events = daemon.result(op="history", manifest_id=NAME)["events"]
        is_decided = events[-1]["type"] == "redacted"
        assert is_decided or not died.acknowledged
        assert daemon.result(op="recover", manifest_id=NAME)["identical"]
        daemon.stop()
    left = [one for secret in SECRETS for one in files_with(data_dir, secret)]
    assert bool(left) != is_decided, left
    assert offline("verify", data_dir)["ok"]


def kill_at(template: Path, folder: Path, at: int) -> Died:
    """Kill a redaction at its `at`-th call, look at what is left, and finish it."""
    data_dir = folder / str(at) / "s"
    shutil.copytree(template, data_dir)
    died = redact_and_die(data_dir, at)
    finishes(data_dir, died)
    return died


def test_a_daemon_that_is_killed_in_a_redaction_leaves_a_sound_store(
    template: Path, tmp_path: Path
) -> None:
    """At one call; that it was in the middle of it is seen by what is pending."""
    found = [kill_at(template, tmp_path, at) for at in (BETWEEN,)]

    assert not any(died.is_over for died in found)
    assert any(died.is_listed and died.files for died in found)


@pytest.mark.long
def test_a_daemon_may_be_killed_at_every_call_of_a_redaction(
    template: Path, tmp_path: Path
) -> None:
    found: list[Died] = []
    while not found or not found[-1].is_over:
        found.append(kill_at(template, tmp_path, len(found) + 1))

    assert len(found) > 20
    logs = {name for died in found for name in died.files if name.endswith(".log")}
    segments = {name for died in found for name in died.files if name.endswith(".jsonl")}
    assert logs
    assert segments
    assert any(not died.files & logs and died.files & segments for died in found)


def test_a_store_whose_list_of_what_is_pending_is_lost_is_found_out(
    template: Path, tmp_path: Path
) -> None:
    """The negative control: the data would stay for good, and `verify` says so."""
    data_dir = tmp_path / "s"
    shutil.copytree(template, data_dir)
    died = redact_and_die(data_dir, BETWEEN)
    assert died.is_listed
    assert {Path(name).parent.name for name in died.files} == {"journal"}
    os.remove(data_dir / REDACTIONS_NAME)  # noqa: PTH107

    result = run_manifestd("verify", "--data-dir", str(data_dir))

    assert result.returncode == 70
    assert REDACTIONS_NAME in result.stdout
    repaired = run_manifestd("fsck", "--repair", "--data-dir", str(data_dir))
    assert repaired.returncode == 0, repaired.stdout
    finishes(data_dir, died)
