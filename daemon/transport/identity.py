"""Who is at the other end: the kernel's word on every message (design 9).

Promise:  a peer is who the kernel says that its process runs as. What a peer writes into a
          message, its routing id included, plays no part.
Assume:   libzmq's `Peer-Address` on ipc is `localhost:UID:GID:PID` (SO_PEERCRED).
"""

import pwd
from collections.abc import Mapping, Sequence
from typing import Final

from protocol.errors import UnauthenticatedError
from protocol.principals import EVERYDAY_ROLES, IMPERSONATE, Peer

CACHED_MAX: Final = 4096  # Processes, roughly; then the cache starts again.


class Identity:
    """Turns a message's metadata into a peer with roles.

    `names` maps a uid to a principal where its user name is not wanted; `roles` lists the
    principals of each role, None when the operator assigned none, and everybody has the `everyday`
    ones; `everything`, `--dev`, adds the other two.
    """

    def __init__(
        self,
        *,
        names: Mapping[int, str] | None = None,
        roles: Mapping[str, Sequence[str]] | None = None,
        impersonators: frozenset[int] = frozenset(),
        everyday: frozenset[str] = EVERYDAY_ROLES,
        everything: bool = False,
    ) -> None:
        self._names = dict(names or {})
        self._roles = roles
        self._impersonators = impersonators
        self._everyday = everyday
        self._everything = everything
        self._cache: dict[str, Peer] = {}

    def peer(self, address: str | None) -> Peer:
        """Return the peer behind a `Peer-Address`.

        Raises:
            UnauthenticatedError: the address does not say who it is.
        """
        known = self._cache.get(address or "")
        if known is not None:
            return known
        parts = (address or "").split(":")
        if len(parts) != 4 or not (parts[1].isdecimal() and parts[2].isdecimal()):  # noqa: PLR2004
            message = "the connection does not say who you are; connect over an ipc endpoint"
            raise UnauthenticatedError(message)
        peer = self._of_process(int(parts[1]), int(parts[2]))
        if len(self._cache) >= CACHED_MAX:
            self._cache.clear()
        self._cache[address or ""] = peer
        return peer

    def _of_process(self, uid: int, gid: int) -> Peer:
        name = self._names.get(uid) or _user_name(uid)
        granted = self._granted(name)
        return Peer(
            name=name,
            roles=frozenset(granted - {IMPERSONATE}),
            may_impersonate=IMPERSONATE in granted or uid in self._impersonators,
            uid=uid,
            gid=gid,
        )

    def _granted(self, name: str) -> frozenset[str]:
        if self._everything:
            return self._everyday | {"admin", IMPERSONATE}
        if self._roles is None:
            return self._everyday
        return frozenset(role for role, names in self._roles.items() if name in names)


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid-{uid}"
