"""What reading and writing XState v5 machines have in common: places, problems, spellings.

XState has no word for some of what a lifecycle says. That rides in `meta.manifestd`, which XState
keeps and does not look at: of the machine `version`, `roles` and `guards`; of a transition
`because`, and `internal` where XState would not see a difference. Guards that are code in XState
(`and`, `or`, `not`, `stateIn`) and CEL are named guards with `params`: whoever runs the machine
brings implementations of these names.
"""

import re
from typing import Any, Final, NamedTuple

from protocol.errors import ManifestdError
from protocol.lifecycle.cel_syntax import FUNCTIONS
from protocol.lifecycle.guards import BUILT_INS

META: Final = "manifestd"
# Names of the arguments that built-in guards take, in their order.
GUARD_PARAMS: Final[dict[str, tuple[str, ...]]] = {
    name: tuple(kind.strip("[]") for kind in kinds) for name, kinds in BUILT_INS.items() if kinds
}
CALL: Final = re.compile(r"([A-Za-z_][\w.-]*)(?:\(([^()]*)\))?", re.ASCII)  # name, name(arg, arg)


class Problem(NamedTuple):
    """Something that cannot be taken over: where it is, why, and what to do."""

    path: str
    reason: str


class XStateError(ManifestdError):
    """A machine or a lifecycle says what the other cannot; `problems` lists all of it."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(f"{path}: {reason}" for path, reason in problems))
        self.problems = problems


def split_call(text: str) -> tuple[str, list[Any]] | None:
    """Return name and arguments of a guard such as `approvals_at_least(2, approver)`.

    None: the text is an expression, as `protocol.lifecycle.guards` reads it.
    """
    found = CALL.fullmatch(text.strip())
    if found is None or found[1] in ("true", "false"):
        return None
    name, listed = found.groups()
    if listed is not None and name in FUNCTIONS:
        return None
    texts = [one.strip() for one in listed.split(",")] if listed and listed.strip() else []
    return name, [int(one) if one.isascii() and one.isdigit() else one for one in texts]
