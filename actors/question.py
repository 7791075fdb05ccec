"""What a guard may look at while a command is decided, and how expressions see it.

Promise:  what expressions see has the same members whatever the command left out: they are null.
Not here: what is asked (`guards.py`), and what asking may cost (`protocol.lifecycle.cel_costs`).
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from actors.rules import Rules
from protocol.commands import Transition
from protocol.events import state_name
from protocol.lifecycle.expressions import Allowance
from protocol.principals import Principal
from protocol.record import Approval
from protocol.snapshots import StateSnapshot


class Question:
    """One moment of a step, as guards see it.

    `event` is the one that asks, also where a target was named. `leaves`: the leaf states that are
    active at this moment; `approvals`: those of the manifest, and those that the step has recorded
    so far. `now`: the time of the command (RFC 3339). `allowance`: what expressions may
    still cost; whoever asks several questions of one command lets them share one.
    """

    __slots__ = (
        "_variables",
        "allowance",
        "approvals",
        "event",
        "leaves",
        "now",
        "principal",
        "request",
        "rules",
        "state",
    )

    def __init__(
        self,
        state: StateSnapshot,
        event: str,
        request: Transition,
        principal: Principal,
        rules: Rules,
        now: str,
        leaves: tuple[str, ...],
        approvals: tuple[Approval, ...],
    ) -> None:
        self.state = state
        self.event = event
        self.request = request
        self.principal = principal
        self.rules = rules
        self.now = now
        self.leaves = leaves
        self.approvals = approvals
        self.allowance = Allowance()
        self._variables: _Variables | None = None

    @property
    def variables(self) -> Mapping[str, Any]:
        """What expressions see, each variable made when one looks at it."""
        if self._variables is None:
            self._variables = _Variables(self)
        return self._variables


class _Variables(dict[str, Any]):
    """The variables of expressions, made when they are looked at."""

    def __init__(self, question: Question) -> None:
        super().__init__()
        self._question = question

    def __missing__(self, name: str) -> Any:  # noqa: ANN401 (any JSON value)
        value = self[name] = _MAKERS[name](self._question)
        return value


def _manifest(question: Question) -> object:
    return question.rules.document(question.state)


def _state(question: Question) -> object:
    state = question.state
    return {
        "id": state.manifest_id,
        "kind": state.kind,
        "name": state_name(question.leaves),
        "names": list(question.leaves),
        "version": state.version,
        "digest": state.digest,
        "author": state.author,
        "contributors": list(state.contributors),
        "context": state.context,
        "urn": state.urn,
        "registered": [
            {"urn": one.urn, "digest": one.digest, "withdrawn": one.withdrawn}
            for one in state.registered
        ],
        "rejection": msgspec.to_builtins(state.rejection),
        "lifecycle": state.lifecycle,
    }


def _principal(question: Question) -> object:
    principal = question.principal
    return {
        "name": principal.name,
        "authenticated": principal.authenticated,
        "roles": sorted(principal.roles),
        "via": principal.via,
    }


def _command(question: Question) -> object:
    request = question.request
    return {
        "event": question.event,
        "target": request.target,
        "reason": request.reason,
        "context": request.context or {},
        "digest": request.digest,
        "expected_version": request.expected_version,
    }


def _approvals(question: Question) -> object:
    digest = question.state.digest
    return [
        {
            "principal": one.principal,
            "event": one.event,
            "digest": one.digest,
            "at": one.at,
            "roles": list(one.roles),
            "version": one.version,
            "via": one.via,
            "current": one.digest == digest,
        }
        for one in question.approvals
    ]


def _now(question: Question) -> object:
    return question.now


_MAKERS: Final[dict[str, Callable[[Question], object]]] = {
    "manifest": _manifest,
    "state": _state,
    "principal": _principal,
    "command": _command,
    "approvals": _approvals,
    "now": _now,
}
