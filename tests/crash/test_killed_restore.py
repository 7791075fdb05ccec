"""A restore that is killed: what the directory is then, to a daemon and to the next restore."""

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import daemon.offline.restoring
from daemon.archive.identity import IDENTITY_NAME
from daemon.archive.opening import open_store
from daemon.errors import (
    BadInputError,
    ConfigurationError,
    DaemonError,
    DamagedStoreError,
    NoRoomForItError,
)
from daemon.journal.disk import OperatingSystemDisk
from daemon.offline.building import UnsyncedDisk
from daemon.offline.restoring import Restore
from protocol.backup import lifecycle_line
from protocol.lifecycle.registry import DEFAULT_LIFECYCLE, LifecycleRegistry
from protocol.progress import Clock, ProgressReporter
from tests.support.daemon_process import run_manifestd
from tests.support.events import Chain, committed

EVENTS = 12


class KilledError(BaseException):
    """The process ended here: nothing catches it."""


class DyingDisk(UnsyncedDisk):
    """A real disk that ends the process at its `dies_at`-th call that changes anything."""

    def __init__(self, dies_at: int = 0) -> None:
        super().__init__()
        self.calls = 0
        self.dies_at = dies_at

    def _step(self) -> None:
        self.calls += 1
        if self.calls == self.dies_at:
            raise KilledError

    def make_directory(self, path: Path | str) -> None:
        self._step()
        super().make_directory(path)

    def replace(self, source: Path | str, target: Path | str) -> None:
        self._step()
        super().replace(source, target)

    def remove(self, path: Path) -> None:
        self._step()
        super().remove(path)

    def sync_directory(self, path: Path) -> None:
        self._step()
        super().sync_directory(path)

    def sync_filesystem(self, path: Path) -> None:
        self._step()
        super().sync_filesystem(path)


def lines(*, with_lifecycle: bool = True) -> bytes:
    """Return what `manifestctl export --history` gives of a small store."""
    name = DEFAULT_LIFECYCLE
    definition = LifecycleRegistry.builtin().get(name).to_json()
    chains = [Chain(f"m{number}@1") for number in range(3)]
    events = committed(chains[number % 3].next() for number in range(EVENTS))
    pinned = [lifecycle_line(name, definition)] if with_lifecycle else []
    return b"".join(line + b"\n" for line in (*pinned, *(event.line for event in events)))


def restore(disk: DyingDisk, directory: Path, content: bytes | None = None) -> None:
    reporter = ProgressReporter(lambda _: None, Clock(lambda: 0, lambda: 0))
    reporter.start("restore", daemon.offline.restoring.STAGES)
    restore = Restore(disk, directory, reporter, source="lines")
    restore.run(
        io.BytesIO(lines() if content is None else content).readline,
        needs_header=False,
        keep_store_id=False,
    )


def opened_as(directory: Path) -> str:
    """Open the store as a daemon does, and return what it is."""
    disk = OperatingSystemDisk()
    try:
        opened = open_store(disk, directory, reserve_size_bytes=4096)
    except (ConfigurationError, DamagedStoreError) as error:
        return f"refused: {error}"
    disk.unlock(opened.lock)
    opened.index_file.close()
    is_whole = (
        opened.end.seq == EVENTS
        and len(opened.rows) == 3
        and not opened.dirty
        and opened.was_clean
        and (directory / "lifecycles" / "manifest@1.json").exists()
    )
    if is_whole:
        return "whole"
    return f"seq {opened.end.seq}, {len(opened.rows)} manifests"


def is_empty(directory: Path) -> bool:
    return not directory.exists() or {path.name for path in directory.iterdir()} <= {"lock"}


def outcomes(tmp_path: Path) -> list[str]:
    """Kill a restore at each of its calls in turn; return what each left, in a daemon's eyes."""
    found: list[str] = []
    for dies_at in range(1, 100):
        directory = tmp_path / f"{dies_at}"
        disk = DyingDisk(dies_at)
        try:
            restore(disk, directory)
        except KilledError:
            pass
        else:
            assert disk.calls == dies_at - 1
            return found
        found.append("empty" if is_empty(directory) else opened_as(directory))
    raise AssertionError


def test_killed_at_any_call_it_leaves_no_store_or_the_whole_one(tmp_path: Path) -> None:
    found = outcomes(tmp_path)

    assert len(found) > 8
    for outcome in found:
        assert outcome in ("empty", "whole") or "was not finished" in outcome
    assert "whole" in found
    assert any("was not finished" in outcome for outcome in found)


def test_the_check_above_sees_a_restore_that_makes_the_store_too_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    *others, last = daemon.offline.restoring.MOVE_ORDER
    monkeypatch.setattr(daemon.offline.restoring, "MOVE_ORDER", (last, *others))

    found = outcomes(tmp_path)

    assert any(outcome.startswith("seq 0") for outcome in found)


