"""Snapshots: what each event does, and that a replay from anywhere gives the same bytes."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.erasure import erased
from protocol.events import CommittedEvent
from protocol.limits import REMEMBERED_COMMANDS_MAX
from protocol.record import ACTIONS, ReplayError
from protocol.redaction import FIELDS
from protocol.snapshots import (
    DamagedSnapshotError,
    StateSnapshot,
    apply,
    decode_snapshot,
    encode_snapshot,
    replay,
)
from protocol.timers import Timer
from tests.support.events import AT
from tests.support.make_fixtures import DOCUMENT, FIXTURES, ROOT, History, sample_history

APPROVED: dict[str, Any] = {
    "event": "approve",
    "principal": "approver-3",
    "actions": ["record_approval", "allow_revert"],
}
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
contexts = st.dictionaries(
    texts, st.none() | st.integers(-9, 9) | st.floats(0, 1) | texts, max_size=3
)


def approved_history() -> History:
    history = History()
    history.add("created", "DRAFT", document=DOCUMENT)
    history.submit()
    history.add("transitioned", "APPROVED", **APPROVED)
    return history


def state_of(history: History) -> StateSnapshot:
    state = replay(history.events)
    assert state is not None
    return state


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Draw a history that wanders through states and does everything that events can do."""
    history = History()
    history.add("created", "DRAFT", document={"n": draw(texts)}, context=draw(contexts))
    for _ in range(draw(st.integers(0, 12))):
        kind = draw(
            st.sampled_from(
                ["revised", "transitioned", "reverted", "commented", "migrated", "redacted"]
            )
        )
        members: dict[str, Any] = {
            "principal": draw(st.sampled_from(["b", "a", "ü", "c"])),
            "via": draw(st.sampled_from([None, "gateway"])),
            "roles": draw(st.sampled_from([["author"], ["admin", "reviewer"]])),
        }
        if kind == "revised":
            members["document"] = {"n": draw(texts), "f": draw(st.floats(0, 1))}
        if kind == "transitioned":
            members["event"] = draw(texts)
            members["actions"] = draw(st.lists(st.sampled_from(ACTIONS), max_size=3))
            members["history"] = draw(
                st.none() | st.dictionaries(texts, st.lists(texts), max_size=2)
            )
            members["timers"] = draw(
                st.lists(st.builds(Timer, id=texts, event=texts, state=texts, due=st.just(AT)))
            )
            urns = st.sampled_from(["urn:proto:agent:x@1", "urn:proto:agent:x@2"])
            registers = "record_registration" in members["actions"]
            members["urn"] = draw(urns if registers else st.none() | urns)
        if kind == "reverted":
            members["reverts"] = draw(st.integers(1, len(history.events)))
        states_to: Any = draw(st.sampled_from(["DRAFT", "REVIEWED", ["A", "B"]]))
        members |= {"reason": draw(st.none() | texts), "context": draw(contexts)}
        if kind == "redacted":
            version = draw(st.integers(1, len(history.events)))
            fields = draw(st.sets(st.sampled_from(FIELDS), min_size=1))
            history.redact(version, tuple(sorted(fields)), **members)
        else:
            history.add(kind, states_to, **members)
    return history


def redacted(history: History, upto: int | None = None) -> list[CommittedEvent]:
    """Return the events as they are once the redactions up to version `upto` are carried out."""
    events = list(history.events)
    for event in history.events[:upto]:
        if event.core.redacts is not None:
            place = event.core.redacts.version - 1
            events[place] = erased(events[place], event.core.redacts.fields)
    return events


@given(histories())
def test_a_replay_from_any_snapshot_gives_the_same_bytes(history: History) -> None:
    live = encode_snapshot(state_of(history))
    read = [CommittedEvent.read(line) for line in history.lines()]

    assert encode_snapshot(replay(read) or state_of(history)) == live
    state = None
    for number, event in enumerate(read, 1):
        state = apply(decode_snapshot(encode_snapshot(state)) if state else None, event)
        resumed = replay(read[number:], decode_snapshot(encode_snapshot(state)))
        assert resumed is not None
        assert encode_snapshot(resumed) == live


