"""The checker's own test: it has to fail on a store that lost, doubled or changed something.

A check that cannot fire would make every crash test pass. Each damage is one that the daemon's
recovery could have caused: batches are written anew with good headers where that is possible.
"""

import shutil
from pathlib import Path
from random import Random

import pytest

from daemon.journal.batch import encode_batch
from protocol.events import GENESIS, CommittedEvent, read_event
from tests.support.crash_daemon import CrashDaemon
from tests.support.doctoring import at
from tests.support.evidence import Evidence
from tests.support.load import Load
from tests.support.store_check import check_store, main
from tests.support.wire_check import settle

EVENTS_MIN = 150
FLIPS = 60


class Store:
    """A store that was drained, with what its clients know."""

    def __init__(self, directory: Path, evidence: Evidence) -> None:
        self.directory = directory
        self.evidence = evidence

    @property
    def segment(self) -> Path:
        (segment,) = (self.directory / "journal").glob("*.jsonl")
        return segment

    def lines(self) -> list[bytes]:
        """Return the event lines of the journal."""
        lines = self.segment.read_bytes().splitlines()
        return [line for line in lines if not line.startswith(b'{"batch"')]

    def put(self, lines: list[bytes]) -> None:
        """Make `lines` the journal: one batch that is as good as it can be."""
        events = [CommittedEvent.read(line) for line in lines]
        self.segment.write_bytes(encode_batch(events, GENESIS.encode()).data)

    def findings(self) -> str:
        return "\n".join(check_store(self.directory, self.evidence))


@pytest.fixture(scope="module")
def drained(tmp_path_factory: pytest.TempPathFactory) -> Store:
    directory = tmp_path_factory.mktemp("store") / "s"
    with CrashDaemon(directory) as daemon:
        daemon.start()
        load = Load(daemon, seed=1)
        load.connect()
        load.run(EVENTS_MIN)
        daemon.stop()
        load.close()
    return Store(directory, load.evidence)


@pytest.fixture
def store(drained: Store, tmp_path: Path) -> Store:
    return Store(shutil.copytree(drained.directory, tmp_path / "s"), drained.evidence)


def test_a_drained_store_is_whole(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert not store.findings()
    assert main([str(store.directory)]) == 0
    assert "nothing is wrong" in capsys.readouterr().out


def test_a_store_that_lags_in_its_archive_is_whole_while_it_is_not_settled(store: Store) -> None:
    log = next((store.directory / "manifests").glob("*/*/events.log"))
    log.with_name("state.json").unlink()
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:1]) + b'{"torn')

    assert not check_store(store.directory, store.evidence, settled=False)
    assert "has no end" in store.findings()


def test_the_last_event_is_missed_where_it_was_acknowledged(store: Store) -> None:
    acknowledged = max(answer.seq for answer in store.evidence.acknowledged.values())
    store.put(store.lines()[: acknowledged - 1])
    shutil.rmtree(store.directory / "manifests")
    (store.directory / "clean").unlink()
    (store.directory / "checkpoint.json").unlink()
    (store.directory / "index" / "manifests.jsonl").unlink()

    findings = check_store(store.directory, store.evidence, settled=False)

    assert any(finding.startswith("lost: Key(") for finding in findings)
    assert any("was published" in finding for finding in findings)
    assert not check_store(store.directory, settled=False)  # Without evidence nobody can know.


def test_an_event_that_was_dropped_in_the_middle_is_missed(store: Store) -> None:
    lines = store.lines()
    ids = [read_event(line).manifest_id for line in lines]
    acknowledged = {answer.seq for answer in store.evidence.acknowledged.values()}
    # One that somebody was told of, and that another one of the same manifest follows.
    index = next(n for n in range(60, len(ids)) if n + 1 in acknowledged and ids[n] in ids[n + 1 :])
    store.put([at(line, seq) for seq, line in enumerate(lines[:index] + lines[index + 1 :], 1)])

    assert "lost: " in store.findings()
    assert "the hash chain is broken" in store.findings()


def test_an_event_that_is_there_twice_is_found(store: Store) -> None:
    lines = store.lines()
    store.put([*lines, at(lines[70], len(lines) + 1)])

    assert "was executed 2 times" in store.findings()


def test_two_events_in_the_wrong_order_are_found(store: Store) -> None:
    lines = store.lines()
    lines[70], lines[71] = at(lines[71], 71), at(lines[70], 72)
    store.put(lines)

    assert "was acknowledged as" in store.findings()


def test_two_lines_that_changed_places_are_found(store: Store) -> None:
    lines = store.lines()
    lines[70], lines[71] = lines[71], lines[70]
    store.put(lines)

    assert "seq 72 stands where seq 71 belongs" in store.findings()


def test_a_refused_command_that_left_an_event_is_found(store: Store) -> None:
    key = next(iter(store.evidence.acknowledged))
    store.evidence.refused.add(key)
    try:
        assert f"{key} was refused, and is seq" in store.findings()
    finally:
        store.evidence.refused.remove(key)


@pytest.mark.parametrize("pattern", ["journal/*.jsonl", "manifests/*/*/events.log"])
def test_a_byte_that_changed_in_an_event_is_found(store: Store, pattern: str) -> None:
    random = Random(1)  # noqa: S311 (repeatable, not secret)
    paths = sorted(store.directory.glob(pattern))
    for _ in range(FLIPS):
        path = random.choice(paths)
        whole = path.read_bytes()
        position = random.randrange(len(whole))
        changed = bytearray(whole)
        changed[position] ^= 1 << random.randrange(8)
        path.write_bytes(changed)

        assert store.findings(), (path, position)

        path.write_bytes(whole)


@pytest.mark.parametrize("name", ["state.json", "events.log"])
def test_a_file_that_is_missing_in_a_manifests_folder_is_found(store: Store, name: str) -> None:
    next((store.directory / "manifests").glob(f"*/*/{name}")).unlink()

    assert store.findings()


def test_a_snapshot_of_an_older_version_is_found(store: Store) -> None:
    folders = (store.directory / "manifests").glob("*/*")
    folder = next(f for f in folders if (f / "events.log").read_bytes().count(b"\n") > 1)
    log = folder / "events.log"
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:-1]))

    assert "events.log at" in store.findings()


def test_a_checkpoint_of_another_journal_is_found(store: Store) -> None:
    path = store.directory / "checkpoint.json"
    path.write_bytes(path.read_bytes().replace(b'"log_hash":"', b'"log_hash":"0', 1))

    assert "its log_hash are not the journal's" in store.findings()


def test_a_daemon_that_is_not_stopped_settles(tmp_path: Path) -> None:
    with CrashDaemon(tmp_path / "s") as daemon:
        daemon.start()
        load = Load(daemon, seed=2)
        load.connect()
        load.run(100)
        load.close()

        settle(daemon)

        assert not check_store(tmp_path / "s", load.evidence)
