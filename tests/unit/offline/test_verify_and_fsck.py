"""`manifestd verify` and `manifestd fsck` as commands: what they say, change and end with."""

import asyncio
import fcntl
import json
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest

from daemon.command_line import main
from daemon.journal.disk import OperatingSystemDisk
from daemon.settings import StoreSettings
from daemon.store import FileStore
from tests.support.small_store import DATA, EVENTS, LIFECYCLE, make_small

DISK, CONTENTS = asyncio.run(make_small())
OK, DAMAGED, DISK_FAILED, LOCKED, CONFIGURATION = 0, 70, 74, 75, 78
USAGE = 2


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Lay the small store down in real files."""
    for path, content in DISK.files().items():
        target = tmp_path / "s" / path.relative_to(DATA)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return tmp_path / "s"


def tree(store: Path) -> dict[Path, tuple[int, bytes]]:
    """Return every file and folder with its time and content."""
    return {
        path: (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in [store, *store.rglob("*")]
    }


def flip(path: Path, place: int = 100) -> None:
    """Flip a bit of a file."""
    content = bytearray(path.read_bytes())
    content[place] ^= 4
    path.write_bytes(content)


def last_segment(store: Path) -> Path:
    """Return the last segment of the journal."""
    return max((store / "journal").glob("0*.jsonl"))


def anchor_of(store: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Return the anchor that `verify` says."""
    assert main(["verify", "--data-dir", str(store), "-o", "json"]) == OK
    return str(json.loads(capsys.readouterr().out)["anchor"])


