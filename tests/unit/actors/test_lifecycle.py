"""The default lifecycle as a table: what each state accepts, from whom, and what guards it."""

from typing import Any

import pytest
from msgspec.structs import replace

from actors.builtin_guards import content_approved
from actors.question import Question
from actors.rules import Rules
from protocol.commands import Write
from protocol.errors import CommandError
from protocol.principals import EVERYDAY_ROLES, Peer, Policy, Principal
from protocol.snapshots import StateSnapshot
from tests.support.engines import (
    ALICE,
    BOB,
    CAROL,
    comment,
    create,
    open_house,
    revert,
    revise,
    step,
)

OTHER = b'{"name":"echo","version":"1.0.1"}'
PENDING = ["approve", "reject"]
SUBMIT, REJECT = ["submit_for_review"], ["register", "reject"]

# from, command, who, then: the state and what it allows, or the refusal's code.
TABLE: list[tuple[str, Write, Peer, str, list[str]]] = [
    ("DRAFT", step("submit_for_review"), ALICE, "REVIEWED", PENDING),
    ("DRAFT", step("approve"), BOB, "INVALID_TRANSITION", SUBMIT),
    ("DRAFT", step("reject", reason="no"), BOB, "INVALID_TRANSITION", SUBMIT),
    ("DRAFT", step("register"), CAROL, "INVALID_TRANSITION", SUBMIT),
    ("DRAFT", step("no_such_event"), CAROL, "INVALID_TRANSITION", SUBMIT),
    ("DRAFT", revert(), ALICE, "INVALID_TRANSITION", SUBMIT),
    ("DRAFT", revise(OTHER), ALICE, "DRAFT", SUBMIT),
    ("DRAFT", comment(), ALICE, "DRAFT", SUBMIT),
    ("REVIEWED", step("submit_for_review"), ALICE, "INVALID_TRANSITION", PENDING),
    ("REVIEWED", step("approve"), BOB, "APPROVED", REJECT),
    ("REVIEWED", step("reject", reason="no"), BOB, "DRAFT", SUBMIT),
    ("REVIEWED", step("register"), CAROL, "INVALID_TRANSITION", PENDING),
    ("REVIEWED", revert(), ALICE, "DRAFT", SUBMIT),
    ("REVIEWED", revise(OTHER), ALICE, "IMMUTABLE", PENDING),
    ("REVIEWED", comment(), ALICE, "REVIEWED", PENDING),
    ("APPROVED", step("submit_for_review"), ALICE, "INVALID_TRANSITION", REJECT),
    ("APPROVED", step("approve"), BOB, "INVALID_TRANSITION", REJECT),
    ("APPROVED", step("reject", reason="no"), BOB, "DRAFT", SUBMIT),
    ("APPROVED", step("register"), CAROL, "REGISTERED", []),
    ("APPROVED", revert(), BOB, "REVIEWED", PENDING),
    ("APPROVED", revise(OTHER), ALICE, "IMMUTABLE", REJECT),
    ("APPROVED", comment(), ALICE, "APPROVED", REJECT),
    ("REGISTERED", step("submit_for_review"), ALICE, "INVALID_TRANSITION", []),
    ("REGISTERED", step("approve"), BOB, "INVALID_TRANSITION", []),
    ("REGISTERED", step("reject", reason="no"), BOB, "INVALID_TRANSITION", []),
    ("REGISTERED", step("register"), CAROL, "INVALID_TRANSITION", []),
    ("REGISTERED", revert(), CAROL, "INVALID_TRANSITION", []),
    ("REGISTERED", revise(OTHER), ALICE, "IMMUTABLE", []),
    ("REGISTERED", comment(), ALICE, "REGISTERED", []),
]


def _named(row: tuple[Any, ...]) -> str:
    request = row[1]
    return f"{row[0]}-{getattr(request, 'event', type(request).__name__.lower())}"


@pytest.mark.parametrize(
    ("start", "request_", "peer", "then", "allowed"), TABLE, ids=map(_named, TABLE)
)
@pytest.mark.parametrize("dry", [False, True], ids=["done", "dry"])
async def test_every_state_answers_every_command_as_the_lifecycle_says(
    start: str, request_: Write, peer: Peer, then: str, allowed: list[str], *, dry: bool
) -> None:
    async with open_house() as house:
        before = await house.make(state=start)
        request_ = _again(request_, dry_run=dry)
        if then.isupper() and then in {"INVALID_TRANSITION", "IMMUTABLE"}:
            error = await house.refusal(request_, peer)
            assert (error.code, error.allowed_events) == (then, allowed)
        else:
            result = await house.ask(request_, peer)
            assert (result.state, result.allowed_events) == (then, allowed)
            assert result.version == before.version + 1
            if dry:
                assert result.dry_run is True
            else:
                assert result.seq == before.seq + 1
        changed = not dry and then not in {"INVALID_TRANSITION", "IMMUTABLE"}
        assert (await house.get()).version == before.version + changed
        assert house.store.last_seq == before.version + changed


