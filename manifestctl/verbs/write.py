"""Verbs that write, but for steps of the lifecycle: `create revise revert comment`."""

from argparse import ArgumentParser
from typing import Final

from manifestctl.arguments import Verb, add_context, add_manifest_id, add_reason
from manifestctl.session import Session
from protocol.events import StateName, state_names
from protocol.replies import TransitionResult


def shown_state(state: StateName) -> str:
    """Return a state as people read it."""
    return " + ".join(state_names(state))


def show_result(session: Session, result: TransitionResult, done: str | None = None) -> int:
    """Print what a write came to; return the exit status."""

    def people() -> None:
        remark = done
        if result.dry_run is True:
            remark = "dry run: nothing was changed"
        elif result.changed is False:
            remark = "nothing to do"
        elif result.replayed:
            remark = "done before"
        session.output.line(
            f"{result.manifest_id} is {shown_state(result.state)}, version {result.version}"
            + (f" ({remark})" if remark else "")
        )
        if result.urn:
            session.output.line(f"urn: {result.urn}")
        if result.allowed_events:
            session.output.line(f"possible now: {', '.join(result.allowed_events)}")

    session.output.one(result, result.manifest_id, people)
    return 0


def _add_create(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="a JSON document; - reads standard input")
    add_creation(parser)


def add_creation(parser: ArgumentParser) -> None:
    """Add what only a new manifest takes."""
    parser.add_argument(
        "--id", dest="manifest_id", metavar="ID", help="default: NAME@VERSION of the document"
    )
    parser.add_argument("--kind", help="what sort of document it is; default: the daemon's")
    parser.add_argument("--lifecycle", metavar="ID@VERSION", help="default: the kind's")
    add_reason(parser)
    add_context(parser)


def _create(session: Session) -> int:
    arguments = session.arguments
    result = session.client.create(
        bytes(session.document(arguments.file)),
        manifest_id=arguments.manifest_id,
        kind=arguments.kind,
        lifecycle=arguments.lifecycle,
        reason=arguments.reason,
        context=session.context(),
        **session.write_options(),
    )
    return show_result(session, result)


def _add_revise(parser: ArgumentParser) -> None:
    add_manifest_id(parser)
    parser.add_argument("file", metavar="FILE", help="the document; - reads standard input")
    parser.add_argument(
        "--patch", action="store_true", help="FILE is a merge patch (RFC 7396): null removes"
    )
    add_reason(parser)
    add_context(parser)


def _revise(session: Session) -> int:
    arguments = session.arguments
    document = bytes(session.document(arguments.file))
    result = session.client.revise(
        arguments.manifest_id,
        manifest=None if arguments.patch else document,
        patch=document if arguments.patch else None,
        reason=arguments.reason,
        context=session.context(),
        **session.write_options(),
    )
    return show_result(session, result)


def _add_revert(parser: ArgumentParser) -> None:
    add_manifest_id(parser)
    add_reason(parser)


def _revert(session: Session) -> int:
    arguments = session.arguments
    result = session.client.revert(
        arguments.manifest_id, reason=arguments.reason, **session.write_options()
    )
    return show_result(session, result)


def _add_comment(parser: ArgumentParser) -> None:
    add_manifest_id(parser)
    parser.add_argument("text", metavar="TEXT", help="the remark")


def _comment(session: Session) -> int:
    arguments = session.arguments
    result = session.client.comment(
        arguments.manifest_id, text=arguments.text, **session.write_options()
    )
    return show_result(session, result)


_CREATE_EXAMPLES: Final = """\
  manifestctl create server.json --kind mcp-server
  jq '.version = "1.0.1"' server.json | manifestctl create - --kind mcp-server --dry-run
  manifestctl create card.json --kind a2a-agent-card --id acme/weather@2.1.0 -m "first draft"
"""
_REVISE_EXAMPLES: Final = """\
  manifestctl revise io.github.acme/echo@1.0.0 server.json -m "clearer description"
  echo '{"description":"echoes"}' | manifestctl revise io.github.acme/echo@1.0.0 - --patch
"""
_REVERT_EXAMPLES: Final = """\
  manifestctl revert io.github.acme/echo@1.0.0 -m "approved the wrong one"
"""
_COMMENT_EXAMPLES: Final = """\
  manifestctl comment io.github.acme/echo@1.0.0 "the icon is missing"
"""

VERBS: Final = {
    "create": Verb(_add_create, _create, _CREATE_EXAMPLES, writes=True),
    "revise": Verb(_add_revise, _revise, _REVISE_EXAMPLES, writes=True),
    "revert": Verb(_add_revert, _revert, _REVERT_EXAMPLES, writes=True),
    "comment": Verb(_add_comment, _comment, _COMMENT_EXAMPLES, writes=True),
}
