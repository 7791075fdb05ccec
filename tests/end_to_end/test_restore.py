"""Backup, restore, export and import as an operator uses them, against real daemons."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from daemon.command_line import main as manifestd_main
from manifestctl.command_line import main as manifestctl_main
from manifestctl.testing import Daemon
from protocol.errors import CommandIdReusedError, UrnConflictError
from tests.support.manifestctl_process import Run, runner

TIMED = """\
id = "timed"
version = 1
initial = "DRAFT"

[states.DRAFT]
tags = ["mutable"]
on = { submit = "WAITING" }

[states.WAITING]
after = { "1s" = "EXPIRED" }

[states.EXPIRED]
type = "final"
"""


@pytest.fixture
def restored(tmp_path: Path) -> Iterator[Daemon]:
    """Return a daemon on `restored/`, not started."""
    daemon = Daemon(tmp_path / "restored")
    yield daemon
    daemon.close()


def whole_life(daemon: Daemon) -> None:
    """Register echo, leave other manifests in other states, with commands that can be repeated."""
    with daemon.client() as client:
        for name in ("echo", "draft", "submitted"):
            document = {"name": name, "version": "1.0.0"}
            client.create(document, kind="agent", principal="author-7", command_id="c-1")
        for name in ("echo", "submitted"):
            client.submit(f"{name}@1.0.0", principal="author-7", command_id="c-2")
        client.approve("echo@1.0.0", principal="approver-3", command_id="c-3")
        client.register("echo@1.0.0", principal="registrar-1", command_id="c-4")
        client.comment("draft@1.0.0", text="well", principal="reviewer-1", command_id="c-2")


def everything(daemon: Daemon) -> list[bytes]:
    with daemon.client() as client:
        return [bytes(line) for line in client.feed(limit=1000).events]


def backup(daemon: Daemon, file: Path) -> None:
    where = ["--commands", daemon.commands, "--events", daemon.events]
    assert manifestctl_main(["backup", str(file), *where]) == 0


class Restore:
    """`manifestd restore` or `import`, in this process; returns what it said."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: object, status: int = 0) -> str:
        self._capsys.readouterr()
        try:
            ended = manifestd_main([str(one) for one in arguments])
        except SystemExit as usage:
            ended = int(str(usage.code))
        said = "".join(self._capsys.readouterr())
        assert ended == status, said
        return said


@pytest.fixture
def restore(capsys: pytest.CaptureFixture[str]) -> Restore:
    """Return the command."""
    return Restore(capsys)


def test_a_restored_store_has_the_same_events_and_goes_on_where_they_end(
    daemon: Daemon, run: Run, restored: Daemon, restore: Restore, tmp_path: Path
) -> None:
    whole_life(daemon)
    events = everything(daemon)
    exported = run("export").stdout
    backup(daemon, tmp_path / "b")

    said = restore("restore", str(tmp_path / "b"), "--data-dir", str(restored.data_dir))
    restored.start()

    assert "3 manifests, 8 events" in said
    assert everything(restored) == events
    on_restored = runner(restored.environ)
    assert on_restored("export").stdout == exported
    assert "8 events of 3 manifests" in on_restored("verify").stdout
    with restored.client() as client:
        assert client.lookup("urn:proto:agent:echo").manifest_id == "echo@1.0.0"
        again = client.approve("echo@1.0.0", principal="approver-3", command_id="c-3")
        assert (again.replayed, again.version) == (True, 3)
        with pytest.raises(CommandIdReusedError):
            client.comment("echo@1.0.0", text="no", command_id="c-3")
        client.create(
            {"name": "echo", "version": "1.0.0"},
            manifest_id="other",
            kind="agent",
            principal="author-7",
        )
        client.submit("other", principal="author-7")
        client.approve("other", principal="approver-3")
        with pytest.raises(UrnConflictError):
            client.register("other", principal="registrar-1")
        assert client.status().last_seq == 11


