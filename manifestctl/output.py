"""What a verb has to say, in the format that was asked for (`-o`)."""

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple, TextIO

import msgspec

from manifestctl.text import safe, safe_json, table
from protocol.errors import CommandError, ManifestdError

DEFAULT_COLUMNS: Final = 80


class Format(StrEnum):
    """How results are printed."""

    TABLE = "table"  # For people; may change from release to release.
    JSON = "json"  # One document, indented.
    NDJSON = "ndjson"  # One line for each item.
    NAME = "name"  # Ids only.


class Column(NamedTuple):
    """A column of a table: its head, and the cell of an item."""

    head: str
    cell: Callable[[Any], object]


class Output:
    """Standard output and standard error, in one format."""

    def __init__(self, form: Format, out: TextIO | None = None, err: TextIO | None = None) -> None:
        self.form = form
        self.out = sys.stdout if out is None else out
        self.err = sys.stderr if err is None else err
        self.is_terminal = self.out.isatty()
        self.has_colours = self.is_terminal and not os.environ.get("NO_COLOR")

    def line(self, text: str) -> None:
        """Print a line for people; whoever wrote part of it, it is harmless."""
        self.out.write(f"{safe(text)}\n")

    def block(self, text: str) -> None:
        """Print lines for people."""
        for line in text.splitlines():
            self.line(line)

    def note(self, text: str) -> None:
        """Tell something beside the result, on standard error."""
        self.err.write(f"{safe(text)}\n")
        self.err.flush()

    def json(self, value: object, *, indent: int) -> None:
        """Print a value as JSON: indented, or (0) as one line."""
        data = msgspec.json.encode(value)
        text = (msgspec.json.format(data, indent=indent) if indent else data).decode()
        self.out.write(f"{safe_json(text) if self.is_terminal else text}\n")

    def raw_line(self, line: bytes) -> None:
        """Print the daemon's own bytes; on a terminal with what does not print as escapes."""
        text = line.decode()
        self.out.write(f"{safe_json(text) if self.is_terminal else text}\n")

    def one(self, result: Any, name: str, people: Callable[[], None] | None = None) -> None:  # noqa: ANN401
        """Print one result; `people()` prints it as a table, unless its members say enough."""
        match self.form:
            case Format.JSON:
                self.json(result, indent=2)
            case Format.NDJSON:
                self.json(result, indent=0)
            case Format.NAME:
                self.line(name)
            case Format.TABLE if people is not None:
                people()
            case Format.TABLE:
                self.members(result)

    def many(
        self, items: Iterable[Any], name: Callable[[Any], str], columns: Sequence[Column]
    ) -> None:
        """Print many items; as NDJSON or names each as it comes."""
        match self.form:
            case Format.JSON:
                self.json(list(items), indent=2)
            case Format.NDJSON:
                for item in items:
                    self.json(item, indent=0)
            case Format.NAME:
                for item in items:
                    self.line(name(item))
            case Format.TABLE:
                rows = [[cell(column.cell(item)) for column in columns] for item in items]
                heads = [column.head for column in columns]
                for text in table(heads, rows, self.columns()):
                    self.out.write(f"{text}\n")

    def members(self, result: Any) -> None:  # noqa: ANN401 (any result of the wire)
        """Print the members of a result, one a line; documents come last, indented."""
        documents = []
        pairs: list[tuple[str, str]] = []
        for member in msgspec.structs.fields(result):
            value = getattr(result, member.name)
            if isinstance(value, msgspec.Raw):
                documents.append(value)
            elif value is not None and value is not msgspec.UNSET:
                head = member.name.replace("_", " ")
                lines = [cell(item) for item in value] if _is_record(value) else [cell(value)]
                pairs += zip([head, *[""] * len(lines)], lines, strict=False)
        size = max((len(head) for head, _ in pairs), default=0)
        for head, text in pairs:
            self.line(f"{head:<{size}}  {text}")
        for document in documents:
            self.out.write("\n")
            self.block(msgspec.json.format(bytes(document), indent=2).decode())

    def columns(self) -> int | None:
        """Return the width of the terminal; None where lines may have any length."""
        if not self.is_terminal:
            return None
        try:
            return os.get_terminal_size(self.out.fileno()).columns or DEFAULT_COLUMNS
        except OSError:
            return DEFAULT_COLUMNS

    def error(self, error: ManifestdError) -> None:
        """Say on standard error what went wrong, and what may help."""
        body = error.body() if isinstance(error, CommandError) else None
        if body is not None and self.form in (Format.JSON, Format.NDJSON):
            self.err.write(f"{msgspec.json.encode(body).decode()}\n")
            return
        self.note(f"error: {error}")
        if body is None:
            return
        for problem in body.details.get("problems") or []:
            self.note(f"  {problem.get('path') or '/'}: {problem.get('reason')}")
        if body.allowed_events:
            self.note(f"the state accepts: {', '.join(body.allowed_events)}")
        if body.suggestion:
            self.note(f"try: {body.suggestion}")


def cell(value: object) -> str:
    """Return `value` as the text of a cell; None and what is empty are a dash."""
    if value is None or value is msgspec.UNSET or value in ("", [], (), {}):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{name} {cell(item)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(cell(item) for item in value)
    if isinstance(value, msgspec.Struct):
        members = msgspec.structs.asdict(value).items()
        told = {name: one for name, one in members if one and not isinstance(one, msgspec.Raw)}
        return cell(told)
    return str(value)


def _is_record(value: object) -> bool:
    """Tell whether `value` is a list with things to tell of each item: approvals, timers."""
    return isinstance(value, list | tuple) and bool(value) and isinstance(value[0], msgspec.Struct)
