"""Charts are drawn for documents and for terminals: pictures that people can read."""

from protocol.lifecycle.diagram import mermaid, text
from protocol.lifecycle.registry import LifecycleRegistry
from tests.support.charts import EVERYTHING

DEFAULT = LifecycleRegistry.builtin().get("manifest@1").chart
MERMAID = """\
stateDiagram-v2
    [*] --> DRAFT
    state "DRAFT (2)" as DRAFT
    state "PENDING (4)" as PENDING {
        [*] --> REVIEWED
        state "REVIEWED (1)" as REVIEWED
        state "APPROVED (3)" as APPROVED
    }
    state "REGISTERED (0)" as REGISTERED
    REGISTERED --> [*]
    DRAFT --> REVIEWED : submit_for_review [manifest_valid]
    PENDING --> DRAFT : reject [reason_given]
    REVIEWED --> APPROVED : approve [digest_matches and four_eyes]
    APPROVED --> REGISTERED : register [content_approved and manifest_valid and urn_free]
    classDef active font-weight:bold,stroke-width:3px
    class REVIEWED active
"""
TEXT = """\
  manifest (6)
    DRAFT (2) initial
        submit_for_review [manifest_valid] -> REVIEWED
    PENDING (4)
        reject [reason_given] -> DRAFT
>     REVIEWED (1) initial
          approve [digest_matches and four_eyes] -> APPROVED
      APPROVED (3)
          register [content_approved and manifest_valid and urn_free] -> REGISTERED
    REGISTERED (0) final
"""


COUNTS = {"DRAFT": 1, "L1": 3, "L2": 2, "a.b": 5}
EVERYTHING_DRAWN = f"""\
  everything (6)
      restart -> DRAFT
    DRAFT (1) initial
        go -> L2 + S2
        back -> last
        always [size(x) > 1; "#" <b>] -> end
        always [{"y" * 79}…] -> end
    SIGN_OFF (5) parallel
        note -> (stays)
        done -> end
        after 14d -> DRAFT
      last (H*)
          at first -> LEGAL + a.b
      LEGAL (5)
          SECURITY done -> LEGAL
>       L1 (3) initial
        L2 (2) final
      SECURITY (5)
>       a.b (5) initial
        S2 (0) final
    end (0) final
"""


def test_the_default_lifecycle_shows_states_events_guards_counts_and_the_active_state() -> None:
    counts = {"DRAFT": 2, "REVIEWED": 1, "APPROVED": 3}

    assert mermaid(DEFAULT, counts, ["REVIEWED"]) == MERMAID
    assert text(DEFAULT, counts, ["REVIEWED"]) == TEXT
    assert "class " not in mermaid(DEFAULT, {})


def test_regions_histories_delays_and_several_active_leaves_are_drawn_as_text() -> None:
    assert text(EVERYTHING, COUNTS, ["L1", "a.b"]) == EVERYTHING_DRAWN


def test_regions_histories_delays_and_several_active_leaves_are_drawn_for_mermaid() -> None:
    lines = mermaid(EVERYTHING, COUNTS, ["L1", "a.b", "gone"]).splitlines()

    assert '    state "everything (6)" as everything {' in lines
    assert '            state "last (H*)" as last' in lines
    assert lines[lines.index("            --") + 1 :][:3] == [
        '            state "SECURITY (5)" as SECURITY {',
        "                [*] --> s8_a_b",
        '                state "a.b (5)" as s8_a_b',
    ]
    for way in (
        "DRAFT --> L2 : go",
        "DRAFT --> S2 : go",
        "DRAFT --> last : back",
        "last --> LEGAL",
        "SIGN_OFF --> SIGN_OFF : note",
        "SIGN_OFF --> s10_end : done",
        "SIGN_OFF --> DRAFT : after 14d",
        "DRAFT --> s10_end : always [size(x) #62; 1#59; #34;#35;#34; #60;b#62;]",
        "class L1,s8_a_b active",
    ):
        assert f"    {way}" in lines