def test_a_watch_that_is_started_anew_notices_that_the_store_was_restored(
    daemon: Daemon, run: Run, restored: Daemon, restore: Restore, tmp_path: Path
) -> None:
    """It has seen event 8 of the original; what follows event 7 is not what followed there."""
    whole_life(daemon)
    backup(daemon, tmp_path / "b")
    watch = ["watch", "--cursor", str(tmp_path / "seen"), "--from-seq", "8", "--count", "1"]
    assert msgspec.json.decode(run(*watch).stdout)["seq"] == 8
    arguments = ["--data-dir", str(restored.data_dir), "--to-seq", "7"]
    restore("restore", str(tmp_path / "b"), *arguments)
    restored.start()
    on_restored = runner(restored.environ)
    for number in range(2):
        on_restored("comment", "echo@1.0.0", f"{number}, after the restore", "--as", "author-7")

    refused = on_restored(*watch, status=9)

    assert "not those seen before" in refused.stderr
    assert not refused.stdout


def test_the_new_store_is_another_one_unless_told_to_be_the_same(
    daemon: Daemon, restore: Restore, tmp_path: Path
) -> None:
    whole_life(daemon)
    with daemon.client() as client:
        store_id = client.health().store_id
    file = tmp_path / "b"
    backup(daemon, file)

    restore("restore", file, "--data-dir", tmp_path / "new")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "daemon", "restore", "-", "--keep-store-id"),
            *("--data-dir", str(tmp_path / "same")),
        ],
        input=file.read_bytes(),
        capture_output=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    new = json.loads((tmp_path / "new" / "store.json").read_text())
    same = json.loads((tmp_path / "same" / "store.json").read_text())
    assert new["store_id"] != store_id
    assert same["store_id"] == store_id
    for one in (new, same):
        assert one["restored_from"]["store_id"] == store_id
        assert one["restored_from"]["seq"] == 8


def test_a_store_is_restored_up_to_a_seq_or_a_time(
    daemon: Daemon, restored: Daemon, restore: Restore, tmp_path: Path
) -> None:
    whole_life(daemon)
    events = everything(daemon)
    file = str(tmp_path / "b")
    backup(daemon, Path(file))
    at = msgspec.json.decode(events[4])["at"]

    said = restore("restore", file, "--data-dir", str(tmp_path / "seq"), "--to-seq", "5")
    restore("restore", file, "--data-dir", str(restored.data_dir), "--to-time", at)
    restored.start()

    assert "5 events of 8" in said
    assert everything(restored) == events[:5]
    assert "beyond" not in restore(
        "restore", file, "--data-dir", str(tmp_path / "no"), "--to-seq", "9", status=65
    )
    restore("restore", file, "--data-dir", str(tmp_path / "no"), "--to-time", "soon", status=2)
    assert not (tmp_path / "no" / "store.json").exists()


@pytest.mark.parametrize("content", ["a file", "a store"])
def test_a_directory_that_holds_anything_is_refused_and_not_touched(
    daemon: Daemon, restore: Restore, tmp_path: Path, content: str
) -> None:
    whole_life(daemon)
    file = str(tmp_path / "b")
    backup(daemon, Path(file))
    target = tmp_path / "target"
    if content == "a file":
        target.mkdir()
        (target / "precious").write_text("mine")
    else:
        restore("restore", file, "--data-dir", str(target))
    before = {path: path.stat().st_mtime_ns for path in target.rglob("*") if path.name != "lock"}

    said = restore("restore", file, "--data-dir", str(target), status=78)

    assert "is not empty" in said
    after = {path: path.stat().st_mtime_ns for path in target.rglob("*") if path.name != "lock"}
    assert after == before
    assert "75" not in restore("restore", file, "--data-dir", str(daemon.data_dir), status=75)


