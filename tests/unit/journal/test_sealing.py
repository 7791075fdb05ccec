"""Nobody appends to a sealed segment, so its bytes may be exchanged for others of the same events."""

import asyncio

import pytest

from daemon.journal.batches import DamagedBatchError, read_batches, read_from
from daemon.journal.mending import rebuild
from daemon.journal.reader import JournalReader
from daemon.journal.segment import segment_path
from daemon.redaction.eraser import erase_from_journal
from protocol.erasure import erased
from protocol.events import next_log_hash
from protocol.redaction import FIELDS
from tests.support.faulty_disk import FaultyDisk
from tests.unit.journal.journals import DATA, Running, event, journal_bytes, recover, seqs

ALL = 1 << 30


@pytest.fixture
def disk() -> FaultyDisk:
    """Return a disk with a journal folder, as recovery leaves it."""
    disk = FaultyDisk()
    disk.make_directory(DATA / "journal")
    disk.sync_directory(DATA)
    return disk


async def test_the_batch_after_sealing_begins_a_new_segment(disk: FaultyDisk) -> None:
    running = Running(disk)
    await running.commit(1, 2)

    await running.journal.seal()
    await running.journal.seal()
    await running.commit(3)

    assert disk.durable_files()[segment_path(DATA, 1)] == journal_bytes([2])
    assert segment_path(DATA, 3) in disk.durable_files()
    await running.journal.close()
    await running.journal.seal()  # There is nobody who could append.
    assert recover(disk).end.seq == 3


async def test_a_sealed_segment_is_read_to_its_end_after_it_shrank(disk: FaultyDisk) -> None:
    running = Running(disk)
    await running.commit(1, 2)
    await running.commit(3)
    reader = JournalReader(disk, DATA, running.journal.durable_end)
    assert seqs(reader.feed(0, 100, ALL)) == [1, 2, 3]

    await running.journal.seal()
    assert erase_from_journal(disk, DATA, {2: FIELDS}, reader.exchange) == set()

    page = reader.feed(0, 100, ALL)
    assert [one.line for one in page] == [
        event(1).line,
        erased(event(2), FIELDS).line,
        event(3).line,
    ]
    await running.journal.close()
    assert recover(disk.after_power_cut()).end.log_hash == running.journal.log_hash


async def test_who_waits_for_a_seal_learns_of_the_failure(disk: FaultyDisk) -> None:
    running = Running(disk)
    disk.fail("sync")
    disk.sync_may_finish.clear()
    running.append(1)
    await asyncio.to_thread(disk.sync_started.wait, 30.0)

    sealed = asyncio.ensure_future(running.journal.seal())
    asyncio.get_running_loop().call_soon(disk.sync_may_finish.set)  # When it waits.
    await asyncio.wait_for(sealed, 30.0)

    assert running.failures
    await running.journal.close()


@pytest.mark.parametrize("redacted_copy", [True, False])
def test_a_batch_is_rebuilt_also_where_one_copy_was_redacted(*, redacted_copy: bool) -> None:
    copies = {seq: event(seq).line for seq in (1, 2)}
    if redacted_copy:
        copies[1] = erased(event(1), FIELDS).line
    segment = bytearray(journal_bytes([2]))
    for place in (300, len(segment) - 300):
        segment[place] ^= 1
    header_error = _error_in(bytes(segment))

    mended = rebuild(header_error, bytes(segment), copies, b"0" * 64)

    assert mended is not None
    assert [one.line for one in mended.events] == list(copies.values())
    log_hash = next_log_hash(next_log_hash(b"0" * 64, 1, event(1).hash), 2, event(2).hash)
    assert mended.encoded.log_hash == log_hash
    other = copies | {2: event(3).line.replace(b'{"seq":3', b'{"seq":2')}
    assert rebuild(header_error, bytes(segment), other, b"0" * 64) is None


def _error_in(segment: bytes) -> DamagedBatchError:
    path = segment_path(DATA, 1)
    (batch,) = read_batches(read_from(segment), path, offset=0, end_offset=len(segment), seq=1)
    with pytest.raises(DamagedBatchError) as caught:
        list(batch.events())
    return caught.value
