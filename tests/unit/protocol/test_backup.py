"""The backup file: what is let pass, and that nothing else is."""

import io
from collections.abc import Callable

import msgspec
import pytest

from protocol.backup import (
    LINE_SIZE_MAX,
    BackupError,
    BackupHeader,
    BackupReader,
    BackupWriter,
    LogCheck,
    is_frame,
    lifecycle_line,
)
from protocol.events import GENESIS, CommittedEvent, next_log_hash
from tests.support.events import Chain, committed

DEFINITION = b'{"id":"manifest","version":1,"x":1.50}'


def events() -> list[CommittedEvent]:
    first, second = Chain("a@1"), Chain("b@1")
    return committed([first.next(), second.next(), first.next(), first.next()])


def log_hash_of(found: list[CommittedEvent]) -> str:
    log_hash = GENESIS.encode()
    for event in found:
        log_hash = next_log_hash(log_hash, event.seq, event.hash)
    return log_hash.decode()


def header_of(found: list[CommittedEvent], **changes: object) -> BackupHeader:
    header = BackupHeader(
        store_id="s",
        seq=len(found),
        log_hash=log_hash_of(found),
        created_at="2026-11-26T00:00:00Z",
        lifecycles=1,
    )
    return msgspec.structs.replace(header, **changes)


def lines_of(found: list[CommittedEvent], **changes: object) -> list[bytes]:
    writer = BackupWriter()
    return [
        writer.header(header_of(found, **changes)),
        writer.lifecycle("manifest@1", DEFINITION),
        *(writer.event(event.line) for event in found),
        writer.end(),
    ]


def read(data: bytes, *, needs_header: bool = True) -> BackupReader:
    reader = BackupReader(needs_header=needs_header)
    for _ in reader.items(io.BytesIO(data).readline):
        pass
    return reader


def test_what_is_written_is_read_again_byte_for_byte() -> None:
    found = events()
    items = list(BackupReader().items(io.BytesIO(b"".join(lines_of(found))).readline))

    header, lifecycle, *rest, end = items
    assert header == header_of(found)
    assert bytes(lifecycle.definition) == DEFINITION  # type: ignore[union-attr]
    assert [event.line for event in rest] == [event.line for event in found]  # type: ignore[union-attr]
    assert (end.events, end.manifests) == (4, 2)  # type: ignore[union-attr]


@pytest.mark.parametrize("step", [11, pytest.param(1, marks=pytest.mark.long)])
def test_a_flipped_bit_is_found_wherever_it_is_and_so_is_a_cut(step: int) -> None:
    data = b"".join(lines_of(events()))
    for place in range(0, len(data), step):
        flipped = bytearray(data)
        flipped[place] ^= 1 << place % 8
        with pytest.raises(BackupError):
            read(bytes(flipped))
        with pytest.raises(BackupError):
            read(data[:place])


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda lines: lines[1:], 1),  # No header.
        (lambda lines: lines[:-1], 7),  # No end.
        (lambda lines: [*lines, lines[-1]], 8),
        (lambda lines: [*lines, *lines], 8),
        (lambda lines: [lines[0], *lines], 2),
        (lambda lines: [*lines[:3], lines[4], lines[3], *lines[5:]], 4),  # Two swapped.
        (lambda lines: [*lines[:4], *lines[3:]], 5),  # One twice.
        (lambda lines: [*lines[:4], *lines[5:]], 5),  # One missing.
        (lambda lines: [*lines[:5], lines[-1]], 6),  # The last ones missing.
        (lambda lines: [lines[0], *lines[2:]], 6),  # The lifecycle missing.
        (lambda lines: [lines[0], *lines[2:4], lines[1], *lines[4:]], 4),
        (lambda lines: [*lines[:3], b"\n", *lines[3:]], 4),
        (lambda lines: [*lines[:3], b'{"manifest_id":"x"}\n', *lines[3:]], 4),
        (lambda lines: [*lines[:3], b"x" * (LINE_SIZE_MAX + 5) + b"\n"], 4),
        (lambda lines: [lines[0].replace(b'"format":1', b'"format":2'), *lines[1:]], 1),
        (lambda _: [], 1),
    ],
)
def test_lines_out_of_place_are_found_where_they_stand(
    change: Callable[[list[bytes]], list[bytes]], line: int
) -> None:
    with pytest.raises(BackupError) as caught:
        read(b"".join(change(lines_of(events()))))

    assert caught.value.line == line
    assert str(caught.value) == f"line {line}: {caught.value.reason}; {caught.value.mend}"


def test_an_event_of_another_history_with_a_good_checksum_is_found() -> None:
    forged = Chain("a@1", document=b'{"name":"other"}')
    forged.next()
    found = events()
    found[2] = CommittedEvent.of(forged.next(), 3)
    check = LogCheck()

    problems = [check.add(event) for event in found[:3]]

    assert problems[:2] == [None, None]
    assert "does not continue its hash chain" in str(problems[2])


def test_a_version_that_is_skipped_is_found() -> None:
    chain = Chain("a@1")
    chain.next()

    assert "version 2 of a@1 stands where version 1" in str(
        LogCheck().add(CommittedEvent.of(chain.next(), 1))
    )


@pytest.mark.parametrize("manifest_id", ["..", "../../etc/passwd", "", "/a", "a b"])
def test_an_id_that_no_daemon_would_take_is_found(manifest_id: str) -> None:
    event = CommittedEvent.of(Chain(manifest_id).next(), 1)

    assert LogCheck().add(event) == f"{manifest_id!r} is no id of a manifest"


@pytest.mark.parametrize(
    "changes", [{"log_hash": "0" * 64}, {"seq": 3}, {"seq": 5}, {"lifecycles": 2}]
)
def test_a_writer_notices_that_the_daemon_said_otherwise(changes: dict[str, object]) -> None:
    with pytest.raises(BackupError):
        lines_of(events(), **changes)


def test_a_stream_without_frame_is_taken_where_that_is_asked_for() -> None:
    lines = [line for line in lines_of(events()) if not is_frame(line)]

    reader = read(b"".join(lines), needs_header=False)

    assert reader.log.seq == 4
    assert lines[0] == lifecycle_line("manifest@1", DEFINITION) + b"\n"
    with pytest.raises(BackupError, match="first line"):
        read(b"".join(lines))
    with pytest.raises(BackupError, match="without its history") as caught:
        read(b'{"manifest_id":"a@1"}\n', needs_header=False)
    assert "apply --bulk" in caught.value.mend
