"""From the kernel's word to a peer with roles."""

import pytest

from daemon.transport.identity import CACHED_MAX, Identity
from protocol.errors import UnauthenticatedError
from protocol.principals import EVERYDAY_ROLES, ROLES


def test_a_uid_is_its_user_name_or_what_the_configuration_calls_it() -> None:
    identity = Identity(names={1000: "alice"})

    assert identity.peer("localhost:0:0:1").name == "root"
    assert identity.peer("localhost:1000:1000:2").name == "alice"
    assert identity.peer("localhost:4242424:0:3").name == "uid-4242424"


def test_without_roles_every_peer_has_all_but_admin_and_impersonate() -> None:
    peer = Identity(impersonators=frozenset({0})).peer("localhost:1000:1000:2")

    assert peer.roles == EVERYDAY_ROLES
    assert "admin" not in peer.roles
    assert not peer.may_impersonate


def test_the_first_assignment_ends_that() -> None:
    identity = Identity(names={1: "alice", 2: "bob"}, roles={"approver": ["alice"]})

    assert identity.peer("localhost:1:1:1").roles == {"approver"}
    assert identity.peer("localhost:2:2:1").roles == frozenset()


def test_who_may_speak_for_others_is_a_uid_or_has_the_role() -> None:
    identity = Identity(
        names={1: "gateway", 2: "bob"},
        roles={"impersonate": ["gateway"]},
        impersonators=frozenset({0}),
    )

    assert identity.peer("localhost:0:0:1").may_impersonate
    assert identity.peer("localhost:1:1:1").may_impersonate
    assert identity.peer("localhost:1:1:1").roles == frozenset()
    assert not identity.peer("localhost:2:2:1").may_impersonate


def test_with_dev_everybody_may_do_everything() -> None:
    peer = Identity(everything=True, roles={"author": []}).peer("localhost:5:5:5")

    assert peer.roles == set(ROLES)
    assert peer.may_impersonate


@pytest.mark.parametrize(
    "address",
    [
        None,
        "",
        "127.0.0.1",
        "localhost:0:0",
        "localhost::0:1",
        "localhost:-1:0:1",
        "localhost:x:0:1",
    ],
)
def test_a_connection_that_does_not_say_who_it_is_is_refused(address: str | None) -> None:
    with pytest.raises(UnauthenticatedError):
        Identity().peer(address)


def test_the_cache_is_bounded_and_forgets_nothing_that_matters() -> None:
    identity = Identity()
    for pid in range(CACHED_MAX + 10):
        assert identity.peer(f"localhost:0:0:{pid}").name == "root"

    assert len(identity._cache) <= CACHED_MAX  # noqa: SLF001 (its bound is what is tested)
