"""Guards put together: who is refused, and what he is told."""

import pytest

from actors.builtin_guards import GUARDS
from actors.guards import refusal_of
from actors.question import Question
from protocol.errors import CommandError
from protocol.lifecycle.guards import BUILT_INS, parse_guard, parse_guards
from protocol.principals import Policy
from protocol.record import Approval, Rejection
from tests.support.questions import NOW, approval, principal, question, snapshot

SOLO = Policy(four_eyes=False)
DEV = Policy(assertions_count=True)


def _refusal(value: object, asked: Question | None = None) -> CommandError | None:
    return refusal_of(parse_guard(value), asked or question())


def _refused(value: object, asked: Question | None = None) -> CommandError:
    refusal = _refusal(value, asked)
    assert refusal is not None
    return refusal


def test_there_is_a_row_for_every_built_in_guard_and_for_no_other() -> None:
    assert set(GUARDS) == set(BUILT_INS)


# A guard, and whether it lets bob through.
ALLOWS: list[tuple[object, bool]] = [
    ("true", True),
    ("false", False),
    ("manifest.name == 'echo'", True),
    ("manifest.tools.all(tool, tool.name == 'drop')", False),
    ({"in": "REVIEWED"}, True),
    ({"in": "PENDING"}, True),
    ({"in": "DRAFT"}, False),
    ({"not": {"in": "DRAFT"}}, True),
    ({"not": "four_eyes"}, False),
    (["true", "four_eyes"], True),
    (["four_eyes", "false"], False),
    ({"or": ["false", "four_eyes"]}, True),
    ({"or": ["false", {"not": "true"}]}, False),
    ({"not": {"and": ["true", "false"]}}, True),
    ({"or": ["manifest.nothing", "true"]}, True),
    (["true", "manifest.nothing"], False),
    ({"not": "manifest.nothing"}, False),
    ({"not": {"not": "manifest.nothing"}}, False),
    ({"not": ["false", "manifest.nothing"]}, True),
    ({"not": {"or": ["false", "manifest.nothing"]}}, False),
    ("manifest.name", False),
    ({"not": "manifest.name"}, False),
    ({"cel": "command.reason"}, False),
    ("has_role(approver)", True),
    ("has_role(security)", False),
]


@pytest.mark.parametrize(("value", "is_allowed"), ALLOWS)
def test_a_guard_lets_through_or_refuses(value: object, *, is_allowed: bool) -> None:
    assert (_refusal(value) is None) is is_allowed


def test_the_first_of_several_guards_that_refuses_is_told_and_later_ones_are_not_asked() -> None:
    refusal = _refused(["four_eyes", "has_role(security)", "manifest.nothing"])

    assert refusal.details["guard"] == "has_role(security)"
    assert "error" not in refusal.details


def test_because_comes_first_and_then_what_the_guard_saw() -> None:
    refusal = _refused({"cel": "manifest.name == 'x'", "because": "Only x goes through"})

    assert refusal.code == "GUARD_REJECTED"
    assert str(refusal) == "Only x goes through (manifest.name == 'x' is not so)"
    assert refusal.message == str(refusal)
    assert refusal.details == {"guard": "manifest.name == 'x'", "because": "Only x goes through"}


@pytest.mark.parametrize(
    "value",
    [
        {"and": ["true", "false"], "because": "B"},
        {"or": ["false", "false"], "because": "B"},
        {"not": "true", "because": "B"},
        {"in": "DRAFT", "because": "B"},
        ["true", {"or": ["false"], "because": "B"}],
    ],
)
def test_every_form_may_say_because(value: object) -> None:
    refusal = _refused(value)

    assert refusal.details["because"] == "B"
    assert refusal.message.startswith("B (")


def test_a_named_guard_says_what_its_author_wrote() -> None:
    named = parse_guards({"mine": {"cel": "false", "because": "Not mine"}})
    refusal = refusal_of(parse_guard(["mine"], named), question())

    assert refusal is not None
    assert refusal.details == {"guard": "false", "because": "Not mine"}


def test_when_none_of_several_lets_through_each_says_why() -> None:
    refusal = _refused({"or": ["has_role(security)", {"in": "DRAFT"}]})

    assert refusal.details["guard"] == "has_role(security) or in DRAFT"
    assert str(refusal) == (
        "bob does not have the role security; and m is in REVIEWED, not in DRAFT"
    )
    assert [one["guard"] for one in refusal.details["refusals"]] == [
        "has_role(security)",
        "in DRAFT",
    ]


def test_what_must_not_be_so_and_is_says_so() -> None:
    refusal = _refused({"not": {"in": "PENDING"}})

    assert refusal.details["guard"] == "not in PENDING"
    assert str(refusal) == "in PENDING is so, and must not be"


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ("manifest.nothing == 1", "there is no member nothing"),
        ({"not": "manifest.nothing == 1"}, "there is no member nothing"),
        ("manifest.name", "its value is a text, neither true nor false"),
        ("command.reason", "its value is null, neither true nor false"),
        ("1", "its value is a number, neither true nor false"),
        ({"or": ["false", "manifest.nothing == 1"]}, "there is no member nothing"),
    ],
)
def test_a_guard_that_cannot_be_answered_refuses_and_says_so(value: object, error: str) -> None:
    value = {"cel": value} if value == "command.reason" else value
    refusal = _refused(value)

    assert (refusal.code, refusal.details["error"]) == ("GUARD_REJECTED", error)
    assert f"could not be answered: {error}" in str(refusal)


def test_a_document_that_is_too_large_for_a_guard_refuses_and_says_so() -> None:
    state = snapshot({"list": list(range(100_000))})
    refusal = _refused("manifest.list.all(x, x >= 0)", question(state))

    assert "could not be answered: the document is too large for it" in str(refusal)


