"""A lifecycle is walked through a table of cases, and every difference is told with its line."""

import pytest

from protocol.lifecycle.findings import LifecycleError
from protocol.lifecycle.lifecycle import Lifecycle
from protocol.lifecycle.reader import read_lifecycle
from protocol.lifecycle.registry import LifecycleRegistry
from protocol.lifecycle.rehearsal import rehearse
from protocol.lifecycle.rehearsal_table import read_table

DEFAULT = LifecycleRegistry.builtin().get("manifest@1")
BOTH = """\
id = "both"
version = 1
initial = "OUT"
[states.OUT]
tags = ["mutable"]
on.enter = "IN"
[states.IN]
type = "parallel"
onDone = "DONE"
after.14d = "OUT"
[states.IN.states.LEGAL.states.L1]
on.legal = "L2"
[states.IN.states.LEGAL.states.L2]
type = "final"
[states.IN.states.SECURITY.states.S1]
on.security = "S2"
on.retry = "S1"
after.1h = "S3"
[states.IN.states.SECURITY.states.S2]
type = "final"
[states.IN.states.SECURITY.states.S3]
after.1h = "S1"
[states.DONE]
[states.LOOP.on]
again = "LOOP"
"""


def differences(steps: str, lifecycle: Lifecycle = DEFAULT, case: str = "") -> list[str | None]:
    """Return how the one case with `steps` went."""
    table = read_table(f'[[case]]\nname = "c"\n{case}\nsteps = [\n{steps}\n]', "t.toml", lifecycle)
    return [one.difference for one in rehearse(lifecycle, table)]


def lifecycle_of(text: str) -> Lifecycle:
    return Lifecycle(read_lifecycle(text, "a.toml"))


def test_a_case_goes_as_expected() -> None:
    steps = """\
    { event = "approve", refused = "event", state = "DRAFT" },
    { event = "submit_for_review", principal = "ann", roles = ["author"], state = "PENDING" },
    { event = "approve", roles = ["author"], refused = "roles" },
    { event = "approve", guards = { four_eyes = false }, refused = "four_eyes", state = "REVIEWED" },
    { event = "approve", roles = ["author", "approver"], state = "APPROVED" },
    { event = "reject", reason = "", refused = "reason_given" },
    { event = "register", guards = { urn_free = false }, refused = true },
    { event = "register", state = "REGISTERED" },"""

    assert differences(steps) == [None]


@pytest.mark.parametrize(
    ("step", "difference"),
    [
        (
            '{ event = "approve" }',
            "step 1 (approve): expected to be taken, it was refused by the state: nothing there listens to it ('event') and is DRAFT",
        ),
        (
            '{ event = "submit_for_review", roles = ["approver"], state = "REVIEWED" }',
            "step 1 (submit_for_review): expected REVIEWED, it was refused by the roles ('roles'): it takes author and is DRAFT",
        ),
        (
            '{ event = "submit_for_review", guards = { manifest_valid = false } }',
            "step 1 (submit_for_review): expected to be taken, it was refused by 'manifest_valid' and is DRAFT",
        ),
        (
            '{ event = "submit_for_review", refused = true }',
            "step 1 (submit_for_review): expected a refusal, it was taken and is REVIEWED",
        ),
        (
            '{ event = "approve", refused = "four_eyes" }',
            "step 1 (approve): expected a refusal by 'four_eyes', it was refused by the state: nothing there listens to it ('event')",
        ),
        (
            '{ event = "submit_for_review", state = "APPROVED" }',
            "step 1 (submit_for_review): expected APPROVED, it is REVIEWED",
        ),
        (
            '{ event = "approve", refused = true, state = "REVIEWED" }',
            "step 1 (approve): expected REVIEWED, it is DRAFT",
        ),
    ],
)
def test_what_differs_is_told(step: str, difference: str) -> None:
    assert differences(step) == [difference]


