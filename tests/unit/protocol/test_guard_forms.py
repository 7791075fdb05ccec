"""Guards as files spell them, read into forms."""

import pytest

from protocol.lifecycle.guards import (
    BUILT_INS,
    And,
    Builtin,
    Cel,
    GuardError,
    In,
    Named,
    Not,
    Or,
    describe,
    guard_roles,
    guard_states,
    parse_guard,
    parse_guards,
)

FOUR_EYES = Builtin(name="four_eyes")

# As a file spells it, and on one line.
SPELLINGS: list[tuple[object, str]] = [
    ("four_eyes", "four_eyes"),
    (" four_eyes ( ) ", "four_eyes"),
    ("has_role(approver)", "has_role(approver)"),
    ("has_role('security')", "has_role(security)"),
    ("approvals_at_least(2)", "approvals_at_least(2)"),
    ("approvals_at_least( 2 , legal )", "approvals_at_least(2, legal)"),
    ("manifest.size > 1", "manifest.size > 1"),
    ("true", "true"),
    ("has(manifest.name)", "has(manifest.name)"),
    ({"cel": "manifest.size\n  > 1"}, "manifest.size > 1"),
    ({"in": "REVIEWED"}, "in REVIEWED"),
    ({"not": "four_eyes"}, "not four_eyes"),
    (["digest_matches", "four_eyes"], "digest_matches and four_eyes"),
    ({"and": ["digest_matches", "four_eyes"]}, "digest_matches and four_eyes"),
    ({"or": ["four_eyes"]}, "four_eyes"),
    (
        ["urn_free", {"or": ["four_eyes", {"not": {"in": "A"}}]}],
        "urn_free and (four_eyes or not in A)",
    ),
    ({"not": ["urn_free", "true"]}, "not (urn_free and (true))"),
]

# What is no guard, where, and a part of what is said about it.
REFUSED: list[tuple[object, tuple[str | int, ...], str]] = [
    ("four_eyse", (), "there is no guard 'four_eyse'; did you mean 'four_eyes'?"),
    ("frobnicate", (), "known: manifest_valid"),
    ("has_rol(approver)", (), "did you mean 'has_role'?"),
    ("has_role", (), "has_role with 0 arguments; it is written has_role(role)"),
    ("has_role(a, b)", (), "has_role with 2 arguments"),
    ("has_role(The Boss)", (), "'The Boss' is no role"),
    ("four_eyes(2)", (), "it takes no arguments"),
    ("approvals_at_least", (), "approvals_at_least(count) or approvals_at_least(count, role)"),
    ("approvals_at_least(0)", (), "a count from 1 to 1000"),
    ("approvals_at_least(-1)", (), "a count from 1 to 1000"),
    ("approvals_at_least(99999999)", (), "a count from 1 to 1000"),
    ("approvals_at_least(security, 2)", (), "a count from 1 to 1000"),
    ("manifset.size > 1", (), "did you mean manifest?"),
    ("four_eyes && manifest.size > 1", (), "four_eyes stands on its own: put guards together by"),
    ("1 +", (), "the end where a value should be (character 4)"),
    ("", (), "an empty expression"),
    ({"cel": "1 +"}, ("cel",), "(character 4)"),
    ({"cel": 1}, ("cel",), "'cel' takes a text"),
    ({"in": ""}, ("in",), "'in' takes a text"),
    ({"an": ["four_eyes"]}, (), "did you mean 'and'?"),
    ({}, (), "one of them at a time"),
    ({"in": "A", "cel": "true"}, (), "one of them at a time"),
    ({"because": "so"}, (), "one of them at a time"),
    ({"in": "A", "because": " "}, ("because",), "because is a text"),
    ([], (), "with one at least"),
    ({"or": []}, ("or",), "with one at least"),
    ({"or": "four_eyes"}, ("or",), "a list of guards stands here"),
    (["four_eyes", {"or": ["x"]}], (1, "or", 0), "there is no guard 'x'"),
    ({"not": None}, ("not",), "not 'None'"),
    (5, (), "a text, a list of guards, or a table"),
    ("__import__('os')", (), "there is no guard '__import__'"),
]


@pytest.mark.parametrize(("value", "line"), SPELLINGS)
def test_a_guard_is_described_on_one_line(value: object, line: str) -> None:
    assert describe(parse_guard(value)) == line


@pytest.mark.parametrize(("value", "path", "reason"), REFUSED)
def test_what_is_no_guard_is_refused_with_its_place(
    value: object, path: tuple[str | int, ...], reason: str
) -> None:
    with pytest.raises(GuardError) as caught:
        parse_guard(value)

    assert (caught.value.path, reason in caught.value.reason) == (path, True)


