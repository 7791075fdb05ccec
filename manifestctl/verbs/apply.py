"""`apply`: the manifest shall hold this document, whatever it takes.

It reads, compares digests, and creates, revises or does nothing. A revision names the version
that was read; where somebody else was faster, it looks again.
"""

import sys
from argparse import ArgumentParser
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from manifestctl.arguments import Verb
from manifestctl.requests import own_id
from manifestctl.session import Session, UsageError
from manifestctl.verbs.write import add_creation, show_result
from protocol.canonical import canonicalize, document_digest
from protocol.commands import Revise, Write
from protocol.errors import (
    AlreadyExistsError,
    BadRequestError,
    CommandError,
    NotFoundError,
    OptimisticLockError,
)
from protocol.limits import MESSAGE_SIZE_MAX
from protocol.replies import GetResult, TransitionResult

ATTEMPTS: Final = 3
_REDACTED: Final = b"null"  # What `get` and `export` show of a document that is gone.


class _Wanted(NamedTuple):
    """What a manifest shall be."""

    manifest_id: str
    document: bytes
    kind: str | None
    lifecycle: str | None


class _Exported(msgspec.Struct):
    """What `apply --bulk` takes from a line of `manifestctl export`."""

    manifest_id: str
    kind: str
    lifecycle: str
    manifest: msgspec.Raw


def _add_apply(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="a JSON document; - reads standard input")
    parser.add_argument(
        "--bulk",
        action="store_true",
        help="FILE is the lines of `manifestctl export`: make a draft of each one's document",
    )
    add_creation(parser)


def _apply(session: Session) -> int:
    arguments = session.arguments
    if arguments.bulk:
        return _apply_lines(session)
    document = session.document(arguments.file)
    manifest_id = arguments.manifest_id or own_id(document)
    if manifest_id is None:
        message = "the document has no name and version that make an id; add --id ID"
        raise UsageError(message)
    wanted = _Wanted(manifest_id, bytes(document), arguments.kind, arguments.lifecycle)
    return _apply_one(session, wanted)


def _apply_lines(session: Session) -> int:
    """Apply line after line; what stops at one of them can be run again as a whole."""
    arguments = session.arguments
    for name in ("manifest_id", "expected_version", "command_id"):
        if getattr(arguments, name) is not None:
            message = "--bulk is about many manifests: leave --id, --expected-version, --command-id"
            raise UsageError(message)
    with ExitStack() as stack:
        try:
            file = sys.stdin.buffer
            if arguments.file != "-":
                file = stack.enter_context(Path(arguments.file).open("rb"))
        except OSError as error:
            message = f"cannot read {arguments.file}: {error.strerror}"
            raise UsageError(message) from error
        # What is longer than any line of an export is read as two, and the first is refused.
        for number, line in enumerate(iter(partial(file.readline, MESSAGE_SIZE_MAX), b""), 1):
            if not line.strip():
                continue
            try:
                wanted = _wanted(line, arguments.kind, arguments.lifecycle)
                if wanted.document == _REDACTED:
                    note = f"line {number}: the document of {wanted.manifest_id} was redacted; left out"
                    session.output.note(note)
                    continue
                _apply_one(session, wanted)
            except CommandError as error:
                error.message = (
                    f"line {number}: {error.message}; what comes before it is done, so mend it and "
                    "run the same again"
                )
                error.args = (error.message,)
                raise
    return 0


def _wanted(line: bytes, kind: str | None, lifecycle: str | None) -> _Wanted:
    try:
        one = msgspec.json.decode(line, type=_Exported)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        message = f"this is no line of `manifestctl export` ({error})"
        raise BadRequestError(message) from error
    return _Wanted(
        one.manifest_id, bytes(one.manifest), kind or one.kind, lifecycle or one.lifecycle
    )


def _apply_one(session: Session, wanted: _Wanted) -> int:
    try:
        return _revise(session, wanted)
    except NotFoundError:
        pass
    try:
        return _create(session, wanted)
    except AlreadyExistsError:  # Somebody made it since we looked.
        return _revise(session, wanted)


def _create(session: Session, wanted: _Wanted) -> int:
    arguments = session.arguments
    result = session.client.create(
        wanted.document,
        manifest_id=wanted.manifest_id,
        kind=wanted.kind,
        lifecycle=wanted.lifecycle,
        reason=arguments.reason,
        context=session.context(),
        **session.write_options(),
    )
    return show_result(session, result, "created")


def _revise(session: Session, wanted: _Wanted) -> int:
    arguments = session.arguments
    manifest_id, document, kind, _ = wanted
    digest = document_digest(canonicalize(document))
    seen: list[GetResult] = []

    def decide(state: GetResult) -> Write | None:
        if kind not in (None, state.kind):
            message = f"{manifest_id} is of kind {state.kind}, not {kind}"
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
        if state.digest == digest and bytes(state.manifest) != _REDACTED:
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
  manifestctl export | ssh staging manifestctl apply --bulk -
"""

VERBS: Final = {"apply": Verb(_add_apply, _apply, _EXAMPLES, writes=True)}
