"""What the service manager is told (sd_notify(3)), by the real process."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from tests.support.daemon_process import ANSWER_S, DaemonProcess, NotifySocket, short_folder

WATCHDOG_S = 0.4


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as made:
        yield made


def spawn(folder: Path, notify: NotifySocket, **variables: str) -> DaemonProcess:
    daemon = DaemonProcess(folder, variables={"NOTIFY_SOCKET": notify.address, **variables})
    daemon.spawn()
    return daemon


@pytest.mark.parametrize("abstract", [False, True])
def test_ready_is_said_when_health_answers_and_stopping_when_it_drains(
    folder: Path, *, abstract: bool
) -> None:
    address = f"@{folder.name}" if abstract else str(folder / "n")
    with NotifySocket(address) as notify, spawn(folder, notify) as daemon:
        before = notify.receive_until("READY")
        with daemon.socket(zmq.REQ) as request:
            request.send(b'{"op":"status"}')
            assert request.poll(int(ANSWER_S * 1000))
            status = json.loads(request.recv())["result"]
        daemon.pid = status["pid"]
        assert daemon.stop() == 0
        after = notify.receive_until("STOPPING")

    assert before[-1]["READY"] == "1"
    assert before[-1]["STATUS"] == "serving at seq 0"
    assert any("recovery" in message["STATUS"] for message in before[:-1])
    assert after[-1]["STOPPING"] == "1"
    assert "draining" in after[-1]["STATUS"]


def test_the_watchdog_is_fed_at_half_its_time(folder: Path) -> None:
    usec = str(int(WATCHDOG_S * 1_000_000))
    with (
        NotifySocket(str(folder / "n")) as notify,
        spawn(folder, notify, WATCHDOG_USEC=usec) as daemon,
    ):
        notify.receive_until("READY")
        for _ in range(4):
            fed = notify.receive(timeout_s=WATCHDOG_S * 5)  # On a machine that is busy.
            assert fed["WATCHDOG"] == "1"
            assert "seq" in fed["STATUS"]
        daemon.pid = daemon.result(op="status")["pid"]
        assert daemon.stop() == 0


@pytest.mark.parametrize("variables", [{"WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "0"}])
def test_a_watchdog_that_is_not_ours_is_not_fed(folder: Path, variables: dict[str, str]) -> None:
    merged = {"WATCHDOG_USEC": "100000", **variables}
    with NotifySocket(str(folder / "n")) as notify, spawn(folder, notify, **merged) as daemon:
        notify.receive_until("READY")
        daemon.pid = daemon.result(op="status")["pid"]
        with pytest.raises(TimeoutError):
            notify.receive(timeout_s=0.5)
        assert daemon.stop() == 0


def test_a_service_manager_that_is_gone_is_no_reason_to_stop(folder: Path) -> None:
    variables = {"NOTIFY_SOCKET": str(folder / "gone"), "WATCHDOG_USEC": "100000"}
    with DaemonProcess(folder, variables=variables) as daemon:
        daemon.start()
        assert daemon.stop() == 0
        assert "was not told" in daemon.log()


def killed_store(folder: Path, events: int) -> None:
    """Leave a store whose daemon was killed, so that the next one has to recover it."""
    with DaemonProcess(folder) as daemon:
        daemon.start()
        with daemon.socket(zmq.DEALER) as dealer:
            for number in range(events):
                document = {"name": f"n{number}", "version": "1.0.0"}
                request = {"op": "create", "kind": "agent", "manifest": document}
                dealer.send_multipart([b"", json.dumps(request).encode()])
            for _ in range(events):
                assert dealer.poll(int(ANSWER_S * 1000))
                dealer.recv_multipart()
        assert daemon.process is not None
        daemon.process.kill()
        daemon.wait()


def recovery_events(daemon: DaemonProcess) -> list[dict[str, Any]]:
    """Start the daemon and return what it publishes of its recovery."""
    received: list[dict[str, Any]] = []
    with daemon.socket(zmq.SUB) as events:
        events.setsockopt(zmq.SUBSCRIBE, b"progress/recovery")
        daemon.spawn()
        while not received or received[-1]["type"] not in ("complete", "error"):
            assert events.poll(int(ANSWER_S * 1000)), daemon.log()
            topic, body = events.recv_multipart()
            assert topic == b"progress/recovery"
            received.append(json.loads(body))
    return received


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_recovery_is_told_to_the_service_manager_and_on_the_event_socket(folder: Path) -> None:
    killed_store(folder, 300)
    # Slow enough that a subscriber is there before it ends: it connects every 20 ms.
    slow = [
        "strace",
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "--seccomp-bpf",
        "-e",
        "trace=fdatasync,fsync",
    ]
    slow += ["-e", "inject=fdatasync,fsync:delay_enter=200000"]
    with (
        NotifySocket(str(folder / "n")) as notify,
        DaemonProcess(folder, wrapper=slow, variables={"NOTIFY_SOCKET": notify.address}) as daemon,
    ):
        received = recovery_events(daemon)
        told = notify.receive_until("READY")
        daemon.pid = daemon.result(op="status")["pid"]
        assert daemon.stop() == 0

    assert received[-1]["type"] == "complete"
    assert received[-1]["overall_progress"] == 1.0
    assert received[-1]["metadata"]["seq"] == 300
    assert received[-1].keys() == {
        *("type", "operation", "stage", "stage_index", "total_stages", "stage_progress"),
        *("overall_progress", "elapsed_ms", "timestamp", "metadata"),
    }
    assert any("recovery" in message["STATUS"] for message in told)
    assert any("%" in message["STATUS"] for message in told)


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_a_recovery_that_fails_is_published_as_an_error(folder: Path) -> None:
    killed_store(folder, 3)
    fail = [
        "strace",
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "--seccomp-bpf",
        "-e",
        "trace=fdatasync,fsync",
    ]
    fail += ["-e", "inject=fdatasync,fsync:error=EIO:delay_enter=1000000:when=1"]
    with DaemonProcess(folder, wrapper=fail) as daemon:
        last = recovery_events(daemon)[-1]

        assert last["type"] == "error"
        assert "Input/output error" in last["metadata"]["message"]
        assert daemon.wait() == 74
