"""The door: what is let in, who gets how much of the room, and who is never kept out."""

import pytest

from daemon.admission import ACCOUNTS_MAX, LARGE_SIZE, Account, Admission, Bounds
from daemon.rate_limit import Allowance, RateLimit
from daemon.transport.identity import Identity
from protocol.commands import Comment, Feed, Health, Probe, Request, Status, Whoami
from protocol.errors import OverloadedError, UnauthenticatedError

SMALL = 100
WRITE = Comment(manifest_id="a@1", text="x")


def door(
    in_flight: int = 100,
    in_flight_bytes: int = 1 << 40,
    rates: RateLimit | None = None,
    identity: Identity | None = None,
) -> Admission:
    return Admission(identity or Identity(), Bounds(in_flight, in_flight_bytes), rates)


def process(admission: Admission, pid: int, uid: int = 7) -> Account:
    return admission.account(f"localhost:{uid}:{uid}:{pid}")


def fill(admission: Admission, account: Account, size: int = SMALL) -> int:
    """Let requests in until one is refused; return how many got in."""
    for count in range(10_000):
        try:
            admission.admit(WRITE, account, size)
        except OverloadedError:
            return count
    raise AssertionError


def test_one_peer_gets_half_of_the_room_and_the_next_ones_half_of_what_is_left() -> None:
    admission = door(in_flight=1024)

    shares = [fill(admission, process(admission, pid)) for pid in range(8)]

    assert shares == [512, 256, 128, 64, 32, 16, 8, 4]
    assert admission.usage["in_flight"].used == sum(shares)
    assert admission.usage["in_flight"].refused == 8


def test_however_many_flood_a_newcomer_gets_in() -> None:
    admission = door(in_flight=1024)
    flooders = [process(admission, pid) for pid in range(50)]
    for account in flooders:
        fill(admission, account)
    for _ in range(2000):  # They go on: whatever is answered, all of them try to take its place.
        busiest = max(flooders, key=lambda account: account.held)
        admission.settle(busiest, SMALL)
        for account in flooders:
            fill(admission, account)

    admission.admit(WRITE, process(admission, 1000), SMALL)


def test_more_connections_of_one_process_share_its_account() -> None:
    admission = door()

    assert process(admission, 1) is process(admission, 1)
    assert process(admission, 1) is not process(admission, 2)


def test_what_is_answered_makes_room() -> None:
    admission = door(in_flight=10)
    account = process(admission, 1)
    assert fill(admission, account) == 5
    admission.settle(account, SMALL)

    assert fill(admission, account) == 1


def test_large_requests_are_bounded_by_their_bytes() -> None:
    admission = door(in_flight=1000, in_flight_bytes=100 * LARGE_SIZE)
    one, other = process(admission, 1), process(admission, 2)

    assert fill(admission, one, LARGE_SIZE) == 50
    assert fill(admission, other, LARGE_SIZE) == 25
    admission.admit(WRITE, one, SMALL)  # Small ones have room of their own.
    admission.settle(other, LARGE_SIZE)
    assert fill(admission, other, LARGE_SIZE) == 1
    assert admission.usage["in_flight_bytes"].used == 75 * LARGE_SIZE
    assert admission.usage["in_flight_bytes"].refused == 3


def test_a_refusal_says_what_is_full_and_when_to_come_back() -> None:
    admission = door(in_flight=2)
    account = process(admission, 1)
    fill(admission, account)

    with pytest.raises(OverloadedError, match="requests under way") as raised:
        admission.admit(WRITE, account, SMALL)

    assert raised.value.details == {"limit": 2, "retry_after_ms": 200}


@pytest.mark.parametrize(
    "request_", [Health(), Status(), Whoami(), Probe(token="0" * 16)], ids=type
)
def test_who_asks_how_the_daemon_is_gets_in_when_it_is_full(request_: Request) -> None:
    admission = door(in_flight=2)
    account = process(admission, 1)
    fill(admission, account)

    admission.admit(request_, account, SMALL)


def test_accounts_of_those_who_have_nothing_under_way_are_forgotten() -> None:
    admission = door(in_flight=1 << 20)
    holder = process(admission, 0)
    admission.admit(WRITE, holder, SMALL)
    for pid in range(1, 3 * ACCOUNTS_MAX):
        process(admission, pid)

    assert process(admission, 0) is holder


def test_who_is_nobody_has_no_account() -> None:
    with pytest.raises(UnauthenticatedError):
        door().account(None)


def rated(**identity: bool | frozenset[int]) -> Admission:
    names = {7: "alice", 8: "gateway"}
    known = Identity(names=names, impersonators=frozenset({8}), **identity)  # type: ignore[arg-type]
    return door(rates=RateLimit(Allowance.of("1/h", 3), {}, lambda: 0), identity=known)


def test_writes_are_charged_to_whoever_asks_and_reads_to_nobody() -> None:
    admission = rated()
    alice = process(admission, 1)

    assert fill(admission, alice) == 3
    assert fill(admission, process(admission, 2)) == 0  # Another process of hers.
    admission.admit(Feed(), alice, SMALL)
    assert admission.usage["rate"].refused == 2


def test_a_gateway_s_writes_are_charged_to_those_it_speaks_for() -> None:
    admission = rated()
    gateway = process(admission, 1, uid=8)
    for _ in range(3):
        admission.admit(Comment(manifest_id="a@1", text="x", principal="bob"), gateway, SMALL)
    with pytest.raises(OverloadedError, match="bob writes faster"):
        admission.admit(Comment(manifest_id="a@1", text="x", principal="bob"), gateway, SMALL)

    assert fill(admission, gateway) == 3


def test_whoever_may_not_speak_for_others_cannot_use_up_their_writes() -> None:
    admission = rated()
    alice = process(admission, 1)
    for _ in range(3):
        admission.admit(Comment(manifest_id="a@1", text="x", principal="bob"), alice, SMALL)

    with pytest.raises(OverloadedError, match="alice writes faster"):
        admission.admit(Comment(manifest_id="a@1", text="x", principal="bob"), alice, SMALL)


def test_a_name_that_is_too_long_for_one_is_not_remembered() -> None:
    admission = rated()
    long = Comment(manifest_id="a@1", text="x", principal="b" * 100_000)
    gateway = process(admission, 1, uid=8)
    for _ in range(3):
        admission.admit(long, gateway, SMALL)

    with pytest.raises(OverloadedError, match="gateway writes faster"):
        admission.admit(long, gateway, SMALL)


def test_an_administrator_is_not_counted() -> None:
    admission = rated(everything=True)

    assert fill(admission, process(admission, 1)) == 50  # Half of the table: nothing else.
