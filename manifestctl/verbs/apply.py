"""`apply`: the manifest shall hold this document, whatever it takes.

It reads, compares digests, and creates, revises or does nothing. A revision names the version
that was read; where somebody else was faster, it looks again.
"""

from argparse import ArgumentParser
from typing import Final

import msgspec

from manifestctl.arguments import Verb
from manifestctl.requests import own_id
from manifestctl.session import Session, UsageError
from manifestctl.verbs.write import add_creation, show_result
from protocol.canonical import canonicalize, document_digest
from protocol.commands import Revise, Write
from protocol.errors import AlreadyExistsError, BadRequestError, NotFoundError, OptimisticLockError
from protocol.replies import GetResult, TransitionResult

ATTEMPTS: Final = 3


def _add_apply(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="a JSON document; - reads standard input")
    add_creation(parser)


def _apply(session: Session) -> int:
    document = session.document(session.arguments.file)
    manifest_id = session.arguments.manifest_id or own_id(document)
    if manifest_id is None:
        message = "the document has no name and version that make an id; add --id ID"
        raise UsageError(message)
    try:
        return _revise(session, manifest_id, bytes(document))
    except NotFoundError:
        pass
    try:
        return _create(session, manifest_id, bytes(document))
    except AlreadyExistsError:  # Somebody made it since we looked.
        return _revise(session, manifest_id, bytes(document))


def _create(session: Session, manifest_id: str, document: bytes) -> int:
    arguments = session.arguments
    result = session.client.create(
        document,
        manifest_id=manifest_id,
        kind=arguments.kind,
        lifecycle=arguments.lifecycle,
        reason=arguments.reason,
        context=session.context(),
        **session.write_options(),
    )
    return show_result(session, result, "created")


def _revise(session: Session, manifest_id: str, document: bytes) -> int:
    arguments = session.arguments
    digest = document_digest(canonicalize(document))
    seen: list[GetResult] = []

    def decide(state: GetResult) -> Write | None:
        if arguments.kind not in (None, state.kind):
            message = f"{manifest_id} is of kind {state.kind}, not {arguments.kind}"
            raise BadRequestError(message, path="/kind")
        expected = arguments.expected_version
        if expected not in (None, state.version):
            raise OptimisticLockError.at(
                manifest_id,
                expected=expected,
                actual=state.version,
                allowed_events=state.allowed_events,
            )
        seen.append(state)
        if state.digest == digest:
            return None
        return Revise(
            manifest_id=manifest_id,
            manifest=msgspec.Raw(document),
            reason=arguments.reason,
            context=session.context(),
            **session.write_options(),
        )

    result = session.client.update(manifest_id, decide, ATTEMPTS).result
    if result is not None:
        return show_result(session, result, "revised")
    return show_result(session, _unchanged(seen[-1]))


def _unchanged(state: GetResult) -> TransitionResult:
    return TransitionResult(
        manifest_id=state.manifest_id,
        kind=state.kind,
        state=state.state,
        version=state.version,
        seq=state.seq,
        digest=state.digest,
        urn=state.urn,
        author=state.author,
        allowed_events=state.allowed_events,
        changed=False,
    )


_EXAMPLES: Final = """\
  manifestctl apply server.json --kind mcp-server       # in CI, as often as you like
  manifestctl apply card.json --id acme/weather@2.1.0 -o name
"""

VERBS: Final = {"apply": Verb(_add_apply, _apply, _EXAMPLES, writes=True)}
