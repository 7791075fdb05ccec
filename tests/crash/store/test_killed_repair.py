"""`fsck --repair` itself ends at any of its calls, is run again, and comes to the same store."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from daemon.errors import DamagedStoreError, DiskFailedError
from daemon.journal.segment import segment_path, temporary_path
from daemon.offline.fsck import Check
from protocol.errors import CorruptError
from tests.support.faulty_disk import FaultyDisk, everything, only_durable
from tests.support.small_store import DATA, Contents, make_small, read_all_of

WHOLE, CONTENTS = asyncio.run(make_small())
CRASHES: dict[str, Callable[[FaultyDisk], FaultyDisk]] = {
    "killed": FaultyDisk.after_kill,
    "power cut": lambda disk: disk.after_power_cut(only_durable),
    "power cut, everything survives": lambda disk: disk.after_power_cut(
        everything, names_survive=True
    ),
}


def flipped(content: bytes, place: int) -> bytes:
    """Return `content` with a changed byte."""
    return content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :]


def files(suffix: str) -> list[Path]:
    """Return the paths of the whole store that end in `suffix`."""
    return [path for path in WHOLE.files() if str(path).endswith(suffix)]


def damaged() -> FaultyDisk:
    """Return the store with a damage of everything that can be rebuilt, far from one another."""
    disk = WHOLE.after_kill()
    whole = disk.files()
    for path in (
        segment_path(DATA, 5),  # Seqs of which the logs below have other versions damaged.
        *files("state.json"),
        *files("checkpoint.json"),
        *files("clean"),
        *files("index/manifests.jsonl"),
        *files("store.json"),
        *files("manifest@1.json"),
    ):
        disk.put(path, flipped(whole[path], 100))
    for log in files("events.log"):
        disk.put(log, flipped(whole[log], 100))  # Version 1, far from seq 5 for three of them.
    return disk


def lost_journal() -> FaultyDisk:
    """Return the store with its last two segments cut short and removed."""
    disk = WHOLE.after_kill()
    last, before = segment_path(DATA, 18), segment_path(DATA, 14)
    disk.put(before, disk.files()[before][:700])
    disk.put(last, b"")
    return disk


def lost_archive() -> FaultyDisk:
    """Return the store with two empty logs and no snapshots."""
    disk = WHOLE.after_kill()
    for log in files("events.log")[:2]:
        disk.put(log, b"")
    for state in files("state.json"):
        disk.remove(state)
        disk.sync_directory(state.parent)
    return disk


def other_identity() -> FaultyDisk:
    """Return the store with one flipped bit in the file that has no second copy."""
    disk = WHOLE.after_kill()
    disk.put(DATA / "store.json", flipped(disk.files()[DATA / "store.json"], 100))
    return disk


def repair(disk: FaultyDisk) -> Check:
    """Run `fsck --repair`."""
    check = Check(disk, DATA, repair=True)
    check.run()
    return check


def contents_of(disk: FaultyDisk) -> Contents:
    """Open the store and read everything."""
    return asyncio.run(read_all_of(disk))


def without_quarantine(disk: FaultyDisk) -> dict[Path, bytes]:
    """Return the durable files but those in `quarantine/` and what a killed write left."""
    return {
        path: content
        for path, content in disk.durable_files().items()
        if path.parent.name != "quarantine" and path.suffix != ".tmp"
    }


STATES = [lost_journal, lost_archive]


@pytest.mark.parametrize("state", [damaged, *STATES])
def test_a_repair_brings_back_every_file_byte_for_byte(state: Callable[[], FaultyDisk]) -> None:
    disk = state()

    check = repair(disk)

    assert not check.is_damaged, check.as_text()
    assert contents_of(disk.after_power_cut()) == CONTENTS
    whole, mended = without_quarantine(WHOLE), without_quarantine(disk)
    journal = DATA / "journal"
    for path in whole.keys() - {DATA / "index" / "manifests.jsonl"}:  # That is one block now.
        assert mended[path] == whole[path] or (state is lost_journal and path.parent == journal)


@pytest.mark.parametrize("state", [damaged, *STATES])
@pytest.mark.parametrize("crash", CRASHES)
def test_a_repair_may_end_anywhere(state: Callable[[], FaultyDisk], crash: str) -> None:
    kill_and_repair(state, crash, kills_max=5)


def kill_and_repair(state: Callable[[], FaultyDisk], crash: str, kills_max: int) -> None:
    """Kill a repair at calls that are evenly spread, crash, and repair again."""
    undisturbed = state()
    before = len(undisturbed.calls)
    repair(undisturbed)
    calls = len(undisturbed.calls) - before
    writing = [
        number
        for number, call in enumerate(undisturbed.calls[before:], 1)
        if not call.startswith(("read ", "size ", "list_names "))
    ]
    assert writing
    assert writing[-1] < calls
    for call in writing[:: 1 + len(writing) // kills_max]:
        disk = state()
        disk.kill_at(call)
        with pytest.raises(DiskFailedError):
            repair(disk)
        left = CRASHES[crash](disk)
        _starts_rightly_or_refuses(left.after_kill())

        check = repair(left)

        assert not check.is_damaged, (call, check.as_text())
        assert without_quarantine(left) == without_quarantine(undisturbed), call


@pytest.mark.long
@pytest.mark.parametrize("state", [damaged, *STATES])
@pytest.mark.parametrize("crash", CRASHES)
def test_a_repair_may_end_at_every_call(state: Callable[[], FaultyDisk], crash: str) -> None:
    kill_and_repair(state, crash, kills_max=1 << 20)


@pytest.mark.parametrize("operation", ["sync", "sync_directory", "replace", "write"])
def test_a_failed_call_ends_a_repair_and_the_next_one_finishes(operation: str) -> None:
    for at in (1, 4, 9):
        disk = damaged()
        disk.fail(operation, at=at)
        with pytest.raises(DiskFailedError):
            repair(disk)

        assert not repair(disk.after_kill()).is_damaged


def _starts_rightly_or_refuses(disk: FaultyDisk) -> None:
    """Start a daemon's store on what a killed repair left."""
    try:
        contents = contents_of(disk)
    except (DamagedStoreError, CorruptError):
        return
    assert contents == CONTENTS


