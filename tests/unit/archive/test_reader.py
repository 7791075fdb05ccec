"""What the archive answers, and what it makes of logs that start-up has to trust."""

from pathlib import Path

import pytest

from daemon.archive.dirty import DirtyManifest
from daemon.archive.layout import Layout
from daemon.archive.reader import ArchiveReader
from daemon.archive.writer import ArchiveWriter
from daemon.errors import DamagedStoreError
from protocol.events import CommittedEvent
from protocol.snapshots import encode_snapshot, replay
from tests.support.events import Chain, committed
from tests.support.faulty_disk import FaultyDisk

DATA = Path("/data")
LAYOUT = Layout(DATA)


def archive(disk: FaultyDisk, events: list[CommittedEvent]) -> None:
    """Archive the whole history of one manifest; nobody saved a snapshot of it."""
    manifest_id = events[0].core.manifest_id
    ArchiveWriter(disk, DATA).write([DirtyManifest(manifest_id, events, None)])


def history(name: str, count: int, document: bytes = b'{"name":"echo"}') -> list[CommittedEvent]:
    chain = Chain(name, document=document)
    return committed(chain.next() for _ in range(count))


def test_a_snapshot_that_nobody_saved_is_made_from_the_events() -> None:
    disk = FaultyDisk()
    events = history("a", 5)
    expected = replay(events)
    assert expected is not None

    archive(disk, events[:2])
    archive(disk, events[2:])

    assert disk.durable_files()[LAYOUT.state("a")] == encode_snapshot(expected)
    assert ArchiveReader(disk, DATA).rebuild("a", 5) == expected


def test_a_saved_snapshot_that_lags_is_brought_up_to_the_events() -> None:
    disk = FaultyDisk()
    events = history("a", 4)
    ArchiveWriter(disk, DATA).write([DirtyManifest("a", events, replay(events[:2]))])

    assert ArchiveReader(disk, DATA).state("a", 4) == replay(events)


def test_an_event_longer_than_one_read_of_the_end_is_found() -> None:
    disk = FaultyDisk()
    document = b'{"name":"%b"}' % (b"x" * 40_000)
    events = history("a", 1, document)
    archive(disk, events)

    loaded = ArchiveReader(disk, DATA).load("a", 1)

    assert (loaded.snapshot, loaded.tail, loaded.rebuilt) == (replay(events), [], False)
    assert ArchiveReader(disk, DATA).seq_max() == 1


def test_a_state_before_the_last_one_is_made_from_the_events() -> None:
    disk = FaultyDisk()
    events = history("a", 4)
    archive(disk, events)

    assert ArchiveReader(disk, DATA).state("a", 2) == replay(events[:2])
    assert ArchiveReader(disk, DATA).state("a", 0) is None


def test_the_second_copy_is_every_undamaged_line_in_the_range() -> None:
    disk = FaultyDisk()
    events = history("a", 4)
    archive(disk, events)
    path = LAYOUT.log("a")
    torn = disk.files()[path].replace(events[2].line, events[2].line[:-3] + b"00}")
    disk.put(path, torn)

    copy = ArchiveReader(disk, DATA).second_copy(2, 4)

    assert copy == {2: events[1].line, 4: events[3].line}


def test_the_whole_of_a_manifest_is_its_last_archived_state() -> None:
    disk = FaultyDisk()
    events = history("a", 3)
    archive(disk, events)

    assert ArchiveReader(disk, DATA).whole("a") == replay(events)


@pytest.mark.parametrize("content", [None, b"", b"no event\n"], ids=["missing", "empty", "other"])
def test_a_folder_that_does_not_say_whose_it_is_is_damage(content: bytes | None) -> None:
    disk = FaultyDisk()
    archive(disk, history("a", 1))
    if content is None:
        disk.remove(LAYOUT.log("a"))
    else:
        disk.put(LAYOUT.log("a"), content)
    reader = ArchiveReader(disk, DATA)

    with pytest.raises(DamagedStoreError, match="line 1"):
        list(reader.manifest_ids(known=[]))
    assert list(reader.manifest_ids(known=["a"])) == []


@pytest.mark.parametrize("keep", [0, 1])
def test_a_log_that_ends_before_its_state_json_is_damage(keep: int) -> None:
    disk = FaultyDisk()
    events = history("a", 2)
    archive(disk, events)
    disk.put(LAYOUT.log("a"), b"".join(event.line + b"\n" for event in events[:keep]))

    with pytest.raises(DamagedStoreError):
        ArchiveReader(disk, DATA).whole("a")


def test_a_whole_with_a_damaged_last_line_is_damage() -> None:
    disk = FaultyDisk()
    events = history("a", 2)
    archive(disk, events)
    content = bytearray(disk.files()[LAYOUT.log("a")])
    content[-20] ^= 1
    disk.put(LAYOUT.log("a"), bytes(content))

    with pytest.raises(DamagedStoreError, match="line 2"):
        ArchiveReader(disk, DATA).whole("a")


def test_events_in_each_other_s_place_are_damage() -> None:
    disk = FaultyDisk()
    events = history("a", 3)
    archive(disk, events)
    lines = [events[0].line, events[2].line, events[1].line]
    disk.put(LAYOUT.log("a"), b"".join(line + b"\n" for line in lines))

    with pytest.raises(DamagedStoreError, match="line 2, seq 3: it holds version 3"):
        ArchiveReader(disk, DATA).events("a", 0, 3)


def test_a_line_of_another_chain_is_damage() -> None:
    disk = FaultyDisk()
    events = history("a", 2)
    other = history("a", 2, b'{"name":"other"}')
    archive(disk, events)
    disk.put(LAYOUT.log("a"), events[0].line + b"\n" + other[1].line + b"\n")

    with pytest.raises(DamagedStoreError, match="line 2, seq 2: it does not continue"):
        ArchiveReader(disk, DATA).events("a", 0, 2)
