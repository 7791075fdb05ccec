"""The built-in guards: questions a transition asks before it is taken.

Promise:  pure; a guard returns None or the refusal, and the refusal says what would help.
Not here: permission (`protocol.principals`), and which transition asks what (the lifecycle).
"""

from collections.abc import Callable, Iterator
from typing import Final

from actors.question import Question
from protocol.errors import (
    CommandError,
    GuardRejectedError,
    ManifestInvalidError,
    UrnConflictError,
)

SHOWN_PROBLEMS: Final = 3  # In the message; all of them are in the details.
SHOWN_PEOPLE: Final = 5  # Likewise.


def _rejected(guard: str, message: str, suggestion: str | None = None) -> GuardRejectedError:
    return GuardRejectedError(message, suggestion=suggestion, details={"guard": guard})


def manifest_valid(question: Question) -> CommandError | None:
    """The document is valid for its kind."""
    problems = question.rules.verdict(question.state).problems
    if not problems:
        return None
    state = question.state
    shown = "; ".join(f"{one.path or '/'}: {one.reason}" for one in problems[:SHOWN_PROBLEMS])
    more = f" (and {len(problems) - SHOWN_PROBLEMS} more)" if len(problems) > SHOWN_PROBLEMS else ""
    return ManifestInvalidError(
        f"{state.manifest_id} is no valid {state.kind}: {shown}{more}",
        path=problems[0].path,
        suggestion=f"manifestctl revise {state.manifest_id} FILE",
        details={
            "guard": "manifest_valid",
            "problems": [{"path": one.path, "reason": one.reason} for one in problems],
        },
    )


def reason_given(question: Question) -> CommandError | None:
    """The command gives a reason that is not blank."""
    if question.request.reason and question.request.reason.strip():
        return None
    return _rejected("reason_given", f"{question.event} takes a reason", "add --reason TEXT")


def digest_matches(question: Question) -> CommandError | None:
    """The content is the one the command names, when it names one."""
    wanted, actual = question.request.digest, question.state.digest
    if wanted is None or wanted == actual:
        return None
    return GuardRejectedError(
        f"{question.state.manifest_id} has the content {actual}, not {wanted}",
        suggestion=f"manifestctl get {question.state.manifest_id}",
        details={"guard": "digest_matches", "expected": wanted, "actual": actual},
    )


def four_eyes(question: Question) -> CommandError | None:
    """Nobody approves content that he touched; by person, an asserted name is none."""
    policy, principal = question.rules.policy, question.principal
    if not policy.four_eyes:
        return None
    if principal.name in question.state.contributors:
        return _rejected(
            "four_eyes",
            f"{principal.name} wrote this content and cannot approve it (four_eyes). "
            "Ask another approver; with --dev, add --as NAME",
        )
    if not principal.authenticated and not policy.assertions_count:
        return _rejected(
            "four_eyes",
            f"{principal.name} is only asserted by {principal.via} and does not count as a second "
            "person (four_eyes). Let the approver connect under his own name",
        )
    return None


def content_approved(question: Question) -> CommandError | None:
    """The content is still what was approved."""
    state = question.state
    if any(approval.digest == state.digest for approval in question.approvals):
        return None
    return _rejected("content_approved", f"nobody approved the content {state.digest}")


def has_role(question: Question, role: str) -> CommandError | None:
    """Whoever asks has the role; an admin has it only when it is given to him too."""
    principal = question.principal
    if role in principal.roles:
        return None
    return GuardRejectedError(
        f"{principal.name} does not have the role {role}",
        suggestion=f"ask somebody who has the role {role}",
        details={"guard": f"has_role({role})", "role": role, "roles": sorted(principal.roles)},
    )


def approvals_at_least(
    question: Question, count: int, role: str | None = None
) -> CommandError | None:
    """As many people approved the present content, in that role when one is named."""
    people = sorted(set(_approvers(question, role)))
    missing = count - len(people)
    if missing <= 0:
        return None
    by = "" if role is None else f" by {role}"
    have = f" ({', '.join(people[:SHOWN_PEOPLE])})" if people else ""
    arguments = str(count) if role is None else f"{count}, {role}"
    return GuardRejectedError(
        f"{len(people)} of {count} approvals{by}{have}; {missing} more "
        f"{'is' if missing == 1 else 'are'} needed",
        suggestion=f"manifestctl explain {question.state.manifest_id}",
        details={
            "guard": f"approvals_at_least({arguments})",
            "needed": count,
            "counted": len(people),
            "missing": missing,
            "people": people,
            "role": role,
        },
    )


def _approvers(question: Question, role: str | None) -> Iterator[str]:
    """Yield who approved what is there now, as `four_eyes` counts people."""
    policy, state = question.rules.policy, question.state
    for approval in question.approvals:
        is_person = approval.via is None or policy.assertions_count
        is_second = not policy.four_eyes or approval.principal not in state.contributors
        has_role = role is None or role in approval.roles
        if approval.digest == state.digest and is_person and is_second and has_role:
            yield approval.principal


def content_registered(question: Question) -> CommandError | None:
    """The content is registered already, as it is."""
    state = question.state
    if any(one.digest == state.digest for one in state.registered):
        return None
    return _rejected("content_registered", f"the content {state.digest} was never registered")


def urn_free(question: Question) -> CommandError | None:
    """The manifest's URN names no other manifest."""
    state, rules = question.state, question.rules
    try:
        urn = rules.urn(state)
    except ManifestInvalidError as error:
        return error
    owner = rules.urn_owner(urn)
    return None if owner in (None, state.manifest_id) else urn_taken(urn, owner or "?")


def urn_taken(urn: str, owner: str) -> UrnConflictError:
    """Return the refusal for a URN that manifest `owner` has."""
    return UrnConflictError(
        f"{urn} is the manifest {owner}",
        suggestion=f"manifestctl get {owner}",
        details={"guard": "urn_free", "urn": urn, "manifest_id": owner},
    )


# By name; a row takes the question, and the arguments that `protocol.lifecycle.guards` checked.
GUARDS: Final[dict[str, Callable[..., CommandError | None]]] = {
    "manifest_valid": manifest_valid,
    "reason_given": reason_given,
    "digest_matches": digest_matches,
    "four_eyes": four_eyes,
    "content_approved": content_approved,
    "content_registered": content_registered,
    "urn_free": urn_free,
    "has_role": has_role,
    "approvals_at_least": approvals_at_least,
}