def test_what_a_repair_replaces_is_kept_before_it_is_touched() -> None:
    disk = damaged()
    before = disk.files()

    check = repair(disk)

    kept = {outcome.file: outcome.kept for outcome in check.outcomes}
    assert all(disk.files()[DATA / str(name)] == before[DATA / file] for file, name in kept.items())
    calls = disk.calls
    for file, name in kept.items():
        kept_at = calls.index(f"replace {Path(str(name)).name}")
        touched_at = [n for n, call in enumerate(calls) if call == f"replace {Path(file).name}"]
        assert any(n > kept_at for n in touched_at)


def test_a_repair_that_keeps_nothing_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control of the test above."""
    monkeypatch.setattr("daemon.offline.repairing.Repair._keep", lambda *_: "quarantine/nothing")

    with pytest.raises(KeyError):
        test_what_a_repair_replaces_is_kept_before_it_is_touched()


def test_a_repair_that_does_not_write_as_a_whole_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The negative control of the kills: files are overwritten where they stand."""

    def write_in_place(disk: FaultyDisk, path: Path, data: bytes) -> None:
        disk.write(path, data[: len(data) // 2])
        disk.append(path, data[len(data) // 2 :])
        disk.write(temporary_path(path), data)  # For the rename, which is too late then.

    test_a_repair_may_end_anywhere(other_identity, "killed")
    monkeypatch.setattr("daemon.offline.repairing.write_temporary", write_in_place)

    with pytest.raises((AssertionError, DiskFailedError)):
        test_a_repair_may_end_anywhere(other_identity, "killed")
