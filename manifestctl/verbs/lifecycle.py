"""`manifestctl lifecycle ...`: what the daemon has, and what files say; those need no daemon."""

import sys
from argparse import ArgumentParser
from collections.abc import Callable
from functools import wraps
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import msgspec

from manifestctl.arguments import Group, Verb, add_manifest_id, count
from manifestctl.output import Column, Format
from manifestctl.session import Session, UsageError
from manifestctl.verbs.migrate import MIGRATE
from protocol.replies import LifecycleResult

FAILED: Final = 1  # A file has mistakes, or a rehearsal went another way.
_FILE_HELP: Final = "a lifecycle file (TOML, or JSON when its name says so), or a built-in's name"


class LifecycleCount(msgspec.Struct, frozen=True):
    """A lifecycle that the daemon knows; `counts`: the manifests in each of its states."""

    lifecycle: str
    is_default: bool
    counts: dict[str, int]


# What the daemon has.


def _add_nothing(_: ArgumentParser) -> None:
    """`list` takes the common options alone."""


_LIST_COLUMNS: Final = (
    Column("LIFECYCLE", lambda row: row.lifecycle),
    Column("DEFAULT", lambda row: row.is_default),
    Column("MANIFESTS", lambda row: row.counts),
)


def _list(session: Session) -> int:
    default = session.client.lifecycle()
    rows: list[LifecycleCount] = []
    for name in default.known:
        counts = session.client.lifecycle(name).counts
        rows.append(LifecycleCount(name, name == default.lifecycle, counts))
    session.output.many(rows, lambda row: str(row.lifecycle), _LIST_COLUMNS)
    return 0


def _add_show(parser: ArgumentParser) -> None:
    add_manifest_id(parser, required=False)
    parser.add_argument("--lifecycle", metavar="ID@VERSION", help="default: the daemon's")


def _show(session: Session) -> int:
    arguments, output = session.arguments, session.output
    result = session.client.lifecycle(
        arguments.lifecycle, manifest_id=arguments.manifest_id, format="data"
    )
    output.one(result, result.lifecycle, lambda: _show_states(session, result))
    return 0


def _show_states(session: Session, result: LifecycleResult) -> None:
    output = session.output
    output.line(f"lifecycle  {result.lifecycle}")
    output.line(f"known      {', '.join(result.known)}")
    for name, depth, state in state_tree(result.definition or {}):
        number = result.counts.get(name)
        events = ", ".join(state.get("on") or {})
        output.line(
            f"{'  ' * depth}{name}"
            + ("" if number is None else f"  {number}")
            + (f"  on {events}" if events else "")
        )


def state_tree(definition: dict[str, Any], depth: int = 0) -> list[tuple[str, int, dict[str, Any]]]:
    """Return name, depth and definition of every state, outer ones before those inside them."""
    rows = []
    for name, state in (definition.get("states") or {}).items():
        rows += [(name, depth, state), *state_tree(state, depth + 1)]
    return rows


def _add_diagram(parser: ArgumentParser) -> None:
    _add_show(parser)
    parser.add_argument("--file", metavar="FILE", help=f"{_FILE_HELP}; asks no daemon")
    parser.add_argument(
        "--format",
        choices=("text", "mermaid"),
        default="text",
        help="how to draw it (default: text)",
    )


def _diagram(session: Session) -> int:
    arguments, output = session.arguments, session.output
    if arguments.file is not None:
        return _diagram_of_file(session)
    result = session.client.lifecycle(
        arguments.lifecycle, manifest_id=arguments.manifest_id, format=arguments.format
    )
    output.one(result, result.lifecycle, lambda: output.block(result.diagram or ""))
    return 0


# What files say.


def _told(run: Callable[[Session], int]) -> Callable[[Session], int]:
    """Let a wrong file end with its mistakes, a line for each, rather than with one error."""

    @wraps(run)
    def told(session: Session) -> int:
        from protocol.lifecycle.findings import LifecycleError  # noqa: PLC0415 (only files need it)
        from protocol.lifecycle.xstate import XStateError  # noqa: PLC0415

        try:
            return run(session)
        except LifecycleError as error:
            lines = [one.said(error.name) for one in error.findings]
        except XStateError as error:
            lines = [f"{path}: {reason}" for path, reason in error.problems]
        for line in lines:
            session.output.note(f"error: {line}")
        return FAILED

    return told


