"""Text for a terminal: what others wrote is made harmless, columns are aligned.

A value from the daemon was written by somebody else. Control characters, bidirectional overrides
and whatever else does not print are shown as escapes, so that no manifest's name can move the
cursor, recolour an approval or reverse a line.
"""

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

_GAP: Final = "  "
_CELL_SIZE_MIN: Final = 8  # A column is not cut below this; the line gets longer instead.
_UNPRINTABLE_IN_JSON: Final = re.compile(r"[^\x20-\x7e\n]")


def safe(text: str) -> str:
    """Return `text` with everything that does not print as an escape."""
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape", "surrogatepass").decode()
        for one in text
    )


def safe_json(text: str) -> str:
    """Return JSON text that says the same, and prints."""
    return _UNPRINTABLE_IN_JSON.sub(lambda match: _json_escape(match.group()), text)


def _json_escape(character: str) -> str:
    if character.isprintable():
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def width(text: str) -> int:
    """Return the columns that `text` takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(one) else 1 + (unicodedata.east_asian_width(one) in "WF")
        for one in text
    )


def clip(text: str, columns: int) -> str:
    """Return `text` cut to `columns`, with an ellipsis where something is missing."""
    if width(text) <= columns:
        return text
    while text and width(text) > columns - 1:
        text = text[:-1]
    return f"{text}…"


def table(
    heads: Sequence[str], rows: Sequence[Sequence[str]], columns: int | None = None
) -> list[str]:
    """Return the lines of a table of harmless cells, at most `columns` wide where that can be."""
    cells = [list(heads), *([safe(cell) for cell in row] for row in rows)]
    widths = [max(width(row[at]) for row in cells) for at in range(len(heads))]
    if columns is not None:
        _shrink(widths, columns - len(_GAP) * (len(heads) - 1))
    lines = []
    for row in cells:
        parts = [clip(cell, size) for cell, size in zip(row, widths, strict=True)]
        padded = [
            part + " " * (size - width(part)) for part, size in zip(parts, widths, strict=True)
        ]
        lines.append(_GAP.join(padded).rstrip())
    return lines


def _shrink(widths: list[int], columns: int) -> None:
    while sum(widths) > columns:
        widest = max(range(len(widths)), key=widths.__getitem__)
        if widths[widest] <= _CELL_SIZE_MIN:
            return
        widths[widest] -= 1