def _again(request: Write, **members: Any) -> Write:  # noqa: ANN401 (members of the struct)
    """Return a copy: a request is used by several tests."""
    fields = {name: getattr(request, name) for name in request.__struct_fields__}
    return type(request)(**(fields | members))


ROLES_NEEDED = {
    "create": {"author"},
    "revise": {"author"},
    "submit_for_review": {"author"},
    "approve": {"approver"},
    "reject": {"reviewer", "approver"},
    "register": {"registrar"},
    "comment": {"author", "reviewer", "approver", "registrar"},
    "revert submit_for_review": {"author"},
    "revert approve": {"approver"},
}
REQUESTS: dict[str, tuple[str, Write]] = {
    "create": ("DRAFT", create("other")),
    "revise": ("DRAFT", revise(OTHER)),
    "submit_for_review": ("DRAFT", step("submit_for_review")),
    "approve": ("REVIEWED", step("approve")),
    "reject": ("REVIEWED", step("reject", reason="no")),
    "register": ("APPROVED", step("register")),
    "comment": ("DRAFT", comment()),
    "revert submit_for_review": ("REVIEWED", revert()),
    "revert approve": ("APPROVED", revert()),
}


@pytest.mark.parametrize("role", sorted({*EVERYDAY_ROLES, "admin"}))
@pytest.mark.parametrize("what", REQUESTS)
async def test_only_the_roles_that_permit_a_command_may_give_it(what: str, role: str) -> None:
    state, request = REQUESTS[what]
    dave = Peer(name="dave", roles=frozenset({role}))
    async with open_house() as house:
        before = await house.make(state=state)

        outcome = await house.send(_again(request), dave)

        if role in ROLES_NEEDED[what] or role == "admin":
            event = house.store.disk.journal[-1].core
            assert (event.principal, event.roles) == ("dave", [role])
        else:
            assert getattr(outcome, "code", None) == "FORBIDDEN"
            assert house.store.last_seq == before.seq


async def test_nobody_without_a_role_may_even_ask_for_what_is_so_already() -> None:
    stranger = Peer(name="eve", roles=frozenset())
    async with open_house() as house:
        await house.make()

        assert (await house.refusal(step(None, target="DRAFT"), stranger)).code == "FORBIDDEN"


async def test_an_author_cannot_approve_his_own_content_and_is_told_how_to_go_on() -> None:
    async with open_house() as house:
        await house.make(state="REVIEWED")

        error = await house.refusal(step("approve"), ALICE)

        assert (error.code, error.details["guard"]) == ("GUARD_REJECTED", "four_eyes")
        assert "alice wrote this content" in error.message
        assert "--as NAME" in error.message
        assert error.allowed_events == PENDING


async def test_an_admin_cannot_approve_his_own_content_either() -> None:
    admin = Peer(name="alice", roles=frozenset({"admin"}))
    async with open_house() as house:
        await house.make(state="REVIEWED")

        assert (await house.refusal(step("approve"), admin)).details["guard"] == "four_eyes"


async def test_a_revisor_cannot_approve_even_what_the_author_changed_back() -> None:
    async with open_house() as house:
        original = await house.make()
        await house.ask(revise(OTHER), BOB)
        back = await house.ask(revise(b'{"version":"1.0.0","name":"echo"}'), ALICE)
        await house.ask(step("submit_for_review"))

        assert back.digest == original.digest
        assert (await house.refusal(step("approve"), BOB)).details["guard"] == "four_eyes"
        assert (await house.ask(step("approve"), CAROL)).state == "APPROVED"


async def test_whoever_changed_nothing_is_no_revisor() -> None:
    async with open_house() as house:
        await house.make()
        result = await house.ask(revise(b' {"version":"1.0.0", "name":"echo"}'), BOB)
        await house.ask(step("submit_for_review"))

        assert result.changed is False
        assert (await house.ask(step("approve"), BOB)).state == "APPROVED"


async def test_who_spoke_for_the_author_cannot_approve_under_his_own_name() -> None:
    gateway = Peer(name="gateway", roles=EVERYDAY_ROLES, may_impersonate=True)
    async with open_house() as house:
        await house.ask(create(principal="alice"), gateway)
        await house.ask(step("submit_for_review"), ALICE)

        assert (await house.get()).contributors == ["alice", "gateway"]
        assert (await house.refusal(step("approve"), gateway)).details["guard"] == "four_eyes"
        assert (await house.ask(step("approve"), BOB)).state == "APPROVED"


async def test_an_asserted_name_is_no_second_person() -> None:
    gateway = Peer(name="gateway", roles=EVERYDAY_ROLES, may_impersonate=True)
    async with open_house() as house:
        await house.make(state="REVIEWED")

        error = await house.refusal(step("approve", principal="bob"), gateway)

        assert error.details["guard"] == "four_eyes"
        assert "only asserted by gateway" in error.message


async def test_where_assertions_count_one_developer_plays_everybody_but_not_himself_twice() -> None:
    root = Peer(name="root", roles=EVERYDAY_ROLES)
    async with open_house(policy=Policy(assertions_count=True)) as house:
        await house.ask(create(), root)
        await house.ask(step("submit_for_review"), root)

        assert (await house.refusal(step("approve"), root)).details["guard"] == "four_eyes"
        result = await house.ask(step("approve", principal="bob"), root)
        assert result.state == "APPROVED"
        event = house.store.disk.journal[-1].core
        assert (event.principal, event.authenticated, event.via) == ("bob", False, "root")


