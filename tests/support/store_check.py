"""Is the store in this directory whole? It reads the files with code of its own, not the daemon's.

    python -m tests.support.store_check DIR        a finding per line; status 1 where there is one

Promise:  no finding means: every journal line is what was written, `seq` and every `version` are
          gapless, no event is there twice, all hash chains hold, the archive is the journal, and
          everything in the evidence is there.
Assume:   nobody writes meanwhile. `settled`: the daemon archived everything (it says so in `status`);
          otherwise the archive may lag behind the journal, and never lead it.
Not here: what the daemon answers (`wire_check.py`).
"""

import hashlib
import re
import sys
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from tests.support.evidence import Answer, Evidence, Key

ZEROS: Final = "0" * 64
_HEADER: Final = re.compile(
    rb'(\{"batch":\{"first":(\d+),"count":(\d+),"bytes":(\d+),"log_hash":"([0-9a-f]{64})"),'
    rb'"crc":"([0-9a-f]{8})"\}\}'
)
_CRC: Final = re.compile(rb',"crc":"([0-9a-f]{8})"\}')
_HASH: Final = re.compile(rb',"hash":"([0-9a-f]{64})","payload":')
_SEAL: Final = re.compile(rb',"sha256":"([0-9a-f]{64})"\}\n')


class Payload(msgspec.Struct):
    """The part of `payload` that a document is in."""

    data: msgspec.Raw


class Members(msgspec.Struct):
    """What the checks look at in an event."""

    seq: int
    event_id: str
    manifest_id: str
    version: int
    type: str
    lifecycle: str
    state: str = msgspec.field(name="to")
    command_id: str
    digest: str
    payload_digest: str
    prev: str
    hash: str
    urn: str | None = None


class StoredEvent(NamedTuple):
    """An event as it lies in the journal: its place, its members, and its bytes."""

    seq: int
    members: Members
    line: bytes

    @property
    def key(self) -> Key:
        """The command that it came from."""
        return Key(self.members.manifest_id, self.members.command_id)


class Journal(NamedTuple):
    """All events, the log hash after each batch by its last seq, and what is wrong with them."""

    events: list[StoredEvent]
    log_hashes: dict[int, str]
    findings: list[str]


def sha256(data: bytes) -> str:
    """Return the sha256 of `data` in hex."""
    return hashlib.sha256(data).hexdigest()


def check_store(
    directory: Path, evidence: Evidence | None = None, *, settled: bool = True
) -> list[str]:
    """Return what is wrong with the store, in sentences; empty when nothing is."""
    journal = read_journal(directory)
    by_manifest: dict[str, list[StoredEvent]] = defaultdict(list)
    for event in journal.events:
        by_manifest[event.members.manifest_id].append(event)
    findings = [*journal.findings, *_uniqueness(journal.events)]
    for events in by_manifest.values():
        findings += _chain(events)
    findings += _archive(directory, by_manifest, settled=settled)
    findings += _marks(directory, journal)
    if evidence is not None:
        findings += evidence_findings(journal.events, evidence)
    return findings


def read_journal(directory: Path) -> Journal:
    """Read all segments; what cannot be read is a finding, and ends the reading."""
    journal = Journal([], {0: ZEROS}, [])
    for path in sorted((directory / "journal").glob("*.jsonl")):
        if int(path.stem) != len(journal.events) + 1:
            journal.findings.append(f"{path.name}: {len(journal.events)} events are before it")
        lines = path.read_bytes().split(b"\n")
        if lines.pop():
            journal.findings.append(f"{path.name}: its last line has no end")
        position = 0
        while position < len(lines):
            header = _HEADER.fullmatch(lines[position])
            if header is None or f"{zlib.crc32(header[1]):08x}" != header[6].decode():
                journal.findings.append(f"{path.name}:{position + 1}: no batch header")
                return journal
            batch = lines[position + 1 : position + 1 + int(header[3])]
            wrong = _read_batch(journal, header, batch)
            journal.findings.extend(f"{path.name}:{position + 1}: {what}" for what in wrong)
            position += 1 + len(batch)
    return journal


