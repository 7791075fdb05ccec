"""One client that does the same things in the same order every time, for faults at the n-th call.

    Script(daemon, evidence).run()      until the end, or `DaemonEndedError` where the daemon ended

The script takes three manifests through their lives, lets the archive become current in between, and
its journal has several segments under `small_daemon`.
"""

from typing import Any, Final

import msgspec

from tests.support.crash_daemon import CrashDaemon
from tests.support.evidence import Evidence, Key, answer_of
from tests.support.load import REFUSALS

NAMES: Final = ("script/one@1.0.0", "script/two@1.0.0", "script/three@1.0.0")
QUESTIONS_MAX: Final = 20_000  # The archive is current within 200 ms; a refused one tries again.
QUESTIONS_FEW: Final = 100
ATTEMPTS_MAX: Final = 2_000  # Of a write for which there is no room; the daemon looks by itself.
NO_ROOM: Final = frozenset({"STORAGE_FULL", "READ_ONLY", "OVERLOADED"})

# What happens to each manifest; ROUND: the archive becomes current.
ROUND: Final = ""
STEPS: Final = (
    *("create", "submit_for_review", ROUND, "reject", "comment", "revise", "submit_for_review"),
    *(ROUND, "approve", "revert", "approve", "register", "comment", ROUND, "comment"),
)


class Script:
    """The client. `refused_for_room` counts; `is_patient`: it asks again until there is room."""

    def __init__(self, daemon: CrashDaemon, evidence: Evidence, *, is_patient: bool = True) -> None:
        self.evidence = evidence
        self.refused_for_room = 0
        self._daemon = daemon
        self._is_patient = is_patient
        self._commands = 0

    def run(self) -> None:
        """Take every step with every manifest.

        Raises:
            DaemonEndedError: the daemon ended instead of answering.
        """
        for step in STEPS:
            if step == ROUND:
                self._settle()
            for name in NAMES if step else ():
                self._write(name, step)

    def read(self) -> None:
        """Read everything that was acknowledged; it must be there."""
        last = {key.manifest_id: answer for key, answer in self.evidence.acknowledged.items()}
        for manifest_id, answer in last.items():
            found = answer_of(self._daemon.result(op="get", manifest_id=manifest_id))
            assert found.version >= answer.version, (found, answer)
            self.evidence.read.add(found)

    def _settle(self) -> None:
        """Have the archive become current; where there may be no room for it, ask a few times."""
        for _ in range(QUESTIONS_MAX if self._is_patient else QUESTIONS_FEW):
            status = self._daemon.result(op="status")
            if status["archived_seq"] == status["last_seq"]:
                return
        if not self._is_patient:
            return
        told = f"{status}\n{self._daemon.threads}\n{self._daemon.log}"
        message = f"the archive does not become current: {told}"
        raise AssertionError(message)

    def _write(self, name: str, step: str) -> None:
        self._commands += 1
        key = Key(name, f"script-{self._commands}")
        request = _request(name, step, self._commands) | {"command_id": key.command_id}
        self.evidence.requests[key] = _encoded(request)
        for _ in range(ATTEMPTS_MAX):
            reply = self._daemon.ask(request)
            if reply["ok"]:
                self.evidence.acknowledged[key] = answer_of(reply["result"])
                return
            code = reply["error"]["code"]
            if code not in NO_ROOM:
                assert code in REFUSALS | {"UNAVAILABLE"}, reply
                if code in REFUSALS:
                    self.evidence.refused.add(key)
                return
            self.refused_for_room += 1
            self.read()
            if not self._is_patient:
                self.evidence.refused.add(key)
                return
        message = f"there is no room after {ATTEMPTS_MAX} attempts: {reply}"
        raise AssertionError(message)


def _encoded(request: dict[str, Any]) -> bytes:
    return msgspec.json.encode(request)


def _request(name: str, step: str, number: int) -> dict[str, Any]:
    """Return the command of one step."""
    request: dict[str, Any] = {"manifest_id": name, "op": step}
    document = {"name": name.partition("@")[0], "version": "1.0.0", "n": number, "x": "x" * 300}
    match step:
        case "create":
            return request | {"kind": "agent", "manifest": document, "principal": "author-1"}
        case "revise":
            return request | {"manifest": document, "principal": "author-1"}
        case "comment":
            return request | {"text": f"remark {number}"}
        case "revert":
            return request | {"principal": "approver-1"}
        case "reject":
            return request | {"op": "transition", "event": step, "reason": "not yet"}
    return request | {"op": "transition", "event": step, "principal": "approver-1"}
