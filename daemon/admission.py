"""Who is let in: what all peers together may have under way, and how often a principal may write.

    request -> admit -> engine … answer -> settle

Promise:  at most `in_flight` requests, and `in_flight_bytes` of large ones, are under way. A peer may
          hold as much as is left for all others: alone one half, and room for a newcomer always
          remains (the dynamic threshold of A. Choudhury and E. Hahne, 1998). Who asks how the daemon
          is gets an answer in any case. Whatever is refused was not carried out.
Assume:   one thread; `settle` is called once for all that `admit` let in.
Not here: which peer is read next (libzmq takes them in turn), the bound of one manifest's mailbox.

A peer is a process, by the kernel's word: more connections give nobody a larger share.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from daemon.rate_limit import RateLimit
from daemon.transport.identity import Identity
from protocol.commands import Health, Probe, Request, Status, Whoami, Write
from protocol.errors import OverloadedError
from protocol.limits import TOKEN_SIZE_MAX
from protocol.principals import Peer
from protocol.replies import Usage

IN_FLIGHT_MAX: Final = 4096  # A batch of the journal takes them all: a tenth of a second of work.
IN_FLIGHT_BYTES_MAX: Final = 64 << 20  # As much as may wait for the journal.
LARGE_SIZE: Final = 8 << 10  # Bytes; smaller ones are bounded by their number: 32 MiB of them.
RETRY_AFTER_MS: Final = 200  # Half of what is under way is answered by then.
ACCOUNTS_MAX: Final = 4096  # Then those who have nothing under way are forgotten.
EXEMPT: Final = frozenset({Health, Probe, Status, Whoami})  # Answered at once, by few.


class Bounds(NamedTuple):
    """What the configuration may change."""

    in_flight: int = IN_FLIGHT_MAX
    in_flight_bytes: int = IN_FLIGHT_BYTES_MAX


class Account:
    """What one peer has under way."""

    __slots__ = ("held", "held_bytes", "peer")

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.held = 0
        self.held_bytes = 0  # Of large requests.


class Admission:
    """The door, for all endpoints."""

    def __init__(self, identity: Identity, bounds: Bounds, rates: RateLimit | None = None) -> None:
        self._identity = identity
        self._bounds = bounds
        self._rates = rates
        self._accounts: dict[str, Account] = {}
        self._held_max = bounds.in_flight
        self._held = 0
        self._held_bytes = 0
        self._refused = 0
        self._refused_bytes = 0

    def account(self, address: str | None) -> Account:
        """Return the account of the process behind a `Peer-Address`.

        Raises:
            UnauthenticatedError: the address does not say who it is.
        """
        account = self._accounts.get(address or "")
        return account if account is not None else self._open_account(address)

    def _open_account(self, address: str | None) -> Account:
        peer = self._identity.peer(address)
        if len(self._accounts) >= ACCOUNTS_MAX:
            self._accounts = {name: one for name, one in self._accounts.items() if one.held}
        account = self._accounts[address or ""] = Account(peer)
        return account

    def admit(self, request: Request, account: Account, size: int) -> None:
        """Let a request of `size` bytes in; it is under way until `settle`.

        Raises:
            OverloadedError: it has to wait outside.
        """
        if account.held + self._held >= self._held_max and type(request) not in EXEMPT:
            self._refused += 1
            raise OverloadedError.full(
                _whose("the table of requests under way", account.held),
                limit=self._held_max,
                retry_after_ms=RETRY_AFTER_MS,
            )
        if size >= LARGE_SIZE:
            self._make_sure_of_room(account, size)
        if self._rates is not None and isinstance(request, Write):
            self._charge(self._rates, request, account.peer)
        if size >= LARGE_SIZE:
            account.held_bytes += size
            self._held_bytes += size
        account.held += 1
        self._held += 1

    def _make_sure_of_room(self, account: Account, size: int) -> None:
        limit = self._bounds.in_flight_bytes
        if account.held_bytes + self._held_bytes + size > limit:
            self._refused_bytes += 1
            what = _whose("the room for large requests under way", account.held_bytes)
            raise OverloadedError.full(what, limit=limit, retry_after_ms=RETRY_AFTER_MS)

    @staticmethod
    def _charge(rates: RateLimit, request: Write, peer: Peer) -> None:
        """Take a write from the bucket of whoever it is for, if this peer may speak for him.

        An administrator has none: he is who mends what floods.
        """
        asserted = request.principal
        if asserted is None or not peer.may_impersonate or len(asserted) > TOKEN_SIZE_MAX:
            if "admin" not in peer.roles:
                rates.take(peer.name)
        else:
            rates.take(asserted)

    def settle(self, account: Account, size: int) -> None:
        """Take note that a request was answered."""
        account.held -= 1
        self._held -= 1
        if size >= LARGE_SIZE:
            account.held_bytes -= size
            self._held_bytes -= size

    @property
    def usage(self) -> Mapping[str, Usage]:
        """How full it is, and how many were refused."""
        bounds = self._bounds
        usage = {
            "in_flight": Usage(self._held, bounds.in_flight, self._refused),
            "in_flight_bytes": Usage(self._held_bytes, bounds.in_flight_bytes, self._refused_bytes),
        }
        if self._rates is not None:
            usage["rate"] = Usage(self._rates.principals, None, self._rates.refused)
        return usage


def _whose(what: str, held: int) -> str:
    return f"{what}, as far as it is yours ({held})," if held else what
