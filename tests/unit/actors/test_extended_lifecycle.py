"""manifest-extended@1: sign-offs side by side, a way out of REGISTERED, and revisions."""

import pytest

from actors.rules import Rules
from protocol.commands import Get, Lookup, Revert
from protocol.principals import EVERYDAY_ROLES, Peer
from protocol.replies import LookupResult, TransitionResult
from tests.support.engines import (
    ALICE,
    BOB,
    CAROL,
    URN,
    House,
    comment,
    create,
    open_house,
    revise,
    step,
)
from tests.support.memory_store import MemoryDisk
from tests.support.timed import fired, pass_time, settings
from tests.support.virtual_clock import VirtualClock

SAM = Peer(name="sam", roles=frozenset({"security"}))
LEO = Peer(name="leo", roles=frozenset({"legal"}))
DAVE = Peer(name="dave", roles=EVERYDAY_ROLES)
RULES = Rules(lifecycle="manifest-extended@1")
SIGN_OFFS = [
    ("approve_security", SAM),
    ("approve_legal", LEO),
    ("approve", BOB),
    ("approve", CAROL),
]


async def _sign(house: House) -> TransitionResult:
    """Submit it, and let everybody sign; return the last answer."""
    await house.ask(step("submit_for_review"), ALICE)
    for event, peer in SIGN_OFFS:
        result = await house.ask(step(event), peer)
    assert isinstance(result, TransitionResult)
    return result


async def _register(house: House) -> TransitionResult:
    if not house.store.disk.manifests:
        await house.ask(create())
    await _sign(house)
    result = await house.ask(step("register"), CAROL)
    assert isinstance(result, TransitionResult)
    return result


async def _found(house: House, urn: str = URN) -> LookupResult:
    result = await house.ask(Lookup(urn=urn))
    assert isinstance(result, LookupResult)
    return result


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]])
async def test_all_sign_side_by_side_in_any_order_and_then_it_is_approved(
    order: list[int],
) -> None:
    async with open_house(rules=RULES) as house:
        await house.ask(create())
        result = await house.ask(step("submit_for_review"), ALICE)
        assert result.state == ["LEGAL_REVIEW", "PEER_REVIEW", "SECURITY_REVIEW"]

        states = []
        for place in order:
            event, peer = SIGN_OFFS[place]
            states.append((await house.ask(step(event), peer)).state)

        assert states[-1] == "APPROVED"
        assert all(isinstance(state, list) for state in states[:-1])
        approvals = (await house.get()).approvals
        assert [(one.principal, one.event) for one in approvals] == [
            (SIGN_OFFS[place][1].name, SIGN_OFFS[place][0]) for place in order
        ]


async def test_one_approver_is_not_two() -> None:
    async with open_house(rules=RULES) as house:
        await house.ask(create())
        await house.ask(step("submit_for_review"), ALICE)
        await house.ask(step("approve"), BOB)

        again = await house.refusal(step("approve"), BOB)
        mine = await house.refusal(step("approve"), ALICE)
        unasked = await house.refusal(step("approve_security"), BOB)

        assert "you approved it already" in again.message
        assert again.details["guard"] == "not_yet_approved"
        assert mine.details["guard"] == "four_eyes"
        assert (unasked.code, unasked.details["roles_needed"]) == ("FORBIDDEN", ["security"])
        assert "PEER_REVIEW" in (await house.get()).state


async def test_a_longer_name_of_an_event_takes_the_same_roles() -> None:
    """`approve.again` is taken for `approve` by the state, and so it is by the roles."""
    nobody = Peer(name="eve", roles=frozenset({"reader"}))
    async with open_house(rules=RULES) as house:
        await house.ask(create())
        await house.ask(step("submit_for_review"), ALICE)

        for event in ("approve.again", "reject.it", "approve_security.x"):
            refusal = await house.refusal(step(event, reason="x"), nobody)
            assert refusal.code == "FORBIDDEN", event


