"""Event lines and journals that were changed anywhere: the truth, its beginning, or a refusal.

Also with good checksums: a changed line whose crc was made anew is still no reason to crash.
"""

import re
import zlib

import pytest
from hypothesis import strategies as st

from daemon.errors import DamagedStoreError
from daemon.journal.batch import read_header
from protocol.events import CommittedEvent, DamagedEventError, read_event
from tests.support.effort import rounds, tally
from tests.support.events import Chain, committed
from tests.support.faulty_disk import FaultyDisk
from tests.support.fuzzing import EXAMPLES_OF_A_ROUND, damaged, fuzz
from tests.unit.journal.journals import DATA, events, journal_bytes, put_segment, recover

LINES = [committed([Chain("io.github.acme/echo@1.0.0").next()])[0].line, events(1, 1)[0].line]
SEGMENT = journal_bytes([1, 2, 1])
TRUTH = [one.line for one in events(1, 4)]


def resealed(line: bytes) -> bytes:
    """Return `line` with the crc that its bytes have now."""
    body = line[: line.rfind(b',"crc":"')] if b',"crc":"' in line else line
    if body.startswith(b'{"batch"'):
        return b'%s,"crc":"%08x"}}' % (body, zlib.crc32(body))
    return b'%s,"crc":"%08x"}' % (body, zlib.crc32(body))


def event_line(line: bytes) -> None:
    """Only what was written is read; everything else is damage, and said to be."""
    try:
        event = CommittedEvent.read(line)
    except DamagedEventError:
        return
    assert line in LINES
    assert event.line == line


def resealed_line(line: bytes) -> None:
    """With a good crc the hash stands guard over all but `seq`; nothing crashes."""
    try:
        event = read_event(resealed(line))
    except DamagedEventError:
        return
    again = re.sub(rb'^\{"seq":\d+', b'{"seq":1', resealed(line))
    redacted = re.sub(rb',"payload":\{.*\},"crc":.*', b"", again, flags=re.DOTALL)
    assert any(one.startswith(redacted) or resealed(again) == one for one in LINES), event


def journal(content: bytes) -> None:
    """What comes back from a changed segment is a beginning of the truth."""
    disk = FaultyDisk()
    put_segment(disk, content)
    before = disk.files()
    try:
        recovered = recover(disk)
    except DamagedStoreError:
        assert disk.files() == before
        return
    lines = [one.line for one in recovered.tail]
    assert lines == TRUTH[: len(lines)]
    assert recovered.end.seq == len(lines)
    assert disk.durable_files().keys() >= {DATA / "journal" / f"{1:020d}.jsonl"}


def resealed_journal(content: bytes) -> None:
    """The same where every line got a good crc anew: the log hash stands guard."""
    journal(b"".join(resealed(line) + b"\n" for line in content.split(b"\n") if line))


def header(line: bytes) -> None:
    """A header is read or not; its numbers are as they stand there."""
    found = read_header(resealed(line) + b"\n")
    assert found is None or (found.first >= 1 and found.last >= found.first), found


FIRST_HEADER = SEGMENT[: SEGMENT.index(b"\n")]
CASES = {
    "event lines": (event_line, st.sampled_from(LINES).flatmap(damaged)),
    "event lines with a good crc": (resealed_line, st.sampled_from(LINES).flatmap(damaged)),
    "journals": (journal, damaged(SEGMENT)),
    "journals with good crcs": (resealed_journal, damaged(SEGMENT)),
    "headers with a good crc": (header, damaged(FIRST_HEADER)),
}


@pytest.mark.parametrize("case", CASES)
def test_changed_bytes_are_the_truth_or_refused(case: str) -> None:
    for random in rounds(1):
        fuzz(*CASES[case], examples=60, seed=random.getrandbits(32))


def test_a_reader_that_checks_nothing_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    believed = events(1, 1)[0]
    monkeypatch.setattr(CommittedEvent, "read", lambda _: believed)

    with pytest.raises((AssertionError, ExceptionGroup)):  # One way to fail, or several.
        fuzz(*CASES["event lines"], examples=60, seed=1)


@pytest.mark.long
def test_thousands_of_changed_bytes_are_the_truth_or_refused() -> None:
    for random in rounds(len(CASES)):
        case = random.choice(list(CASES))
        fuzz(*CASES[case], examples=EXAMPLES_OF_A_ROUND, seed=random.getrandbits(32))
        tally("fuzzed bytes", EXAMPLES_OF_A_ROUND)
