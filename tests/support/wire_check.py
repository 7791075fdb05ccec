"""Ask a daemon that was killed and started again whether it still answers as it did.

    settle -> feed, get, verify -> every retry

Promise:  every acknowledged command, sent again, gets its first answer with `replayed`; one that was
          in doubt is executed now, was executed once, or is refused; and is in doubt no longer.
Not here: the files (`store_check.py`).
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec
import zmq

from tests.support.crash_daemon import CrashDaemon
from tests.support.evidence import Evidence, Key, answer_of
from tests.support.load import REFUSALS
from tests.support.store_check import StoredEvent, check_store, read_journal

SETTLING_MAX: Final = 100_000  # Questions; the archive is current within 200 ms without load.
PIPELINED: Final = 100


class FeedPage(msgspec.Struct):
    """A page of `feed`, its events as bytes."""

    events: list[msgspec.Raw]
    next_seq: int
    last_seq: int


class FeedReply(msgspec.Struct):
    """The reply that holds one."""

    result: FeedPage


def check_restarted(
    daemon: CrashDaemon, evidence: Evidence, keys: Iterable[Key] | None = None
) -> list[str]:
    """Return what is wrong after a restart, in sentences; retry `keys`, or all that are known.

    What was in doubt is acknowledged or refused afterwards, and `evidence` says so.
    """
    acknowledged = list(evidence.acknowledged if keys is None else keys)
    findings = list(_retries(daemon, evidence, acknowledged))
    findings += _doubts(daemon, evidence)
    settle(daemon)
    findings += check_store(daemon.data_dir, evidence)
    events = read_journal(daemon.data_dir).events
    findings += _feed(daemon, events)
    findings += _states(daemon, events)
    return findings


def settle(daemon: CrashDaemon) -> None:
    """Return when everything that is durable is archived, too."""
    with_socket = _Asking(daemon)
    for _ in range(SETTLING_MAX):
        status = with_socket.result({"op": "status"})
        if status["archived_seq"] == status["last_seq"]:
            with_socket.close()
            return
    message = f"the archive is not current after {SETTLING_MAX} questions: {status}"
    raise AssertionError(message)


class _Asking:
    """One REQ socket for many questions."""

    def __init__(self, daemon: CrashDaemon) -> None:
        self._socket = daemon.socket(zmq.REQ)
        self._socket.rcvtimeo = 30_000

    def raw(self, request: dict[str, Any]) -> bytes:
        self._socket.send(msgspec.json.encode(request))
        return self._socket.recv()

    def result(self, request: dict[str, Any]) -> dict[str, Any]:
        reply = msgspec.json.decode(self.raw(request))
        assert reply["ok"], (request, reply)
        result: dict[str, Any] = reply["result"]
        return result

    def close(self) -> None:
        self._socket.close()


def _pipelined(
    daemon: CrashDaemon, evidence: Evidence, keys: list[Key]
) -> Iterator[tuple[Key, dict[str, Any]]]:
    """Send the requests of `keys` again, many at a time, and yield each with its reply."""
    socket = daemon.socket(zmq.DEALER)
    socket.rcvtimeo = 30_000
    for start in range(0, len(keys), PIPELINED):
        batch = keys[start : start + PIPELINED]
        for number, key in enumerate(batch):
            socket.send_multipart([b"%d" % number, b"", evidence.requests[key]])
        for _ in batch:
            frames = socket.recv_multipart()
            yield batch[int(frames[0])], msgspec.json.decode(frames[2])
    socket.close()


def _retries(daemon: CrashDaemon, evidence: Evidence, keys: list[Key]) -> Iterator[str]:
    for key, reply in _pipelined(daemon, evidence, keys):
        first = evidence.acknowledged[key]
        if not reply["ok"]:
            yield f"{key} was acknowledged as {first}, and a retry is refused: {reply['error']}"
        elif not reply["result"]["replayed"]:
            yield f"{key} was acknowledged as {first}, and a retry was executed: {reply}"
        elif answer_of(reply["result"]) != first:
            yield f"{key} was acknowledged as {first}, and a retry is answered {reply['result']}"


def _doubts(daemon: CrashDaemon, evidence: Evidence) -> Iterator[str]:
    """Ask each command that was in doubt twice: from then on its answer stands."""
    doubts = evidence.in_doubt
    for key, reply in _pipelined(daemon, evidence, doubts):
        if reply["ok"]:
            evidence.acknowledged[key] = answer_of(reply["result"])
        elif reply["error"]["code"] in REFUSALS:
            evidence.refused.add(key)
        else:
            yield f"{key} was in doubt, and a retry is answered {reply['error']}"
    yield from _retries(daemon, evidence, [key for key in doubts if key in evidence.acknowledged])


def _feed(daemon: CrashDaemon, events: list[StoredEvent]) -> Iterator[str]:
    asking = _Asking(daemon)
    lines: list[bytes] = []
    last_seq = 1
    while len(lines) < last_seq:
        page = asking.raw({"op": "feed", "after_seq": len(lines), "limit": 1000})
        reply = msgspec.json.decode(page, type=FeedReply).result
        last_seq = reply.last_seq
        lines += map(bytes, reply.events)
        if not reply.events:
            break
    if lines != [event.line for event in events]:
        yield f"feed answers {len(lines)} events that are not the {len(events)} of the journal"
    verified = asking.result({"op": "verify"})
    if (verified["events"], verified["last_seq"]) != (len(events), len(events)):
        yield f"verify answers {verified}, and the journal ends at seq {len(events)}"
    asking.close()


def _states(daemon: CrashDaemon, events: list[StoredEvent]) -> Iterator[str]:
    asking = _Asking(daemon)
    for event in {event.members.manifest_id: event for event in events}.values():
        members = event.members
        answer = answer_of(asking.result({"op": "get", "manifest_id": members.manifest_id}))
        expected = (members.version, event.seq, members.digest, members.state)
        if (answer.version, answer.seq, answer.digest, answer.state) != expected:
            yield f"get answers {answer}, and the last event is seq {event.seq}: {members}"
    asking.close()