def _read(name: str) -> tuple[bytes, str]:
    """Return the bytes of a file, or of a built-in of that name, and what to call it."""
    path = Path(name)
    built_in = files("protocol").joinpath("lifecycles", f"{name}.toml")
    try:
        if name == "-":
            return sys.stdin.buffer.read(), "standard input"
        if not path.exists() and "/" not in name and built_in.is_file():
            return built_in.read_bytes(), f"{name}.toml"
        return path.read_bytes(), name
    except OSError as error:
        message = f"cannot read {name}: {error.strerror}"
        raise UsageError(message) from error


def _lifecycle(name: str) -> Any:  # noqa: ANN401 (a Lifecycle; its module is imported late)
    """Return the lifecycle in a file without errors."""
    from protocol.lifecycle.lifecycle import Lifecycle  # noqa: PLC0415

    data, shown = _read(name)
    return Lifecycle.read(data, shown)


def _add_file(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help=_FILE_HELP)


@_told
def _diagram_of_file(session: Session) -> int:
    from protocol.lifecycle.diagram import mermaid, text  # noqa: PLC0415

    lifecycle = _lifecycle(session.arguments.file)
    draw = mermaid if session.arguments.format == "mermaid" else text
    result = LifecycleResult(
        lifecycle=lifecycle.name,
        known=[],
        counts={},
        diagram=draw(lifecycle.chart, None),
    )
    output = session.output
    output.one(result, lifecycle.name, lambda: output.block(result.diagram or ""))
    return 0


def _add_check(parser: ArgumentParser) -> None:
    parser.add_argument("files", metavar="FILE", nargs="+", help=_FILE_HELP)
    parser.add_argument("--strict", action="store_true", help="let warnings fail, too")


def _check(session: Session) -> int:
    from protocol.lifecycle.checks import check_text  # noqa: PLC0415

    output = session.output
    rows: list[dict[str, Any]] = []
    for name in session.arguments.files:
        data, shown = _read(name)
        findings = check_text(data, shown)
        rows += [{"file": shown, **msgspec.to_builtins(one)} for one in findings]
    if output.form is Format.TABLE:
        for row in rows:
            place = f"{row['file']}:{row['line'] or 1}"
            parts = (place, row["severity"], row["place"], row["message"])
            output.line(": ".join(part for part in parts if part))
    else:
        named = list({row["file"]: row for row in rows}.values())
        output.many(named if output.form is Format.NAME else rows, lambda row: row["file"], ())
    fails = ("error", "warning") if session.arguments.strict else ("error",)
    return FAILED if any(row["severity"] in fails for row in rows) else 0


def _add_import(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="MACHINE", help="an XState v5 machine in JSON; -: stdin")
    parser.add_argument(
        "--version", type=count, metavar="N", help="of the lifecycle (default: 1, or as exported)"
    )


@_told
def _import(session: Session) -> int:
    from protocol.lifecycle.checks import check_text  # noqa: PLC0415
    from protocol.lifecycle.toml_writer import write_toml  # noqa: PLC0415
    from protocol.lifecycle.xstate import Problem, XStateError  # noqa: PLC0415
    from protocol.lifecycle.xstate_import import import_xstate  # noqa: PLC0415

    output = session.output
    data, _ = _read(session.arguments.file)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise XStateError([Problem("/", f"not UTF-8: {error.reason}")]) from error
    definition = import_xstate(text, version=session.arguments.version)
    written = write_toml(definition)
    if output.form in (Format.JSON, Format.NDJSON):
        output.json(definition, indent=2 if output.form is Format.JSON else 0)
    else:
        output.out.write(written)
    findings = check_text(written, "the lifecycle")
    for one in findings:
        output.note(f"{one.severity}: {one.place}: {one.message}")
    return FAILED if any(one.severity == "error" for one in findings) else 0


@_told
def _export(session: Session) -> int:
    from protocol.lifecycle.xstate_export import export_xstate  # noqa: PLC0415

    session.output.out.write(export_xstate(_lifecycle(session.arguments.file).definition))
    return 0