@given(histories(), st.data())
def test_the_state_is_the_same_whenever_the_redactions_were_carried_out(
    history: History, data: st.DataObject
) -> None:
    """A snapshot from before a redaction, and a log from after it, fit each other in every way."""
    lines = [event.line for event in redacted(history)]
    log = [CommittedEvent.read(line) for line in lines]
    last = encode_snapshot(state_of(history))

    assert encode_snapshot(replay(log) or state_of(history)) == last
    for number in range(1, len(log)):
        carried_out = data.draw(st.integers(0, number), label="carried out when it was taken")
        snapshot = encode_snapshot(
            replay(redacted(history, carried_out)[:number]) or state_of(history)
        )
        resumed = replay(log[number:], decode_snapshot(snapshot))
        assert resumed is not None
        assert encode_snapshot(resumed) == last
    assert [one.hash for one in log] == [one.hash for one in history.events]


@given(histories())
def test_applying_an_event_leaves_the_state_before_it_as_it_was(history: History) -> None:
    state = replay(history.events[:-1])
    before = encode_snapshot(state) if state else b""

    apply(state, history.events[-1])

    assert (encode_snapshot(state) if state else b"") == before


REPLAY = """
import sys
from protocol.events import CommittedEvent
from protocol.snapshots import encode_snapshot, replay
lines = open(sys.argv[1], "rb").read().splitlines()
sys.stdout.buffer.write(encode_snapshot(replay(map(CommittedEvent.read, lines))))
"""


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONHASHSEED": "1", "TZ": "Pacific/Kiritimati", "LC_ALL": "C"},
        {"PYTHONHASHSEED": "4711", "TZ": "America/St_Johns", "LC_ALL": "tr_TR.UTF-8"},
    ],
)
def test_the_sample_log_yields_the_reviewed_sample_on_every_machine(
    environment: dict[str, str],
) -> None:
    log = FIXTURES / "sample-event-log.jsonl"
    result = subprocess.run(
        [sys.executable, "-c", REPLAY, log],
        check=True,
        capture_output=True,
        cwd=ROOT,
        env=os.environ | environment,
    )

    assert result.stdout == (FIXTURES / "sample-manifest-reviewed.json").read_bytes()


def test_the_samples_are_states_of_the_sample_log() -> None:
    lines = (FIXTURES / "sample-event-log.jsonl").read_bytes().splitlines()
    draft = (FIXTURES / "sample-manifest-draft.json").read_bytes()
    version = decode_snapshot(draft).version
    state = replay(map(CommittedEvent.read, lines[:version]))

    assert state is not None
    assert (encode_snapshot(state), state.state) == (draft, "DRAFT")
    reviewed = decode_snapshot((FIXTURES / "sample-manifest-reviewed.json").read_bytes())
    assert (reviewed.state, reviewed.version) == ("REVIEWED", len(lines))


def test_every_flipped_bit_of_a_snapshot_is_refused() -> None:
    data = encode_snapshot(state_of(sample_history()))
    accepted = []
    for bit in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            decode_snapshot(bytes(flipped))
        except DamagedSnapshotError:
            continue
        accepted.append(bit)

    assert not accepted


@pytest.mark.parametrize(
    "data", [b"", b"\n", b"{}", encode_snapshot(state_of(sample_history()))[:-1]]
)
def test_what_is_no_snapshot_is_refused(data: bytes) -> None:
    with pytest.raises(DamagedSnapshotError):
        decode_snapshot(data)


def test_a_snapshot_of_another_shape_is_refused_under_a_right_seal() -> None:
    import hashlib  # noqa: PLC0415 (only here)

    body = b'{"manifest_id":1'
    sealed = b'%b,"sha256":"%b"}\n' % (body, hashlib.sha256(body).hexdigest().encode())
    with pytest.raises(DamagedSnapshotError, match="it is no snapshot"):
        decode_snapshot(sealed)


def test_a_revision_takes_the_approvals_and_the_way_back() -> None:
    history = approved_history()
    history.add("revised", "DRAFT", document={"a": 1}, principal="author-9", via="gateway")
    state = state_of(history)

    assert (state.approvals, state.reversible) == ((), ())
    assert state.contributors == ("author-7", "author-9", "gateway")
    assert bytes(state.document) == b'{"a":1}'


