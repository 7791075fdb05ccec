"""Verbs about the daemon: `status health whoami verify recover`."""

from argparse import ArgumentParser
from typing import Final

from manifestctl.arguments import Verb, add_manifest_id
from manifestctl.session import Session


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
        if result.log_hash is not None:
            session.output.line(f"anchor to keep elsewhere  {result.last_seq}:{result.log_hash}")

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
_VERIFY_EXAMPLES: Final = """\
  manifestctl verify
  manifestctl verify io.github.acme/echo@1.0.0
"""

VERBS: Final = {
    "status": Verb(_add_nothing, _status, "  manifestctl status -o json | jq .last_seq\n"),
    "health": Verb(_add_nothing, _health, "  manifestctl health -o name --timeout 1\n"),
    "whoami": Verb(_add_whoami, _whoami, "  manifestctl whoami --as approver-3\n"),
    "verify": Verb(_add_verify, _verify, _VERIFY_EXAMPLES),
    "recover": Verb(
        add_manifest_id,
        _recover,
        "  manifestctl recover io.github.acme/echo@1.0.0\n",
    ),
}
