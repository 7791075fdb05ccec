"""Endpoints are the daemon's own: it takes none from a living process, and lets no stranger in."""

import os
import signal
import socket
import stat
from pathlib import Path

import pytest
import zmq

from daemon.command_line import main
from daemon.door import CLOSED_SUFFIX
from protocol.endpoints import IPC_PATH_SIZE_MAX
from tests.support.daemon_process import DaemonProcess, run_manifestd, short_folder


def test_the_sockets_are_open_to_the_group_and_to_nobody_else(daemon: DaemonProcess) -> None:
    modes = [stat.S_IMODE((daemon.folder / name).stat().st_mode) for name in ("c", "e")]

    assert modes == [0o660, 0o660]


def test_every_endpoint_that_was_given_answers() -> None:
    with short_folder() as folder:
        more = [f"ipc://{folder}/{name}" for name in ("c2", "c3")]
        events = f"ipc://{folder}/e2"
        arguments = ["--commands", more[0], "--commands", more[1], "--events", events]
        with DaemonProcess(folder, arguments=arguments) as daemon:
            daemon.start()
            for endpoint in (daemon.commands, *more):
                assert b'"ok":true' in daemon.ask_bytes(b'{"op":"health"}', endpoint=endpoint)
            assert daemon.result(op="status")["endpoints"] == {
                "commands": [daemon.commands, *more],
                "events": [daemon.events, events],
            }
            with daemon.socket(zmq.SUB, events) as subscriber:
                subscriber.setsockopt(zmq.SUBSCRIBE, b"heartbeat")
                assert subscriber.poll(20_000)
            assert daemon.stop() == 0
        assert not list(folder.glob("[ce][23]"))


def test_a_socket_file_that_a_killed_daemon_left_is_replaced() -> None:
    with short_folder() as folder, DaemonProcess(folder) as daemon:
        daemon.start()
        daemon.process.kill()  # type: ignore[union-attr]
        daemon.wait()
        assert (folder / "c").is_socket()

        daemon.start()

        assert daemon.stop() == 0


@pytest.mark.parametrize("taken", ["commands", "events"])
def test_a_second_daemon_on_an_endpoint_refuses_and_the_first_one_keeps_it(
    daemon: DaemonProcess, taken: str
) -> None:
    with short_folder() as folder:
        endpoints = {"commands": f"ipc://{folder}/c", "events": f"ipc://{folder}/e"}
        endpoints[taken] = getattr(daemon, taken)
        flags = [word for key, value in endpoints.items() for word in (f"--{key}", value)]
        second = run_manifestd("--dev", "--data-dir", str(folder / "data"), *flags)

        assert second.returncode == 78
        assert f"another process listens on {endpoints[taken]}" in second.stderr
        assert "Traceback" not in second.stderr
        assert not (folder / "data").exists()
    assert daemon.result(op="health")["status"] == "ok"
    daemon.subscriber(b"heartbeat").close()


def test_it_keeps_it_also_while_its_door_is_closed(daemon: DaemonProcess) -> None:
    name, kept = daemon.folder / "c", daemon.folder / f"c{CLOSED_SUFFIX}"
    name.rename(kept)  # As the door does.
    with short_folder() as folder:
        second = run_manifestd(
            "--dev",
            *("--data-dir", str(folder / "data")),
            *("--commands", daemon.commands, "--events", f"ipc://{folder}/e"),
        )
    assert not name.exists()
    kept.rename(name)

    assert second.returncode == 78
    assert f"another process listens on {daemon.commands}" in second.stderr
    assert daemon.result(op="health")["status"] == "ok"


def test_so_does_one_whose_name_is_as_long_as_names_may_be() -> None:
    with short_folder() as folder, socket.socket(socket.AF_UNIX) as listener:
        name = folder / "c".ljust(IPC_PATH_SIZE_MAX - len(f"{folder}/"), "c")
        listener.bind(str(name))
        listener.listen()
        name.rename(f"{name}{CLOSED_SUFFIX}")
        result = run_manifestd(
            "--dev",
            *("--data-dir", str(folder / "data")),
            *("--commands", f"ipc://{name}", "--events", f"ipc://{folder}/e"),
        )

    assert result.returncode == 78
    assert f"another process listens on ipc://{name}" in result.stderr


def test_what_a_daemon_left_that_was_killed_behind_its_closed_door_is_removed() -> None:
    with short_folder() as folder, DaemonProcess(folder) as daemon:
        daemon.start()
        names = [folder / "c", folder / "e"]
        for name in names:
            name.rename(f"{name}{CLOSED_SUFFIX}")
        daemon.signal(signal.SIGKILL)
        daemon.wait()

        daemon.start()

        assert not list(folder.glob(f"*{CLOSED_SUFFIX}"))
        assert all(name.is_socket() for name in names)
        assert daemon.stop() == 0


@pytest.mark.parametrize(
    ("endpoint", "said"),
    [
        ("ipc://relative/path", "ipc:///absolute/path"),
        ("ipc://", "begin with"),
        ("ipc://@abstract", "is not served"),
        ("ipc:///" + "x" * 107, "107"),
        ("tcp://127.0.0.1:5555", "is not served"),
        ("inproc://here", "begin with"),
        ("/run/manifestd/commands", "begin with"),
        ("", "begin with"),
        ("ipc:///nowhere/at/all", "does not exist"),
        ("ipc:///etc/hostname/c", "does not exist"),
        ("ipc:///etc/passwd", "is a file and no socket"),
        ("ipc:///tmp/a\nb", "control character"),
    ],
)
def test_an_endpoint_that_cannot_be_served_is_refused_by_name(
    endpoint: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with short_folder() as folder:
        flags = ["--data-dir", str(folder / "data"), "--events", f"ipc://{folder}/e"]

        assert main(["--dev", *flags, "--commands", endpoint]) == 78

        errors = capsys.readouterr().err
        assert said in errors
        assert errors.count("\n") == 1
        assert not (folder / "data").exists()


def test_one_endpoint_for_both_sockets_is_refused() -> None:
    with short_folder() as folder:
        endpoint = f"ipc://{folder}/both"
        flags = ["--data-dir", str(folder / "data"), "--commands", endpoint, "--events", endpoint]
        result = run_manifestd("--dev", *flags)

    assert result.returncode == 78
    assert "given twice" in result.stderr


def test_a_folder_that_may_not_be_written_is_refused() -> None:
    # Not even root can make a file in /proc.
    folder = Path("/proc/self") if os.geteuid() == 0 else Path("/etc")
    result = run_manifestd(
        "--dev", "--commands", f"ipc://{folder}/c", "--events", f"ipc://{folder}/e"
    )

    assert result.returncode == 78
    assert f"cannot listen on ipc://{folder}/e" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_listener_whose_queue_is_full_is_a_listener_still() -> None:
    with short_folder() as folder, socket.socket(socket.AF_UNIX) as busy:
        busy.bind(str(folder / "c"))
        busy.listen(0)
        waiting = [socket.socket(socket.AF_UNIX) for _ in range(2)]
        for one in waiting:
            one.settimeout(0)
            one.connect_ex(str(folder / "c"))
        result = run_manifestd(
            "--dev",
            *("--data-dir", str(folder / "data")),
            *("--commands", f"ipc://{folder}/c", "--events", f"ipc://{folder}/e"),
        )
        for one in waiting:
            one.close()

    assert result.returncode == 78
    assert "another process listens" in result.stderr