def test_a_refusal_of_an_earlier_step_is_not_one_of_this_step() -> None:
    steps = """\
    { event = "submit_for_review" },
    { event = "approve", guards = { four_eyes = false }, refused = "four_eyes" },
    { event = "approve", guards = { digest_matches = false }, refused = "four_eyes" },"""

    [difference] = differences(steps)

    assert difference is not None
    assert difference.startswith("step 3 (approve): expected a refusal by 'four_eyes', it was")


def test_a_case_ends_with_its_first_difference_and_names_its_line() -> None:
    content = """\
[[case]]
name = "one"
steps = [
    { event = "submit_for_review" },
    { event = "register", state = "REGISTERED" },
    { event = "approve", state = "DRAFT" },
]
[[case]]
name = "two"
[[case.steps]]
event = "submit_for_review"
"""

    first, second = rehearse(DEFAULT, read_table(content, "t.toml", DEFAULT))

    assert (first.case, first.line) == ("one", 5)
    assert first.difference is not None
    assert first.difference.startswith("step 2 (register): expected REGISTERED, it was refused")
    assert (second.case, second.line, second.difference) == ("two", 8, None)


@pytest.mark.parametrize(
    ("steps", "difference"),
    [
        ('{ event = "enter", state = ["L1", "S1"] }', None),
        ('{ event = "enter", state = ["SECURITY", "LEGAL"] }', None),
        ('{ event = "enter", state = "IN" }', None),
        ('{ event = "enter", state = "L1" }', "step 1 (enter): expected L1, it is L1 + S1"),
        (
            '{ event = "enter", state = ["IN", "L2"] }',
            "step 1 (enter): expected IN + L2, it is L1 + S1",
        ),
        (
            '{ event = "enter" }, { event = "legal", state = ["L2", "S1"] }, { event = "security", state = "DONE" }',
            None,
        ),
    ],
)
def test_each_region_has_its_state(steps: str, difference: str | None) -> None:
    assert differences(steps, lifecycle_of(BOTH)) == [difference]


@pytest.mark.parametrize(
    "steps",
    [
        '{ event = "enter" }, { after = "59m", state = ["L1", "S1"] }, { after = "1m", state = "IN" }, { after = "0h1s", state = ["L1", "S3"] }, { after = "1h", state = ["L1", "S1"] }',
        '{ event = "enter" }, { after = "13d23h59m", state = "IN" }, { after = "1m", state = "OUT" }',
        '{ event = "enter" }, { after = "90m", state = ["L1", "S3"] }',
        '{ event = "enter" }, { after = "30m" }, { event = "retry" }, { after = "59m", state = ["L1", "S1"] }, { after = "1m", state = ["L1", "S3"] }',
        '{ event = "enter" }, { event = "security" }, { after = "1d", state = ["L1", "S2"] }',
        '{ event = "enter" }, { after = "14d", state = "OUT" }, { after = "3650d", state = "OUT" }',
    ],
)
def test_time_that_passes_takes_what_is_due_in_its_order(steps: str) -> None:
    assert differences(steps, lifecycle_of(BOTH)) == [None]


def test_a_step_that_never_ends_is_told() -> None:
    lifecycle = lifecycle_of(
        'id = "a"\nversion = 1\ninitial = "A"\n'
        '[states.A]\non.go = "B"\n[states.B]\nalways = "C"\n[states.C]\nalways = "B"\n'
    )
    endless = lifecycle_of(
        'id = "a"\nversion = 1\ninitial = "B"\n[states.B]\nalways = "C"\n[states.C]\nalways = "B"\n'
        "[states.A]\non.go = 'A'\n"
    )

    [difference] = differences('{ event = "go" }', lifecycle)
    [begun] = differences('{ event = "go" }', endless)

    assert difference is not None
    assert difference.startswith("step 1 (go): a: go is still not finished")
    assert begun is not None
    assert begun.startswith("it never begins: a: entering it is still not finished")


