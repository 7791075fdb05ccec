"""Write the golden files of `fixtures/`: `python -m tests.support.make_fixtures`.

Promise:  the same files on every machine: ids, times and salts are made up, never drawn.
Not here: `fixtures/kinds/`, which is written by hand.
"""

import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from protocol.canonical import canonicalize, document_digest
from protocol.erasure import remainder_bytes
from protocol.events import (
    GENESIS,
    CommittedEvent,
    EventCore,
    NewEvent,
    Payload,
    digest_hex,
    encode_payload,
    timestamp,
)
from protocol.identifiers import uuid7
from protocol.redaction import CONTEXT, FIELDS, Redaction, member_mark
from protocol.snapshots import encode_snapshot, replay
from tests.support.digest_vectors import ACCEPTED, REFUSED

ROOT: Final = Path(__file__).resolve().parents[2]
FIXTURES: Final = ROOT / "fixtures"
MANIFEST_ID: Final = "io.github.acme/echo@1.0.0"
STARTED_AT_S: Final = 1_795_446_245  # 2026-11-23, some minutes after three in the afternoon, UTC.
DRAFT_VERSION: Final = 5  # The sample draft is the state after this event of the sample log.

DOCUMENT: Final[dict[str, Any]] = {
    "$schema": "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json",
    "name": "io.github.acme/echo",
    "description": "Says what it hears",
    "version": "1.0.0",
    "remotes": [{"type": "streamable-http", "url": "https://echo.example/mcp"}],
}
REVISED: Final = DOCUMENT | {"description": "Repeats what it hears, word for word"}


class History:
    """One manifest's events in the making: fills in what follows from the events before."""

    def __init__(self, manifest_id: str = MANIFEST_ID) -> None:
        self.manifest_id = manifest_id
        self.events: list[CommittedEvent] = []
        self._digest = ""

    def add(
        self,
        event_type: str,
        states_to: str,
        *,
        document: object = None,
        reason: str | None = None,
        context: dict[str, Any] | None = None,
        **members: object,
    ) -> CommittedEvent:
        """Append an event; `members` are members of `EventCore` that differ from the usual."""
        version = len(self.events) + 1
        data = b"null" if document is None else canonicalize(json.dumps(document).encode())
        if document is not None:
            self._digest = document_digest(data)
        payload = Payload(
            salt=f"{version:032x}", reason=reason, context=context or {}, data=msgspec.Raw(data)
        )
        encoded = encode_payload(payload)
        before = self.events[-1] if self.events else None
        usual: dict[str, Any] = {
            "event_id": uuid7((STARTED_AT_S + version) * 1000, version.to_bytes(10)),
            "manifest_id": self.manifest_id,
            "version": version,
            "type": event_type,
            "lifecycle": "manifest@1",
            "event": None,
            "states_from": before.core.states_to if before else None,
            "states_to": states_to,
            "at": timestamp((STARTED_AT_S + version) * 10**9 + 123_456_789),
            "principal": "author-7",
            "authenticated": True,
            "roles": ["author"],
            "command_id": f"c-{version}",
            "command_digest": digest_hex(f"command {version}".encode()),
            "correlation_id": "walk-1",
            "causation_id": None,
            "digest": self._digest,
            "timers": [],
            "kind": "mcp-server",
            "payload_digest": digest_hex(encoded),
            "prev": before.hash if before else GENESIS,
        }
        event = CommittedEvent.of(
            NewEvent(EventCore(**(usual | members)), payload, encoded), seq=version
        )
        self.events.append(event)
        return event

    def submit(self) -> CommittedEvent:
        """Append a submission for review."""
        return self.add(
            "transitioned",
            "REVIEWED",
            event="submit_for_review",
            actions=["clear_rejection", "allow_revert"],
        )

    def redact(
        self, version: int, fields: tuple[str, ...] = FIELDS, **members: object
    ) -> CommittedEvent:
        """Append the redaction of an earlier version; the event itself stays as it was."""
        subject = self.events[version - 1]
        assert subject.payload is not None
        now = len(self.events) + 1
        event_id = uuid7((STARTED_AT_S + now) * 1000, now.to_bytes(10))
        names = subject.payload.context if CONTEXT in fields else ()
        redaction = Redaction(
            version=version,
            fields=fields,
            payload_digest=digest_hex(remainder_bytes(subject.payload, fields)),
            members=tuple(sorted(member_mark(event_id, name) for name in names)),
        )
        states = self.events[-1].core.states_to
        usual: dict[str, Any] = {"principal": "admin", "reason": "asked to"}
        members = usual | {"redacts": redaction, "timers": self.events[-1].core.timers} | members
        return self.add("redacted", states, **members)  # type: ignore[arg-type]

    def lines(self) -> list[bytes]:
        """Return the events' lines."""
        return [event.line for event in self.events]


