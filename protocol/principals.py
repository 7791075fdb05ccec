"""Who is asking, and what their roles permit (design 9).

Promise:  pure tables and look-ups. Permission is judged when a command runs, not at connect.
Not here: how the kernel or a key says who a peer is (`daemon.transport.identity`).
"""

import re
from typing import Final

import msgspec

from protocol.errors import BadRequestError, ForbiddenError
from protocol.limits import TOKEN_SIZE_MAX

ROLES: Final = ("author", "reviewer", "approver", "registrar", "auditor", "reader", "admin")
IMPERSONATE: Final = "impersonate"  # May name another principal in a request.
EVERYDAY_ROLES: Final = frozenset(ROLES) - {"admin"}  # What a peer has without a [roles] table.
ROLE: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}")  # What a lifecycle may call a role of its own.


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """Who is at the other end of a connection, as the kernel or a key says."""

    name: str
    roles: frozenset[str]
    may_impersonate: bool = False
    uid: int | None = None
    gid: int | None = None


class Principal(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Who a command is from. Only asserted (`authenticated` false), `via` is who asserted it."""

    name: str
    authenticated: bool
    roles: frozenset[str]
    via: str | None = None

    @classmethod
    def of(cls, peer: Peer) -> "Principal":
        """Return the principal that `peer` itself is."""
        return cls(name=peer.name, authenticated=True, roles=peer.roles)


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator demands beyond the lifecycle.

    `assertions_count`: an asserted name is a person of its own (`--dev`), so that one developer
    can play all of them. `assigned`: the roles of each principal; None: nobody was assigned any,
    and everybody has the `everyday` ones.
    """

    four_eyes: bool = True
    assertions_count: bool = False
    assigned: dict[str, frozenset[str]] | None = None
    everyday: frozenset[str] = EVERYDAY_ROLES

    def roles_asserted(self, name: str, peer: Peer) -> frozenset[str]:
        """Return what `name` may do when `peer` speaks for it: what it is assigned, not the peer."""
        if self.assertions_count:
            return peer.roles
        if self.assigned is None:
            return self.everyday
        return self.assigned.get(name, frozenset())


def check_name(name: str, path: str = "/principal") -> None:
    """Raise `BadRequestError` unless `name` can stand for a principal."""
    if 0 < len(name) <= TOKEN_SIZE_MAX and name.isprintable() and name == name.strip():
        return
    message = f"a principal is 1 to {TOKEN_SIZE_MAX} printable characters"
    raise BadRequestError(message, path=path)


def permitting_roles(
    principal: Principal, needed: list[str] | tuple[str, ...] | None, what: str
) -> list[str]:
    """Return the principal's roles that permit `what`, sorted; `needed` None: any role does.

    Whatever is needed, `admin` does; where nothing is, as of an event that only the chart raises,
    nobody else.

    Raises:
        ForbiddenError: none does; the message names the roles that would.
    """
    if needed is None:
        if principal.roles:
            return sorted(principal.roles)[:1]
        message = f"{principal.name} has no role here; ask an operator for one"
        raise ForbiddenError(message, details={"principal": principal.name})
    roles = sorted(principal.roles.intersection(needed))
    if roles:
        return roles
    if "admin" in principal.roles:
        return ["admin"]
    wanted = list(needed) or ["admin"]
    message = f"{principal.name} may not {what}; it takes the role {' or '.join(wanted)}"
    raise ForbiddenError(message, details={"principal": principal.name, "roles_needed": wanted})
