"""What guards answer in a rehearsal: the table first, then what can be evaluated, else yes."""

from typing import Any

import pytest

from protocol.lifecycle.lifecycle import Lifecycle
from protocol.lifecycle.reader import read_lifecycle
from protocol.lifecycle.registry import LifecycleRegistry
from protocol.lifecycle.rehearsal import rehearse
from protocol.lifecycle.rehearsal_guards import Approval, Moment, variables_of
from protocol.lifecycle.rehearsal_table import Case, Step, guard_names, read_table
from tests.support.questions import approval, question


def asked(guard: str, step: str, case: str = "", named: str = "") -> str | None:
    """Return how `go` went, guarded by `guard`, in a case of the one `step`."""
    lifecycle = Lifecycle(
        read_lifecycle(
            'id = "a"\nversion = 1\ninitial = "A"\n'
            f"{named}\n"
            f'[states.A.on.go]\ntarget = "B"\nguard = {guard}\n[states.B]\ntype = "final"\n',
            "a.toml",
        )
    )
    table = f'[[case]]\nname = "c"\n{case}\nsteps = [{{ event = "go", {step} }}]\n'
    [outcome] = rehearse(lifecycle, read_table(table, "t.toml", lifecycle))
    return outcome.difference


OR = '{ or = ["four_eyes", { not = "urn_free" }], because = "Somebody has to." }'
NAMED = '[guards]\nmine = ["four_eyes", "urn_free"]\n'
MANIFEST = 'manifest = { name = "x" }'


@pytest.mark.parametrize(
    ("guard", "step"),
    [
        ('"four_eyes"', 'state = "B"'),
        ('"four_eyes"', 'guards = { four_eyes = false }, refused = "four_eyes"'),
        ('["four_eyes", "urn_free"]', 'guards = { urn_free = false }, refused = "urn_free"'),
        ('"four_eyes"\nbecause = "So."', 'guards = { four_eyes = false }, refused = "So."'),
        (OR, 'state = "B"'),
        (OR, 'guards = { four_eyes = false }, refused = "Somebody has to."'),
        (OR, 'guards = { four_eyes = false }, refused = "four_eyes"'),
        (OR, 'guards = { four_eyes = false, urn_free = false }, state = "B"'),
        ('{ in = "A" }', 'state = "B"'),
        ('{ in = "B" }', "refused = true"),
        ('{ in = "B", because = "Not yet." }', 'refused = "Not yet."'),
        ('{ not = { in = "A" } }', "refused = true"),
        ('"has_role(legal)"', 'state = "B"'),
        ('"has_role(approver)"', 'roles = ["approver", "author"], state = "B"'),
        ('"has_role(approver)"', 'roles = ["author"], refused = "has_role"'),
        ('"has_role(approver)"', 'roles = ["author"], refused = "has_role(approver)"'),
        ('"has_role(approver)"', 'roles = [], guards = { has_role = true }, state = "B"'),
        ('"reason_given"', 'state = "B"'),
        ('"reason_given"', 'reason = "Because.", state = "B"'),
        ('"reason_given"', 'reason = " ", refused = "reason_given"'),
        ('"approvals_at_least(1)"', 'refused = "approvals_at_least(1)"'),
        ('"approvals_at_least(1)"', "guards = { 'approvals_at_least(1)' = true }, state = 'B'"),
        ("\"manifest.name == 'x'\"", 'state = "B"'),
        (
            "\"manifest.name == 'x'\"",
            "guards = { \"manifest.name == 'x'\" = false }, refused = true",
        ),
    ],
)
def test_a_guard_answers(guard: str, step: str) -> None:
    assert asked(guard, step) is None


def test_what_refused_is_named_once_and_without_what_only_holds_it_together() -> None:
    guard = '[{ not = "four_eyes" }, { or = ["urn_free", "reason_given"] }]'
    step = "guards = { four_eyes = false, urn_free = false, reason_given = false }"

    assert asked(guard, f'{step}, refused = "four_eyes"') == (
        "step 1 (go): expected a refusal by 'four_eyes', it was refused by 'urn_free' and 'reason_given'"
    )


def test_context_is_remembered_from_step_to_step() -> None:
    guard = '{ cel = "state.context.n == 1" }'

    lifecycle = Lifecycle(
        read_lifecycle(
            'id = "a"\nversion = 1\ninitial = "A"\n[states.A.on]\nsay = {}\n'
            f'go = {{ target = "B", guard = {guard} }}\n[states.B]\n',
            "a.toml",
        )
    )
    steps = '{ event = "say", context = { n = 1 } }, { event = "go", state = "B" }'
    table = f'[[case]]\nname = "c"\n{MANIFEST}\nsteps = [{steps}]\n'
    [outcome] = rehearse(lifecycle, read_table(table, "t.toml", lifecycle))
    assert outcome.difference is None


def test_the_answer_of_a_step_goes_before_that_of_the_case() -> None:
    case = "guards = { four_eyes = false }"

    assert asked('"four_eyes"', 'refused = "four_eyes"', case) is None
    assert asked('"four_eyes"', 'guards = { four_eyes = true }, state = "B"', case) is None


@pytest.mark.parametrize(
    "step",
    [
        'state = "B"',
        'guards = { mine = false }, refused = "mine"',
        'guards = { urn_free = false }, refused = "mine"',
        'guards = { urn_free = false }, refused = "urn_free"',
        'guards = { urn_free = false, mine = true }, state = "B"',
    ],
)
def test_a_guard_with_a_name_answers_by_it_or_by_what_it_stands_for(step: str) -> None:
    assert asked('"mine"', step, named=NAMED) is None