@pytest.mark.parametrize("again_dies_at", [0, 2, 4, 6, 9])
def test_the_next_restore_finishes_what_a_killed_one_left(
    tmp_path: Path, again_dies_at: int
) -> None:
    for dies_at in range(2, 14):
        directory = tmp_path / f"{dies_at}"
        with pytest.raises(KilledError):
            restore(DyingDisk(dies_at), directory)
        if (directory / IDENTITY_NAME).exists():
            with pytest.raises(ConfigurationError, match="not empty"):
                restore(DyingDisk(), directory)
            continue
        try:  # It may be killed while it clears away.
            restore(DyingDisk(again_dies_at), directory)
        except KilledError:
            if not (directory / IDENTITY_NAME).exists():
                restore(DyingDisk(), directory)
        assert opened_as(directory) == "whole"


def test_a_stranger_s_file_beside_an_unfinished_restore_is_not_removed(tmp_path: Path) -> None:
    with pytest.raises(KilledError):
        restore(DyingDisk(4), tmp_path)
    (tmp_path / "precious").write_text("mine")

    with pytest.raises(ConfigurationError, match="precious"):
        restore(DyingDisk(), tmp_path)

    assert (tmp_path / "precious").read_text() == "mine"


class FullDisk(DyingDisk):
    """A disk that is full when everything shall be synced."""

    def sync_filesystem(self, path: Path) -> None:
        raise OSError(28, os.strerror(28), str(path))


def test_a_full_disk_makes_no_store_and_says_so(tmp_path: Path) -> None:
    with pytest.raises(NoRoomForItError, match="no store was made") as caught:
        restore(FullDisk(), tmp_path)

    assert isinstance(caught.value, DaemonError)
    assert is_empty(tmp_path)
    restore(DyingDisk(), tmp_path)
    assert opened_as(tmp_path) == "whole"


def test_one_lifecycle_with_two_contents_makes_no_store(tmp_path: Path) -> None:
    other = lifecycle_line(DEFAULT_LIFECYCLE, b'{"id":"manifest"}') + b"\n"

    with pytest.raises(BadInputError, match="line 2: the lifecycle manifest@1 is there twice"):
        restore(DyingDisk(), tmp_path, lines().replace(b"\n", b"\n" + other, 1))

    assert is_empty(tmp_path)


def test_events_without_the_lifecycle_that_they_name_make_no_store(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"manifest@1\.json: it is missing"):
        restore(DyingDisk(), tmp_path, lines(with_lifecycle=False))

    assert is_empty(tmp_path)


@pytest.mark.parametrize("place", ["journal", "events.log", "state.json"])
def test_what_the_disk_changed_is_found_before_it_becomes_a_store(
    tmp_path: Path, place: str
) -> None:
    class Flipping(DyingDisk):
        def sync_filesystem(self, path: Path) -> None:
            journal = sorted((path / "journal").iterdir())
            file = journal[0] if place == "journal" else next(path.rglob(place))
            content = bytearray(file.read_bytes())
            content[len(content) // 2] ^= 1
            file.write_bytes(content)

    with pytest.raises(DamagedStoreError):
        restore(Flipping(), tmp_path)

    assert "was not finished" in opened_as(tmp_path)


def test_kill_9_in_the_middle_of_the_events(tmp_path: Path) -> None:
    data = lines()
    target = tmp_path / "data"
    command = [sys.executable, "-m", "daemon", "import", "-", "--data-dir", str(target)]
    process = subprocess.Popen(
        [*command, "--progress", "json"], stdin=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.write(data[: len(data) // 2])
    process.stdin.flush()
    assert json.loads(process.stderr.readline())["type"] == "start"
    wait_for(process, (target / "restoring" / "journal").is_dir)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdin.close()
    process.stderr.close()

    refused = run_manifestd("--dev", "--data-dir", str(target))
    assert refused.returncode == 78
    assert "was not finished" in refused.stderr
    file = tmp_path / "lines"
    file.write_bytes(data)
    done = run_manifestd("import", str(file), "--data-dir", str(target))
    assert done.returncode == 0, done.stderr
    assert opened_as(target) == "whole"


def wait_for(process: "subprocess.Popen[bytes]", condition: Callable[[], bool]) -> None:
    """Return when `condition` holds; the process must live."""
    while not condition():
        assert process.poll() is None


def test_a_store_without_events_is_restored_too(tmp_path: Path) -> None:
    definition = LifecycleRegistry.builtin().get(DEFAULT_LIFECYCLE).to_json()

    restore(DyingDisk(), tmp_path, lifecycle_line(DEFAULT_LIFECYCLE, definition) + b"\n")

    assert opened_as(tmp_path) == "seq 0, 0 manifests"


def test_a_disk_that_is_full_at_the_first_small_file_is_no_other_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(UnsyncedDisk, "write_durably", full)

    with pytest.raises(NoRoomForItError):
        restore(DyingDisk(), tmp_path)

    assert is_empty(tmp_path)
