"""Verbs that read: `get list lookup history explain`."""

from argparse import ArgumentParser
from itertools import islice
from typing import Any, Final

import msgspec

from manifestctl.arguments import Verb, add_manifest_id, count
from manifestctl.event_text import local_time
from manifestctl.output import Column, Format
from manifestctl.session import Session
from manifestctl.verbs.write import shown_state


def _add_get(parser: ArgumentParser) -> None:
    add_manifest_id(parser)
    parser.add_argument(
        "--as-of", metavar="VERSION|TIME", help="as it was at a version, or a time (RFC 3339)"
    )
    parser.add_argument(
        "--document", action="store_true", help="print the document alone, as it is stored"
    )


def _get(session: Session) -> int:
    arguments = session.arguments
    as_of = arguments.as_of
    result = session.client.get(
        arguments.manifest_id, as_of=int(as_of) if as_of and as_of.isdigit() else as_of
    )
    if arguments.document:
        session.output.raw_line(bytes(result.manifest))
    else:
        session.output.one(result, result.manifest_id)
    return 0


def _add_list(parser: ArgumentParser) -> None:
    parser.add_argument("--state", help="in this state, or in one inside it")
    parser.add_argument("--kind", help="of this kind")
    parser.add_argument("--author", metavar="NAME", help="by this author")
    parser.add_argument("--lifecycle", metavar="ID@VERSION", help="under this lifecycle")
    parser.add_argument(
        "--can", metavar="EVENT", help="on which you may do this now: a reviewer's inbox"
    )
    parser.add_argument("--as", dest="principal", metavar="NAME", help="--can for somebody else")
    parser.add_argument("--limit", type=count, metavar="N", help="at most so many (default: all)")


_LIST_COLUMNS: Final = (
    Column("MANIFEST", lambda row: row.manifest_id),
    Column("KIND", lambda row: row.kind),
    Column("STATE", lambda row: shown_state(row.state)),
    Column("VERSION", lambda row: row.version),
    Column("AUTHOR", lambda row: row.author),
    Column("UPDATED", lambda row: local_time(row.updated_at)),
)


def _list(session: Session) -> int:
    arguments = session.arguments
    rows = session.client.every_manifest(
        state=arguments.state,
        kind=arguments.kind,
        author=arguments.author,
        lifecycle=arguments.lifecycle,
        can=arguments.can,
        principal=arguments.principal,
    )
    session.output.many(
        islice(rows, arguments.limit), lambda row: str(row.manifest_id), _LIST_COLUMNS
    )
    return 0


def _add_lookup(parser: ArgumentParser) -> None:
    parser.add_argument("urn", metavar="URN", help="without @VERSION: the highest registered one")


def _lookup(session: Session) -> int:
    result = session.client.lookup(session.arguments.urn)
    session.output.one(result, result.manifest_id)
    return 0


def _add_history(parser: ArgumentParser) -> None:
    add_manifest_id(parser)
    parser.add_argument(
        "--after-version", type=count, default=0, metavar="N", help="only what came later"
    )


def _by(event: Any) -> str:  # noqa: ANN401 (an event of the wire)
    return f"{event.principal} (via {event.via})" if event.via else str(event.principal)


_HISTORY_COLUMNS: Final = (
    Column("VERSION", lambda event: event.version),
    Column("TIME", lambda event: local_time(event.at)),
    Column("WHAT", lambda event: event.event or event.type),
    Column("STATE", lambda event: shown_state(event.states_to)),
    Column("BY", _by),
    Column("REASON", lambda event: event.payload.reason if event.payload else "(redacted)"),
)


def _history(session: Session) -> int:
    arguments, output = session.arguments, session.output
    events = session.client.every_event(
        arguments.manifest_id, after_version=arguments.after_version
    )
    if output.form is Format.NDJSON:
        for event in events:
            output.raw_line(event.line)
    elif output.form is Format.JSON:
        output.json([msgspec.Raw(event.line) for event in events], indent=2)
    else:
        output.many(events, lambda event: str(event.event_id), _HISTORY_COLUMNS)
    return 0


def _add_explain(parser: ArgumentParser) -> None:
    add_manifest_id(parser)
    parser.add_argument("--as", dest="principal", metavar="NAME", help="for somebody else")


_EXPLAIN_COLUMNS: Final = (
    Column("EVENT", lambda row: row.event),
    Column("ALLOWED", lambda row: row.allowed),
    Column("LEADS TO", lambda row: shown_state(row.target) if row.target else None),
    Column("ROLES", lambda row: row.roles),
    Column("GUARD", lambda row: row.guard),
    Column("REASON", lambda row: row.reason),
)


def _explain(session: Session) -> int:
    arguments, output = session.arguments, session.output
    result = session.client.explain(arguments.manifest_id, principal=arguments.principal)

    def people() -> None:
        state = shown_state(result.state)
        output.line(
            f"{result.manifest_id} is {state}, version {result.version}; for {result.principal}:"
        )
        output.many(result.events, lambda row: str(row.event), _EXPLAIN_COLUMNS)

    output.one(result, result.manifest_id, people)
    return 0


_GET_EXAMPLES: Final = """\
  manifestctl get io.github.acme/echo@1.0.0
  manifestctl get io.github.acme/echo@1.0.0 --as-of 2 -o json
  manifestctl get io.github.acme/echo@1.0.0 --document > server.json
"""
_LIST_EXAMPLES: Final = """\
  manifestctl list --state PENDING
  manifestctl list --can approve
  manifestctl list --author author-7 -o name | xargs -n 1 manifestctl submit
"""
_LOOKUP_EXAMPLES: Final = """\
  manifestctl lookup urn:proto:mcp-server:io.github.acme/echo
  manifestctl lookup urn:proto:mcp-server:io.github.acme/echo@1.0.0 -o name
"""
_HISTORY_EXAMPLES: Final = """\
  manifestctl history io.github.acme/echo@1.0.0
  manifestctl history io.github.acme/echo@1.0.0 -o ndjson | jq .principal
"""
_EXPLAIN_EXAMPLES: Final = """\
  manifestctl explain io.github.acme/echo@1.0.0 --as approver-3
"""

VERBS: Final = {
    "get": Verb(_add_get, _get, _GET_EXAMPLES),
    "list": Verb(_add_list, _list, _LIST_EXAMPLES),
    "lookup": Verb(_add_lookup, _lookup, _LOOKUP_EXAMPLES),
    "history": Verb(_add_history, _history, _HISTORY_EXAMPLES),
    "explain": Verb(_add_explain, _explain, _EXPLAIN_EXAMPLES),
}