def test_built_in_guards_keep_their_own_codes() -> None:
    assert _refused(["manifest_valid"], question(snapshot({"name": ""}))).code == "MANIFEST_INVALID"
    asked = question()
    asked.rules = asked.rules.with_urn_owner(lambda _urn: "other")
    assert _refused({"or": ["urn_free"]}, asked).code == "URN_CONFLICT"


def test_an_expression_sees_the_manifest_the_command_and_who_asks() -> None:
    state = snapshot(
        context={"risk": 1},
        rejection=Rejection(principal="carol", reason="no", version=2, at=NOW),
    )
    asked = question(
        state,
        leaves=("LEGAL", "SECURITY"),
        who=principal("bob", "reader", "approver", via="gateway"),
        reason="fine",
        context={"ticket": 7},
        expected_version=3,
    )

    assert {name: asked.variables[name] for name in ("state", "principal", "command", "now")} == {
        "state": {
            "id": "m",
            "kind": "agent",
            "name": ["LEGAL", "SECURITY"],
            "names": ["LEGAL", "SECURITY"],
            "version": 3,
            "digest": state.digest,
            "author": "alice",
            "contributors": ["alice"],
            "context": {"risk": 1},
            "urn": None,
            "registered": [],
            "rejection": {"principal": "carol", "reason": "no", "version": 2, "at": NOW},
            "lifecycle": "manifest@1",
        },
        "principal": {
            "name": "bob",
            "authenticated": False,
            "roles": ["approver", "reader"],
            "via": "gateway",
        },
        "command": {
            "event": "approve",
            "target": None,
            "reason": "fine",
            "context": {"ticket": 7},
            "digest": None,
            "expected_version": 3,
        },
        "now": NOW,
    }


def test_an_expression_sees_the_document_and_whether_approvals_are_of_it() -> None:
    state = snapshot()
    old = approval("dave", digest="sha256:old", via="gateway")
    asked = question(state, approvals=(approval("carol"), old))

    assert [(one["principal"], one["current"]) for one in asked.variables["approvals"]] == [
        ("carol", True),
        ("dave", False),
    ]
    assert asked.variables["manifest"]["name"] == "echo"
    assert asked.variables["manifest"] is asked.rules.document(state)


def test_every_variable_of_expressions_can_be_asked() -> None:
    value = (
        "manifest != null && state.version > 0 && principal.name != '' && command.event != '' && "
        "approvals.size() == 0 && now > timestamp('2026-01-01T00:00:00Z')"
    )

    assert _refusal(value) is None


def test_a_role_that_is_asked_for_is_not_given_to_an_admin_by_being_one() -> None:
    refusal = _refused("has_role(security)", question(who=principal("root", "admin")))

    assert str(refusal) == "root does not have the role security"
    assert _refusal("has_role(security)", question(who=principal("sue", "security"))) is None


CAROL, DAVE = approval("carol", "security"), approval("dave", "legal", "security")
STALE = approval("erin", "security", digest="sha256:old")
ASSERTED = approval("frank", "security", via="gateway")
AUTHOR = approval("alice", "security")

# What was approved, by whose rules, what is asked, and how many of them count.
COUNTS = [
    ((), None, "approvals_at_least(1)", 0),
    ((CAROL,), None, "approvals_at_least(1)", 1),
    ((CAROL, CAROL), None, "approvals_at_least(2)", 1),
    ((CAROL, DAVE), None, "approvals_at_least(2)", 2),
    ((CAROL, DAVE), None, "approvals_at_least(2, security)", 2),
    ((CAROL, DAVE), None, "approvals_at_least(2, legal)", 1),
    ((CAROL, STALE), None, "approvals_at_least(2)", 1),
    ((CAROL, ASSERTED), None, "approvals_at_least(2)", 1),
    ((CAROL, ASSERTED), DEV, "approvals_at_least(2)", 2),
    ((CAROL, AUTHOR), None, "approvals_at_least(2)", 1),
    ((CAROL, AUTHOR), DEV, "approvals_at_least(2)", 1),
    ((CAROL, AUTHOR), SOLO, "approvals_at_least(2)", 2),
    ((CAROL, ASSERTED), SOLO, "approvals_at_least(2)", 1),
    ((CAROL,), None, "approvals_at_least(3)", 1),
]


@pytest.mark.parametrize(("approvals", "policy", "value", "counted"), COUNTS)
def test_an_approval_counts_once_for_a_second_person_who_saw_this_content(
    approvals: tuple[Approval, ...], policy: Policy | None, value: str, counted: int
) -> None:
    refusal = _refusal(value, question(approvals=approvals, policy=policy))
    wanted = int(value.split("(")[1][0])

    if counted == wanted:
        assert refusal is None
    else:
        assert refusal is not None
        assert (refusal.details["counted"], refusal.details["needed"]) == (counted, wanted)
        assert refusal.details["missing"] == wanted - counted


def test_who_waits_for_approvals_is_told_how_many_are_missing() -> None:
    asked = question(approvals=(CAROL,))

    assert str(_refused("approvals_at_least(2, security)", asked)) == (
        "1 of 2 approvals by security (carol); 1 more is needed"
    )
    assert str(_refused("approvals_at_least(3)", question())) == (
        "0 of 3 approvals; 3 more are needed"
    )
    assert _refused("approvals_at_least(2, security)", asked).details == {
        "guard": "approvals_at_least(2, security)",
        "needed": 2,
        "counted": 1,
        "missing": 1,
        "people": ["carol"],
        "role": "security",
    }