def test_a_rejection_is_remembered_until_the_next_submission() -> None:
    events = sample_history().events
    rejected, resubmitted = replay(events[:3]), replay(events)

    assert rejected is not None
    assert rejected.rejection is not None
    assert rejected.rejection.reason == "The description does not say what the server does."
    assert (rejected.rejection.principal, rejected.reversible) == ("reviewer-2", ())
    assert resubmitted is not None
    assert resubmitted.rejection is None


def test_an_approval_says_who_what_and_when() -> None:
    state = state_of(approved_history())
    [approval] = state.approvals

    assert (approval.principal, approval.event, approval.version) == ("approver-3", "approve", 3)
    assert (approval.digest, approval.at) == (state.digest, state.updated_at)
    assert [(one.event, one.version) for one in state.reversible] == [
        ("submit_for_review", 2),
        ("approve", 3),
    ]


def test_a_revert_voids_the_approvals_from_what_it_undoes_on() -> None:
    history = approved_history()
    history.add("reverted", "REVIEWED", reverts=3)
    state = state_of(history)

    assert state.approvals == ()
    assert [one.version for one in state.reversible] == [2]


def test_a_migration_forgets_the_way_back() -> None:
    history = approved_history()
    history.add("migrated", "ACCEPTED", lifecycle="manifest@2")
    state = state_of(history)

    assert (state.lifecycle, state.state, state.reversible) == ("manifest@2", "ACCEPTED", ())
    assert len(state.approvals) == 1


def test_after_a_registration_nobody_has_touched_the_content() -> None:
    history = approved_history()
    history.add("transitioned", "REGISTERED", urn="urn:x", actions=["record_registration"])
    history.add("commented", "REGISTERED")
    state = state_of(history)

    assert (state.contributors, state.urn, state.author) == ((), "urn:x", "author-7")
    assert state.reversible == ()


def test_context_is_merged_and_a_comment_changes_nothing_else() -> None:
    history = approved_history()
    before = state_of(history)
    history.add("commented", "APPROVED", context={"a": 1, "b": {"c": 2}})
    history.add("commented", "APPROVED", context={"b": 3})
    state = state_of(history)

    assert state.context == {"a": 1, "b": 3}
    assert state.context_versions == {"a": 4, "b": 5}
    changed = {"version", "seq", "updated_at", "context", "context_versions", "head", "commands"}
    assert all(
        getattr(state, name) == getattr(before, name)
        for name in StateSnapshot.__struct_fields__
        if name not in changed
    )


def test_only_so_many_commands_are_remembered_and_the_newest_of_them() -> None:
    history = History()
    history.add("created", "DRAFT", document=DOCUMENT)
    for _ in range(REMEMBERED_COMMANDS_MAX + 5):
        history.add("commented", "DRAFT")
    versions = [command.version for command in state_of(history).commands]

    assert versions == list(range(7, 7 + REMEMBERED_COMMANDS_MAX))


def test_a_redacted_document_is_null() -> None:
    created = sample_history().events[0]
    state = apply(None, CommittedEvent(1, created.line, created.core, None, created.hash))

    assert bytes(state.document) == b"null"


def test_a_second_creation_and_a_transition_from_nowhere_are_refused() -> None:
    history = History()
    history.add("created", "DRAFT", document=DOCUMENT)
    history.add("created", "DRAFT", document=DOCUMENT)
    with pytest.raises(ReplayError, match="type 'created'"):
        replay(history.events)
    history = approved_history()
    history.add("transitioned", "X", states_from=None, actions=["allow_revert"])
    with pytest.raises(ReplayError, match="comes from no state"):
        replay(history.events)
    history = approved_history()
    history.add("transitioned", "X", actions=["record_registration"])
    with pytest.raises(ReplayError, match="registers no URN"):
        replay(history.events)
    history = History()
    history.add("commented", "DRAFT")
    with pytest.raises(ReplayError, match="first event"):
        replay(history.events)


@settings(max_examples=20)
@given(histories())
def test_a_missing_event_is_always_noticed(history: History) -> None:
    for missing in range(len(history.events) - 1):
        with pytest.raises(ReplayError):
            replay([*history.events[:missing], *history.events[missing + 1 :]])


def test_nothing_comes_of_nothing() -> None:
    assert replay([]) is None
    assert Path(FIXTURES / "sample-event-log.jsonl").read_bytes().count(b"\n") == 6
