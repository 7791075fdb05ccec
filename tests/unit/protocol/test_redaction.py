"""Taking personal data out of an event: the bytes, and what they still prove."""

from itertools import combinations

import msgspec
import pytest

from protocol.erasure import erased, gone_from, more_redacted
from protocol.events import CommittedEvent, DamagedEventError, next_log_hash, with_payload
from protocol.record import NO_DOCUMENT, ReplayError
from protocol.redaction import CONTEXT, DOCUMENT, FIELDS, REASON
from protocol.snapshots import StateSnapshot, replay
from tests.support.make_fixtures import DOCUMENT as SAMPLE
from tests.support.make_fixtures import REVISED, History

SECRETS = {REASON: b"Ada Lovelace", CONTEXT: b"555-1234", DOCUMENT: b"Says what it hears"}
SUBSETS = [one for size in (1, 2, 3) for one in combinations(FIELDS, size)]


def history() -> History:
    made = History()
    made.add(
        "created", "DRAFT", document=SAMPLE, reason="for Ada Lovelace", context={"p": "555-1234"}
    )
    return made


def state_of(made: History) -> StateSnapshot:
    state = replay(made.events)
    assert state is not None
    return state


@pytest.mark.parametrize("fields", SUBSETS, ids="+".join)
def test_what_is_taken_out_is_gone_and_the_rest_still_proves_itself(
    fields: tuple[str, ...],
) -> None:
    event = history().events[0]

    left = erased(event, fields)

    read = CommittedEvent.read(left.line)
    assert (read.hash, read.seq) == (event.hash, event.seq)
    assert gone_from(read.payload) == set(fields)
    for field, secret in SECRETS.items():
        assert (secret in left.line) == (field not in fields)
    assert event.payload is not None
    assert event.payload.salt.encode() not in left.line  # It would prove a good guess.
    assert next_log_hash(b"0", 1, read.hash) == next_log_hash(b"0", 1, event.hash)
    if len(fields) == len(FIELDS):
        assert read.payload is None


@pytest.mark.parametrize("first", SUBSETS, ids="+".join)
def test_the_order_of_redactions_does_not_matter_and_a_second_one_changes_nothing(
    first: tuple[str, ...],
) -> None:
    event = history().events[0]
    once = erased(event, first)

    assert erased(once, first) is once
    for second in SUBSETS:
        both = erased(once, second)
        assert both.line == erased(event, {*first, *second}).line
        assert more_redacted(once, both).line == more_redacted(both, once).line == both.line


@pytest.mark.parametrize(
    "payload",
    [
        b'{"salt":"00","reason":null,"context":{},"data":null,"redacted":["reason"]}',
        b'{"salt":"","reason":"x","context":{},"data":null,"redacted":["reason"]}',
        b'{"salt":"","reason":null,"context":{"a":1},"data":null,"redacted":["context"]}',
        b'{"salt":"","reason":null,"context":{},"data":1,"redacted":["document"]}',
        b'{"salt":"","reason":null,"context":{},"data":null,"redacted":[]}',
        b'{"salt":"","reason":null,"context":{},"data":null,"redacted":["salt"]}',
        b'{"salt":"","reason":null,"context":{},"data":null,"redacted":["reason","context"]}',
        b'{"salt":"","reason":null,"context":{},"data":null,"redacted":["context","document","reason"]}',
        b'{"salt":"","reason":null,"context":{},"data":null,"redacted":["reason","reason"]}',
        b'{"salt":"", "reason":null,"context":{},"data":null,"redacted":["reason"]}',
        b'{"salt":"","reason":null,"context":{},"data":null}',
    ],
)
def test_a_payload_that_only_says_that_it_was_redacted_is_damage(payload: bytes) -> None:
    line = with_payload(history().events[0].line, payload)

    with pytest.raises(DamagedEventError, match="payload"):
        CommittedEvent.read(line)


def test_the_state_loses_the_document_the_context_and_the_reason_of_that_version_alone() -> None:
    made = history()
    made.add("revised", "DRAFT", document=REVISED, context={"q": 1})
    made.redact(1)
    kept = state_of(made)
    assert bytes(kept.document) != NO_DOCUMENT
    assert kept.context == {"q": 1}

    made.redact(2, (DOCUMENT,))

    assert state_of(made).document == NO_DOCUMENT
    assert state_of(made).context == {"q": 1}
    assert state_of(made).digest == kept.digest


def test_a_rejection_loses_its_reason_and_stays_a_rejection() -> None:
    made = history()
    made.add(
        "transitioned", "DRAFT", event="reject", reason="ask Ada", actions=["record_rejection"]
    )
    made.redact(2, (REASON,))

    rejection = state_of(made).rejection

    assert rejection is not None
    assert (rejection.reason, rejection.version) == (None, 2)


def test_what_was_replaced_does_not_come_back() -> None:
    made = History()
    made.add("created", "DRAFT", document=SAMPLE, context={"a": 1, "b": 1})
    made.add("commented", "DRAFT", context={"a": 2})
    made.add("commented", "DRAFT", context={"b": 3})
    made.redact(2, (CONTEXT,))

    assert state_of(made).context == {"b": 3}
    assert state_of(made).context_versions == {"b": 3}
    assert b'"a"' not in made.events[-1].line  # Not even the member's name.


def test_a_registered_document_of_an_older_version_can_go() -> None:
    made = history()
    urn = "urn:proto:mcp-server:x@1"
    made.add("transitioned", "REGISTERED", actions=["record_registration"], urn=urn)
    made.add("revised", "DRAFT", document=REVISED)
    made.redact(1, (DOCUMENT,))

    (registration,) = state_of(made).registered

    assert registration.document == NO_DOCUMENT
    assert bytes(state_of(made).document) != NO_DOCUMENT


def test_a_redaction_of_itself_or_of_nothing_is_no_redaction() -> None:
    made = history()
    made.redact(1)
    core = made.events[-1].core
    assert core.redacts is not None
    for redacts in (None, msgspec.structs.replace(core.redacts, version=2)):
        forged = history()
        forged.add("redacted", "DRAFT", redacts=redacts)
        with pytest.raises(ReplayError, match="redacts no version before it"):
            replay(forged.events)
