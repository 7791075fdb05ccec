"""Bytes that are nearly right, and how many of them are tried.

    fuzz(property, damaged(original), examples=50, seed=1)

Promise:  the same seed gives the same inputs, and hypothesis shrinks one on which the property fails.
"""

from collections.abc import Callable
from typing import Any, Final

import hypothesis
from hypothesis import strategies as st

EXAMPLES_OF_A_ROUND: Final = 1_000  # Of a long run, for each seed.

# What a parser trips over, in any of the syntaxes that are read.
MORSELS: Final = (
    *(b"", b"\0", b"\n", b"\r\n", b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"=", b"'''"),
    *(b"null", b"true", b"-1", b"0", b"1e999", b"99999999999999999999", b"\xff", b"\xed\xa0\x80"),
    *(b'"\\ud800"', b"\xe2\x80\xa8", bytes(512), b"[[", b"[states.", b'{"batch":{', b'{"seq":1'),
)


def fuzz(
    holds: Callable[[Any], None], inputs: st.SearchStrategy[Any], *, examples: int, seed: int
) -> None:
    """See that `holds` raises nothing, for so many inputs that follow from `seed`."""
    settings = hypothesis.settings(max_examples=examples, database=None)
    hypothesis.seed(seed)(settings(hypothesis.given(inputs)(holds)))()


@st.composite
def damaged(draw: st.DrawFn, original: bytes, edits_max: int = 4) -> bytes:
    """Draw `original` with a few edits: bits, cuts, copies, exchanges, morsels, numbers."""
    content = original
    for _ in range(draw(st.integers(0, edits_max))):
        at = draw(st.integers(0, max(0, len(content) - 1)))
        size = draw(st.integers(0, 40))
        match draw(st.sampled_from(["bit", "cut", "end", "copy", "move", "morsel", "number"])):
            case "bit" if content:
                flipped = content[at] ^ 1 << draw(st.integers(0, 7))
                content = content[:at] + bytes([flipped]) + content[at + 1 :]
            case "cut":
                content = content[:at] + content[at + size :]
            case "end":
                content = content[:at]
            case "copy":
                to = draw(st.integers(0, len(content)))
                content = content[:to] + content[at : at + size * 20] + content[to:]
            case "move":
                content = content[at : at + size] + content[:at] + content[at + size :]
            case "number":
                content = _renumbered(content, at, draw(st.integers(-2, 1 << 70)))
            case _:
                morsel = draw(st.sampled_from(MORSELS) | st.binary(max_size=8))
                content = content[:at] + morsel + content[at + draw(st.sampled_from([0, size])) :]
    return content


def _renumbered(content: bytes, at: int, number: int) -> bytes:
    """Return `content` with the first run of digits from `at` on replaced."""
    start = next((n for n in range(at, len(content)) if content[n : n + 1].isdigit()), None)
    if start is None:
        return content
    end = next((n for n in range(start, len(content)) if not content[n : n + 1].isdigit()), start)
    return content[:start] + b"%d" % number + content[end:]
