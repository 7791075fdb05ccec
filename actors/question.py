"""What a guard may look at while a command is decided."""

from actors.rules import Rules
from protocol.commands import Transition
from protocol.principals import Principal
from protocol.record import Approval
from protocol.snapshots import StateSnapshot


class Question:
    """One moment of a step, as guards see it.

    `event` is the one that asks, also where a target was named. `leaves`: the leaf states that are
    active at this moment; `approvals`: those of the manifest, and those that the step has recorded
    so far. `now`: the time of the command (RFC 3339).
    """

    __slots__ = (
        "approvals",
        "event",
        "leaves",
        "now",
        "principal",
        "request",
        "rules",
        "state",
    )

    def __init__(
        self,
        state: StateSnapshot,
        event: str,
        request: Transition,
        principal: Principal,
        rules: Rules,
        now: str,
        leaves: tuple[str, ...],
        approvals: tuple[Approval, ...],
    ) -> None:
        self.state = state
        self.event = event
        self.request = request
        self.principal = principal
        self.rules = rules
        self.now = now
        self.leaves = leaves
        self.approvals = approvals
