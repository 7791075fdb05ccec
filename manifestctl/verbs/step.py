"""Verbs that take a step of the lifecycle: `submit`, `approve` and so on; `transition` takes any."""

from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any, Final

from manifestctl.arguments import Verb, add_context, add_manifest_id, add_reason
from manifestctl.session import Session
from manifestctl.verbs.write import show_result


def _adder(*, needs_reason: bool = False, takes_digest: bool = False) -> Callable[..., None]:
    def add(parser: ArgumentParser) -> None:
        add_manifest_id(parser)
        add_reason(parser, required=needs_reason)
        add_context(parser)
        if takes_digest:
            _add_digest(parser)

    return add


def _add_digest(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--digest", metavar="sha256:…", help="only this content (`get` shows its digest)"
    )


def _add_transition(parser: ArgumentParser) -> None:
    add_manifest_id(parser)
    step = parser.add_mutually_exclusive_group(required=True)
    step.add_argument("--event", metavar="NAME", help="by event, such as submit_for_review")
    step.add_argument("--target", metavar="STATE", help="by the state it leads to")
    add_reason(parser)
    add_context(parser)
    _add_digest(parser)


def _add_supersede(parser: ArgumentParser) -> None:
    add_manifest_id(parser)
    parser.add_argument(
        "--by", metavar="ID", required=True, help="what replaces it: an id or a URN"
    )
    add_reason(parser)
    add_context(parser)


def _context(session: Session) -> dict[str, Any] | None:
    """Return `--context`, with what `--by` says in it."""
    context, by = session.context(), getattr(session.arguments, "by", None)
    return context if by is None else {**(context or {}), "replaced_by": by}


def _step(event: str | None) -> Callable[[Session], int]:
    def run(session: Session) -> int:
        arguments = session.arguments
        result = session.client.transition(
            arguments.manifest_id,
            event=event or arguments.event,
            target=None if event else arguments.target,
            reason=arguments.reason,
            context=_context(session),
            digest=getattr(arguments, "digest", None),
            **session.write_options(),
        )
        return show_result(session, result)

    return run


_SUBMIT_EXAMPLES: Final = """\
  manifestctl submit io.github.acme/echo@1.0.0
"""
_APPROVE_EXAMPLES: Final = """\
  manifestctl approve io.github.acme/echo@1.0.0 --as approver-3
  manifestctl approve io.github.acme/echo@1.0.0 --digest sha256:4bf5… --expected-version 2
"""
_REJECT_EXAMPLES: Final = """\
  manifestctl reject io.github.acme/echo@1.0.0 -m "the licence is missing"
"""
_REGISTER_EXAMPLES: Final = """\
  manifestctl register io.github.acme/echo@1.0.0
"""
_DEPRECATE_EXAMPLES: Final = """\
  manifestctl deprecate io.github.acme/echo@1.0.0 -m "1.1.0 is out"
"""
_SUPERSEDE_EXAMPLES: Final = """\
  manifestctl supersede io.github.acme/echo@1.0.0 --by io.github.acme/echo@2.0.0
"""
_WITHDRAW_EXAMPLES: Final = """\
  manifestctl withdraw io.github.acme/echo@1.0.0 -m "leaks its token"
"""
_RESTORE_EXAMPLES: Final = """\
  manifestctl restore io.github.acme/echo@1.0.0 -m "withdrawn by mistake"
"""
_TRANSITION_EXAMPLES: Final = """\
  manifestctl transition io.github.acme/echo@1.0.0 --event submit_for_review
  manifestctl transition io.github.acme/echo@1.0.0 --target APPROVED --dry-run
"""

VERBS: Final = {
    "submit": Verb(_adder(), _step("submit_for_review"), _SUBMIT_EXAMPLES, writes=True),
    "approve": Verb(_adder(takes_digest=True), _step("approve"), _APPROVE_EXAMPLES, writes=True),
    "reject": Verb(_adder(needs_reason=True), _step("reject"), _REJECT_EXAMPLES, writes=True),
    "register": Verb(_adder(), _step("register"), _REGISTER_EXAMPLES, writes=True),
    "deprecate": Verb(
        _adder(needs_reason=True), _step("deprecate"), _DEPRECATE_EXAMPLES, writes=True
    ),
    "supersede": Verb(_add_supersede, _step("supersede"), _SUPERSEDE_EXAMPLES, writes=True),
    "withdraw": Verb(_adder(needs_reason=True), _step("withdraw"), _WITHDRAW_EXAMPLES, writes=True),
    "restore": Verb(_adder(), _step("restore"), _RESTORE_EXAMPLES, writes=True),
    "transition": Verb(_add_transition, _step(None), _TRANSITION_EXAMPLES, writes=True),
}
