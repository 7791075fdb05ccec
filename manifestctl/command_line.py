"""`manifestctl`: find the verb, run it, end with the status of what went wrong."""

import errno
import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Final

from manifestctl.arguments import Group, Verb, group_parser, top_parser, verb_parser
from manifestctl.verbs import SUMMARIES

if TYPE_CHECKING:
    from protocol.errors import ManifestdError

FAILED: Final = 1
USAGE: Final = 2
NO_ROOM: Final = 8  # As STORAGE_FULL (design 5).
INTERRUPTED: Final = 130  # As a shell says it: 128 + SIGINT.
READER_GONE: Final = 141  # 128 + SIGPIPE.


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit status (design 5)."""
    try:
        status = _run(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _give_up_output()
        return READER_GONE
    except OSError as error:  # What verbs open themselves has errors of its own; this is output.
        _give_up_output()
        sys.stderr.write(f"error: the output cannot be written: {error.strerror or error}\n")
        return NO_ROOM if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else FAILED
    return status


def _give_up_output() -> None:
    """Drop what was not written yet: the interpreter flushes at exit, and would complain again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(argv: Sequence[str]) -> int:
    parser = top_parser({name: summary for name, (_, summary) in SUMMARIES.items()})
    if not argv:
        parser.print_help(sys.stderr)
        return USAGE
    arguments = parser.parse_args(argv)
    if arguments.verb not in SUMMARIES:
        parser.error(_unknown("verb", arguments.verb, list(SUMMARIES)))
    name = arguments.verb
    module, summary = SUMMARIES[name]
    verb: Verb | Group = import_module(f"manifestctl.verbs.{module}").VERBS[name]
    if isinstance(verb, Group):
        parser = group_parser(name, summary, verb)
        arguments = parser.parse_args(arguments.rest, arguments)
        if arguments.action not in verb.actions:
            parser.error(_unknown("action", arguments.action, list(verb.actions)))
        name = f"{name} {arguments.action}"
        summary, verb = verb.actions[arguments.action]
    # Options before the verb count, too: argparse leaves what the namespace has already.
    arguments = verb_parser(name, summary, verb).parse_args(arguments.rest, arguments)
    return _carry_out(verb, arguments)


def _unknown(what: str, name: str, known: list[str]) -> str:
    from protocol.errors import did_you_mean  # noqa: PLC0415 (only a typing error pays for it)

    near = did_you_mean(name, known)
    hint = f"; did you mean {near!r}?" if near else ""
    return f"there is no {what} {name!r}{hint}"


def _carry_out(verb: Verb, arguments: Namespace) -> int:
    from manifestctl.output import Format, Output  # noqa: PLC0415 (--help does not need it)
    from manifestctl.session import Session  # noqa: PLC0415
    from protocol.errors import ManifestdError  # noqa: PLC0415

    arguments.commands = arguments.commands or []
    arguments.events = arguments.events or []
    output = Output(Format(arguments.output or Format.TABLE))
    try:
        with Session(arguments, output) as session:
            return verb.run(session)
    except ManifestdError as error:
        output.error(error)
        return _status_of(error)


def _status_of(error: "ManifestdError") -> int:
    from protocol.errors import CommandError  # noqa: PLC0415

    return error.exit_status if isinstance(error, CommandError) else USAGE