async def test_a_review_that_nobody_finishes_in_two_weeks_goes_back() -> None:
    clock = VirtualClock()
    disk = MemoryDisk()
    async with open_house(disk, rules=RULES, **settings(clock)) as house:
        await house.ask(create())
        await house.ask(step("submit_for_review"), ALICE)
        await house.ask(step("approve"), BOB)
        await pass_time(house, clock, 14 * 86_400 - 1)
        assert "PEER_REVIEW" in (await house.get()).state

        await pass_time(house, clock, 2)

        state = await house.get()
        assert (state.state, state.approvals, state.timers) == ("DRAFT", [], [])
        [event] = fired(disk)
        assert (event.core.event, event.core.principal) == ("after.PENDING.1", "manifestd")


async def test_what_is_approved_in_time_is_not_sent_back_by_the_old_timer() -> None:
    clock = VirtualClock()
    disk = MemoryDisk()
    async with open_house(disk, rules=RULES, **settings(clock)) as house:
        await _register(house)
        await pass_time(house, clock, 60 * 86_400)

        assert (await house.get()).state == "REGISTERED"
        assert fired(disk) == []


async def test_what_is_registered_is_found_until_its_revision_is_registered_too() -> None:
    async with open_house(rules=RULES) as house:
        first = await _register(house)
        revised = await house.ask(revise(b'{"name":"echo","version":"1.0.0","tags":["new"]}'))
        assert revised.state == "DRAFT"

        meanwhile = await _found(house)
        assert (meanwhile.digest, meanwhile.version) == (first.digest, first.version)
        assert meanwhile.state == "DRAFT"
        assert b"tags" not in bytes(meanwhile.manifest)

        second = await _register(house)
        after = await _found(house)
        assert (after.digest, after.version) == (second.digest, second.version)
        assert b"tags" in bytes(after.manifest)
        assert [one.urn for one in (await house.get()).registered] == [URN]


async def test_a_revision_under_another_version_is_found_beside_the_first() -> None:
    async with open_house(rules=RULES) as house:
        first = await _register(house)
        await house.ask(revise(b'{"name":"echo","version":"1.1.0"}'))
        second = await _register(house)

        assert (await _found(house)).digest == first.digest
        assert (await _found(house, URN.replace("1.0.0", "1.1.0"))).digest == second.digest
        assert (await _found(house, URN.partition("@")[0])).digest == second.digest
    async with open_house(house.store.disk, rules=RULES) as house:  # And after a restart.
        assert (await _found(house)).digest == first.digest
        taken = create(manifest_id="other", document=b'{"name":"echo","version":"1.1.0"}')
        await house.ask(taken)
        error = await house.refusal(step("register", manifest_id="other"), CAROL)
        assert error.code == "INVALID_TRANSITION"


async def test_nothing_of_a_revision_is_registered_without_new_approvals() -> None:
    async with open_house(rules=RULES) as house:
        await _register(house)
        await house.ask(revise(b'{"name":"echo","version":"1.0.0","tags":["evil"]}'))

        assert (await house.get()).approvals == []
        assert (await house.refusal(step("register"), CAROL)).code == "INVALID_TRANSITION"


async def test_what_is_withdrawn_is_found_no_more_until_it_is_restored() -> None:
    async with open_house(rules=RULES) as house:
        await _register(house)
        assert (await house.refusal(step("withdraw"), CAROL)).details["guard"] == "reason_given"
        await house.ask(step("withdraw", reason="leaks"), CAROL)

        gone = await house.refusal(Lookup(urn=URN))
        base = await house.refusal(Lookup(urn=URN.partition("@")[0]))

        assert gone.details == {"manifest_id": "m", "withdrawn": True}
        assert base.code == "NOT_FOUND"
        await house.ask(create(manifest_id="other"))
    async with open_house(house.store.disk, rules=RULES) as house:  # Its URN stays its own.
        assert house.engine.directory.catalog.urn_owner(URN) == "m"
        restored = await house.ask(step("restore", reason="it does not"), CAROL)
        assert restored.state == "REGISTERED"
        assert (await _found(house)).manifest_id == "m"


async def test_a_draft_that_was_withdrawn_comes_back_as_a_draft() -> None:
    async with open_house(rules=RULES) as house:
        await _register(house)
        await house.ask(revise(b'{"name":"echo","version":"1.0.0","tags":["new"]}'))
        await house.ask(step("withdraw", reason="leaks"), CAROL)

        restored = await house.ask(step("restore", reason="no"), CAROL)

        assert restored.state == "DRAFT"
        assert b"tags" not in bytes((await _found(house)).manifest)


