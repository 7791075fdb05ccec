"""Verbs about the daemon: `lifecycle status health whoami verify recover`."""

from argparse import ArgumentParser
from typing import Any, Final

from manifestctl.arguments import Verb, add_manifest_id
from manifestctl.session import Session
from protocol.replies import LifecycleResult

PATIENT_S: Final = 600.0  # Reading a whole store takes a while; asking again would begin anew.


def _add_lifecycle(parser: ArgumentParser) -> None:
    parser.add_argument("action", choices=("show", "diagram"), help="as a table, or drawn")
    add_manifest_id(parser, required=False)
    parser.add_argument("--lifecycle", metavar="ID@VERSION", help="default: the daemon's")
    parser.add_argument(
        "--format",
        choices=("text", "mermaid"),
        default="text",
        help="how to draw it (default: text)",
    )


def _lifecycle(session: Session) -> int:
    arguments, output = session.arguments, session.output
    result = session.client.lifecycle(
        arguments.lifecycle,
        manifest_id=arguments.manifest_id,
        format=arguments.format if arguments.action == "diagram" else "data",
    )

    def people() -> None:
        if result.diagram is not None:
            output.block(result.diagram)
        else:
            _show(session, result)

    output.one(result, result.lifecycle, people)
    return 0


def _show(session: Session, result: LifecycleResult) -> None:
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


def _add_nothing(_: ArgumentParser) -> None:
    """These verbs take the common options alone."""


def _status(session: Session) -> int:
    result = session.client.status()
    session.output.one(result, result.store_id)
    return 0


def _health(session: Session) -> int:
    result = session.client.health()
    session.output.one(result, result.status)
    return 0


def _add_whoami(parser: ArgumentParser) -> None:
    parser.add_argument("--as", dest="principal", metavar="NAME", help="as somebody else")


def _whoami(session: Session) -> int:
    result = session.client.whoami(principal=session.arguments.principal)
    session.output.one(result, result.principal)
    return 0


def _add_verify(parser: ArgumentParser) -> None:
    add_manifest_id(parser, required=False)


def _verify(session: Session) -> int:
    manifest_id = session.arguments.manifest_id
    result = session.client.verify(manifest_id)

    def people() -> None:
        session.output.line(
            f"{result.events} events of {result.manifests} manifests are what was written"
        )

    session.output.one(result, manifest_id or "ok", people)
    return 0


def _recover(session: Session) -> int:
    result = session.client.recover(session.arguments.manifest_id)

    def people() -> None:
        same = "is" if result.identical else "is NOT"
        session.output.line(
            f"{result.manifest_id}, rebuilt from {result.events} events, {same} its snapshot"
        )

    session.output.one(result, result.manifest_id, people)
    return 0 if result.identical else NOT_IDENTICAL


NOT_IDENTICAL: Final = 9  # As CORRUPT.
_LIFECYCLE_EXAMPLES: Final = """\
  manifestctl lifecycle diagram
  manifestctl lifecycle diagram io.github.acme/echo@1.0.0 --format mermaid
  manifestctl lifecycle show --lifecycle manifest@1 -o json
"""
_VERIFY_EXAMPLES: Final = """\
  manifestctl verify
  manifestctl verify io.github.acme/echo@1.0.0
"""

VERBS: Final = {
    "lifecycle": Verb(_add_lifecycle, _lifecycle, _LIFECYCLE_EXAMPLES),
    "status": Verb(_add_nothing, _status, "  manifestctl status -o json | jq .last_seq\n"),
    "health": Verb(_add_nothing, _health, "  manifestctl health -o name --timeout 1\n"),
    "whoami": Verb(_add_whoami, _whoami, "  manifestctl whoami --as approver-3\n"),
    "verify": Verb(_add_verify, _verify, _VERIFY_EXAMPLES, patient_s=PATIENT_S),
    "recover": Verb(
        add_manifest_id,
        _recover,
        "  manifestctl recover io.github.acme/echo@1.0.0\n",
        patient_s=PATIENT_S,
    ),
}