def test_a_whole_store_is_what_was_written(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = tree(store)

    assert main(["verify", "--data-dir", str(store)]) == OK

    text = capsys.readouterr().out
    assert f"last_seq          {EVENTS}\n" in text
    assert "everything is what was written" in text
    assert tree(store) == before


def test_every_damage_is_found_and_not_only_the_first(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs = sorted(store.glob("manifests/*/*/events.log"))
    for path in [*logs, last_segment(store), store / "checkpoint.json", store / "store.json"]:
        flip(path)

    assert main(["verify", "--data-dir", str(store), "-o", "json"]) == DAMAGED

    result = json.loads(capsys.readouterr().out)
    assert not result["ok"]
    found = {finding["file"] for finding in result["findings"]}
    assert {"checkpoint.json", "store.json", f"journal/{last_segment(store).name}"} <= found
    assert {str(log.relative_to(store)) for log in logs} <= found
    (journal,) = (one for one in result["findings"] if one["file"].startswith("journal/"))
    assert journal["seq"] == 18
    assert journal["line"] == 1


def test_the_anchor_is_the_same_and_another_one_is_found_out(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    anchor = anchor_of(store, capsys)
    seq, _, log_hash = anchor.partition(":")
    other = f"{seq}:{log_hash[1:]}0"
    ahead = f"{int(seq) + 1}:{log_hash}"

    assert main(["verify", "--data-dir", str(store), "--anchor", anchor]) == OK
    for wrong, reason in ((other, "is not the anchor's"), (ahead, "events were removed")):
        assert main(["verify", "--data-dir", str(store), "--anchor", wrong]) == DAMAGED
        assert reason in capsys.readouterr().out


def test_what_no_checksum_tells_the_anchor_tells(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A store from before the last events, whole in itself: a backup that was put back."""
    anchor = anchor_of(store, capsys)
    older, _ = asyncio.run(make_small(archived=9, drained=False))
    last = last_segment(store)
    for path in [store / "clean", last, *store.glob("manifests/*/*/*"), *store.glob("index/*")]:
        path.unlink()
    for path, content in older.files().items():
        if "manifests" in path.parts or "index" in path.parts or path.name == "checkpoint.json":
            (store / path.relative_to(DATA)).write_bytes(content)

    assert main(["verify", "--data-dir", str(store)]) == OK
    assert main(["verify", "--data-dir", str(store), "--anchor", anchor]) == DAMAGED


@pytest.mark.parametrize("anchor", ["", "20", "20:abc", "x:" + "0" * 64])
def test_what_is_no_anchor_is_a_usage_error(store: Path, anchor: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["verify", "--data-dir", str(store), "--anchor", anchor])

    assert ended.value.code == USAGE


@pytest.mark.parametrize("command", ["verify", "fsck"])
def test_a_store_that_a_daemon_has_open_is_not_touched(
    command: str, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = tree(store)
    with (store / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        assert main([command, "--data-dir", str(store)]) == LOCKED

    assert "another manifestd works on" in capsys.readouterr().err
    assert tree(store) == before


@pytest.mark.parametrize("command", ["verify", "fsck"])
@pytest.mark.parametrize("what", ["missing", "empty", "foreign"])
def test_where_there_is_no_store_nothing_is_made(
    command: str, what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "d"
    if what != "missing":
        folder.mkdir()
    if what == "foreign":
        (folder / "letter.txt").write_text("dear")
    before = list(tmp_path.rglob("*"))

    assert main([command, "--data-dir", str(folder)]) == CONFIGURATION

    assert "store" in capsys.readouterr().err
    assert list(tmp_path.rglob("*")) == before


def test_a_copy_without_a_lock_is_verified_and_no_lock_is_made(store: Path) -> None:
    (store / "lock").unlink()

    assert main(["verify", "--data-dir", str(store)]) == OK
    assert not (store / "lock").exists()


def test_fsck_says_what_can_be_rebuilt_and_changes_nothing(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flip(last_segment(store))
    flip(next(store.glob("manifests/*/a/state.json")))
    before = tree(store)

    assert main(["fsck", "--data-dir", str(store)]) == DAMAGED

    text = capsys.readouterr().out
    assert "can be rebuilt from the intact lines of the journal and the archive" in text
    assert "a/state.json: can be rebuilt from its own events.log" in text
    assert "everything can be rebuilt" in text
    assert tree(store) == before


def test_fsck_repairs_and_ends_by_verifying(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    segment = last_segment(store)
    whole = segment.read_bytes()
    flip(segment)
    damaged = segment.read_bytes()

    assert main(["fsck", "--repair", "--data-dir", str(store)]) == OK

    text = capsys.readouterr().out
    assert "was rebuilt from" in text
    assert "everything is what was written" in text
    assert segment.read_bytes() == whole
    (kept,) = (store / "quarantine").iterdir()
    assert kept.read_bytes() == damaged
    assert f"quarantine/{kept.name}" in text


def test_fsck_says_what_cannot_be_rebuilt(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (store / "store.json").write_text("{}\n")

    assert main(["fsck", "--repair", "--data-dir", str(store), "-o", "json"]) == DAMAGED

    result = json.loads(capsys.readouterr().out)
    assert result["outcomes"] == [
        {
            "file": "store.json",
            "lost": "nothing else holds the store's id; copy the file from a backup",
        }
    ]
    assert (store / "store.json").read_text() == "{}\n"
    assert not (store / "quarantine").exists()


def test_events_that_both_copies_lost_are_named(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = next(store.glob("manifests/*/a/events.log"))
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:2]) + b"?" * 9 + b"\n" + b"".join(lines[3:]))
    seq = json.loads(lines[2])["seq"]
    for path in (store / "journal").glob("0*.jsonl"):
        path.write_bytes(path.read_bytes().replace(lines[2], b"?" * (len(lines[2]) - 1) + b"\n"))

    assert main(["fsck", "--repair", "--data-dir", str(store)]) == DAMAGED

    text = capsys.readouterr().out
    assert f"cannot be rebuilt: no intact copy is left of seq {seq}" in text
    assert "cannot be rebuilt: no intact copy is left of version 3" in text


def test_a_lifecycle_that_events_name_is_brought_back(store: Path) -> None:
    kept = store / "lifecycles" / f"{LIFECYCLE}.json"
    whole = kept.read_bytes()
    kept.unlink()

    assert main(["verify", "--data-dir", str(store)]) == DAMAGED
    assert main(["fsck", "--repair", "--data-dir", str(store)]) == OK
    assert kept.read_bytes() == whole


def test_a_disk_that_cannot_be_read_is_no_damage(
    store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def read(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(OperatingSystemDisk, "read", read)

    assert main(["verify", "--data-dir", str(store)]) == DISK_FAILED
    assert "Input/output error" in capsys.readouterr().err


@pytest.mark.parametrize("removed", ["journal/*.jsonl", "journal"])
def test_a_journal_that_is_gone_is_rebuilt_from_the_archive(store: Path, removed: str) -> None:
    whole = [path.read_bytes() for path in sorted((store / "journal").glob("*.jsonl"))]
    for path in store.glob(removed):
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    assert main(["verify", "--data-dir", str(store)]) == DAMAGED
    assert main(["fsck", "--repair", "--data-dir", str(store)]) == OK

    rebuilt = [path.read_bytes() for path in sorted((store / "journal").glob("*.jsonl"))]
    assert events_of(rebuilt) == events_of(whole)


def events_of(segments: Iterable[bytes]) -> list[bytes]:
    """Return the event lines, without the batches' headers."""
    lines = [line for segment in segments for line in segment.splitlines()]
    return [line for line in lines if line.startswith(b'{"seq":')]


def test_a_store_without_events_is_whole(tmp_path: Path) -> None:
    def failed(error: Exception) -> None:
        raise error

    async def make() -> None:
        settings = StoreSettings(reserve_size_bytes=512)
        store = await FileStore.open(tmp_path / "s", settings=settings, on_failed=failed)
        await store.close()

    asyncio.run(make())

    assert main(["verify", "--data-dir", str(tmp_path / "s")]) == OK
    assert main(["fsck", "--repair", "--data-dir", str(tmp_path / "s")]) == OK


@pytest.mark.parametrize("command", ["verify", "fsck"])
def test_what_is_no_directory_is_no_store(tmp_path: Path, command: str) -> None:
    (tmp_path / "file").write_bytes(b"")

    assert main([command, "--data-dir", str(tmp_path / "file")]) == CONFIGURATION


@pytest.mark.parametrize("arguments", [["verify"], ["fsck", "--repair"]])
def test_what_a_killed_restore_left_is_no_damaged_store(
    tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "s" / "restoring" / "journal").mkdir(parents=True)
    (tmp_path / "s" / "lock").touch()

    assert main([*arguments, "--data-dir", str(tmp_path / "s")]) == CONFIGURATION

    assert "restore into" in capsys.readouterr().err