async def test_a_draft_that_never_was_registered_cannot_be_withdrawn() -> None:
    async with open_house(rules=RULES) as house:
        await house.ask(create())

        error = await house.refusal(step("withdraw", reason="x"), CAROL)

        assert "nothing of it was registered yet" in error.message


async def test_what_supersedes_it_is_kept_and_forgotten_by_a_restoration() -> None:
    async with open_house(rules=RULES) as house:
        await _register(house)
        unnamed = await house.refusal(step("supersede"), CAROL)
        assert "say what replaces it" in unnamed.message

        await house.ask(step("supersede", context={"replaced_by": "echo@2.0.0"}), CAROL)
        assert (await house.get()).context == {"replaced_by": "echo@2.0.0"}
        assert (await _found(house)).state == "SUPERSEDED"

        await house.ask(step("restore"), CAROL)
        assert (await house.get()).context == {"replaced_by": None}


async def test_what_is_deprecated_is_still_found_and_may_be_revised_or_restored() -> None:
    async with open_house(rules=RULES) as house:
        await _register(house)
        await house.ask(step("deprecate", reason="old"), CAROL)
        assert (await _found(house)).state == "DEPRECATED"

        await house.ask(step("restore"), CAROL)
        await house.ask(step("deprecate", reason="old"), CAROL)
        revised = await house.ask(revise(b'{"name":"echo","version":"1.0.1"}'))

        assert revised.state == "DRAFT"


async def test_only_an_author_opens_a_revision() -> None:
    async with open_house(rules=RULES) as house:
        await _register(house)

        error = await house.refusal(revise(b'{"name":"echo","version":"2.0.0"}'), SAM)

        assert (error.code, error.details["roles_needed"]) == ("FORBIDDEN", ["author"])


async def test_who_signs_off_may_comment_and_who_only_reads_may_not() -> None:
    async with open_house(rules=RULES) as house:
        await house.ask(create())

        assert (await house.ask(comment("The lawyer is on it."), LEO)).version == 2
        reader = Peer(name="rita", roles=frozenset({"reader", "auditor"}))
        assert (await house.refusal(comment(), reader)).code == "FORBIDDEN"


async def test_a_trial_of_a_sign_off_says_where_it_would_lead_and_leads_nowhere() -> None:
    async with open_house(rules=RULES) as house:
        await house.ask(create())
        await house.ask(step("submit_for_review"), ALICE)
        for event, peer in SIGN_OFFS[:3]:
            await house.ask(step(event), peer)
        before = await house.get()

        trial = await house.ask(step("approve", dry_run=True), CAROL)

        assert (trial.state, trial.dry_run) == ("APPROVED", True)
        assert await house.get() == before


async def test_a_revert_voids_the_sign_off_and_its_own_alone() -> None:
    async with open_house(rules=RULES) as house:
        await house.ask(create())
        await house.ask(step("submit_for_review"), ALICE)
        await house.ask(step("approve_security"), SAM)
        await house.ask(step("approve_legal"), LEO)

        reverted = await house.ask(Revert(manifest_id="m"), LEO)

        assert "LEGAL_REVIEW" in reverted.state
        assert [one.principal for one in (await house.get()).approvals] == ["sam"]


async def test_get_says_what_is_registered_and_which_timers_run() -> None:
    async with open_house(rules=RULES) as house:
        await house.ask(create())
        await house.ask(step("submit_for_review"), ALICE)

        timers = (await house.ask(Get(manifest_id="m"))).timers

        assert [(one.event, one.state) for one in timers] == [("after.PENDING.1", "PENDING")]


async def test_nobody_writes_what_the_lifecycle_computes() -> None:
    async with open_house(rules=RULES) as house:
        forged = {"replaced_by": "evil@1.0.0"}
        early = await house.refusal(create(context=forged))
        await _register(house)
        error = await house.refusal(step("deprecate", reason="x", context=forged), CAROL)
        revised = revise(b'{"name":"echo","version":"1.0.1"}', context=forged)
        later = await house.refusal(revised)

        for refusal in (early, error, later):
            assert (refusal.code, refusal.path) == ("BAD_REQUEST", "/context/replaced_by")
        assert "replaced_by" not in (await house.get()).context