def _add_test(parser: ArgumentParser) -> None:
    _add_file(parser)
    parser.add_argument("table", metavar="TABLE", help="cases in TOML: events, expected states")


@_told
def _test(session: Session) -> int:
    from protocol.lifecycle.findings import LifecycleError  # noqa: PLC0415
    from protocol.lifecycle.rehearsal import rehearse  # noqa: PLC0415
    from protocol.lifecycle.rehearsal_table import read_table  # noqa: PLC0415

    output, arguments = session.output, session.arguments
    lifecycle = _lifecycle(arguments.file)
    data, shown = _read(arguments.table)
    try:
        content = data.decode()
    except UnicodeDecodeError as error:
        raise LifecycleError.of(shown, f"this is no UTF-8: {error.reason}") from error
    outcomes = rehearse(lifecycle, read_table(content, shown, lifecycle))
    failed = sum(one.difference is not None for one in outcomes)
    if output.form is Format.TABLE:
        for one in outcomes:
            output.line(f"{'ok    ' if one.difference is None else 'failed'}  {one.case}")
            if one.difference is not None:
                output.line(f"        {shown}:{one.line}: {one.difference}")
        cases = "1 case" if len(outcomes) == 1 else f"{len(outcomes)} cases"
        output.line(f"{cases}, {failed} failed")
    else:
        rows = [{**one._asdict(), "file": shown} for one in outcomes]
        output.many(rows, lambda row: str(row["case"]), ())
    return FAILED if failed else 0


def _schema(session: Session) -> int:
    from protocol.lifecycle.schema import lifecycle_schema  # noqa: PLC0415

    session.output.json(lifecycle_schema(), indent=2)
    return 0


_TEST_EXAMPLES: Final = """\
  manifestctl lifecycle test review.toml review-cases.toml

a table:
  [[case]]
  name = "Rejected, mended, forgotten"
  guards = { urn_free = true }     # answers for the whole case; what has none holds
  manifest = { name = "echo" }     # what CEL guards see; without it they are answered, too
  steps = [
    { event = "submit_for_review", principal = "ann", roles = ["author"], state = "REVIEWED" },
    { event = "approve", guards = { four_eyes = false }, refused = "four_eyes" },
    { event = "reject", reason = "A typo.", state = "DRAFT" },
    { after = "14d", state = "DRAFT" },
  ]
  # state: one, or a list with one of each region; refused: true, a guard, "event" or "roles".
"""
_ACTIONS: Final = {
    "list": (
        "list the lifecycles that the daemon knows, with their manifests",
        Verb(_add_nothing, _list, "  manifestctl lifecycle list\n"),
    ),
    "show": (
        "show a lifecycle's states and events, with the manifests in each state",
        Verb(_add_show, _show, "  manifestctl lifecycle show --lifecycle manifest@1 -o json\n"),
    ),
    "diagram": (
        "draw a lifecycle, with the manifests in each state or the state of one",
        Verb(
            _add_diagram,
            _diagram,
            "  manifestctl lifecycle diagram io.github.acme/echo@1.0.0 --format mermaid\n"
            "  manifestctl lifecycle diagram --file review.toml\n",
        ),
    ),
    "check": (
        "find the mistakes in lifecycle files",
        Verb(
            _add_check,
            _check,
            "  manifestctl lifecycle check review.toml\n"
            "  manifestctl lifecycle check --strict lifecycles/*.toml\n",
        ),
    ),
    "import": (
        "make a lifecycle file from an XState v5 machine",
        Verb(_add_import, _import, "  manifestctl lifecycle import machine.json > review.toml\n"),
    ),
    "export": (
        "make an XState v5 machine from a lifecycle file",
        Verb(_add_file, _export, "  manifestctl lifecycle export review.toml > machine.json\n"),
    ),
    "test": (
        "walk a lifecycle through a table of events and expected states",
        Verb(_add_test, _test, _TEST_EXAMPLES),
    ),
    "migrate": ("move manifests from one lifecycle to another, or to a new version", MIGRATE),
    "schema": (
        "print the JSON Schema of lifecycle files, for editors",
        Verb(_add_nothing, _schema, "  manifestctl lifecycle schema > lifecycle.schema.json\n"),
    ),
}

VERBS: Final = {"lifecycle": Group(_ACTIONS)}
