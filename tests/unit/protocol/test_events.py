"""Event lines: written once, read back whole, refused when one bit is another."""

import json
import zlib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import ManifestdError
from protocol.events import (
    GENESIS,
    CommittedEvent,
    DamagedEventError,
    EventCore,
    NewEvent,
    Payload,
    digest_hex,
    encode_payload,
    next_log_hash,
    read_event,
    state_name,
    state_names,
    timestamp,
)
from protocol.record import ReplayError
from protocol.snapshots import StateSnapshot, apply
from tests.support.make_fixtures import History, sample_history, sealed

EVENTS = Path(__file__).resolve().parents[3] / "fixtures/events"
DAMAGED = json.loads((EVENTS / "damaged/expected.json").read_bytes())
LINE = sample_history().events[2].line
strings = st.text(st.characters(exclude_categories=["Cs"])) | st.just(
    f'","hash":"{"0" * 64}","payload":null,"crc":"00000000"}}\n'
)


def test_a_line_is_drawn_as_the_design_draws_it() -> None:
    event = History().add("created", "DRAFT", document={"a": 1})
    members = list(json.loads(event.line))

    assert members == [
        *("seq", "event_id", "manifest_id", "version", "type", "lifecycle", "event", "from", "to"),
        *("at", "principal", "authenticated", "roles", "command_id", "command_digest"),
        *("correlation_id", "causation_id", "digest", "timers", "kind"),
        *("payload_digest", "prev", "hash", "payload", "crc"),
    ]
    assert list(json.loads(event.line)["payload"]) == ["salt", "reason", "context", "data"]


def test_hash_and_crc_cover_what_the_design_says() -> None:
    start, end = LINE.index(b'"event_id"'), LINE.index(b',"hash":"')
    checked = LINE[: LINE.rindex(b',"crc":')]
    read = json.loads(LINE)

    assert read["hash"] == digest_hex(LINE[start:end])
    assert read["crc"] == f"{zlib.crc32(checked):08x}"
    payload = checked[checked.index(b',"payload":') + 11 :]
    assert read["payload_digest"] == digest_hex(payload)


def test_every_flipped_bit_is_refused() -> None:
    accepted = []
    for bit in range(len(LINE) * 8):
        flipped = bytearray(LINE)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            read_event(bytes(flipped))
        except DamagedEventError:
            continue
        accepted.append(bit)

    assert not accepted


def test_every_flipped_bit_but_those_of_seq_is_refused_under_a_right_crc_too() -> None:
    """Whoever rewrites the crc still meets the hashes."""
    start, end = LINE.index(b',"event_id"'), LINE.rindex(b',"crc":')
    accepted = []
    for bit in range(start * 8, end * 8):
        flipped = bytearray(LINE)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            read_event(sealed(bytes(flipped)))
        except DamagedEventError:
            continue
        accepted.append(bit)

    assert not accepted


@pytest.mark.parametrize("size", range(0, len(LINE), 7))
def test_a_line_that_was_cut_off_is_refused(size: int) -> None:
    with pytest.raises(DamagedEventError):
        read_event(LINE[:size])


def test_a_second_hash_behind_the_payload_is_refused() -> None:
    at = LINE.rindex(b',"crc":')
    payload = LINE[LINE.index(b',"payload":') + 11 : at] + b',"hash":"%b"' % (b"0" * 64)
    core = LINE[LINE.index(b'"event_id"') : LINE.index(b',"hash":"')]
    old = json.loads(LINE)["payload_digest"].encode()
    core = core.replace(old, digest_hex(payload).encode())
    forged = b'{"seq":3,%b,"hash":"%b","payload":%b,"crc":"00000000"}' % (
        core,
        digest_hex(core).encode(),
        payload,
    )

    with pytest.raises(DamagedEventError, match="hash"):
        read_event(sealed(forged))


def test_a_member_between_seq_and_the_hashed_bytes_is_refused() -> None:
    start, end = LINE.index(b'"event_id"'), LINE.index(b',"hash":"')
    core = b'"later":1,' + LINE[start:end]
    rest = LINE[end + len(b',"hash":""') + 64 :]

    with pytest.raises(DamagedEventError, match="order"):
        read_event(sealed(b'{"seq":3,%b,"hash":"%b"%b' % (core, digest_hex(core).encode(), rest)))


