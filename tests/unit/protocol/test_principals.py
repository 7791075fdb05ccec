"""Who may what: roles permit, admin does, nobody without a role."""

import pytest

from protocol.errors import BadRequestError, ForbiddenError
from protocol.principals import EVERYDAY_ROLES, Peer, Principal, check_name, permitting_roles


def somebody(*roles: str) -> Principal:
    return Principal.of(Peer(name="x", roles=frozenset(roles)))


@pytest.mark.parametrize(
    ("roles", "needed", "permitting"),
    [
        (("author", "approver"), ["approver", "reviewer"], ["approver"]),
        (("reviewer", "approver"), ["approver", "reviewer"], ["approver", "reviewer"]),
        (("admin",), ["approver"], ["admin"]),
        (("admin", "approver"), ["approver"], ["approver"]),
        (("reader", "auditor"), None, ["auditor"]),
    ],
)
def test_a_role_permits(
    roles: tuple[str, ...], needed: list[str] | None, permitting: list[str]
) -> None:
    assert permitting_roles(somebody(*roles), needed, "approve") == permitting


@pytest.mark.parametrize(
    ("roles", "needed"), [(("author",), ["approver"]), ((), None), ((), ["reader"])]
)
def test_without_the_role_it_is_forbidden(roles: tuple[str, ...], needed: list[str] | None) -> None:
    with pytest.raises(ForbiddenError) as caught:
        permitting_roles(somebody(*roles), needed, "approve")

    assert caught.value.details["principal"] == "x"


def test_what_nobody_may_an_admin_may_and_others_are_told_so() -> None:
    assert permitting_roles(somebody("admin"), [], "give_up") == ["admin"]
    with pytest.raises(ForbiddenError, match=r"x may not give_up; it takes the role admin$"):
        permitting_roles(somebody("author"), [], "give_up")


def test_nobody_is_admin_by_default() -> None:
    assert "admin" not in EVERYDAY_ROLES
    assert "impersonate" not in EVERYDAY_ROLES


@pytest.mark.parametrize("name", ["a", "Ada Lovelace", "é", "x" * 200])
def test_a_name_is_taken(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize(
    "name", ["", " a", "a ", "a\n", "a\0b", "x" * 201, "\ud800", "a\u2028b", "\u202ea"]
)
def test_a_name_that_could_fool_a_reader_is_refused(name: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        check_name(name)

    assert caught.value.path == "/principal"
