"""A chart that has one of everything that a diagram shows."""

from typing import Final

from protocol.statechart.compiler import compile_chart
from protocol.statechart.definition import NodeType, StateForm, TransitionForm


def to(*targets: str, guard: str | None = None) -> TransitionForm:
    """Return a way to `targets`."""
    return TransitionForm(targets=targets, guard=guard)


SIGN_OFF: Final = StateForm(
    type=NodeType.PARALLEL,
    on=(("note", to()), ("done.state.SIGN_OFF", to("end"))),
    after=((1_209_600_000, to("DRAFT")),),
    states={
        "last": StateForm(type=NodeType.HISTORY, is_deep=True, default=to("LEGAL", "a.b")),
        "LEGAL": StateForm(
            on=(("done.state.SECURITY", to("LEGAL")),),
            states={"L1": StateForm(), "L2": StateForm(type=NodeType.FINAL)},
        ),
        "SECURITY": StateForm(states={"a.b": StateForm(), "S2": StateForm(type=NodeType.FINAL)}),
    },
)
EVERYTHING: Final = compile_chart(
    "everything",
    StateForm(
        on=(("restart", to("DRAFT")),),
        states={
            "DRAFT": StateForm(
                on=(("go", to("L2", "S2")), ("back", to("last"))),
                always=(to("end", guard='size(x) > 1; "#" <b>\n'), to("end", guard="y" * 90)),
            ),
            "SIGN_OFF": SIGN_OFF,
            "end": StateForm(type=NodeType.FINAL),
        },
    ),
)
