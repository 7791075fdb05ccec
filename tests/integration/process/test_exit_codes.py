"""A daemon that does not start says why in one line, names what is wrong, and changes nothing."""

import hashlib
import json
import os
import shutil
import stat
from pathlib import Path

import pytest

from daemon.command_line import main
from daemon.journal.sealed import seal
from tests.support.daemon_process import DaemonProcess, run_manifestd, short_folder

USAGE, CORRUPT, DISK_FAILED, LOCKED, CONFIGURATION = 2, 70, 74, 75, 78


def fingerprint(folder: Path) -> dict[str, tuple[str, int]]:
    """Return what every file holds, and when it was changed."""
    return {
        str(path.relative_to(folder)): (
            hashlib.sha256(path.read_bytes()).hexdigest(),
            path.stat().st_mtime_ns,
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def sockets(folder: Path) -> list[str]:
    return ["--commands", f"ipc://{folder}/c2", "--events", f"ipc://{folder}/e2"]


@pytest.mark.parametrize("arguments", [["--nonsense"], ["--data-dir"], ["--data-dir", ""], ["now"]])
def test_a_wrong_flag_is_a_usage_error(arguments: list[str]) -> None:
    result = run_manifestd(*arguments)

    assert result.returncode == USAGE
    assert "usage: manifestd" in result.stderr
    assert "Traceback" not in result.stderr


def test_help_names_every_flag() -> None:
    result = run_manifestd("--help")

    assert result.returncode == 0
    for flag in ("--config", "--data-dir", "--commands", "--events", "--check-config", "--dev"):
        assert flag in result.stdout


def test_a_second_daemon_on_a_directory_says_so_in_one_line_and_leaves_the_first_alone() -> None:
    with short_folder() as folder, DaemonProcess(folder) as daemon:
        daemon.start()
        result = run_manifestd("--dev", "--data-dir", str(folder / "data"), *sockets(folder))

        assert result.returncode == LOCKED
        assert f"another manifestd works on {folder / 'data'}" in result.stderr
        assert result.stderr.count("\n") == 1
        assert "In another terminal:" in daemon.log()
        assert result.stdout == ""  # What to try with a daemon is said by one that answers.
        assert not (folder / "e2").exists()
        assert daemon.result(op="health")["status"] == "ok"
        assert daemon.stop() == 0


def test_a_damaged_store_is_refused_with_file_and_remedy_and_left_alone() -> None:
    with short_folder() as folder, DaemonProcess(folder) as daemon:
        daemon.start()
        for number in range(3):
            daemon.result(
                op="create", kind="agent", manifest={"name": f"n{number}", "version": "1.0.0"}
            )
        daemon.process.kill()  # type: ignore[union-attr]
        daemon.wait()
        (folder / "data" / "store.json").write_text("{}")
        before = fingerprint(folder / "data")
        result = run_manifestd("--dev", "--data-dir", str(folder / "data"), *sockets(folder))

        assert result.returncode == CORRUPT
        assert str(folder / "data" / "store.json") in result.stderr
        assert "manifestd fsck" in result.stderr
        assert "Traceback" not in result.stderr
        assert fingerprint(folder / "data") == before


@pytest.mark.parametrize("kind", ["a file", "below a file", "not ours"])
def test_a_data_directory_that_cannot_be_used_is_a_matter_of_configuration(kind: str) -> None:
    with short_folder() as folder:
        (folder / "file").write_text("")
        path = {
            "a file": folder / "file",
            "below a file": folder / "file" / "data",
            "not ours": Path("/proc/manifestd"),
        }[kind]
        result = run_manifestd("--dev", "--data-dir", str(path), *sockets(folder))

    assert result.returncode == CONFIGURATION, result.stderr
    assert str(path) in result.stderr
    assert "Traceback" not in result.stderr


def test_check_config_says_that_it_is_fine_without_touching_anything() -> None:
    with short_folder() as folder:
        (folder / "plugin.json").write_text('{"type":"object"}')
        (folder / "m.toml").write_text(
            f'[daemon]\ndata_dir = "{folder}/data"\n'
            f'commands = ["ipc://{folder}/run/c"]\nevents = ["ipc://{folder}/run/e"]\n'
            '[kinds.plugin]\nschema = "plugin.json"\n[roles]\napprover = ["alice"]\n'
        )
        result = run_manifestd("--check-config", "--config", str(folder / "m.toml"))

        assert result.returncode == 0, result.stderr
        assert "plugin" in result.stdout
        assert {path.name for path in folder.iterdir()} == {"plugin.json", "m.toml"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[deamon]\n", "did you mean 'daemon'?"),
        ('[kinds.plugin]\nschema = "missing.json"\n', "missing.json"),
        ('[identity]\nimpersonators = ["no-such-user"]\n', "no-such-user"),
        ('[daemon]\ncommands = ["tcp://0.0.0.0:1"]\n', "tcp://0.0.0.0:1"),
        ('[daemon]\ncommands = ["ipc://x"]\n', "ipc:///absolute/path"),
    ],
)
@pytest.mark.parametrize("check", [True, False])
def test_a_wrong_configuration_is_refused_before_anything_is_opened(
    text: str, said: str, capsys: pytest.CaptureFixture[str], *, check: bool
) -> None:
    with short_folder() as folder:
        (folder / "m.toml").write_text(text)
        arguments = ["--config", str(folder / "m.toml"), "--data-dir", str(folder / "data")]

        assert main([*arguments, *(["--check-config"] if check else [])]) == CONFIGURATION

        errors = capsys.readouterr().err
        assert said in errors
        assert errors.count("\n") == 1
        assert not (folder / "data").exists()


def test_a_flag_wins_over_a_variable_and_a_variable_over_the_file() -> None:
    with short_folder() as folder:
        (folder / "m.toml").write_text(
            '[daemon]\ndata_dir = "/nonexistent/file"\nlog_level = "warning"\n'
            'commands = ["ipc:///nonexistent/c"]\nevents = ["ipc:///nonexistent/e"]\n'
            '[kinds.plugin]\nvalidation = "syntax"\n'
        )
        variables = {
            "MANIFESTD_DAEMON__DATA_DIR": "/nonexistent/variable",
            "MANIFESTD_DAEMON__LOG_LEVEL": "debug",
        }
        arguments = ["--config", str(folder / "m.toml")]
        with DaemonProcess(folder, dev=False, arguments=arguments, variables=variables) as daemon:
            daemon.start()

            assert (folder / "data" / "store.json").exists()
            assert "INFO" in daemon.log()
            created = daemon.result(
                op="create", kind="plugin", manifest={"name": "p", "version": "1.0.0"}
            )
            assert created["kind"] == "plugin"
            assert daemon.stop() == 0


def test_the_folder_of_the_dev_sockets_is_ours_alone() -> None:
    with short_folder() as folder:
        (folder / "run").mkdir()
        private = folder / "run" / "manifestd"
        private.mkdir(mode=0o755)
        variables = {"XDG_RUNTIME_DIR": str(folder / "run")}
        daemon = DaemonProcess(folder, variables=variables)
        daemon.command = daemon.command[: daemon.command.index("--commands")]
        daemon.commands, daemon.events = f"ipc://{private}/commands", f"ipc://{private}/events"
        with daemon:
            daemon.start()
            assert stat.S_IMODE(private.stat().st_mode) == 0o700
            assert daemon.stop() == 0


@pytest.mark.parametrize("kind", ["a stranger's", "a link", "a file", "nowhere"])
def test_a_folder_of_the_dev_sockets_that_is_not_ours_is_refused(kind: str) -> None:
    with short_folder() as folder:
        run = folder / "run"
        run.mkdir()
        match kind:
            case "a stranger's":
                if os.geteuid() != 0:
                    pytest.skip("only root can give a folder away")
                (run / "manifestd").mkdir()
                os.chown(run / "manifestd", 65534, 65534)
            case "a link":
                (run / "manifestd").symlink_to(folder)
            case "a file":
                (run / "manifestd").write_text("")
            case _:
                run = folder / "missing"
        result = run_manifestd("--dev", variables={"XDG_RUNTIME_DIR": str(run)})

        assert result.returncode == CONFIGURATION
        assert f"{run}/manifestd" in result.stderr
        assert "XDG_RUNTIME_DIR" in result.stderr
        assert result.stderr.count("\n") == 1


def test_a_lifecycle_that_changed_under_its_version_is_a_clear_refusal() -> None:
    with short_folder() as folder, DaemonProcess(folder) as daemon:
        daemon.start()
        assert daemon.stop() == 0
        pinned = folder / "data" / "lifecycles" / "manifest@1.json"
        definition = json.loads(pinned.read_text())
        del definition["sha256"]
        pinned.write_bytes(seal(definition | {"extra": 1}))
        result = run_manifestd("--dev", "--data-dir", str(folder / "data"), *sockets(folder))

    assert result.returncode == CONFIGURATION, result.stderr
    assert "manifest@1" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "command", [[], ["restore", "/dev/null"], ["verify"], ["fsck", "--repair"]]
)
def test_nothing_is_made_in_a_directory_that_is_somebody_elses(
    tmp_path: Path, command: list[str]
) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"mine")

    endpoints = [] if command else sockets(tmp_path.parent)
    result = run_manifestd(*command, "--data-dir", str(tmp_path), *endpoints)

    assert result.returncode in (CORRUPT, CONFIGURATION), result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
@pytest.mark.parametrize(
    ("error", "status"), [("EIO", DISK_FAILED), ("ENOSPC", DISK_FAILED), ("EROFS", CONFIGURATION)]
)
def test_a_directory_that_cannot_be_made_is_a_wrong_one_unless_the_disk_is_to_blame(
    error: str, status: int
) -> None:
    with short_folder() as folder:
        data = str(folder / "data")
        inject = ["strace", "-f", "-qq", "-o", "/dev/null", "-P", data, "-e", "trace=/^mkdir"]
        inject += ["-e", f"inject=/^mkdir:error={error}:when=1"]
        with DaemonProcess(folder, wrapper=inject) as daemon:
            daemon.spawn()
            assert daemon.wait() == status, daemon.log()
            assert "Traceback" not in daemon.log()
