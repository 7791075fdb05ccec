"""Where each key of a TOML file stands: `tomllib` tells only the line of a syntax error.

Promise:  linear time, bounded depth and size, checked before `tomllib` sees the text: a key of
          half a million dotted parts would take it days.
Assume:   the text may be anything. Where it is no TOML the scan ends; `tomllib` says why.
Not here: what the values are (they are skipped), duplicate keys (`tomllib` refuses them).
"""

import re
import tomllib
from contextlib import suppress
from typing import Final

from protocol.lifecycle.places import PlacePath, PlaceRecorder, Places

_GAP: Final = re.compile(r"(?:[ \t\r\n]++|#[^\n]*+)*+")
_BLANK: Final = re.compile(r"[ \t]*+")
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]++")
_QUOTED_KEY: Final = re.compile(r""""(?:[^"\\\n]++|\\.)*+"|'[^'\n]*+'""")
_STRING: Final = re.compile(
    r'''"""(?:[^"\\]++|\\.|"{1,2}(?!"))*+"{3,5}'''
    r"""|'''(?:[^']++|'{1,2}(?!'))*+'{3,5}"""
    r'''|"(?:[^"\\\n]++|\\.)*+"'''
    r"""|'[^'\n]*+'""",
    re.DOTALL,
)
_SCALAR: Final = re.compile(
    r"[^\s,\[\]{}#\"']++(?: [0-9][^\s,\[\]{}#\"']*+)?"
)  # Dates may hold one.


class _NoTomlError(Exception):
    """The text is no TOML from here on."""


def toml_places(text: str) -> Places:
    """Return where the keys and list items of `text` stand.

    Raises:
        FileBoundError: `text` nests too deep, or holds too much.
    """
    scanner = _Scanner(text)
    with suppress(_NoTomlError):  # The places up to there are right; the parser refuses the rest.
        scanner.scan()
    return Places(scanner.recorder.lines)


class _Scanner:
    def __init__(self, text: str) -> None:
        self.recorder = PlaceRecorder(text)
        self._text = text
        self._at = 0
        self._lengths: dict[PlacePath, int] = {}  # Of arrays of tables, so far.

    def scan(self) -> None:
        table: PlacePath = ()
        while True:
            self._skip(_GAP)
            if self._at == len(self._text):
                return
            if self._takes("[["):
                table = self._header(is_array=True)
                self._must_take("]]")
            elif self._takes("["):
                table = self._header(is_array=False)
                self._must_take("]")
            else:
                self._pair(table)

    def _header(self, *, is_array: bool) -> PlacePath:
        line = self.recorder.line_at(self._at)
        *parents, last = self._key()
        path: PlacePath = ()
        for part in parents:
            path = (*path, part)
            self.recorder.record(path, line)
            if path in self._lengths:
                path = (*path, self._lengths[path] - 1)
        path = (*path, last)
        self.recorder.record(path, line)
        if is_array:
            index = self._lengths.get(path, 0)
            self._lengths[path] = index + 1
            path = (*path, index)
            self.recorder.record(path, line)
        return path

    def _key(self) -> list[str]:
        parts: list[str] = []
        while True:
            self._skip(_BLANK)
            if match := _BARE_KEY.match(self._text, self._at):
                parts.append(match[0])
            elif match := _QUOTED_KEY.match(self._text, self._at):
                parts.append(_unquoted(match[0]))
            else:
                raise _NoTomlError
            self.recorder.check_nesting(len(parts), self.recorder.line_at(self._at))
            self._at = match.end()
            self._skip(_BLANK)
            if not self._takes("."):
                return parts

    def _pair(self, table: PlacePath) -> None:
        line = self.recorder.line_at(self._at)
        path = table
        for part in self._key():
            path = (*path, part)
            self.recorder.record(path, line)
        self._must_take("=")
        self._skip(_BLANK)
        self._value(path)

    def _value(self, path: PlacePath) -> None:
        if self._takes("["):
            self._items(path)
        elif self._takes("{"):
            self._members(path)
        elif match := (_STRING.match(self._text, self._at) or _SCALAR.match(self._text, self._at)):
            self._at = match.end()
        else:
            raise _NoTomlError

    def _items(self, path: PlacePath) -> None:
        index = 0
        while True:
            self._skip(_GAP)
            if self._takes("]"):
                return
            item = (*path, index)
            self.recorder.record(item, self.recorder.line_at(self._at))
            self._value(item)
            index += 1
            self._skip(_GAP)
            if not self._takes(","):
                self._must_take("]")
                return

    def _members(self, path: PlacePath) -> None:
        while True:
            self._skip(_GAP)
            if self._takes("}"):
                return
            self._pair(path)
            self._skip(_GAP)
            if not self._takes(","):
                self._must_take("}")
                return

    def _skip(self, what: re.Pattern[str]) -> None:
        match = what.match(self._text, self._at)
        assert match is not None, "a gap may be empty"
        self._at = match.end()

    def _takes(self, token: str) -> bool:
        if not self._text.startswith(token, self._at):
            return False
        self._at += len(token)
        return True

    def _must_take(self, token: str) -> None:
        if not self._takes(token):
            raise _NoTomlError


def _unquoted(key: str) -> str:
    if key[0] == "'" or "\\" not in key:
        return key[1:-1]
    try:
        text: str = tomllib.loads(f"key = {key}")["key"]
    except tomllib.TOMLDecodeError:
        raise _NoTomlError from None
    return text
