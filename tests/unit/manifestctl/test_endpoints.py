"""Which daemon is asked: what was named, else what runs here, else a clear answer."""

import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from manifestctl import endpoints
from manifestctl.endpoints import Daemon, Route, find_daemons
from protocol.endpoints import (
    EndpointError,
    check_endpoint,
    dev_directory,
    events_beside,
    ipc_endpoint,
    ipc_path,
)
from protocol.errors import UnavailableError


@pytest.fixture
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder to be XDG_RUNTIME_DIR."""
    return tmp_path_factory.mktemp("run")


@pytest.fixture
def listening(runtime: Path) -> Iterator[Path]:
    """Listen where `manifestd --dev` would."""
    folder = runtime / "manifestd"
    folder.mkdir(mode=0o700)
    with closing(socket.socket(socket.AF_UNIX)) as server:
        server.bind(str(folder / "commands"))
        yield folder


def test_the_dev_folder_is_in_the_runtime_folder() -> None:
    assert dev_directory({"XDG_RUNTIME_DIR": "/run/user/7"}, 7, "/var/tmp") == (  # noqa: S108
        "/run/user/7/manifestd"
    )


@pytest.mark.parametrize("environ", [{}, {"XDG_RUNTIME_DIR": ""}, {"XDG_RUNTIME_DIR": "run"}])
def test_without_a_usable_runtime_folder_it_is_the_user_s_own_temporary_one(
    environ: dict[str, str],
) -> None:
    assert dev_directory(environ, 7, "/t") == "/t/manifestd-7"


def test_an_ipc_path_is_told_from_an_abstract_name_and_from_tcp() -> None:
    assert ipc_path(ipc_endpoint("/run/x", "commands")) == "/run/x/commands"
    assert ipc_path("ipc://@x") is None
    assert ipc_path("tcp://127.0.0.1:1") is None


@pytest.mark.parametrize(
    ("endpoint", "reason"),
    [
        ("/run/x", "begin with ipc:// or tcp://"),
        ("ipc://", "begin with"),
        ("udp://x", "begin with"),
        ("ipc:///a\n", "control character"),
        ("ipc:///" + "x" * 107, "108 bytes; a socket's has at most 107"),
        ("ipc:///" + "é" * 54, "109 bytes"),
    ],
)
def test_an_endpoint_that_libzmq_would_refuse_is_explained(endpoint: str, reason: str) -> None:
    with pytest.raises(EndpointError, match=reason):
        check_endpoint(endpoint)


def test_the_longest_path_is_taken() -> None:
    check_endpoint("ipc:///" + "x" * 106)


def test_events_are_beside_commands_where_that_is_the_custom() -> None:
    assert events_beside("ipc:///run/x/commands") == "ipc:///run/x/events"
    assert events_beside("ipc:///run/x/other") is None
    assert events_beside("tcp://h:1/commands") is None


def test_flags_come_before_the_environment() -> None:
    environ = {"MANIFESTCTL_COMMANDS": "ipc:///e/commands ipc:///f/commands"}

    assert find_daemons(["ipc:///a"], [], environ).daemons == (Daemon("ipc:///a", None),)
    assert find_daemons([], [], environ).daemons == (
        Daemon("ipc:///e/commands", "ipc:///e/events"),
        Daemon("ipc:///f/commands", "ipc:///f/events"),
    )


def test_repeated_flags_are_paired() -> None:
    route = find_daemons(["tcp://h:1", "tcp://h:3"], ["tcp://h:2", "tcp://h:4"], {})

    assert route.daemons == (Daemon("tcp://h:1", "tcp://h:2"), Daemon("tcp://h:3", "tcp://h:4"))


def test_endpoints_that_do_not_pair_are_refused() -> None:
    with pytest.raises(EndpointError, match="1 endpoints for commands and 2 for events"):
        find_daemons(["tcp://h:1"], ["tcp://h:2", "tcp://h:4"], {})


def test_a_daemon_for_development_is_found(listening: Path, runtime: Path) -> None:
    route = find_daemons([], [], {"XDG_RUNTIME_DIR": str(runtime)})

    assert route.daemons[0] == Daemon(f"ipc://{listening}/commands", f"ipc://{listening}/events")


def test_its_events_may_be_named(listening: Path, runtime: Path) -> None:
    route = find_daemons([], ["tcp://h:2"], {"XDG_RUNTIME_DIR": str(runtime)})

    assert route.daemons == (Daemon(f"ipc://{listening}/commands", "tcp://h:2"),)


def test_where_no_daemon_runs_it_says_what_it_tried_and_what_to_do(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoints, "SERVICE_DIRECTORY", str(runtime / "service"))
    (runtime / "service").mkdir()
    (runtime / "service" / "commands").write_text("a file")

    with pytest.raises(UnavailableError) as caught:
        find_daemons([], [], {"XDG_RUNTIME_DIR": str(runtime)})

    assert caught.value.details["tried"] == [
        f"ipc://{runtime}/manifestd/commands (no socket there)",
        f"ipc://{runtime}/service/commands (not a socket)",
    ]
    assert "manifestd --dev" in str(caught.value.suggestion)


def test_a_dev_folder_of_somebody_else_is_not_trusted(
    listening: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert listening.is_dir()
    monkeypatch.setattr(endpoints, "SERVICE_DIRECTORY", str(runtime / "service"))
    uid = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: uid + 1)

    with pytest.raises(UnavailableError, match=f"belongs to uid {uid}"):
        find_daemons([], [], {"XDG_RUNTIME_DIR": str(runtime)})


def test_leaving_an_endpoint_that_was_left_changes_nothing() -> None:
    route = Route([Daemon("a", None), Daemon("b", None)])

    route.leave("b")
    assert route.current.commands == "a"
    route.leave("a")
    assert route.current.commands == "b"
