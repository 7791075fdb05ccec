"""The command line's grammar: options that every verb takes, options that every write takes.

Only the parser of the verb that was asked for is built.
"""

import argparse
from collections.abc import Callable
from typing import Final, NamedTuple, NoReturn

ENVIRONMENT: Final = """\
environment:
  MANIFESTCTL_COMMANDS, MANIFESTCTL_EVENTS
                 the daemon's endpoints, like --commands and --events
  NO_COLOR       no colours
"""
STATUSES: Final = """\
exit status:
  0 done                                  6 the document or request is not valid
  1 the daemon failed                     7 not permitted
  2 the command line is wrong             8 no answer in time, overloaded, disk full; try again
  3 no such manifest                      9 stored data is damaged
  4 somebody else was faster              130 interrupted; 141 the reader went away
  5 the lifecycle does not allow it
"""


class Verb(NamedTuple):
    """What a verb takes, does (returning an exit status), and looks like in use."""

    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[..., int]
    examples: str
    writes: bool = False


class Group(NamedTuple):
    """A verb whose first argument says what it does: name -> summary, and the verb it stands for."""

    actions: dict[str, tuple[str, Verb]]


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints end in a hint rather than begin with the usage."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and end with the status of a usage error."""
        self.exit(2, f"error: {message}\ntry: {self.prog} --help\n")


def _new_parser(program: str, description: str, epilog: str) -> Parser:
    return Parser(
        prog=program,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def top_parser(summaries: dict[str, str]) -> Parser:
    """Return the parser of everything up to the verb."""
    size = max(map(len, summaries))
    verbs = "\n".join(f"  {name:<{size}}  {summary}" for name, summary in summaries.items())
    parser = _new_parser(
        "manifestctl",
        "Take agent manifests through their lifecycle, and watch it happen.",
        f"verbs (manifestctl VERB --help says more):\n{verbs}\n\n{ENVIRONMENT}\n{STATUSES}",
    )
    parser.usage = "manifestctl VERB [argument ...] [option ...]"
    add_common(parser)
    parser.add_argument("verb", metavar="VERB", help=argparse.SUPPRESS)
    parser.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


def group_parser(name: str, summary: str, group: Group) -> Parser:
    """Return the parser of what comes after a verb that has actions, up to the action."""
    size = max(map(len, group.actions))
    actions = "\n".join(f"  {one:<{size}}  {said}" for one, (said, _) in group.actions.items())
    examples = "\n".join(
        verb.examples.partition("\n\n")[0].rstrip("\n") for _, verb in group.actions.values()
    )
    parser = _new_parser(
        f"manifestctl {name}",
        f"{summary[0].upper()}{summary[1:]}.",
        f"actions (manifestctl {name} ACTION --help says more):\n{actions}\n\nexamples:\n{examples}",
    )
    parser.usage = f"manifestctl {name} ACTION [argument ...] [option ...]"
    add_common(parser)
    parser.add_argument("action", metavar="ACTION", help=argparse.SUPPRESS)
    parser.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


def verb_parser(name: str, summary: str, verb: Verb) -> Parser:
    """Return the parser of what comes after the verb."""
    epilog = f"examples:\n{verb.examples}"
    parser = _new_parser(f"manifestctl {name}", f"{summary[0].upper()}{summary[1:]}.", epilog)
    verb.add_arguments(parser)
    if verb.writes:
        add_write(parser)
    add_common(parser)
    return parser


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add what every verb takes."""
    group = parser.add_argument_group("connection and output")
    group.add_argument(
        "-o",
        "--output",
        choices=("table", "json", "ndjson", "name"),
        help="how to print: for people, as one JSON document, as JSON lines, ids only",
    )
    group.add_argument(
        "--commands",
        action="append",
        metavar="ENDPOINT",
        help="where the daemon takes commands; may be repeated: tried in order",
    )
    group.add_argument(
        "--events", action="append", metavar="ENDPOINT", help="where it publishes events"
    )
    group.add_argument(
        "--timeout", type=seconds, metavar="SECONDS", help="how long to try (default: 10)"
    )


def add_write(parser: argparse.ArgumentParser) -> None:
    """Add what every write takes."""
    group = parser.add_argument_group("options of every write")
    group.add_argument(
        "--as", dest="principal", metavar="NAME", help="who it is from (takes impersonate)"
    )
    group.add_argument(
        "--expected-version",
        type=count,
        metavar="N",
        help="refuse when the manifest is at another version",
    )
    group.add_argument(
        "--command-id", metavar="ID", help="makes a repeat safe: it is carried out once"
    )
    group.add_argument("--correlation-id", metavar="ID", help="what this belongs to")
    group.add_argument("--causation-id", metavar="ID", help="what led to this")
    group.add_argument("--traceparent", metavar="VALUE", help="W3C trace context")
    group.add_argument(
        "--dry-run", action="store_true", help="say what would happen, change nothing"
    )


def add_reason(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    """Add `--reason`."""
    parser.add_argument(
        "-m", "--reason", metavar="TEXT", required=required, help="why; kept in the history"
    )


def add_context(parser: argparse.ArgumentParser) -> None:
    """Add `--context`."""
    parser.add_argument(
        "--context", metavar="JSON", help="an object that is kept with the manifest"
    )


def add_manifest_id(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """Add the positional ID."""
    parser.add_argument(
        "manifest_id", metavar="ID", nargs=None if required else "?", help="the manifest"
    )


def seconds(text: str) -> float:
    """Return a positive number of seconds."""
    value = float(text)
    if not 0 < value < float("inf"):
        message = f"{text} is not a positive number of seconds"
        raise argparse.ArgumentTypeError(message)
    return value


def count(text: str) -> int:
    """Return a number that is not negative."""
    value = int(text)
    if value < 0:
        message = f"{text} is negative"
        raise argparse.ArgumentTypeError(message)
    return value