def test_each_spelling_has_its_form() -> None:
    assert parse_guard("approvals_at_least(2, legal)") == Builtin(
        name="approvals_at_least", arguments=(2, "legal")
    )
    assert parse_guard(["four_eyes"]) == And(guards=(FOUR_EYES,))
    assert parse_guard({"or": ["four_eyes"], "because": "b"}) == Or(
        guards=(FOUR_EYES,), because="b"
    )
    assert parse_guard({"not": "four_eyes", "because": "b"}) == Not(guard=FOUR_EYES, because="b")
    assert parse_guard({"in": "A", "because": "b"}) == In(state="A", because="b")
    cel = parse_guard({"cel": "true", "because": "b"})
    assert isinstance(cel, Cel)
    assert (cel.expression.source, cel.because) == ("true", "b")


def test_every_built_in_can_be_written_on_its_own() -> None:
    for name, kinds in BUILT_INS.items():
        arguments = ", ".join("1" if kind == "count" else "role" for kind in kinds)
        form = parse_guard(f"{name}({arguments})" if kinds else name)

        assert isinstance(form, Builtin)
        assert (form.name, len(form.arguments)) == (name, len(kinds))


def test_a_long_guard_is_cut_where_it_is_described() -> None:
    line = describe(parse_guard(["approvals_at_least(2, security)"] * 20))

    assert (len(line), line[-1]) == (200, "…")


def test_a_name_stands_for_its_guard() -> None:
    named = parse_guards({"safe": ["signed", {"in": "A"}], "signed": "has_role(security)"})
    form = parse_guard({"or": ["safe", {"not": "signed"}, {"in": "B"}, {"in": "A"}]}, named)

    assert describe(form) == "safe or not signed or in B or in A"
    assert guard_states(form) == ["A", "B"]
    assert guard_roles(form) == ["security"]
    assert isinstance(named["safe"].guard, And)
    assert isinstance(named["safe"].guard.guards[0], Named)


@pytest.mark.parametrize(
    ("table", "path", "reason"),
    [
        ({"a": "a"}, ("a",), "a -> a: a guard cannot ask itself"),
        ({"a": "true", "b": ["c"], "c": {"not": "b"}}, ("b",), "b -> c -> b"),
        ({"four_eyes": "true"}, ("four_eyes",), "call this one something else"),
        ({"a": ["true", "bb"], "b": "true"}, ("a", 1), "there is no guard 'bb'"),
        ({"safe": "true", "b": "saef"}, ("b",), "did you mean 'safe'?"),
    ],
)
def test_a_table_of_guards_that_is_wrong_is_refused(
    table: dict[str, object], path: tuple[str | int, ...], reason: str
) -> None:
    with pytest.raises(GuardError) as caught:
        parse_guards(table)

    assert (caught.value.path, reason in caught.value.reason) == (path, True)


def test_a_name_takes_no_arguments() -> None:
    with pytest.raises(GuardError, match="there is no guard 'safe'"):
        parse_guard("safe(1)", parse_guards({"safe": "true"}))


def _nested(depth: int) -> object:
    value: object = "four_eyes"
    for _ in range(depth):
        value = {"not": value}
    return value


HUGE: dict[str, object] = {
    "wide": ["four_eyes"] * 256,
    "deep": _nested(16),
    "very deep": _nested(900),
    "lists in lists": [[[["four_eyes"] * 8] * 8] * 8] * 8,
}


@pytest.mark.parametrize("value", HUGE.values(), ids=HUGE)
def test_a_huge_guard_is_refused(value: object) -> None:
    with pytest.raises(GuardError, match=r"too many parts|nest more than"):
        parse_guard(value)


def test_the_largest_guards_are_taken() -> None:
    assert isinstance(parse_guard(["four_eyes"] * 255), And)
    assert isinstance(parse_guard(_nested(15)), Not)


def test_names_that_grow_by_leaps_are_refused() -> None:
    table: dict[str, object] = {f"a{n}": [f"a{n + 1}"] * 10 for n in range(10)}

    with pytest.raises(GuardError, match="too many parts"):
        parse_guards({**table, "a10": "true"})


def test_names_that_stand_for_names_stand_as_deep_as_what_they_stand_for() -> None:
    chain: dict[str, object] = {f"a{n}": {"not": f"a{n + 1}"} for n in range(40)}
    listed = dict(reversed({**chain, "a40": "true"}.items()))

    for table in (listed, {**chain, "a40": "true"}):
        with pytest.raises(GuardError, match="nest more than 16 deep"):
            parse_guards(table)
