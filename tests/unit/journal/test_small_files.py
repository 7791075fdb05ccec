"""The small files beside the journal: sealed ones, and the reserve."""

import errno
from hashlib import sha256
from pathlib import Path

import pytest

from daemon.journal.checkpoint import NOTHING, BatchEnd, decode_end, encode_end
from daemon.journal.reserve import Reserve
from daemon.journal.sealed import seal, unseal
from tests.support.faulty_disk import FaultyDisk
from tests.unit.journal.journals import DATA, recover


@pytest.fixture
def disk() -> FaultyDisk:
    """Return an empty data directory."""
    return FaultyDisk()


@pytest.mark.parametrize("members", [{"seq": 1}, {"a": "ä", "b": [1, {"c": None}]}])
def test_what_was_sealed_is_unsealed_and_no_changed_bit_is(members: dict[str, object]) -> None:
    data = seal(members)

    assert unseal(data) == members
    for offset in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[offset] ^= 1 << bit
            assert unseal(bytes(changed)) is None, (offset, bit)


@pytest.mark.parametrize("data", [b"", b"{}\n", seal({"a": 1})[:-1], seal({"a": 1}) + b"\n"])
def test_what_is_not_sealed_is_not_unsealed(data: bytes) -> None:
    assert unseal(data) is None


@pytest.mark.parametrize("body", [b"", b"[1", b"\xff", b'{"a":'])
def test_a_good_seal_over_what_is_no_object_is_refused(body: bytes) -> None:
    sealed = b'%b,"sha256":"%b"}\n' % (body, sha256(body).hexdigest().encode())

    assert unseal(sealed) is None


@pytest.mark.parametrize(
    "members", [{"seq": 1}, {"seq": "1", "log_hash": "0" * 64}, {"seq": 1, "log_hash": "0"}]
)
def test_an_end_has_a_seq_and_a_whole_log_hash(members: dict[str, object]) -> None:
    assert decode_end(encode_end(BatchEnd(7, NOTHING.log_hash))) == BatchEnd(7, NOTHING.log_hash)
    assert decode_end(seal(members)) is None


def test_the_reserve_is_all_or_nothing(disk: FaultyDisk) -> None:
    recover(disk)
    reserve = Reserve(disk, DATA, size_bytes=1000)
    disk.capacity_bytes = 999
    assert not reserve.ensure()
    assert Path("/data/journal/reserve") not in disk.files()
    disk.capacity_bytes = 1000

    assert reserve.ensure()
    assert reserve.ensure()
    assert reserve.release()
    assert not reserve.release()


def test_a_reserve_that_the_disk_fails_to_make_is_an_error(disk: FaultyDisk) -> None:
    recover(disk)
    disk.fail("sync", errno.EIO)

    with pytest.raises(OSError, match="Input/output"):
        Reserve(disk, DATA, size_bytes=1000).ensure()