def test_a_timer_that_came_due_meanwhile_fires_once(
    restored: Daemon, restore: Restore, tmp_path: Path
) -> None:
    lifecycle = tmp_path / "timed.toml"
    lifecycle.write_text(TIMED)
    configuration = tmp_path / "manifestd.toml"
    configuration.write_text(f'[lifecycles]\nfiles = ["{lifecycle}"]\n')
    original = Daemon(tmp_path / "original", arguments=["--config", str(configuration)])
    try:
        original.start()
        with original.client() as client:
            client.create({"n": 1}, manifest_id="m", kind="agent", lifecycle="timed@1")
            client.transition("m", event="submit")
            due = client.get("m").timers[0].due
            backup(original, tmp_path / "b")
    finally:
        original.close()

    restore("restore", str(tmp_path / "b"), "--data-dir", str(restored.data_dir))
    restored.start()  # Without the file: the store has kept the definition.

    on_restored = runner(restored.environ)
    on_restored("wait", "m", "--state", "EXPIRED")
    history = on_restored("history", "m", "-o", "ndjson").stdout.splitlines()
    assert len(history) == 3
    assert json.loads(history[-1])["cause"] == "timer"
    assert json.loads(history[-1])["at"] >= due
    restored.restart()
    assert len(on_restored("history", "m", "-o", "ndjson").stdout.splitlines()) == 3


def test_exported_events_are_imported_byte_for_byte(
    daemon: Daemon, run: Run, restored: Daemon, restore: Restore, tmp_path: Path
) -> None:
    whole_life(daemon)
    events = everything(daemon)
    file = tmp_path / "events.ndjson"
    file.write_text(run("export", "--history").stdout)

    restore("import", str(file), "--data-dir", str(restored.data_dir))
    restored.start()

    on_restored = runner(restored.environ)
    assert everything(restored) == events
    assert on_restored("export", "--history").stdout == file.read_text()
    assert on_restored("export").stdout == run("export").stdout


def test_an_export_without_history_becomes_drafts_by_apply_and_not_by_import(
    daemon: Daemon, run: Run, restored: Daemon, restore: Restore, tmp_path: Path
) -> None:
    whole_life(daemon)
    file = tmp_path / "export.ndjson"
    file.write_text(run("export", "--state", "PENDING").stdout + run("export").stdout)

    said = restore("import", str(file), "--data-dir", str(restored.data_dir), status=65)
    assert "line 1: this is a manifest without its history" in said
    assert "apply --bulk" in said
    shutil.rmtree(restored.data_dir)
    restored.start()
    on_restored = runner(restored.environ)

    applied = on_restored("apply", "--bulk", str(file), "--as", "author-9").stdout
    assert applied.count("(created)") == 3
    assert applied.count("(nothing to do)") == 1
    assert on_restored("list", "--state", "DRAFT", "-o", "name").stdout.count("\n") == 3
    file.write_text(file.read_text() + "no manifest\n")
    complaint = on_restored("apply", "--bulk", str(file), status=6).stderr
    assert "line 5: this is no line of" in complaint
    assert "run the same again" in complaint


def test_a_damaged_file_is_refused_with_its_line_and_makes_no_store(
    daemon: Daemon, restored: Daemon, restore: Restore, tmp_path: Path
) -> None:
    whole_life(daemon)
    file = tmp_path / "b"
    backup(daemon, file)
    whole = file.read_bytes().splitlines(keepends=True)
    first_event = next(n for n, line in enumerate(whole) if line.startswith(b'{"seq":'))
    damaged = {
        f"line {first_event + 3}": [*whole[: first_event + 2], *whole[first_event + 3 :]],
        f"line {len(whole)}": whole[:-1],
        "line 1": whole[1:],
        f"line {first_event + 1}": [
            *whole[:first_event],
            whole[first_event].replace(b"echo", b"ohce", 1),
            *whole[first_event + 1 :],
        ],
    }
    for place, lines in damaged.items():
        file.write_bytes(b"".join(lines))
        said = restore("restore", str(file), "--data-dir", str(restored.data_dir), status=65)
        assert f"{file}, {place}: " in said

    assert [path.name for path in restored.data_dir.iterdir()] == ["lock"]
    file.write_bytes(b"".join(whole))
    restore("restore", str(file), "--data-dir", str(restored.data_dir))
    restored.start()