@pytest.mark.parametrize(
    ("expression", "step"),
    [
        ("manifest.name == 'x'", 'state = "B"'),
        ("manifest.name == 'y'", "refused = \"manifest.name == 'y'\""),
        ("manifest.version == '1'", "refused = true"),
        (
            "principal.name == 'ann' && 'author' in principal.roles",
            "principal = 'ann', roles = ['author']",
        ),
        (
            "command.reason == 'why' && command.context.n == 1",
            "reason = 'why', context = { n = 1 }",
        ),
        ("!has(state.context.n) && state.name == 'A'", "context = { n = 1 }"),
        ("size(approvals) == 0 && command.event == 'go'", "state = 'B'"),
        ("now == timestamp('2026-01-01T00:00:00Z')", "state = 'B'"),
    ],
)
def test_an_expression_is_evaluated_over_the_manifest_of_the_case(
    expression: str, step: str
) -> None:
    assert asked(f'{{ cel = "{expression}" }}', step, MANIFEST) is None


def test_approvals_are_counted_by_people_and_roles_until_they_are_void() -> None:
    lifecycle = Lifecycle(
        read_lifecycle(
            """\
id = "a"
version = 1
initial = "A"
[states.A]
on.approve = { actions = ["record_approval"] }
on.reset = { actions = ["void_approvals"] }
always = { target = "B", guard = "approvals_at_least(2, approver)", because = "Two." }
[states.B]
type = "final"
""",
            "a.toml",
        )
    )
    table = """\
[[case]]
name = "two approvers"
steps = [
    { event = "approve", principal = "ann", roles = ["approver"], state = "A" },
    { event = "approve", principal = "ann", roles = ["approver"], state = "A" },
    { event = "approve", principal = "bob", roles = ["author"], state = "A" },
    { event = "reset" },
    { event = "approve", principal = "bob", roles = ["approver"], state = "A" },
    { event = "approve", state = "B" },
]
[[case]]
name = "one waits"
steps = [{ event = "approve", state = "B" }]
"""

    first, second = rehearse(lifecycle, read_table(table, "t.toml", lifecycle))

    assert first.difference is None
    assert second.difference == "step 1 (approve): expected B, it is A"
    assert guard_names(lifecycle) == ["approvals_at_least(2, approver)", "approvals_at_least"]


ASSIGNING = """\
id = "a"
version = 1
initial = "A"
[states.A]
entry = [{ assign = { n = "size(manifest.tags)" } }]
[states.A.on.go]
target = "B"
actions = [{ assign = { n = "state.context.n + 1", by = "principal.name" } }, { assign = { by = "command.context.by" } }]
[states.B]
after.1d = { target = "C", actions = [{ assign = { n = "manifest.none" } }] }
after.2d = { target = "C", guard = "state.context.n == 3" }
[states.B.on]
look = { guard = "state.context.n == 3 && state.context.by == 'bob'" }
[states.C]
after.1d = { target = "D", actions = [{ assign = { m = "1" } }] }
[states.D.on]
look = { guard = "state.context.m == 1" }
"""


def test_assignments_are_in_the_context_of_the_steps_after_them() -> None:
    lifecycle = Lifecycle(read_lifecycle(ASSIGNING, "a.toml"))
    table = """\
[[case]]
name = "counts"
manifest = { tags = ["x", "y"] }
steps = [
    { event = "go", principal = "ann", refused = "assign", state = "A" },
    { event = "go", principal = "ann", context = { by = "bob", n = 99 }, state = "B" },
    { event = "look" },
    { after = "1d", state = "B" },
    { after = "1d", state = "C" },
    { after = "1d", state = "D" },
    { event = "look" },
]
[[case]]
name = "has no tags"
manifest = {}
steps = [{ event = "go" }]
[[case]]
name = "knows no manifest"
steps = [{ event = "go" }, { event = "look" }, { after = "1d", state = "C" }]
"""

    counts, none, unknown = rehearse(lifecycle, read_table(table, "t.toml", lifecycle))

    assert counts.difference is None
    assert none.difference is not None
    assert none.difference.startswith("it never begins: ")
    assert unknown.difference is None


def test_time_passes_for_expressions_too() -> None:
    lifecycle = Lifecycle(
        read_lifecycle(
            'id = "a"\nversion = 1\ninitial = "A"\n[states.A.on.go]\ntarget = "B"\n'
            "guard = \"now >= timestamp('2026-02-01T12:00:00Z')\"\n[states.B]\n",
            "a.toml",
        )
    )
    table = """\
[[case]]
name = "later"
manifest = {}
now = "2026-02-01T01:00:00+01:00"
steps = [{ after = "11h59m" }, { event = "go", refused = true }, { after = "1m" }, { event = "go", state = "B" }]
"""

    [outcome] = rehearse(lifecycle, read_table(table, "t.toml", lifecycle))

    assert outcome.difference is None


def test_expressions_see_the_same_members_as_in_a_real_command() -> None:
    chart = LifecycleRegistry.builtin().get("manifest@1").chart
    given = [Approval("bob", ["approver"], "approve")]
    case = Case(name="m", steps=[], manifest={})
    rehearsed: Any = variables_of(Moment(chart, case, Step(), ("DRAFT",), given, {}, ""))
    real: Any = question(approvals=(approval("bob"),)).variables

    for name in ("state", "principal", "command"):
        assert set(rehearsed[name]) == set(real[name])
    assert [set(one) for one in rehearsed["approvals"]] == [set(real["approvals"][0])]
