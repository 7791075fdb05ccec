"""The bytes of a batch, and a segment's name."""

import pytest

from daemon.journal.batch import (
    HEADER_SIZE_MAX,
    BatchHeader,
    encode_batch,
    find_header,
    read_header,
)
from daemon.journal.checkpoint import NOTHING
from daemon.journal.segment import (
    is_temporary,
    segment_first,
    segment_path,
    temporary_path,
)
from protocol.events import next_log_hash
from tests.unit.journal.journals import (
    DATA,
    event,
    events,
    journal_bytes,
)


def test_a_batch_is_its_header_and_its_lines() -> None:
    data, log_hash, lines_size_bytes = encode_batch(events(1, 2), NOTHING.log_hash)

    header, one, two, rest = data.split(b"\n")
    assert (one, two, rest) == (event(1).line, event(2).line, b"")
    assert header.startswith(b'{"batch":{"first":1,"count":2,"bytes":%d,' % lines_size_bytes)
    assert lines_size_bytes == len(one) + len(two) + 2
    first_hash = next_log_hash(NOTHING.log_hash, 1, event(1).hash)
    assert log_hash == next_log_hash(first_hash, 2, event(2).hash)
    assert read_header(data) == BatchHeader(1, 2, lines_size_bytes, log_hash, len(header) + 1)


def test_the_largest_header_fits_its_bound() -> None:
    digits = b"9" * 19, b"9" * 9, b"9" * 10, b"f" * 64, b"f" * 8
    largest = b'{"batch":{"first":%b,"count":%b,"bytes":%b,"log_hash":"%b","crc":"%b"}}\n' % digits

    assert len(largest) == 172 <= HEADER_SIZE_MAX


def test_no_changed_bit_of_a_header_is_accepted() -> None:
    data = journal_bytes([2])
    header = read_header(data)
    assert header

    for offset in range(header.header_size_bytes):
        for bit in range(8):
            changed = bytearray(data)
            changed[offset] ^= 1 << bit
            assert read_header(bytes(changed)) is None, (offset, bit)


def test_headers_are_found_by_their_seq_and_their_crc() -> None:
    data = journal_bytes([2, 2])

    assert (found := find_header(data, 0, first_min=2)) is not None
    assert found.first == 3
    assert find_header(data, 0, first_min=4) is None
    assert find_header(data.replace(b'"first":3', b'"first":4'), 0, first_min=2) is None


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("00000000000000000001.jsonl", 1),
        ("00000000000000000000.jsonl", None),
        ("0000000000000000001.jsonl", None),
        ("00000000000000000001.jsonl.tmp", None),
        ("reserve", None),
    ],
)
def test_a_segment_is_known_by_its_name(name: str, first: int | None) -> None:
    assert segment_first(name) == first
    assert segment_first(segment_path(DATA, 812).name) == 812
    assert is_temporary(temporary_path(segment_path(DATA, 812)).name)
    assert not is_temporary("reserve.tmp")