async def test_naming_somebody_else_takes_the_role_for_it() -> None:
    async with open_house() as house:
        await house.make()

        error = await house.refusal(comment(principal="bob"), ALICE)
        himself = await house.ask(comment(principal="alice"), ALICE)

        assert (error.code, error.details["roles_needed"]) == ("FORBIDDEN", ["impersonate"])
        assert himself.version == 2


@pytest.mark.parametrize("name", ["", " bob", "b\nob", "x" * 201])
async def test_a_name_that_is_none_is_a_bad_request(name: str) -> None:
    gateway = Peer(name="gateway", roles=EVERYDAY_ROLES, may_impersonate=True)
    async with open_house() as house:
        error = await house.refusal(create(principal=name), gateway)

        assert (error.code, error.path) == ("BAD_REQUEST", "/principal")


async def test_without_the_policy_one_person_is_enough() -> None:
    async with open_house(policy=Policy(four_eyes=False)) as house:
        await house.make(state="REVIEWED")

        assert (await house.ask(step("approve"), ALICE)).state == "APPROVED"


@pytest.mark.parametrize(
    ("state", "event"),
    [("DRAFT", "submit_for_review"), ("REVIEWED", "approve"), ("APPROVED", "register")],
)
async def test_who_names_a_content_means_that_one(state: str, event: str) -> None:
    async with open_house() as house:
        before = await house.make(state=state)

        error = await house.refusal(step(event, digest="sha256:other"), BOB)
        again = await house.refusal(step(None, target=state, digest="sha256:other"), BOB)
        result = await house.ask(step(event, digest=before.digest), BOB)

        assert error.details["guard"] == again.details["guard"] == "digest_matches"
        assert error.details["actual"] == before.digest
        assert error.allowed_events == before.allowed_events
        assert result.version == before.version + 1


@pytest.mark.parametrize("reason", [None, "", " \n "])
async def test_a_rejection_takes_a_reason(reason: str | None) -> None:
    async with open_house() as house:
        await house.make(state="REVIEWED")

        by_event = await house.refusal(step("reject", reason=reason), BOB)
        by_target = await house.refusal(step(None, target="DRAFT", reason=reason), BOB)

        for error in (by_event, by_target):
            assert (error.code, error.details["guard"]) == ("GUARD_REJECTED", "reason_given")
            assert error.message == "reject takes a reason"


async def test_a_rejection_s_reason_is_shown_until_the_next_submission() -> None:
    async with open_house() as house:
        await house.make(state="APPROVED")
        await house.ask(step("reject", reason="too vague"), BOB)
        rejected = await house.get()
        await house.ask(comment())
        await house.ask(revise(OTHER))
        revised = await house.get()
        await house.ask(step("submit_for_review"))
        submitted = await house.get()

        assert rejected.rejection is not None
        assert (rejected.rejection.principal, rejected.rejection.reason) == ("bob", "too vague")
        assert rejected.approvals == []
        assert revised.rejection == rejected.rejection
        assert submitted.rejection is None


async def test_an_invalid_document_is_not_submitted_and_all_its_problems_are_named() -> None:
    async with open_house() as house:
        await house.ask(create(document=b'{"name":"","version":"v1","tags":1}'))

        error = await house.refusal(step("submit_for_review"))

        assert (error.code, error.details["guard"]) == ("MANIFEST_INVALID", "manifest_valid")
        assert all({"path", "reason"} == problem.keys() for problem in error.details["problems"])
        assert "/name" in {problem["path"] for problem in error.details["problems"]}
        assert error.allowed_events == SUBMIT
        assert (await house.get()).state == "DRAFT"


async def test_an_approval_of_other_content_does_not_register() -> None:
    async with open_house() as house:
        await house.make(state="APPROVED")
        state = house.store.snapshot("m")
        principal = Principal.of(CAROL)

        def verdict(state: StateSnapshot) -> CommandError | None:
            return content_approved(
                Question(
                    state,
                    "register",
                    step("register"),
                    principal,
                    Rules(),
                    now=state.updated_at,
                    leaves=state.states,
                    approvals=state.approvals,
                )
            )

        assert verdict(state) is None
        for stale in (replace(state, approvals=()), replace(state, digest="sha256:other")):
            error = verdict(stale)
            assert error is not None
            assert error.details["guard"] == "content_approved"


async def test_contexts_add_up_and_never_touch_what_the_state_says() -> None:
    async with open_house() as house:
        await house.make()
        await house.ask(
            step("submit_for_review", context={"state": "REGISTERED", "version": 99, "a": 1})
        )
        await house.ask(step("approve", context={"a": 2, "urn": "mine"}), BOB)

        got = await house.get()

        assert (got.state, got.version, got.urn) == ("APPROVED", 3, None)
        assert got.context == {"state": "REGISTERED", "version": 99, "a": 2, "urn": "mine"}