def _read_batch(journal: Journal, header: re.Match[bytes], lines: list[bytes]) -> Iterator[str]:
    """Add a batch to `journal`, and yield what is wrong with it."""
    log_hash = journal.log_hashes[len(journal.events)]
    if int(header[2]) != len(journal.events) + 1 or len(lines) != int(header[3]):
        yield "the header counts other events"
    if sum(map(len, lines)) + len(lines) != int(header[4]):
        yield "the batch has another size"
    for line in lines:
        seq = len(journal.events) + 1
        event, wrong = read_line(line, seq)
        yield from (f"seq {seq}: {what}" for what in wrong)
        if event is not None:
            journal.events.append(event)
            log_hash = sha256(f"{log_hash}|{seq}|{event.members.hash}".encode())
    if log_hash.encode() != header[5]:
        yield "log_hash does not hold"
    journal.log_hashes[len(journal.events)] = log_hash


def read_line(line: bytes, seq: int) -> tuple[StoredEvent | None, list[str]]:
    """Return the event in `line`, and what is wrong with it where `seq` belongs."""
    wrong = []
    crc, split = _CRC.search(line, max(0, len(line) - 18)), _HASH.search(line)
    start = line.find(b'"event_id":')
    try:
        members = msgspec.json.decode(line, type=Members)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        return None, [f"no event: {error}"]
    if crc is None or split is None or start < 0:
        return None, ["no event of ours"]
    if f"{zlib.crc32(line[: crc.start()]):08x}" != crc[1].decode() or crc.end() != len(line):
        wrong.append("the crc does not hold")
    if sha256(line[start : split.start()]) != split[1].decode():
        wrong.append("the hash does not hold")
    payload = line[split.end() : crc.start()]
    if sha256(payload) != members.payload_digest:
        wrong.append("the payload is not the one that payload_digest names")
    elif members.type in ("created", "revised"):
        document = bytes(msgspec.json.decode(payload, type=Payload).data)
        if f"sha256:{sha256(document)}" != members.digest:
            wrong.append("the document is not the one that digest names")
    if members.seq != seq:
        wrong.append(f"seq {members.seq} stands where seq {seq} belongs")
    return StoredEvent(seq, members, line), wrong


def _uniqueness(events: list[StoredEvent]) -> Iterator[str]:
    """Yield what is there twice."""
    named = Counter(event.members.event_id for event in events)
    asked = Counter(event.key for event in events)
    yield from (f"event {name} is there {n} times" for name, n in named.items() if n > 1)
    yield from (f"command {key} was executed {n} times" for key, n in asked.items() if n > 1)
    owners: dict[str, str] = {}
    for event in events:
        if event.members.state == "REGISTERED" and (urn := event.members.urn):
            owner = owners.setdefault(urn, event.members.manifest_id)
            if owner != event.members.manifest_id:
                yield f"{urn} names {owner} and {event.members.manifest_id}"


def _chain(events: list[StoredEvent]) -> Iterator[str]:
    """Yield where one manifest's versions have a gap, or its hashes no chain."""
    prev = ZEROS
    for version, event in enumerate(events, 1):
        where = f"{event.members.manifest_id}, seq {event.seq}"
        if event.members.version != version:
            yield f"{where}: version {event.members.version} stands where version {version} belongs"
        if event.members.prev != prev:
            yield f"{where}: the hash chain is broken"
        prev = event.members.hash


def _archive(
    directory: Path, by_manifest: dict[str, list[StoredEvent]], *, settled: bool
) -> Iterator[str]:
    """Yield where the manifests' own folders are not what the journal says."""
    archived = set()
    first_lines = {events[0].line: manifest_id for manifest_id, events in by_manifest.items()}
    for path in sorted((directory / "manifests").glob("*/*")):
        log, state = path / "events.log", path / "state.json"
        lines = log.read_bytes().split(b"\n") if log.exists() else [b""]
        if (torn := lines.pop()) and settled:
            yield f"{log}: its last line has no end: {torn[:40]!r}"
        if not lines:
            continue
        manifest_id = first_lines.get(lines[0], "")
        archived.add(manifest_id)
        events = by_manifest.get(manifest_id, [])
        written = [event.line for event in events]
        if lines != (written if settled else written[: len(lines)]):
            yield f"{log}: its {len(lines)} lines are not those of the journal ({len(written)})"
        yield from _snapshot(state, events[: len(lines)], settled=settled)
    if settled:
        yield from (f"{name} is not archived" for name in sorted(by_manifest.keys() - archived))


