"""Where each member of a JSON file stands, and which ones stand there twice.

Promise:  linear time, bounded depth and size.
Assume:   the text is JSON: a parser that only tells values has read it before.
Not here: what the values are.
"""

import json
import re
from typing import Final

from protocol.lifecycle.places import PlacePath, PlaceRecorder, Places

_GAP: Final = re.compile(r"[ \t\r\n]*+")
_STRING: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"')
_SCALAR: Final = re.compile(r"[^\s,\]}]++")


def json_places(text: str) -> tuple[Places, list[PlacePath]]:
    """Return where the members and items of `text` stand, and the members that stand there twice.

    Raises:
        FileBoundError: `text` nests too deep, or holds too much.
    """
    scanner = _Scanner(text)
    scanner.value(())
    return Places(scanner.recorder.lines | scanner.repeated), list(scanner.repeated)


class _Scanner:
    def __init__(self, text: str) -> None:
        self.recorder = PlaceRecorder(text)
        self.repeated: dict[PlacePath, int] = {}
        self._text = text
        self._at = 0

    def value(self, path: PlacePath) -> None:
        self._skip(_GAP)
        opening = self._text[self._at]
        if opening == "{":
            self._members(path)
        elif opening == "[":
            self._items(path)
        else:
            self._skip(_STRING if opening == '"' else _SCALAR)
        self._skip(_GAP)

    def _members(self, path: PlacePath) -> None:
        while not self._closes("}"):
            start = self._at
            self._skip(_STRING)
            member = (*path, json.loads(self._text[start : self._at]))
            line = self.recorder.line_at(start)
            if not self.recorder.record(member, line):
                self.repeated[member] = line
            self._skip(_GAP)
            self._at += 1  # The colon.
            self.value(member)

    def _items(self, path: PlacePath) -> None:
        index = 0
        while not self._closes("]"):
            item = (*path, index)
            self.recorder.record(item, self.recorder.line_at(self._at))
            self.value(item)
            index += 1

    def _closes(self, bracket: str) -> bool:
        """Step over the opening bracket or a comma; tell whether the list or object ends there."""
        if self._text[self._at] == bracket:
            self._at += 1
            return True
        self._at += 1
        self._skip(_GAP)
        if self._text[self._at] == bracket:  # It was empty.
            self._at += 1
            return True
        return False

    def _skip(self, what: re.Pattern[str]) -> None:
        match = what.match(self._text, self._at)
        assert match is not None, "the text was parsed before"
        self._at = match.end()