def sample_history() -> History:
    """Return created, submitted, rejected, revised, commented, submitted: in REVIEWED at last."""
    history = History()
    history.add("created", "DRAFT", document=DOCUMENT)
    history.submit()
    history.add(
        "transitioned",
        "DRAFT",
        event="reject",
        principal="reviewer-2",
        roles=["reviewer"],
        reason="The description does not say what the server does.",
        actions=["void_approvals", "record_rejection"],
    )
    history.add("revised", "DRAFT", document=REVISED, context={"ticket": "ACME-12"})
    history.add("commented", "DRAFT", reason="Better now?")
    history.submit()
    return history


def sealed(line: bytes) -> bytes:
    """Return `line` with the crc that its bytes have."""
    checked = line[: line.rindex(b',"crc":"')]
    return b'%b,"crc":"%08x"}' % (checked, zlib.crc32(checked))


def _swap(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    def change(line: bytes) -> bytes:
        assert line.count(old) == 1, (old, line)
        return line.replace(old, new)

    return change


def _flip(needle: bytes) -> Callable[[bytes], bytes]:
    def change(line: bytes) -> bytes:
        at = line.index(needle)
        return line[:at] + bytes([line[at] ^ 1]) + line[at + 1 :]

    return change


def _upper_case(name: bytes) -> Callable[[bytes], bytes]:
    def change(line: bytes) -> bytes:
        start = line.rindex(b'"%b":"' % name) + len(name) + 4
        end = line.index(b'"', start)
        changed = line[:start] + line[start:end].upper() + line[end:]
        assert changed != line
        return changed

    return change


def _payload_first(line: bytes) -> bytes:
    at, end = line.index(b',"hash":'), line.rindex(b',"crc":')
    digest, payload = line[at:end].split(b',"payload":')
    return line[:at] + b',"payload":' + payload + digest + line[end:]


REASON: Final = b"does not say"
CRC: Final = "its crc does not match its bytes"
HASH: Final = "its hash does not match its bytes"
PAYLOAD: Final = "its payload does not match payload_digest"
ORDER: Final = "its members are not in the writer's order"

# name -> what happened to line 3 of the sample log, whether its crc was made right again, and
# what a reader says to it.
DAMAGED_LINES: Final[dict[str, tuple[Callable[[bytes], bytes], bool, str]]] = {
    "flipped-bit-in-payload": (_flip(REASON), False, CRC),
    "flipped-bit-in-payload-under-a-right-crc": (_flip(REASON), True, PAYLOAD),
    "flipped-bit-in-principal-under-a-right-crc": (_flip(b"reviewer-2"), True, HASH),
    "upper-case-digit-in-hash": (_upper_case(b"hash"), True, ORDER),
    "upper-case-digit-in-prev": (_upper_case(b"prev"), True, HASH),
    "upper-case-digit-in-crc": (_upper_case(b"crc"), False, CRC),
    "other-seq": (_swap(b'{"seq":3,', b'{"seq":4,'), False, CRC),
    "leading-zero-in-seq": (_swap(b'{"seq":3,', b'{"seq":03,'), True, "it is no event"),
    "space-after-a-colon": (_swap(b'{"seq":3,', b'{"seq": 3,'), True, ORDER),
    "payload-before-hash": (_payload_first, True, ORDER),
    "missing-member": (_swap(b'"kind":"mcp-server",', b""), True, "it is no event"),
    "bytes-that-are-no-utf-8": (_swap(REASON, b"does \xff say"), True, "it is no event"),
    "byte-order-mark": (lambda line: b"\xef\xbb\xbf" + line, False, CRC),
    "carriage-return": (lambda line: line + b"\r", False, CRC),
    "newline-in-the-middle": (_swap(REASON, b"does\nnot say"), False, CRC),
    "zeroed-sector": (lambda line: line[:512] + bytes(512) + line[1024:], False, CRC),
    "cut-off": (lambda line: line[:-20], False, CRC),
    "empty-line": (lambda _line: b"", False, CRC),
    "two-events-on-one-line": (lambda line: line * 2, False, CRC),
}


def _damaged_histories() -> Iterator[tuple[str, list[bytes], int, str]]:
    """Yield name, lines, the number of the line that does not follow, and what replay says."""
    lines = sample_history().lines()
    yield "version-gap", lines[:2] + lines[3:], 3, "version 4 follows version 2"
    yield "first-event-missing", lines[1:], 1, "version 2 follows version 0"
    yield "event-twice", [*lines[:3], *lines[2:]], 4, "version 3 follows version 3"
    for name, members, reason in (
        ("broken-chain", {"prev": "f" * 64}, "does not continue the hash chain"),
        ("event-of-another-manifest", {"manifest_id": "acme/other"}, "in the history of"),
        ("unknown-type", {"type": "blessed"}, "'blessed', which this manifestd does not know"),
        ("unknown-action", {"actions": ["bless"]}, "'bless', which this manifestd does not know"),
    ):
        history = sample_history()
        history.add("commented", "REVIEWED", reason="I was never here", **members)
        yield name, history.lines(), 7, reason


def _intact_histories() -> Iterator[tuple[str, list[bytes]]]:
    """Yield what readers have to accept although it looks odd."""
    lines = sample_history().lines()
    at = lines[2].index(b',"payload":') + len(b',"payload":')
    redacted = sealed(lines[2][:at] + b'null,"crc":"00000000"}')
    yield "redacted-payload", [*lines[:2], redacted, *lines[3:]]
    history = sample_history()
    for reason in (
        f'","hash":"{"0" * 64}","payload":{{"salt":"","crc":"00000000"}}',
        'quotes " and \\ and \\" and / and a tab\t, a newline\n, a nul\0',
        "\u2028 \u2029 \x85 \u202e \ufeff \uffff \U0001f9ff e\u0301 \x7f",
        "null",
        "",
    ):
        history.add("commented", "REVIEWED", reason=reason, context={reason: reason})
    yield "hostile-text", history.lines()
    yield "member-of-a-later-version", [_with_later_member(lines[0])]


def _with_later_member(line: bytes) -> bytes:
    start, end = line.index(b'"event_id"'), line.index(b',"hash":')
    core = line[start:end].replace(b',"payload_digest"', b',"later":{"hash":1},"payload_digest"')
    rest = line[end + len(b',"hash":""') + 64 :]
    return sealed(b'{"seq":1,%b,"hash":"%b"%b' % (core, digest_hex(core).encode(), rest))


def _log(lines: list[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def _json_lines(rows: list[dict[str, Any]]) -> bytes:
    return _log([json.dumps(row).encode() for row in rows])


def _digest_vectors() -> bytes:
    rows: list[dict[str, Any]] = [
        {
            "name": name,
            "document": document,
            "canonical": canonical,
            "digest": document_digest(canonical.encode()),
        }
        for name, document, canonical in ACCEPTED
    ]
    for name, refused, reason in REFUSED:
        member = "document" if isinstance(refused, str) else "document_hex"
        shown = refused if isinstance(refused, str) else refused.hex()
        rows.append({"name": name, member: shown, "refused": reason})
    return _json_lines(rows)


def fixture_files() -> dict[str, bytes]:
    """Return every generated file: path below `fixtures/` -> bytes."""
    events = sample_history().events
    draft, reviewed = replay(events[:DRAFT_VERSION]), replay(events)
    assert draft is not None
    assert reviewed is not None
    lines = sample_history().lines()
    files = {
        "sample-manifest-draft.json": encode_snapshot(draft),
        "sample-manifest-reviewed.json": encode_snapshot(reviewed),
        "sample-event-log.jsonl": _log(lines),
        "digests/vectors.jsonl": _digest_vectors(),
    }
    expected: dict[str, dict[str, Any]] = {}
    for name, (change, seal, reason) in DAMAGED_LINES.items():
        changed = change(lines[2])
        damaged = [*lines[:2], sealed(changed) if seal else changed, *lines[3:]]
        files[f"events/damaged/{name}.jsonl"] = _log(damaged)
        expected[name] = {"line": 3, "found_by": "read_event", "reason": reason}
    for name, damaged, line, reason in _damaged_histories():
        files[f"events/damaged/{name}.jsonl"] = _log(damaged)
        expected[name] = {"line": line, "found_by": "apply", "reason": reason}
    files["events/damaged/expected.json"] = json.dumps(expected, indent=1).encode() + b"\n"
    for name, intact in _intact_histories():
        files[f"events/intact/{name}.jsonl"] = _log(intact)
    return files


def main() -> None:
    """Write the files and remove what no longer belongs there."""
    files = fixture_files()
    for folder in ("events", "digests"):
        for path in (FIXTURES / folder).rglob("*.json*"):
            if str(path.relative_to(FIXTURES)) not in files:
                path.unlink()
    for name, content in files.items():
        path = FIXTURES / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


if __name__ == "__main__":
    main()