def _snapshot(path: Path, events: list[StoredEvent], *, settled: bool) -> Iterator[str]:
    """Yield where a `state.json` is not what `events`, the archived ones, lead to."""
    if not path.exists():
        if settled:
            yield f"{path} is missing"
        return
    data = path.read_bytes()
    seal = _SEAL.search(data, max(0, len(data) - 80))
    if seal is None or seal.end() != len(data) or sha256(data[: seal.start()]) != seal[1].decode():
        yield f"{path}: the seal is broken"
        return
    state = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    version = msgspec.json.decode(state["version"], type=int)
    if not 1 <= version <= len(events) or (settled and version != len(events)):
        yield f"{path}: it is at version {version}, events.log at {len(events)}"
        return
    members = events[version - 1].members
    same = {
        "seq": members.seq,
        "digest": members.digest,
        "state": members.state,
        "head": members.hash,
        "lifecycle": members.lifecycle,
    }
    for ours, expected in same.items():
        if msgspec.json.decode(state[ours]) != expected:
            yield f"{path}: {ours} is not that of version {version}"
    if f"sha256:{sha256(bytes(state['document']))}" != members.digest:
        yield f"{path}: the document is not the one that digest names"


def _marks(directory: Path, journal: Journal) -> Iterator[str]:
    """Yield where `checkpoint.json`, `clean` or the index do not speak of this journal."""
    last = len(journal.events)
    for name in ("checkpoint.json", "clean"):
        path = directory / name
        if not path.exists():
            continue
        mark = msgspec.json.decode(path.read_bytes())
        if journal.log_hashes.get(mark["seq"]) != mark["log_hash"]:
            yield f"{name}: seq {mark['seq']} and its log_hash are not the journal's"
        if name == "clean" and mark["seq"] != last:
            yield f"clean: it ends at seq {mark['seq']}, the journal at seq {last}"
    index = directory / "index" / "manifests.jsonl"
    for line in index.read_bytes().splitlines() if index.exists() else ():
        row = msgspec.json.decode(line)
        if row["seq"] > last:
            yield f"index: it knows seq {row['seq']}, the journal ends at seq {last}"


def evidence_findings(events: list[StoredEvent], evidence: Evidence) -> Iterator[str]:
    """Yield what clients were told and the journal does not hold."""
    by_command = {event.key: event for event in events}
    by_version = {(event.members.manifest_id, event.members.version): event for event in events}
    for key, answer in evidence.acknowledged.items():
        yield from _contradicts(f"{key} was acknowledged as", answer, by_command.get(key))
    for answer in evidence.read:
        event = by_version.get((answer.manifest_id, answer.version))
        yield from _contradicts("a reader was shown", answer, event)
    for seq, line in evidence.published.items():
        if seq > len(events):
            yield f"lost: seq {seq} was published"
        elif events[seq - 1].line != line:
            yield f"seq {seq} was published with other bytes"
    for key in evidence.refused & by_command.keys():
        yield f"{key} was refused, and is seq {by_command[key].seq}"


def _contradicts(what: str, answer: Answer, event: StoredEvent | None) -> Iterator[str]:
    if event is None:
        yield f"lost: {what} {answer}"
        return
    members = event.members
    found = (event.seq, members.version, members.digest, members.state)
    if found != (answer.seq, answer.version, answer.digest, answer.state):
        yield f"{what} {answer}, and it is {members}"


def main(arguments: list[str]) -> int:
    """Check the directory that is named, print what is wrong, and return 1 where anything is."""
    (directory,) = arguments
    findings = check_store(Path(directory), settled=(Path(directory) / "clean").exists())
    print("\n".join(findings) or "nothing is wrong")  # noqa: T201 (a command speaks)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
