"""A question for guards to answer, without a house around it."""

from typing import Any

import msgspec

from actors.question import Question
from actors.rules import Rules
from protocol.canonical import canonicalize_value, document_digest
from protocol.commands import Transition
from protocol.principals import EVERYDAY_ROLES, Policy, Principal
from protocol.record import Approval
from protocol.snapshots import StateSnapshot

NOW = "2026-11-26T12:00:00.000000Z"
DOCUMENT = {"name": "echo", "version": "1.0.0", "tools": [{"name": "find"}]}


def snapshot(document: object = None, **members: Any) -> StateSnapshot:  # noqa: ANN401 (members of the struct)
    """Return the state of a manifest that alice wrote and submitted."""
    canonical = canonicalize_value(DOCUMENT if document is None else document)
    state: dict[str, Any] = {
        "manifest_id": "m",
        "kind": "agent",
        "lifecycle": "manifest@1",
        "state": "REVIEWED",
        "version": 3,
        "seq": 7,
        "digest": document_digest(canonical),
        "urn": None,
        "author": "alice",
        "created_seq": 5,
        "created_at": NOW,
        "updated_at": NOW,
        "contributors": ("alice",),
        "approvals": (),
        "rejection": None,
        "reversible": (),
        "registered": (),
        "history": {},
        "timers": (),
        "context": {},
        "context_versions": {},
        "document_version": 1,
        "head": "",
        "commands": (),
        "document": msgspec.Raw(canonical),
    }
    return StateSnapshot(**(state | members))


def principal(name: str = "bob", *roles: str, via: str | None = None) -> Principal:
    """Return a principal; asserted by `via` when one is given."""
    return Principal(
        name=name,
        authenticated=via is None,
        roles=frozenset(roles) or EVERYDAY_ROLES,
        via=via,
    )


def approval(name: str, *roles: str, **members: Any) -> Approval:  # noqa: ANN401 (members of the struct)
    """Return an approval of what `snapshot` holds, in `roles`."""
    one: dict[str, Any] = {
        "principal": name,
        "event": "approve",
        "version": 2,
        "digest": snapshot().digest,
        "at": NOW,
        "roles": list(roles or ("approver",)),
    }
    return Approval(**(one | members))


def question(
    state: StateSnapshot | None = None,
    *,
    approvals: tuple[Approval, ...] = (),
    leaves: tuple[str, ...] | None = None,
    who: Principal | None = None,
    policy: Policy | None = None,
    **members: Any,  # noqa: ANN401 (members of the request)
) -> Question:
    """Return the question whether bob may approve."""
    state = state or snapshot()
    return Question(
        state,
        "approve",
        Transition(manifest_id="m", **({"event": "approve"} | members)),
        who or principal(),
        Rules(policy=policy),
        NOW,
        state.states if leaves is None else leaves,
        approvals,
    )