def test_timers_that_arm_themselves_end_some_time() -> None:
    lifecycle = lifecycle_of(
        'id = "a"\nversion = 1\ninitial = "A"\n[states.A]\nafter.1ms = "B"\n[states.B]\nafter.1ms = "A"\n'
    )

    assert differences('{ after = "3650d", state = "A" }', lifecycle) == [None]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "t.toml:1: there is no case; add a [[case]] with a name and steps"),
        ("x =", "t.toml: this is no TOML: Invalid value (at end of document)"),
        ("[[cse]]", "t.toml:1: cse: there is no key 'cse'; did you mean 'case'?"),
        (
            "[[case]]\nname = 'a'",
            "t.toml:1: case[0]: 'steps' is missing; a case has a name and steps",
        ),
        ("[case]\nname = 'a'", "t.toml:1: case: this is a list, not a table; write it in brackets"),
    ],
)
def test_a_table_that_is_none_is_refused(content: str, message: str) -> None:
    with pytest.raises(LifecycleError) as refused:
        read_table(content, "t.toml", DEFAULT)

    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("{ evnt = 'approve' }", "evnt: there is no key 'evnt'; did you mean 'event'?"),
        ("{ event = 'aprove' }", "event: there is no event 'aprove'; did you mean 'approve'?"),
        ("{ event = 'approve', state = 'X' }", "state: there is no state 'X'; known: DRAFT"),
        ("{ event = 'approve', state = 1 }", "state: this is the name of a state, not a number"),
        ("{ event = 'approve', state = [] }", "state: no state; leave it out when any will do"),
        (
            "{ event = 'approve', guards = { for_eyes = true } }",
            "guards.for_eyes: there is no guard 'for_eyes'; did you mean 'four_eyes'?",
        ),
        ("{ event = 'approve', guards = { urn_free = 'no' } }", "guards.urn_free: this is true or"),
        ("{ event = 'approve', roles = ['autor'] }", "roles[0]: there is no role 'autor'; did you"),
        (
            "{ event = 'approve', roles = [1] }",
            "roles[0]: this is the name of a role, not a number",
        ),
        (
            "{ event = 'approve', refused = 1 }",
            "refused: this is true, 'event', 'roles', 'assign', or a guard",
        ),
        (
            "{ event = 'approve', refused = 'for_eyes' }",
            "refused: there is no refusal 'for_eyes'; did",
        ),
        ("{ event = 'approve', context = 1 }", "context: this is a table, not a number"),
        ("{ after = '14 days' }", "after: '14 days' cannot be waited for: a delay is written"),
        ("{ after = 14 }", "after: this is a delay such as '14d', not a number"),
        ("{ after = '14d', refused = true }", "refused: time that passes is refused by nobody"),
    ],
)
def test_a_wrong_step_is_told_with_its_place(step: str, message: str) -> None:
    with pytest.raises(LifecycleError) as refused:
        differences(step)

    assert str(refused.value).startswith(f"t.toml:5: case[0].steps[0].{message}")


@pytest.mark.parametrize("step", ["{}", "{ event = 'approve', after = '14d' }"])
def test_a_step_is_an_event_or_time_that_passes(step: str) -> None:
    with pytest.raises(LifecycleError, match="either an event or a delay 'after'"):
        differences(step)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("now = 'soon'", "case[0].now: this is a time such as"),
        ("now = 1", "case[0].now: this is a time such as"),
        ("now = '2026-01-01T00:00:00'", "case[0].now: this is a time such as"),
        ("guards = { x = true }", "case[0].guards.x: there is no guard 'x'; known: manifest_valid"),
        ("manifest = 'm.json'", "case[0].manifest: this is a table, not a text"),
    ],
)
def test_a_wrong_case_is_told_with_its_place(line: str, message: str) -> None:
    with pytest.raises(LifecycleError) as refused:
        differences("{ event = 'approve' }", case=line)

    assert str(refused.value).startswith(f"t.toml:3: {message}")


def test_a_huge_or_deep_table_is_refused() -> None:
    for content in ("#" * (1 << 21), "a = " + "[" * 1000):
        with pytest.raises(LifecycleError):
            read_table(content, "t.toml", DEFAULT)