@given(strings, strings, st.dictionaries(strings, strings | st.none()), st.integers(1, 2**53))
def test_what_was_written_is_read_whatever_the_text(
    reason: str, principal: str, context: dict[str, str | None], seq: int
) -> None:
    data = msgspec.Raw(msgspec.json.encode({reason: context}))
    payload = Payload(salt="00", reason=reason, context=dict(context), data=data)
    encoded = encode_payload(payload)
    core = msgspec.structs.replace(
        sample_core(), principal=principal, payload_digest=digest_hex(encoded), prev=GENESIS
    )
    event = NewEvent(core, payload, encoded)
    line = event.line(seq)
    read = CommittedEvent.read(line)

    assert b"\n" not in line
    assert (read.seq, read.hash, read.line) == (seq, event.hash, line)
    assert read.payload == payload
    assert (read.core.principal, read.core.digest) == (principal, core.digest)


def sample_core() -> EventCore:
    core = sample_history().events[0].core
    return EventCore(**{name: getattr(core, name) for name in EventCore.__struct_fields__})


def test_seq_is_outside_the_hash() -> None:
    payload = Payload(salt="00")
    event = NewEvent(sample_core(), payload, encode_payload(payload))

    assert event.line(1) != event.line(2)
    hashes = {json.loads(event.line(seq))["hash"] for seq in (1, 2, 10**15)}
    assert hashes == {event.hash} == {CommittedEvent.of(event, 7).hash}


def replayed(path: Path) -> tuple[StateSnapshot | None, int, ManifestdError | None]:
    """Return the state after the last line that follows, that line's number, what came next."""
    state = None
    lines = path.read_bytes().split(b"\n")[:-1]
    if path.stem == "newline-in-the-middle":
        lines[2:4] = [b"\n".join(lines[2:4])]  # Whoever splits at newlines meets half an event.
    for number, line in enumerate(lines):
        try:
            state = apply(state, CommittedEvent.read(line))
        except ManifestdError as error:
            return state, number, error
    return state, len(lines), None


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_log_is_refused_at_the_damage_with_the_reason(name: str) -> None:
    _, intact, error = replayed(EVENTS / "damaged" / f"{name}.jsonl")
    found_by = {"read_event": DamagedEventError, "apply": ReplayError}[DAMAGED[name]["found_by"]]

    assert type(error) is found_by
    assert (intact + 1, DAMAGED[name]["reason"] in str(error)) == (DAMAGED[name]["line"], True)


def test_every_damaged_log_says_what_to_expect() -> None:
    assert {path.stem for path in (EVENTS / "damaged").glob("*.jsonl")} == set(DAMAGED)


@pytest.mark.parametrize("path", sorted((EVENTS / "intact").glob("*.jsonl")), ids=lambda p: p.stem)
def test_an_odd_log_is_read_to_its_end(path: Path) -> None:
    state, _, error = replayed(path)

    assert error is None
    assert state is not None


def test_a_redacted_event_keeps_the_chain_and_loses_its_text() -> None:
    state, _, _ = replayed(EVENTS / "intact/redacted-payload.jsonl")
    whole = sample_history().events[-1]

    assert state is not None
    assert state.head == whole.hash
    redacted = (EVENTS / "intact/redacted-payload.jsonl").read_bytes().splitlines()[2]
    assert read_event(redacted).payload is None
    assert b"does not say" not in redacted


def test_the_log_hash_ties_place_and_event_to_what_was_before() -> None:
    first = next_log_hash(GENESIS.encode(), 1, "a" * 64)

    assert first == digest_hex(f"{GENESIS}|1|{'a' * 64}".encode()).encode()
    assert (
        len(
            {first, next_log_hash(first, 1, "a" * 64), next_log_hash(GENESIS.encode(), 2, "a" * 64)}
        )
        == 3
    )


@pytest.mark.parametrize(
    ("at_ns", "shown"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (1_795_446_245_123_456_999, "2026-11-23T15:04:05.123456Z"),
        (999_999, "1970-01-01T00:00:00.000999Z"),
        (4_107_542_399_999_999_999, "2100-02-28T23:59:59.999999Z"),
    ],
)
def test_times_are_rfc_3339_in_utc(at_ns: int, shown: str) -> None:
    assert timestamp(at_ns) == shown


def test_one_state_is_a_name_and_several_are_a_list() -> None:
    assert (state_name(("A",)), state_name(("A", "B"))) == ("A", ["A", "B"])
    assert (state_names("A"), state_names(["A", "B"])) == (("A",), ("A", "B"))
